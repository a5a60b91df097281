//! The table of routes, and what holds for all of them: cross-origin headers on every status.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clickmill_server::cors::{self, Cors};
use clickmill_server::forwarded::Forwarded;
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::Service;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use crate::admit;
use crate::collector::Collector;
use crate::error::IngestError;
use crate::ingest::ingest;
use crate::reload::Current;

/// What a browser's script may send and read.
const CORS: Cors = Cors {
    methods: "GET, POST",
    request_headers: "content-type, content-encoding, traceparent",
    exposed_headers: "ratelimit, ratelimit-policy, retry-after",
    max_age: Duration::from_secs(24 * 3_600),
};

/// How long the SDK's settings may be kept without asking again.
const CONFIG_CACHE: &str = "public, max-age=300";

/// One line of the table.
struct Route {
    path: &'static str,
    method: Method,
    /// As the `Allow` header names them.
    allow: &'static str,
    to: To,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
enum To {
    /// A delivery. Its body is bounded by `limits.body_bytes_max`, `inflated_bytes_max` and
    /// `body_timeout`.
    Events,
    /// The SDK's settings. A body is never read.
    SiteConfig,
}

/// All there is on the public listener, behind the configured prefix.
const ROUTES: &[Route] = &[
    Route { path: "/v1/events", method: Method::POST, allow: "POST, OPTIONS", to: To::Events },
    Route { path: "/v1/config", method: Method::GET, allow: "GET, OPTIONS", to: To::SiteConfig },
];

/// The public listener's service.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    current: Current,
    forwarded: Forwarded,
}

impl Routes {
    pub(crate) fn new(current: Current) -> Self {
        Self { forwarded: current.load().config.listen.forwarded(), current }
    }

    fn find(path: &str, collector: &Collector) -> Option<&'static Route> {
        let path = path.strip_prefix(collector.config.path_prefix.as_str())?;
        ROUTES.iter().find(|route| route.path == path)
    }

    async fn answer(
        collector: &Collector,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, IngestError> {
        let route = Self::find(request.uri().path(), collector).ok_or(IngestError::NotFound)?;
        if request.method() == Method::OPTIONS {
            return Ok(preflight(&request.into_parts().0, collector));
        }
        if request.method() != route.method {
            return Err(IngestError::Method { allow: route.allow });
        }
        let started = Instant::now();
        let (answer, took) = match route.to {
            To::Events => {
                (ingest(collector, request, peer).await, &collector.metrics.events_seconds)
            }
            To::SiteConfig => (
                site_config(&request.into_parts().0, peer, collector),
                &collector.metrics.config_seconds,
            ),
        };
        took.record(started.elapsed());
        answer
    }
}

/// Our own SDK needs no preflight; others may.
fn preflight(head: &Parts, collector: &Collector) -> Response<Body> {
    let allowed = admit::find_site(head, &collector.sites).is_ok();
    CORS.preflight(cors::origin(&head.headers).filter(|_| allowed))
}

impl Service for Routes {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        // One configuration for the whole request.
        let collector = self.current.load_full();
        let origin = cors::origin(request.headers()).cloned();
        let is_preflight = request.method() == Method::OPTIONS;
        let peer = self.forwarded.client(peer, request.headers());
        let mut response =
            Self::answer(&collector, request, peer).await.unwrap_or_else(|refused| {
                collector.metrics.refuse(refused.code());
                refused.response()
            });
        if !is_preflight {
            // Any origin may read what it gets. An origin that is not allowed gets nothing but a
            // refusal, and that holds nothing of anybody's: its developer shall see what is wrong.
            CORS.mark(response.headers_mut(), origin.as_ref());
        }
        response
    }
}

/// Answers with the settings of the site's SDK.
fn site_config(
    head: &Parts,
    peer: SocketAddr,
    collector: &Collector,
) -> Result<Response<Body>, IngestError> {
    let site = admit::admit(head, peer.ip(), &collector.sites, &collector.addresses)?;
    let told = &site.told;
    let mut response = if has(&head.headers, &told.etag) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::json(StatusCode::OK, told.json.clone())
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CONFIG_CACHE));
    headers.insert(ETAG, told.etag.clone());
    Ok(response)
}

/// Whether the client has that version already. Proxies may have made the tag a weak one.
fn has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let (Some(known), Ok(etag)) = (headers.get(IF_NONE_MATCH), etag.to_str()) else { return false };
    known
        .to_str()
        .unwrap_or_default()
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}
