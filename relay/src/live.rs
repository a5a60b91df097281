//! The live page of the admin port: what this relay does right now, for people.
//!
//! The page reads `/metrics` like any monitor does, so it shows nothing that they do not; events as
//! they come it shows to those who know the collector's token. It loads nothing from elsewhere.

mod inspector;

use clickmill_server::admin::{Page, at_once};
use clickmill_server::reply;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use hyper::http::request::Parts;

pub use inspector::{Inspector, NoInspector};

const PAGE: &str = include_str!("../assets/live.html");
const STYLE: &str = include_str!("../assets/live.css");
const SCRIPT: &str = include_str!("../assets/live.js");
const EVENTS: &str = include_str!("../assets/events.html");
const EVENTS_SCRIPT: &str = include_str!("../assets/events.js");

/// Nothing but what this listener serves itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// Where the page has events as they come, and what leads there.
const EVENTS_PLACE: &str = "<!--events-->";
const EVENTS_LINK_PLACE: &str = "<!--events-link-->";
const EVENTS_LINK: &str = "<a href=\"#events\">Events</a>";

/// The live page.
#[derive(Clone, Debug)]
pub struct Live {
    page: String,
    inspector: Option<Inspector>,
}

impl Live {
    /// The page, with events as they come where a collector tells of them.
    pub fn new(inspector: Option<Inspector>) -> Self {
        let (link, events) =
            if inspector.is_some() { (EVENTS_LINK, EVENTS) } else { Default::default() };
        let page = PAGE.replace(EVENTS_LINK_PLACE, link).replace(EVENTS_PLACE, events);
        Self { page, inspector }
    }

    /// Answers what is of the page; none otherwise.
    pub fn answer(&self, head: &Parts) -> Option<Page> {
        let (kind, text) = match head.uri.path() {
            "/" => ("text/html; charset=utf-8", self.page.clone()),
            "/live.css" => ("text/css; charset=utf-8", STYLE.to_owned()),
            "/live.js" => ("text/javascript; charset=utf-8", SCRIPT.to_owned()),
            "/events.js" => ("text/javascript; charset=utf-8", EVENTS_SCRIPT.to_owned()),
            "/inspect/tail" => {
                let (inspector, (query, token)) = (self.inspector.clone()?, inspector::asked(head));
                return Some(Box::pin(inspector.pass_on(query, token)));
            }
            _ => return None,
        };
        let kind = HeaderValue::from_static(kind);
        let mut response = reply::with_type(StatusCode::OK, kind, reply::whole(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Some(at_once(response))
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Request, Response};

    use super::*;

    async fn answer(live: &Live, path: &str) -> Option<Response<reply::Body>> {
        let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
        Some(live.answer(&head)?.await)
    }

    #[tokio::test]
    async fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
        let live = Live::new(Some("http://10.0.0.1:9081".parse().unwrap()));
        for path in ["/", "/live.css", "/live.js", "/events.js"] {
            let response = answer(&live, path).await.unwrap();
            let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        }
        assert!(answer(&live, "/metrics").await.is_none());
        assert!(answer(&live, "/live").await.is_none());
        assert!(live.page.contains("id=\"events\"") && live.page.contains("href=\"#events\""));
        for text in [live.page.as_str(), STYLE, SCRIPT, EVENTS_SCRIPT] {
            // The name of SVG is no address that is loaded.
            let named = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!named.contains("http:") && !named.contains("https:"));
            assert!(
                !named.contains("<style") && !named.contains("style=") && !named.contains("eval(")
            );
        }
    }

    #[tokio::test]
    async fn without_a_collector_there_are_no_events_to_see() {
        let live = Live::new(None);
        assert!(!live.page.contains("events"), "{}", live.page);
        assert!(answer(&live, "/inspect/tail").await.is_none());
    }

    #[tokio::test]
    async fn a_collector_that_is_away_is_named() {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let live = Live::new(Some(format!("http://{at}").parse().unwrap()));
        let response = answer(&live, "/inspect/tail").await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    }
}
