//! The pass that a request between instances shows: signed, short-lived, and for this one request
//! to this one instance alone.
//!
//! It is a [token](clickmill_server::token) of a purpose of its own, whose subject is the SHA-256
//! of the addressee, the path and the body. Keys rotate as those of tokens do. The clocks of
//! instances may differ by [`LIFETIME`].

use std::time::Duration;

use clickmill_server::token::{Claims, Signer};
use hyper::header::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

/// The header that holds it.
pub const HEADER: HeaderName = HeaderName::from_static("x-clickmill-pass");

/// How long a pass holds: what clocks may differ by, and how long one that is stolen from the wire
/// asks the same question again.
pub const LIFETIME: Duration = Duration::from_secs(10);

/// A pass is good for nothing else, and nothing else is good for a pass.
const PURPOSE: &str = "peer";
const TENANT: &str = "relay";

/// What a pass is for: the address of the instance, the path, and the body.
pub type Errand<'a> = (&'a str, &'a str, &'a [u8]);

/// A pass that was made by an instance and has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    errand: String,
}

/// There is no pass, or it is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no pass of an instance")]
pub struct NoPass;

/// Makes a pass at a moment in milliseconds since 1970.
pub fn sign(signer: &Signer, errand: Errand<'_>, now_ms: u64) -> String {
    let lifetime_ms = u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX);
    // Its fields are letters and digits, so they are good claims; without any it opens nothing.
    match Claims::new(TENANT, digest(errand), now_ms.saturating_add(lifetime_ms)) {
        Ok(claims) => signer.sign(PURPOSE, &claims),
        Err(_) => String::new(),
    }
}

/// Reads the pass of a request at a moment in milliseconds since 1970.
///
/// # Errors
/// When there is none, or it is not good.
pub fn read(signer: &Signer, headers: &HeaderMap, now_ms: u64) -> Result<Pass, NoPass> {
    let text = headers.get(HEADER).and_then(|value| value.to_str().ok()).ok_or(NoPass)?;
    let claims = signer.verify(PURPOSE, text, now_ms).map_err(|_| NoPass)?;
    Ok(Pass { errand: claims.subject().to_owned() })
}

impl Pass {
    /// Whether it was made for this.
    pub fn is_for(&self, errand: Errand<'_>) -> bool {
        // Signed already: nothing is guessed here, so time may tell.
        self.errand == digest(errand)
    }
}

/// Lengths keep the parts apart.
fn digest((address, path, body): Errand<'_>) -> String {
    let parts = [address.as_bytes(), path.as_bytes(), body];
    let hash = parts.iter().fold(Sha256::new(), |hash, part| {
        hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
    });
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use clickmill_server::config::Secret;
    use clickmill_server::token::SigningKey;
    use hyper::header::HeaderValue;

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;
    const ERRAND: Errand<'_> = ("10.0.0.1:8083", "/peers/v1/visitors", b"{}");

    fn signer(secret: &str) -> Signer {
        let key = SigningKey { id: "a".to_owned(), secret: Secret::new(secret) };
        Signer::new(&[key]).unwrap()
    }

    fn shown(pass: &str, now_ms: u64) -> Result<Pass, NoPass> {
        let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(pass).unwrap())]);
        read(&signer("0123456789abcdef"), &headers, now_ms)
    }

    #[test]
    fn a_pass_is_for_one_errand_and_a_short_while() {
        let pass = sign(&signer("0123456789abcdef"), ERRAND, NOW_MS);
        let good = shown(&pass, NOW_MS + 9_999).unwrap();
        assert!(good.is_for(ERRAND));
        let (address, path, body) = ERRAND;
        for other in [("10.0.0.2:8083", path, body), (address, "/", body), (address, path, b"{ }")]
        {
            assert!(!good.is_for(other), "{other:?}");
        }
        // Where one part ends is part of it.
        assert!(!good.is_for(("10.0.0.1:8083/peers", "/v1/visitors", body)));
        assert_eq!(shown(&pass, NOW_MS + 10_000), Err(NoPass));
    }

    #[test]
    fn neither_another_secret_nor_another_token_is_a_pass() {
        let other = sign(&signer("fedcba9876543210"), ERRAND, NOW_MS);
        assert_eq!(shown(&other, NOW_MS), Err(NoPass));
        let claims = Claims::new(TENANT, digest(ERRAND), NOW_MS + 1_000).unwrap();
        let hints = signer("0123456789abcdef").sign("hints", &claims);
        assert_eq!(shown(&hints, NOW_MS), Err(NoPass));
        assert_eq!(shown("", NOW_MS), Err(NoPass));
        assert_eq!(read(&signer("0123456789abcdef"), &HeaderMap::new(), NOW_MS), Err(NoPass));
    }
}
