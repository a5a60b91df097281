//! Cross-origin headers. Who is allowed is the caller's decision; how it is said is here.

use std::time::Duration;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Response, StatusCode};

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

#[cfg(test)]
mod tests {
    use super::*;

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
