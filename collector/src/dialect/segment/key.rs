//! Where Segment's SDKs put the write key.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clickmill_server::query;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use serde::Deserialize;

/// The key in a request's head: `?k=` or `?writeKey=`, or the user name of Basic authorization.
pub(crate) fn write_key(head: &Parts) -> Option<Cow<'_, str>> {
    query::find(&head.uri, "k")
        .or_else(|| query::find(&head.uri, "writeKey"))
        .or_else(|| by_authorization(head).map(Cow::Owned))
}

fn by_authorization(head: &Parts) -> Option<String> {
    let (scheme, credentials) =
        head.headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let key = pair.split_once(':').map_or(pair.as_str(), |(user, _)| user);
    (!key.is_empty()).then(|| key.to_owned())
}

/// The key in a body: older browser SDKs have it nowhere else.
pub(crate) fn write_key_inside(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Keyed {
        #[serde(rename = "writeKey")]
        write_key: String,
    }
    serde_json::from_str::<Keyed>(text).ok().map(|keyed| keyed.write_key)
}
