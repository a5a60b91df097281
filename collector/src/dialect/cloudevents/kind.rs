//! What a CloudEvent's type is here.

use clickmill_sdk_core::wire::EventType;

use crate::config::CloudEventsConfig;
use crate::dialect::translate::event_type;

/// How many labels a reverse domain has.
const DOMAIN_LABELS: usize = 2;

/// The type and version that the name of a CloudEvent's type stands for: what the configuration
/// says; otherwise its labels without the reverse domain, which is the first two as far as something
/// remains, and without a version such as `v1` at the end.
pub(super) fn read(name: &str, config: &CloudEventsConfig) -> Option<(EventType, Option<u32>)> {
    if let Some(kind) = config.types.get(name) {
        return Some((kind.clone(), None));
    }
    let mut labels: Vec<&str> = name.split('.').collect();
    let version = labels.last().and_then(|last| version(last)).filter(|_| labels.len() > 1);
    if version.is_some() {
        labels.pop();
    }
    let cut = DOMAIN_LABELS.min(labels.len().saturating_sub(1));
    Some((event_type(&labels[cut..].join(" "))?, version))
}

/// The version that the end of a schema's address names, if it is one of that type as ours end:
/// `/product_view/2`.
pub(super) fn of_schema(address: &str, kind: &EventType) -> Option<u32> {
    let path = address.split(['?', '#']).next()?;
    let path = path.strip_suffix(".json").unwrap_or(path);
    let (front, version) = path.rsplit_once('/')?;
    let named = front.rsplit('/').next()? == kind.as_str();
    named.then(|| version.parse().ok()).flatten()
}

fn version(label: &str) -> Option<u32> {
    label.strip_prefix('v')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_what_follows_the_domain() {
        let types = [("com.example.sale".to_owned(), EventType::parse("order").unwrap())];
        let config = CloudEventsConfig { types: types.into() };
        let check = |name: &str, expected: Option<(&str, Option<u32>)>| {
            let found = read(name, &config);
            let found = found.as_ref().map(|(kind, version)| (kind.as_str(), *version));
            assert_eq!(found, expected, "{name}");
        };
        check("product_view", Some(("product_view", None)));
        check("shop.product_view", Some(("product_view", None)));
        check("com.example.product_view", Some(("product_view", None)));
        check("com.example.cart.itemAdded", Some(("cart_item_added", None)));
        check("com.example.product_view.v2", Some(("product_view", Some(2))));
        check("product_view.v1", Some(("product_view", Some(1))));
        check("com.example.sale", Some(("order", None)));
        check("com.example.vault", Some(("vault", None)));
        check("v1", Some(("v1", None)));
        check("com.example.1st", None);
        check("com.example.größe", None);
        check("", None);
    }

    #[test]
    fn a_schemas_address_tells_the_version_of_that_type_alone() {
        let kind = EventType::parse("product_view").unwrap();
        let check =
            |address: &str, version| assert_eq!(of_schema(address, &kind), version, "{address}");
        check("/product_view/2", Some(2));
        check("https://schemas.example/product_view/1.json#top", Some(1));
        check("product_view/3", Some(3));
        check("/order/2", None);
        check("/product_view/latest", None);
        check("/product_view", None);
        check("2", None);
    }
}
