//! Customer: whether an `identify` proves which customer its visitor is.
//!
//! A proof is `1.<key id>.<until>.<mac>`: a version, the name of the key, the second since 1970 at which
//! it ends, and HMAC-SHA256 in url-safe base64 without padding. What is signed are seven lines without a
//! line break at the end: `clickmill proof`, the version, the key's name, the tenant, the customer, the
//! visitor, and the end. None of them can hold a line break, so no two ways of filling them make one
//! text. The proof itself says neither whom it is about nor in which browser: both stand in the event,
//! and are signed. So a proof that was taken along to another browser is worth nothing there.
//!
//! The site's server signs, and shares its secrets with the collector; see the SDK's README.

use clickmill_catalog::Tree;
use clickmill_sdk_core::wire::{CustomerId, Doubt, Millis, Tenant, VisitorId};
use clickmill_server::token::{Signer, TokenError};

use crate::config::ProofsConfig;
use crate::delivery::Circumstances;
use crate::privacy;

/// The type of the event that says which customer a visitor is.
pub(crate) const IDENTIFY: &str = "identify";

/// Where its proof stands in its properties, as a pointer.
const PROOF: &str = "/proof";

const VERSION: &str = "1";

/// The longest proof, bytes: version, key id, ten digits and some, a MAC of 43 characters, three dots.
const PROOF_BYTES_MAX: usize = 256;

/// By so much a server's clock may be ahead of ours, ms.
const SKEW_MS_MAX: u64 = 60_000;

/// The customer that a visitor is proven to be, or why that is a claim.
pub(crate) type Named = Result<CustomerId, Doubt>;

/// Judges the proofs of one site.
#[derive(Debug)]
pub(crate) struct Proofs {
    signer: Option<Signer>,
    lifetime_ms_max: u64,
}

/// What a proof is about.
#[derive(Clone, Copy, Debug)]
struct Subject<'a> {
    tenant: &'a Tenant,
    customer: &'a CustomerId,
    visitor: &'a VisitorId,
}

impl Proofs {
    /// Takes a site's keys. Those that are no good are none: the configuration was checked before.
    pub(crate) fn new(config: &ProofsConfig) -> Self {
        let lifetime_ms_max = u64::try_from(config.lifetime_max.as_millis()).unwrap_or(u64::MAX);
        Self { signer: config.signer().ok().flatten(), lifetime_ms_max }
    }

    /// Which customer an `identify` with these properties proves its visitor to be, at a moment.
    pub(crate) fn judge(
        &self,
        props: &Tree<'_>,
        (tenant, circumstances): (&Tenant, &Circumstances),
        now: Millis,
    ) -> Named {
        let proof = text(props, "proof").ok_or(Doubt::Missing)?;
        let visitor = circumstances.visitor.as_ref().ok_or(Doubt::NoVisitor)?;
        let told = text(props, "customer").map(CustomerId::parse).transpose();
        let told = told.map_err(|_| Doubt::NoCustomer)?;
        let customer = match (told, circumstances.customer.clone()) {
            (Some(told), Some(known)) if told != known => return Err(Doubt::NoCustomer),
            (told, known) => told.or(known).ok_or(Doubt::NoCustomer)?,
        };
        self.verify(proof, &Subject { tenant, customer: &customer, visitor }, now)?;
        Ok(customer)
    }

    /// Whether a proof is good. What it says of its end counts only after the MAC was checked.
    fn verify(&self, proof: &str, subject: &Subject<'_>, now: Millis) -> Result<(), Doubt> {
        let (key, until, mac) = parts(proof).ok_or(Doubt::Malformed)?;
        let signer = self.signer.as_ref().ok_or(Doubt::UnknownKey)?;
        signer.check(key, &subject.signed(key, until), mac).map_err(|error| match error {
            TokenError::UnknownKey => Doubt::UnknownKey,
            TokenError::Malformed => Doubt::Malformed,
            TokenError::Forged | TokenError::Expired => Doubt::Forged,
        })?;
        let ends_ms = until.parse::<u64>().map_err(|_| Doubt::Malformed)?.saturating_mul(1_000);
        if ends_ms <= now.0 {
            return Err(Doubt::Expired);
        }
        let latest = now.0.saturating_add(self.lifetime_ms_max).saturating_add(SKEW_MS_MAX);
        if ends_ms > latest { Err(Doubt::TooLong) } else { Ok(()) }
    }
}

impl Subject<'_> {
    /// What the site's server signs.
    fn signed(&self, key: &str, until: &str) -> String {
        let Self { tenant, customer, visitor } = self;
        format!("clickmill proof\n{VERSION}\n{key}\n{tenant}\n{customer}\n{visitor}\n{until}")
    }
}

/// Takes a proof apart: the key's name, its end, and the MAC.
fn parts(proof: &str) -> Option<(&str, &str, &str)> {
    if proof.len() > PROOF_BYTES_MAX {
        return None;
    }
    let mut fields = proof.split('.');
    let (version, key, until, mac) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_number = (1..=12).contains(&until.len()) && until.bytes().all(|b| b.is_ascii_digit());
    // A key's name with a line break in it is none of ours, but it would be signed over.
    let is_name = !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
    let is_whole = version == VERSION && fields.next().is_none();
    (is_whole && is_number && is_name).then_some((key, until, mac))
}

/// The properties of an `identify` as they may be stored: without the proof, and without what lies at
/// these pointers. None where nothing of that is there.
pub(crate) fn bare(props: &Tree<'_>, without: Option<&[String]>) -> Option<String> {
    let mut pointers = without.unwrap_or_default().to_vec();
    pointers.push(PROOF.to_owned());
    privacy::strip(props, &pointers)
}

fn text<'a>(props: &'a Tree<'_>, name: &str) -> Option<&'a str> {
    match props.get(name)? {
        Tree::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clickmill_server::config::Secret;
    use clickmill_server::token::SigningKey;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, NOW_MS, proof};

    const SECRET: &str = "fedcba9876543210";
    const SOON: u64 = NOW_MS / 1_000 + 300;

    fn good() -> String {
        proof(SECRET, ["b", "shop", "c1", "v1"], SOON)
    }

    fn proofs() -> Proofs {
        let key = |id: &str, secret| SigningKey { id: id.to_owned(), secret: Secret::new(secret) };
        let keys = vec![key("a", "0123456789abcdef"), key("b", SECRET)];
        Proofs::new(&ProofsConfig { keys, ..ProofsConfig::default() })
    }

    /// What is found of an `identify` of the visitor `v1`, whose context names the customer `c1`.
    fn named(proofs: &Proofs, props: &Value) -> Named {
        let delivery = testing::delivery();
        let circumstances = delivery.common().circumstances;
        let about = (&delivery.site.tenant, &circumstances);
        proofs.judge(&Tree::from(props), about, Millis(NOW_MS))
    }

    fn check(props: &Value, expected: Result<&str, Doubt>) {
        let named = named(&proofs(), props);
        let named = named.as_ref().map(CustomerId::as_str).map_err(|why| *why);
        assert_eq!(named, expected, "{props}");
    }

    #[test]
    fn a_proof_is_of_one_customer_in_one_browser_of_one_tenant() {
        check(&json!({"customer": "c1", "proof": good()}), Ok("c1"));
        check(&json!({"proof": good()}), Ok("c1"));
        check(&json!({"customer": "c1"}), Err(Doubt::Missing));
        check(&json!({"customer": "c1", "proof": 1}), Err(Doubt::Missing));
        check(&json!({"customer": "c2", "proof": good()}), Err(Doubt::NoCustomer));
        check(&json!({"customer": "", "proof": good()}), Err(Doubt::NoCustomer));
        for said in
            [["b", "shop", "c2", "v1"], ["b", "shop", "c1", "v2"], ["b", "else", "c1", "v1"]]
        {
            check(&json!({"proof": proof(SECRET, said, SOON)}), Err(Doubt::Forged));
        }
        // Another key's secret, and a key that is not known.
        let said = ["a", "shop", "c1", "v1"];
        check(&json!({"proof": proof(SECRET, said, SOON)}), Err(Doubt::Forged));
        check(&json!({"proof": proof("0123456789abcdef", said, SOON)}), Ok("c1"));
        let said = ["c", "shop", "c1", "v1"];
        check(&json!({"proof": proof(SECRET, said, SOON)}), Err(Doubt::UnknownKey));
    }

    #[test]
    fn a_proof_ends_and_not_too_late() {
        let until = |s| json!({"proof": proof(SECRET, ["b", "shop", "c1", "v1"], s)});
        let now_s = NOW_MS / 1_000;
        check(&until(now_s), Err(Doubt::Expired));
        check(&until(now_s + 1), Ok("c1"));
        check(&until(now_s + 3_660), Ok("c1"));
        check(&until(now_s + 3_661), Err(Doubt::TooLong));
        check(&until(999_999_999_999), Err(Doubt::TooLong));
        let longer = good().replace(&SOON.to_string(), &(SOON + 1).to_string());
        check(&json!({ "proof": longer }), Err(Doubt::Forged));
    }

    #[test]
    fn what_is_not_written_as_a_proof_is_told_from_a_forged_one() {
        let good = good();
        for text in [
            "",
            "1",
            "1...",
            "1.b.x.y",
            "x",
            "2.b.1.y",
            "1.b.1.y.z",
            "1.b.-1.AAAA",
            "1.b\n.1.AAAA",
            &good.replacen('1', "2", 1),
            &format!("{good}.x"),
            &format!("{good}="),
            &"1".repeat(300),
        ] {
            check(&json!({ "proof": text }), Err(Doubt::Malformed));
        }
        check(&json!({"proof": "1.b.1800000300.AAAA"}), Err(Doubt::Forged));
    }

    #[test]
    fn without_a_visitor_or_a_key_nobody_is_proven() {
        let none = Proofs::new(&ProofsConfig::default());
        assert_eq!(named(&none, &json!({"proof": good()})), Err(Doubt::UnknownKey));
        let mut delivery = testing::delivery();
        delivery.shared.visitor = None;
        let circumstances = delivery.common().circumstances;
        let about = (&delivery.site.tenant, &circumstances);
        let props = json!({"proof": good()});
        let named = proofs().judge(&Tree::from(&props), about, Millis(NOW_MS));
        assert_eq!(named, Err(Doubt::NoVisitor));
    }

    #[test]
    fn neither_secrets_nor_proofs_are_shown() {
        let key = SigningKey { id: "b".to_owned(), secret: Secret::new(SECRET) };
        let config = ProofsConfig { keys: vec![key], ..ProofsConfig::default() };
        for shown in [format!("{config:?}"), format!("{:?}", Proofs::new(&config))] {
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn a_proof_that_is_changed_anywhere_is_none(at in 0_usize..60, byte in 33_u8..127) {
            let mut changed = good().into_bytes();
            let at = at % changed.len();
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let text = String::from_utf8(changed).unwrap();
            let named = named(&proofs(), &json!({ "proof": text }));
            prop_assert!(named.is_err());
        }
    }
}
