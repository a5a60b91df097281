//! The headers that keep pages to themselves, and the check that a form is our own.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use crate::shop::Tracking;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What pages may load and whom they may talk to.
#[derive(Clone, Debug)]
pub(super) struct Policy(HeaderValue);

impl Policy {
    /// Own files only; wasm and the two services where pages are tracked.
    pub(super) fn new(tracking: Option<&Tracking>) -> Self {
        let text = text(tracking);
        // Origins were checked when they were read; without them the policy is plain text.
        let strict = HeaderValue::from_static("default-src 'self'; script-src 'self'");
        Self(HeaderValue::try_from(text).unwrap_or(strict))
    }

    pub(super) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_SECURITY_POLICY, self.0.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        let none = HeaderValue::from_static("camera=(), geolocation=(), microphone=()");
        headers.insert(PERMISSIONS_POLICY, none);
    }
}

fn text(tracking: Option<&Tracking>) -> String {
    let (scripts, talks) = match tracking {
        Some(to) => ("'self' 'wasm-unsafe-eval'", format!("'self' {} {}", to.collector, to.hints)),
        None => ("'self'", "'self'".to_owned()),
    };
    format!(
        "default-src 'self'; script-src {scripts}; connect-src {talks}; style-src 'self'; \
         img-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Whether a form comes from one of our own pages. Browsers name the origin with every form; a
/// client that names none is no browser, and has no cookies of somebody else to misuse.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::to_str);
    match (text(ORIGIN), text(HOST)) {
        (None, _) => true,
        (Some(Ok(origin)), Some(Ok(host))) => {
            origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
        }
        (Some(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&'static str>, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8080"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        assert_eq!(is_own(&headers), expected, "{origin:?}");
    }

    #[test]
    fn forms_from_elsewhere_are_told_apart() {
        check(None, true);
        check(Some("http://127.0.0.1:8080"), true);
        check(Some("http://127.0.0.1:9090"), false);
        check(Some("https://evil.example"), false);
        check(Some("null"), false);
    }

    #[test]
    fn the_policy_names_the_services_and_allows_no_inline_script() {
        let tracking = Tracking {
            collector: "http://127.0.0.1:8081".into(),
            hints: "http://127.0.0.1:8082".into(),
            write_key: "demo".into(),
            proofs: None,
        };
        let text = text(Some(&tracking));
        assert!(text.contains("script-src 'self' 'wasm-unsafe-eval';"), "{text}");
        assert!(text.contains("connect-src 'self' http://127.0.0.1:8081 http://127.0.0.1:8082;"));
        assert!(!text.contains("unsafe-inline"));
        assert!(!super::text(None).contains("wasm"));
    }
}
