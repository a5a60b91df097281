//! The table of routes, and what holds for all of them: cross-origin headers on every status.

use std::net::SocketAddr;
use std::time::Duration;

use clickmill_server::cors::{self, Cors};
use clickmill_server::forwarded::Forwarded;
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::Service;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, ETAG, HOST, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};
use tracing::Instrument;

use crate::admit;
use crate::collector::Collector;
use crate::dialect::Dialect;
use crate::dialect::segment::{self, Shape};
use crate::error::IngestError;
use crate::ingest::{Caller, ingest};
use crate::link::link;
use crate::reload::Current;

/// What a browser's script may send and read.
const CORS: Cors = Cors {
    methods: "GET, POST",
    // The latter three are of strangers' SDKs.
    request_headers: "content-type, content-encoding, traceparent, authorization, x-retry-count, \
                      anonymousid",
    exposed_headers: "ratelimit, ratelimit-policy, retry-after",
    max_age: Duration::from_secs(24 * 3_600),
};

/// How long the SDK's settings may be kept without asking again.
const CONFIG_CACHE: &str = "public, max-age=300";

/// One line of the table.
#[derive(Clone, Copy, Debug)]
struct Route {
    path: &'static str,
    method: &'static Method,
    /// As the `Allow` header names them.
    allow: &'static str,
    to: To,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
enum To {
    /// A delivery. Its body is bounded by `limits.body_bytes_max`, `inflated_bytes_max` and
    /// `body_timeout`.
    Events(Dialect),
    /// A visitor who goes on to another site, or has come from one. A body is bounded there.
    Link,
    /// The settings of Segment's browser SDK, whose path names a key. A body is never read.
    SegmentSettings,
    /// The SDK's settings. A body is never read.
    SiteConfig,
}

/// All there is on the public listener, behind the configured prefix, but for what is Segment's:
/// see [`of_segment`].
const ROUTES: &[Route] = &[
    Route::post("/v1/events", To::Events(Dialect::Native)),
    Route::post("/v1/cloudevents", To::Events(Dialect::CloudEvents)),
    Route::get("/v1/config", To::SiteConfig),
    Route::post("/v1/link", To::Link),
];

impl Route {
    const fn get(path: &'static str, to: To) -> Self {
        Self { path, method: &Method::GET, allow: "GET, OPTIONS", to }
    }

    const fn post(path: &'static str, to: To) -> Self {
        Self { path, method: &Method::POST, allow: "POST, OPTIONS", to }
    }

    /// The dialect of what is answered.
    fn dialect(self) -> Dialect {
        match self.to {
            To::Events(dialect) => dialect,
            To::Link | To::SegmentSettings | To::SiteConfig => Dialect::Native,
        }
    }
}

/// Segment's paths, which are many and alike: `/v1/batch`, `/v1/track`, `/v1/t` and so on; the
/// letters also alone, for browsers whose `apiHost` has no `/v1`.
fn of_segment(path: &str) -> Option<Route> {
    if segment::site_of(path).is_some() {
        return Some(Route::get("/v1/projects/…/settings", To::SegmentSettings));
    }
    let name = path.strip_prefix("/v1/").or_else(|| {
        let letter = path.strip_prefix('/')?;
        (letter.len() == 1).then_some(letter)
    })?;
    let shape = Shape::of(name)?;
    Some(Route::post("/v1/…", To::Events(Dialect::Segment(shape))))
}

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

    fn find(path: &str, collector: &Collector) -> Option<Route> {
        let path = inner(path, collector)?;
        ROUTES.iter().find(|route| route.path == path).copied().or_else(|| of_segment(path))
    }

    async fn answer(
        collector: &Collector,
        request: Request<Incoming>,
        route: Route,
        caller: &mut Caller,
    ) -> Result<Response<Body>, IngestError> {
        if request.method() == Method::OPTIONS {
            return Ok(preflight(&request.into_parts().0, route, collector));
        }
        if request.method() != route.method {
            return Err(IngestError::Method { allow: route.allow });
        }
        let (answer, took) = match route.to {
            To::Events(dialect) => (
                ingest(collector, request, dialect, caller).await,
                &collector.metrics.events_seconds,
            ),
            To::Link => {
                (link(collector, request, caller.peer.ip()).await, &collector.metrics.link_seconds)
            }
            To::SegmentSettings => (
                segment_settings(&request.into_parts().0, caller.peer, collector),
                &collector.metrics.config_seconds,
            ),
            To::SiteConfig => (
                site_config(&request.into_parts().0, caller.peer, collector),
                &collector.metrics.config_seconds,
            ),
        };
        took.record(caller.trace.started.elapsed());
        answer
    }
}

/// The path behind the prefix.
fn inner<'a>(path: &'a str, collector: &Collector) -> Option<&'a str> {
    path.strip_prefix(collector.config.path_prefix.as_str())
}

/// Our own SDK needs no preflight; others may. Where a key is not in the address, a preflight does
/// not tell it, so the origin may be any site's; the request itself is held to its own.
fn preflight(head: &Parts, route: Route, collector: &Collector) -> Response<Body> {
    let sites = &collector.sites;
    let allowed = |origin: &&HeaderValue| match route.dialect().key(head) {
        Ok(Some(key)) => admit::find_site(head, &key, sites).is_ok(),
        Ok(None) => sites.allow(origin),
        Err(_) => false,
    };
    CORS.preflight(cors::origin(&head.headers).filter(allowed))
}

impl Service for Routes {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        // One configuration for the whole request.
        let collector = self.current.load_full();
        let origin = cors::origin(request.headers()).cloned();
        let is_preflight = request.method() == Method::OPTIONS;
        let peer = self.forwarded.client(peer, request.headers());
        let mut caller = Caller { peer, trace: collector.tracer.begin(request.headers()) };
        let span = caller.trace.span.clone();
        let route = Self::find(request.uri().path(), &collector);
        let answer = match route {
            Some(route) => {
                let answer = Self::answer(&collector, request, route, &mut caller);
                answer.instrument(span).await
            }
            None => Err(IngestError::NotFound),
        };
        let mut response = answer.unwrap_or_else(|refused| {
            collector.metrics.refuse(refused.code());
            route.map_or(Dialect::Native, Route::dialect).refuse(&refused)
        });
        if !is_preflight {
            // Any origin may read what it gets. An origin that is not allowed gets nothing but a
            // refusal, and that holds nothing of anybody's: its developer shall see what is wrong.
            CORS.mark(response.headers_mut(), origin.as_ref());
        }
        collector.tracer.end(caller.trace, response.status());
        response
    }
}

/// Answers with the settings of the site's SDK.
fn site_config(
    head: &Parts,
    peer: SocketAddr,
    collector: &Collector,
) -> Result<Response<Body>, IngestError> {
    let (sites, addresses) = (&collector.sites, &collector.addresses);
    let site = admit::admit(head, Dialect::Native, peer.ip(), sites, addresses)?;
    let site = site.ok_or(IngestError::NoWriteKey)?;
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

/// Answers with the settings of Segment's browser SDK: its events come to where it got them.
fn segment_settings(
    head: &Parts,
    peer: SocketAddr,
    collector: &Collector,
) -> Result<Response<Body>, IngestError> {
    collector.addresses.charge(peer.ip())?;
    let key = inner(head.uri.path(), collector).and_then(segment::site_of);
    let site = admit::find_site(head, key.unwrap_or_default(), &collector.sites)?;
    let host = head.uri.authority().map(Authority::as_str);
    let host = host.or_else(|| head.headers.get(HOST)?.to_str().ok());
    let api_host = host.map(|host| format!("{host}{}/v1", collector.config.path_prefix));
    let settings = segment::settings(site.write_key.as_str(), api_host.as_deref());
    let mut response = reply::json(StatusCode::OK, settings);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CONFIG_CACHE));
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
