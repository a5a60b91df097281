//! The live page of the admin port: what this relay does right now, for people.
//!
//! The page reads `/metrics` like any monitor does, so it shows nothing that they do not. It loads
//! nothing from elsewhere.

use clickmill_server::reply::{self, Body};
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

const PAGE: &str = include_str!("../assets/live.html");
const STYLE: &str = include_str!("../assets/live.css");
const SCRIPT: &str = include_str!("../assets/live.js");

/// Nothing but what this listener serves itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// Where the page names the collector's inspector.
const INSPECTOR: &str = "<!--inspector-->";

/// The live page.
#[derive(Clone, Debug)]
pub struct Live {
    page: String,
}

impl Live {
    /// The page, with a link to the collector's inspector where that is known.
    pub fn new(inspector: Option<&str>) -> Self {
        let link = inspector
            .map(|address| format!("<a href=\"{}\">Events as they come</a>", plain(address)));
        Self { page: PAGE.replace(INSPECTOR, &link.unwrap_or_default()) }
    }

    /// Answers what is of the page; none otherwise.
    pub fn answer(&self, head: &Parts) -> Option<Response<Body>> {
        let (kind, text) = match head.uri.path() {
            "/" => ("text/html; charset=utf-8", self.page.clone()),
            "/live.css" => ("text/css; charset=utf-8", STYLE.to_owned()),
            "/live.js" => ("text/javascript; charset=utf-8", SCRIPT.to_owned()),
            _ => return None,
        };
        let kind = HeaderValue::from_static(kind);
        let mut response = reply::with_type(StatusCode::OK, kind, reply::whole(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Some(response)
    }
}

/// What has a meaning in HTML, written so that it has none.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
        let live = Live::new(Some("http://10.0.0.1:9081/inspect/tail?a=\"&b=<"));
        let answer = |path: &str| {
            let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
            live.answer(&head)
        };
        for path in ["/", "/live.css", "/live.js"] {
            let response = answer(path).unwrap();
            let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        }
        assert!(answer("/metrics").is_none() && answer("/live").is_none());
        assert!(
            live.page.contains("href=\"http://10.0.0.1:9081/inspect/tail?a=&quot;&amp;b=&lt;\"")
        );
        assert!(!Live::new(None).page.contains("Events as they come"));
        for text in [PAGE, STYLE, SCRIPT] {
            // The name of SVG is no address that is loaded.
            let named = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!named.contains("http:") && !named.contains("https:"));
            assert!(
                !named.contains("<style") && !named.contains("style=") && !named.contains("eval(")
            );
        }
    }
}
