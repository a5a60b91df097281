//! A site's backend that says which customer a visitor is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clickmill_sdk_core::wire::{Millis, VisitorId};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// A site's backend, with the key that it shares with the collector.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The key's name.
    pub key: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Whose site it is.
    pub tenant: &'a str,
}

impl Backend<'_> {
    /// A proof that a visitor is a customer, for five minutes from now on.
    pub fn proof(&self, customer: &str, visitor: &VisitorId, now: Millis) -> String {
        self.proof_until(customer, visitor, now.0 / 1_000 + 300)
    }

    /// A proof that ends at a second since 1970.
    pub fn proof_until(&self, customer: &str, visitor: &VisitorId, until: u64) -> String {
        let Self { key, secret, tenant } = self;
        let said = format!("clickmill proof\n1\n{key}\n{tenant}\n{customer}\n{visitor}\n{until}");
        // HMAC takes a key of any length.
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        let mac = mac.chain_update(said).finalize().into_bytes();
        format!("1.{key}.{until}.{}", URL_SAFE_NO_PAD.encode(mac))
    }
}
