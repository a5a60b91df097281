//! The schemas in use: loaded at start, swapped whole on reload.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{Formats, SchemaSet, compile, digest};
use crate::{Refusal, SchemaSource, SourceError};

/// The schemas in use. Reading them takes no lock; a reload swaps the whole set at once.
pub struct Schemas {
    current: ArcSwap<SchemaSet>,
    /// In order: a later source overrides an earlier one. Locked so that two reloads do not race.
    sources: Mutex<Vec<Box<dyn SchemaSource>>>,
    formats: Formats,
}

impl Schemas {
    /// Loads all schemas of these sources; where two hold the same type and version, the later one
    /// counts. A bad schema is left out and returned, the others are used.
    ///
    /// # Errors
    /// When a source cannot be read at all.
    pub fn open(sources: Vec<Box<dyn SchemaSource>>) -> Result<(Self, Vec<Refusal>), SourceError> {
        Self::open_with(sources, Formats::default())
    }

    /// As [`Self::open`], with `format` taken as said.
    ///
    /// # Errors
    /// When a source cannot be read at all.
    pub fn open_with(
        sources: Vec<Box<dyn SchemaSource>>,
        formats: Formats,
    ) -> Result<(Self, Vec<Refusal>), SourceError> {
        let (set, refused) = load(&sources, &SchemaSet::default(), formats)?;
        let (current, sources) = (ArcSwap::from_pointee(set), Mutex::new(sources));
        Ok((Self { current, sources, formats }, refused))
    }

    /// Adds one more source, whose schemas count over those of the others, and reads all of them.
    ///
    /// # Errors
    /// When a source cannot be read at all; then it is not added, and the set stays as it was.
    pub fn add(&self, source: Box<dyn SchemaSource>) -> Result<Vec<Refusal>, SourceError> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.push(source);
        let read = load(&sources, &self.current.load(), self.formats);
        if read.is_err() {
            sources.pop();
        }
        let (set, refused) = read?;
        self.current.store(Arc::new(set));
        Ok(refused)
    }

    /// The schemas in use now. Hold on to them for one batch, not longer.
    pub fn load(&self) -> Arc<SchemaSet> {
        self.current.load_full()
    }

    /// Reads all sources again. Blocks on them: call it away from async threads. Where a schema has
    /// become bad, the last good one of its type and version stays; the refusals are returned.
    ///
    /// # Errors
    /// When a source cannot be read at all; then the last good set stays as it was.
    pub fn reload(&self) -> Result<Vec<Refusal>, SourceError> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, refused) = load(&sources, &self.current.load(), self.formats)?;
        self.current.store(Arc::new(set));
        Ok(refused)
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").field("count", &self.load().len()).finish_non_exhaustive()
    }
}

fn load(
    sources: &[Box<dyn SchemaSource>],
    before: &SchemaSet,
    formats: Formats,
) -> Result<(SchemaSet, Vec<Refusal>), SourceError> {
    let mut set = SchemaSet::default();
    let mut refused = Vec::new();
    for source in sources {
        let fetched = source.fetch()?;
        let bad_before = refused.len();
        refused.extend(fetched.refused);
        for text in &fetched.schemas {
            // What has not changed is not compiled again.
            let known = before.get(&text.kind, text.version);
            let known = known.filter(|known| known.digest == digest(text)).cloned();
            match known.map_or_else(|| compile(text, formats).map(Arc::new), Ok) {
                Ok(schema) => set.insert(schema),
                Err(refusal) => refused.push(refusal),
            }
        }
        // Within one source the last good version of what is bad now goes on, also over what an
        // earlier source holds: it did so until this reload.
        let bad: BTreeSet<_> =
            refused[bad_before..].iter().filter_map(|refusal| refusal.schema.as_ref()).collect();
        for (kind, version) in bad {
            if let Some(last_good) = before.get(kind, *version) {
                set.insert(Arc::clone(last_good));
            }
        }
    }
    Ok((set, refused))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Tree;
    use crate::testing::Scratch;
    use crate::{Builtin, Folder, Resolved, SchemaRef};

    fn open(scratch: &Scratch) -> (Schemas, Vec<Refusal>) {
        Schemas::open(vec![Box::new(Builtin), Box::new(Folder::new(scratch.path()))]).unwrap()
    }

    fn resolve(schemas: &Schemas, kind: &str, version: Option<u32>) -> Arc<SchemaRef> {
        match schemas.load().resolve(kind, version) {
            Resolved::Schema(schema) => Arc::clone(schema),
            other => panic!("{kind}: {other:?}"),
        }
    }

    /// A schema that takes only an object with this property.
    fn requiring(property: &str) -> String {
        json!({"type": "object", "required": [property]}).to_string()
    }

    #[test]
    fn the_newest_version_applies_unless_one_is_named() {
        let scratch = Scratch::new();
        scratch.write("wish/2.json", &requiring("b"));
        scratch.write("wish/10.json", &requiring("c"));
        let (schemas, refused) = open(&scratch);
        assert_eq!(refused, []);
        assert_eq!(resolve(&schemas, "wish", None).version(), 10);
        assert_eq!(resolve(&schemas, "wish", Some(2)).label(), "wish/2");
        let set = schemas.load();
        assert!(matches!(set.resolve("wish", Some(3)), Resolved::UnknownVersion));
        assert!(matches!(set.resolve("wash", None), Resolved::UnknownType));
    }

    #[test]
    fn a_reload_swaps_the_set_and_leaves_those_who_hold_the_old_one() {
        let scratch = Scratch::new();
        scratch.write("wish/1.json", &requiring("a"));
        let (schemas, _) = open(&scratch);
        let old = schemas.load();
        scratch.write("wish/2.json", &requiring("b"));
        assert_eq!(schemas.reload().unwrap(), []);
        assert_eq!(schemas.load().len(), old.len() + 1);
        assert!(matches!(old.resolve("wish", Some(2)), Resolved::UnknownVersion));
        let same = resolve(&schemas, "wish", Some(1));
        assert!(old.schemas().any(|schema| Arc::ptr_eq(schema, &same)), "compiled once");
    }

    #[test]
    fn formats_are_asserted_unless_they_only_describe() {
        let drafts = [
            "http://json-schema.org/draft-07/schema#",
            "https://json-schema.org/draft/2019-09/schema",
            "https://json-schema.org/draft/2020-12/schema",
        ];
        for draft in drafts {
            let scratch = Scratch::new();
            let schema = json!({"$schema": draft, "properties": {"at": {"format": "date-time"}}});
            scratch.write("wish/1.json", &schema.to_string());
            for (formats, good) in [(Formats::Assert, false), (Formats::Annotate, true)] {
                let sources: Vec<Box<dyn SchemaSource>> =
                    vec![Box::new(Folder::new(scratch.path()))];
                let (schemas, _) = Schemas::open_with(sources, formats).unwrap();
                let wish = resolve(&schemas, "wish", None);
                assert_eq!(
                    wish.validate(&Tree::from(&json!({"at": "noon"}))).is_ok(),
                    good,
                    "{draft}"
                );
                assert!(
                    wish.validate(&Tree::from(&json!({"at": "2026-11-24T12:00:00Z"}))).is_ok(),
                    "{draft}"
                );
            }
        }
    }

    #[test]
    fn a_bad_file_is_refused_by_name_and_the_last_good_schema_stays() {
        let scratch = Scratch::new();
        scratch.write("wish/1.json", &requiring("a"));
        scratch.write("page_view/1.json", &requiring("mine"));
        let (schemas, _) = open(&scratch);

        scratch.write("wish/1.json", "{");
        scratch.write("page_view/1.json", r#"{"type":7}"#);
        scratch.write("list/1.json", &requiring("l"));
        let refused = schemas.reload().unwrap();
        assert_eq!(refused.len(), 2);
        assert!(refused.iter().any(|refusal| refusal.origin.ends_with("wish/1.json")));
        for (kind, property) in [("wish", "a"), ("page_view", "mine"), ("list", "l")] {
            let schema = resolve(&schemas, kind, None);
            assert!(schema.validate(&Tree::from(&json!({property: 1}))).is_ok(), "{kind}");
            assert!(schema.validate(&Tree::from(&json!({}))).is_err(), "{kind}");
        }
    }

    #[test]
    fn a_file_that_is_gone_is_gone() {
        let scratch = Scratch::new();
        scratch.write("wish/1.json", &requiring("a"));
        let (schemas, _) = open(&scratch);
        scratch.remove("wish/1.json");
        schemas.reload().unwrap();
        assert!(matches!(schemas.load().resolve("wish", None), Resolved::UnknownType));
    }

    #[test]
    fn when_the_folder_is_away_the_last_good_set_stays() {
        let scratch = Scratch::new();
        scratch.write("wish/1.json", &requiring("a"));
        let (schemas, _) = open(&scratch);
        let before = schemas.load();
        drop(scratch);
        assert!(schemas.reload().is_err());
        assert!(Arc::ptr_eq(&before, &schemas.load()));
    }

    #[test]
    fn the_builtin_schemas_take_what_they_should_and_no_more() {
        let (schemas, refused) = Schemas::open(vec![Box::new(Builtin)]).unwrap();
        assert_eq!(refused, []);
        let hint = "web.clicks.raw.pii.v1.0.42.0";
        let line = json!({"sku": "A1", "price_cents": 5, "quantity": 2});
        let order = |email: &str| {
            json!({"order": "o1", "lines": [line], "total_cents": 10, "currency": "GBP",
                   "email": email})
        };
        let traits = json!({"email": "a@b.c", "plan": {"name": "gold"}});
        let good: [(&str, Value); 45] = [
            ("alias", json!({"previous": "a@b.c"})),
            ("back_in_stock_wanted", json!({"sku": "A1"})),
            ("basket_add", json!({"sku": "A1", "quantity": 1})),
            ("basket_remove", json!({"sku": "A1"})),
            ("basket_view", json!({"lines": [line, {"sku": "A1"}], "total_cents": 10})),
            ("basket_view", json!({"lines": []})),
            ("checkout_step", json!({"step": 1, "name": "address", "total_cents": 0})),
            ("click", json!({})),
            ("click", json!({"element": "a", "text": "Go", "href": "/x", "hint": hint})),
            ("consent", json!({"granted": ["analytics"], "source": "banner"})),
            ("consent", json!({"granted": []})),
            ("dead_click", json!({"element": "button"})),
            ("element_view", json!({"element": "teaser", "dwell_ms": 1000})),
            (
                "element_view",
                json!({"element": "card", "sku": "A1", "list": "hot", "position": 2, "dwell_ms": 1}),
            ),
            ("engagement", json!({"engaged_ms": 12_000, "scroll_percent": 100})),
            ("engagement", json!({"engaged_ms": 0})),
            ("experiment_view", json!({"experiment": "checkout", "arm": 0})),
            ("exposure", json!({"hint": hint, "slot": "product-below", "sku": "A1"})),
            ("file_download", json!({"href": "https://a.example/x.pdf", "name": "x.pdf"})),
            ("form_abandon", json!({"form": "checkout", "field": "email", "after_ms": 5})),
            ("form_start", json!({"form": "checkout", "field": "email"})),
            ("form_start", json!({})),
            ("form_submit", json!({"form": "checkout"})),
            ("group", json!({"group": "g 1", "traits": traits})),
            ("identify", json!({})),
            ("identify", json!({ "traits": traits })),
            ("js_error", json!({"kind": "rejection", "message": "no", "line": 3})),
            ("list_view", json!({"list": "hot", "category": "kettles", "skus": ["A1", "Ü 1"]})),
            ("list_view", json!({})),
            ("login", json!({})),
            ("logout", json!({})),
            ("media", json!({"media": "film", "kind": "video", "action": "start"})),
            ("order", order("a@b.c")),
            ("outbound_click", json!({"href": "https://b.example/", "host": "b.example"})),
            ("page_view", json!({})),
            ("page_view", json!({"name": "Home", "category": "Docs"})),
            ("page_view", json!({"kind": "product", "navigation": "restore"})),
            ("product_click", json!({"sku": "A1", "list": "home", "position": 0, "hint": hint})),
            ("product_view", json!({"sku": "Ü 1", "category": "kettles", "price_cents": 0})),
            ("rage_click", json!({"element": "a", "id": "buy", "clicks": 4})),
            ("screen_view", json!({})),
            ("screen_view", json!({"name": "Cart", "category": "Shop"})),
            ("search", json!({"query": "kettle", "results": 3})),
            ("search", json!({"query": ""})),
            ("web_vital", json!({"metric": "cls", "value": 0.12, "rating": "fair"})),
        ];
        for (kind, props) in &good {
            assert_eq!(
                resolve(&schemas, kind, None).validate(&Tree::from(props)),
                Ok(()),
                "{kind} {props}"
            );
        }
        let bad: [(&str, Value, &str); 35] = [
            ("alias", json!({}), ""),
            ("basket_add", json!({"sku": "A1", "quantity": 0}), "/quantity"),
            ("basket_remove", json!({}), ""),
            ("basket_view", json!({"lines": [{}]}), "/lines/0"),
            ("checkout_step", json!({"step": 1.5}), "/step"),
            ("click", json!({"text": "x".repeat(201)}), "/text"),
            ("consent", json!({"granted": ["everything"]}), "/granted/0"),
            ("consent", json!({"granted": ["analytics", "analytics"]}), "/granted"),
            ("dead_click", json!({"text": "Buy"}), "/text"),
            ("element_view", json!({"element": "teaser"}), ""),
            ("engagement", json!({"engaged_ms": 1, "scroll_percent": 101}), "/scroll_percent"),
            ("experiment_view", json!({"experiment": "checkout", "arm": -1}), "/arm"),
            ("exposure", json!({"hint": hint, "slot": "Product Below"}), "/slot"),
            ("exposure", json!({"slot": "product-below"}), ""),
            ("file_download", json!({"name": "x.pdf"}), ""),
            ("form_abandon", json!({"after_ms": -1}), "/after_ms"),
            ("form_submit", json!({"email": "a@b.c"}), "/email"),
            ("group", json!({ "traits": traits }), ""),
            ("identify", json!({"traits": "gold"}), "/traits"),
            ("js_error", json!({"kind": "warning"}), "/kind"),
            ("list_view", json!({"skus": "A1"}), "/skus"),
            ("login", json!({"password": "x"}), "/password"),
            ("media", json!({"media": "film", "kind": "video"}), ""),
            ("order", order("nobody"), "/email"),
            (
                "order",
                json!({"order": "o", "lines": [], "total_cents": 1, "currency": "GBP"}),
                "/lines",
            ),
            (
                "order",
                json!({"order": "o", "lines": [{"sku": "a"}], "total_cents": 1, "currency": "GBP"}),
                "/lines/0",
            ),
            ("page_view", json!({"kind": "landing"}), "/kind"),
            ("product_click", json!({"sku": "x".repeat(65)}), "/sku"),
            ("product_view", json!({"sku": "a\nb"}), "/sku"),
            ("product_view", json!({"sku": "a", "price_cents": -1}), "/price_cents"),
            ("page_view", json!({"plan": "gold"}), "/plan"),
            ("rage_click", json!({"element": "a", "clicks": 1}), "/clicks"),
            ("screen_view", json!({"name": ""}), "/name"),
            ("search", json!([]), ""),
            ("web_vital", json!({"metric": "fid", "value": 1}), "/metric"),
        ];
        for (kind, props, pointer) in &bad {
            let violation = resolve(&schemas, kind, None).validate(&Tree::from(props)).unwrap_err();
            assert_eq!(&violation.pointer, pointer, "{kind} {props}: {violation:?}");
        }
        let judged: BTreeSet<&str> = good.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(judged.len(), schemas.load().len(), "a built-in schema is not tried here");
    }

    #[test]
    fn personal_properties_are_known() {
        let (schemas, _) = Schemas::open(vec![Box::new(Builtin)]).unwrap();
        assert_eq!(resolve(&schemas, "order", None).pii_pointers(), ["/email"]);
        assert_eq!(resolve(&schemas, "search", None).pii_pointers(), ["/query"]);
        let identify = resolve(&schemas, "identify", None);
        assert_eq!(identify.pii_pointers(), ["/customer", "/proof", "/traits"]);
        assert_eq!(resolve(&schemas, "group", None).pii_pointers(), ["/traits"]);
        assert_eq!(resolve(&schemas, "alias", None).pii_pointers(), ["/previous"]);
        assert_eq!(resolve(&schemas, "js_error", None).pii_pointers(), ["/message", "/stack"]);
        assert!(resolve(&schemas, "product_view", None).pii_pointers().is_empty());
    }

    #[test]
    fn the_shops_own_schema_is_good() {
        let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/contracts/schemas");
        let (schemas, refused) = Schemas::open(vec![Box::new(Folder::new(shop))]).unwrap();
        assert_eq!(refused, []);
        let wish = resolve(&schemas, "wishlist_add", None);
        assert_eq!(wish.validate(&Tree::from(&json!({"sku": "A1", "list": "birthday"}))), Ok(()));
        assert_eq!(wish.pii_pointers(), ["/note"]);
    }
}
