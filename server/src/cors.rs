//! Cross-origin headers: whose pages are allowed, as configuration lists them, and how it is said.

use std::time::Duration;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Response, StatusCode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::reply::{self, Body};

/// What pages of an allowed origin may do.
#[derive(Clone, Copy, Debug)]
pub struct Cors {
    /// The methods, as in `GET, POST`.
    pub methods: &'static str,
    /// The request headers, as in `content-type, content-encoding`.
    pub request_headers: &'static str,
    /// The response headers that a script may read, as in `retry-after`; may be empty.
    pub exposed_headers: &'static str,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

impl Cors {
    /// Marks a response, of whatever status: an allowed origin is named back and may send cookies;
    /// without one, browsers keep the response from the page. Either way it varies by origin.
    pub fn mark(&self, response: &mut HeaderMap, allowed: Option<&HeaderValue>) {
        response.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = allowed else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if !self.exposed_headers.is_empty() {
            let exposed = HeaderValue::from_static(self.exposed_headers);
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// The answer to a preflight. One that is not allowed gets the same answer without permission.
    pub fn preflight(&self, allowed: Option<&HeaderValue>) -> Response<Body> {
        let mut response = reply::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        self.mark(headers, allowed);
        if allowed.is_some() {
            let methods = HeaderValue::from_static(self.methods);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            let request_headers = HeaderValue::from_static(self.request_headers);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, request_headers);
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.as_secs().into());
        }
        response
    }
}

/// The origin that a browser says the request comes from.
pub fn origin(request: &HeaderMap) -> Option<&HeaderValue> {
    request.get(ORIGIN)
}

/// The origins whose pages are allowed: a list as in `["https://shop.example"]`; `*` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    exact: Vec<String>,
}

impl Origins {
    /// Whether pages of that origin are allowed.
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        self.any || self.exact.iter().any(|exact| exact.as_bytes() == origin.as_bytes())
    }

    /// Whether pages of any origin are.
    pub fn any(&self) -> bool {
        self.any
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut origins = Self::default();
        for origin in Vec::<String>::deserialize(source)? {
            if origin == "*" {
                origins.any = true;
            } else if is_origin(&origin) {
                origins.exact.push(origin);
            } else {
                return Err(D::Error::custom(
                    "an origin is `*`, or scheme and host as a browser sends them, such as \
                     https://shop.example or http://127.0.0.1:8080",
                ));
            }
        }
        Ok(origins)
    }
}

/// Browsers send lower case, no path and no slash at the end; anything else would never match.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(list: &str) -> Origins {
        serde_json::from_str(list).unwrap()
    }

    fn check(list: &str, origin: &'static str, allowed: bool) {
        let header = HeaderValue::from_static(origin);
        assert_eq!(origins(list).allow(&header), allowed, "{list} {origin}");
    }

    #[test]
    fn an_origin_is_allowed_exactly_or_not_at_all() {
        check(r#"["https://shop.example"]"#, "https://shop.example", true);
        check(r#"["https://shop.example"]"#, "http://shop.example", false);
        check(r#"["https://shop.example"]"#, "https://shop.example.evil.example", false);
        check(r#"["https://shop.example"]"#, "https://sub.shop.example", false);
        check(r#"["https://shop.example"]"#, "null", false);
        check(r#"["http://127.0.0.1:8080","*"]"#, "null", true);
        check("[]", "https://shop.example", false);
        assert!(origins(r#"["*"]"#).any() && !origins(r#"["https://shop.example"]"#).any());
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for bad in ["shop.example", "https://shop.example/", "https://Shop.example", "ftp://x", ""]
        {
            let error = serde_json::from_str::<Origins>(&format!("[\"{bad}\"]")).unwrap_err();
            assert!(error.to_string().contains("an origin is"), "{bad}: {error}");
        }
    }

    const CORS: Cors = Cors {
        methods: "POST",
        request_headers: "content-type",
        exposed_headers: "retry-after",
        max_age: Duration::from_secs(600),
    };

    #[test]
    fn an_allowed_origin_is_named_back() {
        let shop = HeaderValue::from_static("https://shop.example");
        let response = CORS.preflight(Some(&shop));
        let headers = response.headers();
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], shop);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "POST");
        assert_eq!(headers[ACCESS_CONTROL_EXPOSE_HEADERS], "retry-after");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "600");
        assert_eq!(headers[VARY], "origin");
    }

    #[test]
    fn another_origin_gets_no_permission_and_still_varies() {
        let response = CORS.preflight(None);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        assert_eq!(response.headers()[VARY], "origin");
    }
}
