//! Says to the collector which customer a visitor is: the proof of an `identify`, as the site's backend signs it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clickmill_sdk_core::wire::{CustomerId, Tenant, VisitorId};
use clickmill_server::config::Secret;
use clickmill_server::token::{KeyError, Signer, SigningKey};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// How long a proof is good, seconds: it is used at once.
const LIFETIME_S: u64 = 60;

/// The key that the shop shares with the collector (`proofs` of its site), and whose site it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofKey {
    key: SigningKey,
    tenant: Tenant,
}

impl ProofKey {
    /// Reads `id:secret`. Errors where the collector would not take such a key.
    pub fn parse(text: &str, tenant: Tenant) -> Result<Self, KeyError> {
        let (id, secret) = text.split_once(':').unwrap_or((text, ""));
        let key = SigningKey { id: id.to_owned(), secret: Secret::new(secret) };
        Signer::new(std::slice::from_ref(&key))?;
        Ok(Self { key, tenant })
    }

    /// A proof that a visitor is a customer, from a moment on, in milliseconds since 1970.
    pub fn sign(&self, customer: &CustomerId, visitor: &VisitorId, now_ms: u64) -> Option<String> {
        let Self { key: SigningKey { id, secret }, tenant } = self;
        let until = now_ms / 1_000 + LIFETIME_S;
        let said = format!("clickmill proof\n1\n{id}\n{tenant}\n{customer}\n{visitor}\n{until}");
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose()).ok()?.chain_update(said);
        let mac = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Some(format!("1.{id}.{until}.{mac}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant::parse("shop").unwrap()
    }

    #[test]
    fn what_is_signed_is_what_a_collector_reads() {
        let key = ProofKey::parse("k:0123456789abcdef", tenant()).unwrap();
        let (ada, visitor) = (CustomerId::parse("ada").unwrap(), VisitorId::parse("v1").unwrap());
        let proof = key.sign(&ada, &visitor, 1_800_000_000_000).unwrap();
        let (signed, mac) = proof.rsplit_once('.').unwrap();
        assert_eq!(signed, "1.k.1800000060");
        let config = SigningKey { id: "k".into(), secret: Secret::new("0123456789abcdef") };
        let said = "clickmill proof\n1\nk\nshop\nada\nv1\n1800000060";
        Signer::new(&[config]).unwrap().check("k", said, mac).unwrap();
    }

    #[test]
    fn a_key_has_a_name_and_a_secret_that_nobody_guesses_or_reads() {
        for bad in ["", "k", "k:", "k:short", ":0123456789abcdef", "a b:0123456789abcdef"] {
            assert!(ProofKey::parse(bad, tenant()).is_err(), "{bad}");
        }
        let key = ProofKey::parse("k:0123456789abcdef:x", tenant()).unwrap();
        assert!(!format!("{key:?}").contains("0123456789abcdef"));
    }
}
