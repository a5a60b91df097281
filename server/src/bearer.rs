//! The credentials of a request's `Authorization: Bearer` header.

use hyper::header::{AUTHORIZATION, HeaderMap};

/// What stands behind the scheme's name, which may be written in any case.
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}
