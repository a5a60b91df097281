//! Short-lived signed tokens: who may open what, until when.
//!
//! The text is `1.<key id>.<tenant>.<subject>.<expiry>.<mac>`: a version, plain fields that may be
//! logged up to the MAC, and HMAC-SHA256 over purpose and fields in url-safe base64 without
//! padding. The purpose is not in the text: a token made for one purpose is a forgery for another.
//! Keys rotate: the first key signs, every key verifies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::config::Secret;

const VERSION: &str = "1";

/// The longest key id, tenant or subject, in bytes.
pub const FIELD_BYTES_MAX: usize = 128;

/// The longest token, in bytes: three fields, an expiry of 20 digits, a MAC of 43 characters, the
/// version and five dots.
pub const TOKEN_BYTES_MAX: usize = 3 * FIELD_BYTES_MAX + 20 + 43 + 1 + 5;

/// The shortest secret that is taken, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// One key, as configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// Its name, which every token carries: letters, digits, hyphens or underscores.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// What a token says: who, and until when. The fields are plain by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    tenant: String,
    subject: String,
    expires_at_ms: u64,
}

impl Claims {
    /// Claims for a subject of a tenant, until a moment in milliseconds since 1970. Errors if a
    /// field is empty, over-long or not made of letters, digits, hyphens and underscores.
    pub fn new(
        tenant: impl Into<String>,
        subject: impl Into<String>,
        expires_at_ms: u64,
    ) -> Result<Self, TokenError> {
        let (tenant, subject) = (tenant.into(), subject.into());
        if is_field(&tenant) && is_field(&subject) {
            Ok(Self { tenant, subject, expires_at_ms })
        } else {
            Err(TokenError::Malformed)
        }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Whom the token is about, such as a visitor.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The first moment at which it is no longer valid, in milliseconds since 1970.
    pub fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was right, once.
    #[error("the token has expired")]
    Expired,
    /// Its MAC is not ours: forged, changed, or made for another purpose.
    #[error("the token is not ours")]
    Forged,
    /// It is no token, or claims that no token can hold.
    #[error("the token is malformed")]
    Malformed,
    /// No key of that name is known (any more).
    #[error("the token's key is not known")]
    UnknownKey,
}

/// What is wrong with a set of signing keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is not plain.
    #[error("signing key id {0:?} is not made of letters, digits, hyphens and underscores")]
    Id(String),
    /// There is none to sign with.
    #[error("there is no signing key")]
    None,
    /// The secret can be guessed.
    #[error("the secret of signing key {0} is shorter than {SECRET_BYTES_MIN} bytes")]
    Short(String),
    /// Two keys have one name.
    #[error("signing key {0} is given twice")]
    Twice(String),
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct Signer {
    first: Key,
    others: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.keys().map(|key| key.id.as_str()).collect();
        f.debug_struct("Signer").field("keys", &ids).finish_non_exhaustive()
    }
}

impl Signer {
    /// Takes the keys: the first signs, all verify.
    pub fn new(keys: &[SigningKey]) -> Result<Self, KeyError> {
        let mut ready = Vec::with_capacity(keys.len());
        for key in keys {
            let id = key.id.clone();
            if !is_field(&id) {
                return Err(KeyError::Id(id));
            }
            if ready.iter().any(|other: &Key| other.id == id) {
                return Err(KeyError::Twice(id));
            }
            let secret = key.secret.expose();
            // HMAC itself takes a key of any length.
            match Hmac::new_from_slice(secret) {
                Ok(mac) if secret.len() >= SECRET_BYTES_MIN => ready.push(Key { id, mac }),
                Ok(_) | Err(_) => return Err(KeyError::Short(id)),
            }
        }
        let mut ready = ready.into_iter();
        let first = ready.next().ok_or(KeyError::None)?;
        Ok(Self { first, others: ready.collect() })
    }

    /// A secret number for a purpose and a text, from the key that signs: the same for the same, and
    /// nothing that could be told without the key.
    pub fn derive(&self, purpose: &str, text: &str) -> [u8; 32] {
        self.first.over(purpose, text).finalize().into_bytes().into()
    }

    /// Makes a token for one purpose.
    pub fn sign(&self, purpose: &str, claims: &Claims) -> String {
        let Claims { tenant, subject, expires_at_ms } = claims;
        let mut token = format!("{VERSION}.{}.{tenant}.{subject}.{expires_at_ms}", self.first.id);
        let mac = self.first.over(purpose, &token).finalize().into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        token
    }

    /// Reads a token of one purpose at a moment in milliseconds since 1970. What it says counts
    /// only after the MAC was checked, in constant time.
    pub fn verify(&self, purpose: &str, token: &str, now_ms: u64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let mut fields = signed.split('.');
        let mut next = || fields.next().ok_or(TokenError::Malformed);
        let (version, key_id, tenant, subject, expiry) =
            (next()?, next()?, next()?, next()?, next()?);
        if version != VERSION || fields.next().is_some() {
            return Err(TokenError::Malformed);
        }
        let expires_at_ms = expiry.parse().map_err(|_| TokenError::Malformed)?;
        let claims = Claims::new(tenant, subject, expires_at_ms)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenError::Malformed)?;
        let key = self.keys().find(|key| key.id == key_id).ok_or(TokenError::UnknownKey)?;
        key.over(purpose, signed).verify_slice(&mac).map_err(|_| TokenError::Forged)?;
        if now_ms < expires_at_ms { Ok(claims) } else { Err(TokenError::Expired) }
    }

    /// Whether a MAC, in url-safe base64 without padding, is that of a whole text by the key of that
    /// name: for texts that others sign, who share the secret. Such a text begins with the name of its
    /// form, so that it is never one of our own.
    ///
    /// # Errors
    /// When it is not; the comparison takes the same time wherever they differ.
    pub fn check(&self, key_id: &str, text: &str, mac: &str) -> Result<(), TokenError> {
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenError::Malformed)?;
        let key = self.keys().find(|key| key.id == key_id).ok_or(TokenError::UnknownKey)?;
        let signed = key.mac.clone().chain_update(text);
        signed.verify_slice(&mac).map_err(|_| TokenError::Forged)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Key {
    /// The MAC of purpose and fields. A line break divides them, and the fields hold none, so no
    /// two pairs give one input.
    fn over(&self, purpose: &str, signed: &str) -> Hmac<Sha256> {
        let parts = ["clickmill token\n", purpose, "\n", signed];
        parts.iter().fold(self.mac.clone(), |mac, part| mac.chain_update(part))
    }
}

fn is_field(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= FIELD_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;
    const LATER_MS: u64 = NOW_MS + 60_000;

    fn key(id: &str, secret: &str) -> SigningKey {
        SigningKey { id: id.to_owned(), secret: Secret::new(secret) }
    }

    fn signer() -> Signer {
        Signer::new(&[key("k1", "0123456789abcdef")]).unwrap()
    }

    fn claims() -> Claims {
        Claims::new("demo", "visitor_1", LATER_MS).unwrap()
    }

    /// Signed here, verified there: the other end may be an older release.
    const GOLDEN: &str =
        "1.k1.demo.visitor_1.1800000060000.urwOgvywgSVkBqykK6B9VkQ2cAhE2FDqq8r3NGbX2pw";

    #[test]
    fn the_text_form_stays_as_it_is() {
        assert_eq!(signer().sign("hints", &claims()), GOLDEN);
        assert_eq!(signer().verify("hints", GOLDEN, NOW_MS), Ok(claims()));
    }

    #[test]
    fn a_token_ends_at_its_moment() {
        let token = signer().sign("hints", &claims());
        assert_eq!(signer().verify("hints", &token, LATER_MS - 1), Ok(claims()));
        assert_eq!(signer().verify("hints", &token, LATER_MS), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_serves_one_purpose() {
        let token = signer().sign("hints", &claims());
        assert_eq!(signer().verify("identity", &token, NOW_MS), Err(TokenError::Forged));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let token = signer().sign("hints", &claims());
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'2' { b'3' } else { b'2' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(signer().verify("hints", &forged, NOW_MS).is_err(), "{forged}");
        }
    }

    #[test]
    fn another_secret_under_the_same_name_is_a_forgery() {
        let other = Signer::new(&[key("k1", "fedcba9876543210")]).unwrap();
        let token = other.sign("hints", &claims());
        assert_eq!(signer().verify("hints", &token, NOW_MS), Err(TokenError::Forged));
    }

    #[test]
    fn keys_rotate() {
        let (old, new) = (key("k1", "0123456789abcdef"), key("k2", "fedcba9876543210"));
        let token = signer().sign("hints", &claims());
        let both = Signer::new(&[new.clone(), old]).unwrap();
        assert_eq!(both.verify("hints", &token, NOW_MS), Ok(claims()));
        assert!(both.sign("hints", &claims()).starts_with("1.k2."));
        let only_new = Signer::new(&[new]).unwrap();
        assert_eq!(only_new.verify("hints", &token, NOW_MS), Err(TokenError::UnknownKey));
    }

    #[test]
    fn claims_that_would_change_the_text_are_refused() {
        let long = "a".repeat(FIELD_BYTES_MAX + 1);
        for field in ["", "a.b", "a b", "a:b", "ä", "a\n", long.as_str()] {
            assert_eq!(Claims::new("demo", field, 1), Err(TokenError::Malformed), "{field:?}");
            assert_eq!(Claims::new(field, "v", 1), Err(TokenError::Malformed), "{field:?}");
        }
        let long = "a".repeat(FIELD_BYTES_MAX);
        let longest = Claims::new(long.clone(), long.clone(), u64::MAX).unwrap();
        let signer = Signer::new(&[key(&long, "0123456789abcdef")]).unwrap();
        let token = signer.sign("hints", &longest);
        assert_eq!(token.len(), TOKEN_BYTES_MAX);
        assert_eq!(signer.verify("hints", &token, NOW_MS), Ok(longest));
    }

    #[test]
    fn what_is_no_token_is_said_so() {
        let long = format!("{GOLDEN}{}", "a".repeat(TOKEN_BYTES_MAX));
        for text in ["", ".", "1.k1.demo.v.5", "1.k1.demo.v.x.AA", "2.k1.demo.v.5.AA", &long] {
            assert_eq!(
                signer().verify("hints", text, NOW_MS),
                Err(TokenError::Malformed),
                "{text}"
            );
        }
        let short_mac = "1.k1.demo.v.5.AA";
        assert_eq!(signer().verify("hints", short_mac, NOW_MS), Err(TokenError::Forged));
    }

    #[test]
    fn weak_or_doubled_keys_are_refused() {
        assert_eq!(Signer::new(&[]).unwrap_err(), KeyError::None);
        let short = Signer::new(&[key("k1", "0123456789abcde")]).unwrap_err();
        assert_eq!(short.to_string(), "the secret of signing key k1 is shorter than 16 bytes");
        let twice = [key("k1", "0123456789abcdef"), key("k1", "fedcba9876543210")];
        assert_eq!(Signer::new(&twice).unwrap_err(), KeyError::Twice("k1".to_owned()));
        let dotted = Signer::new(&[key("k.1", "0123456789abcdef")]).unwrap_err();
        assert_eq!(dotted, KeyError::Id("k.1".to_owned()));
    }

    #[test]
    fn a_signer_shows_no_secret() {
        assert_eq!(format!("{:?}", signer()), "Signer { keys: [\"k1\"], .. }");
    }
}
