//! The public listener: every route in one table, and what each answers.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::{Refusal, RefusalCode, ToJson};
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::clock::SharedClock;
use clickmill_server::cors::{self, Cors, Origins};
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::Service;
use clickmill_server::token::Signer;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::ask::{self, Ask, Told, Unanswered};
use crate::config::HintsConfig;
use crate::hints::admit::{Admitted, LAST_EVENT_ID, Refused, admit};
use crate::hints::delivery::Delivery;
use crate::hints::feed::{Choice, Feed, Wish};
use crate::hints::stream::{Pace, Stream};
use crate::metrics::RefusedMeters;
use crate::render::{self, Render};

const CORS: Cors = Cors {
    methods: "GET",
    request_headers: "last-event-id",
    exposed_headers: "retry-after",
    max_age: Duration::from_secs(3_600),
};

/// The bounds of a list of visitors.
const LIST: BodyLimits = BodyLimits { bytes_max: 32 * 1024, timeout: Duration::from_secs(5) };

/// How long a server's feed lives: one that ends has a gap.
const FEED_LIFETIME: Duration = Duration::from_secs(24 * 3_600);

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Proxies that compress would hold events back until they have enough of them.
const UNCHANGED: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// Tells nginx and those that follow it to pass events on at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What the routes need.
#[derive(Debug)]
pub struct Routes {
    /// What comes before every path.
    pub path_prefix: String,
    /// How streams are kept.
    pub hints: HintsConfig,
    /// Verifies tokens.
    pub signer: Signer,
    /// Fills streams.
    pub delivery: Arc<Delivery>,
    /// Answers web servers.
    pub ask: Arc<Ask>,
    /// Decides for them.
    pub render: Arc<Render>,
    /// The wall clock.
    pub clock: SharedClock,
    /// Counts what is refused.
    pub refused: RefusedMeters,
    /// Where jitter comes from.
    pub jitter: RandomState,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Hints,
    /// What is remembered of the visitor of that id.
    Visitor(&'a str),
    /// What is remembered of several.
    Visitors,
    /// The hints of a page that is being rendered.
    Decide,
    Preflight,
    WrongMethod,
    Unknown,
}

impl Service for Routes {
    fn call(
        &self,
        request: Request<Incoming>,
        _: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send {
        let (head, body) = request.into_parts();
        async move {
            match self.route(&head.method, head.uri.path()) {
                Route::Visitor(id) => told(self.ask.one(id, (&head.uri, &head.headers)).await),
                Route::Visitors => self.visitors(&head.headers, body).await,
                Route::Decide => self.decide(&head.headers, body).await,
                // A page's stream shows a token, and no page can show a header.
                Route::Hints if head.headers.contains_key(AUTHORIZATION) => {
                    self.feed(&head.uri, &head.headers)
                }
                route => self.answer(route, &head.uri, &head.headers),
            }
        }
    }
}

impl Routes {
    /// The table of routes.
    fn route<'a>(&self, method: &Method, path: &'a str) -> Route<'a> {
        let Some(path) = path.strip_prefix(self.path_prefix.as_str()) else {
            return Route::Unknown;
        };
        match (path, path.strip_prefix(ask::PATH), method) {
            ("/v1/hints", _, &Method::GET) => Route::Hints,
            ("/v1/hints", _, &Method::OPTIONS) => Route::Preflight,
            (render::PATH, _, &Method::POST) => Route::Decide,
            (_, Some(id), &Method::GET) => Route::Visitor(id),
            (path, _, &Method::POST) if Some(path) == ask::PATH.strip_suffix('/') => {
                Route::Visitors
            }
            ("/v1/hints", ..) | (_, Some(_), _) => Route::WrongMethod,
            _ => Route::Unknown,
        }
    }

    /// For servers: a page has no business here, so no origin is told that it may read the answer.
    /// Whoever has no key is turned away before the body is read.
    async fn visitors(&self, headers: &HeaderMap, body: Incoming) -> Response<Body> {
        let answered = async {
            let tenant = self.ask.admit(headers)?;
            let body = body::read(body, LIST).await?;
            self.ask.many(tenant, &body).await
        };
        match answered.await {
            Ok(text) => reply::json(StatusCode::OK, text),
            Err(why) => told(Err(why)),
        }
    }

    /// Likewise.
    async fn decide(&self, headers: &HeaderMap, body: Incoming) -> Response<Body> {
        let answered = async {
            let tenant = self.ask.admit(headers)?;
            let body = body::read(body, LIST).await?;
            Ok(self.render.answer(tenant, &body).await)
        };
        told(answered.await)
    }

    /// Tells a server what is said to the visitors that it chooses.
    fn feed(&self, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let tenant = match self.ask.admit(headers) {
            Ok(tenant) => tenant.clone(),
            Err(why) => return told(Err(why)),
        };
        let choice = match Choice::read(uri, self.delivery.hub.feeds().segments()) {
            Ok(choice) => choice,
            Err(why) => {
                let (status, code) = (StatusCode::BAD_REQUEST, RefusalCode::Malformed);
                return plainly(status, code, &why.to_string());
            }
        };
        let comes_back = headers.contains_key(LAST_EVENT_ID);
        let pace = Pace { lifetime: FEED_LIFETIME, ..self.pace(FEED_LIFETIME) };
        match Feed::of_server(&self.delivery, Wish { tenant, choice }, (pace, comes_back)) {
            Ok(feed) => event_stream(feed.into_body()),
            Err(closed) => {
                let (status, refusal) = Refused::Closed(closed).answer();
                refuse(status, &refusal)
            }
        }
    }

    fn answer(&self, route: Route<'_>, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let origin = cors::origin(headers);
        let allowed = origin.filter(|origin| self.origins().allow(origin));
        let mut response = match route {
            Route::Preflight => return CORS.preflight(allowed),
            Route::Hints => {
                let opened = match (origin, allowed) {
                    (Some(_), None) => Err(Refused::Origin),
                    _ => self.open(uri, headers),
                };
                opened.unwrap_or_else(|refused| {
                    self.refused.count(refused);
                    let (status, refusal) = refused.answer();
                    refuse(status, &refusal)
                })
            }
            Route::WrongMethod => {
                plainly(StatusCode::METHOD_NOT_ALLOWED, RefusalCode::MethodNotAllowed, "only GET")
            }
            Route::Unknown | Route::Visitor(_) | Route::Visitors | Route::Decide => {
                plainly(StatusCode::NOT_FOUND, RefusalCode::NotFound, "there is nothing here")
            }
        };
        CORS.mark(response.headers_mut(), allowed);
        response
    }

    /// Opens a stream: admit → attach → write.
    fn open(&self, uri: &Uri, headers: &HeaderMap) -> Result<Response<Body>, Refused> {
        let now_ms = self.clock.now_ms();
        let admitted = admit((uri, headers), &self.signer, now_ms)?;
        let pace = self.pace(Duration::from_millis(admitted.expires_at_ms.saturating_sub(now_ms)));
        let Admitted { subject, cursor, .. } = admitted;
        let stream = Stream::of_page(&self.delivery, (subject, cursor), pace)?;
        Ok(event_stream(stream.boxed_unsync()))
    }

    /// No two streams alike, so that what starts together does not come back together.
    fn pace(&self, token_left: Duration) -> Pace {
        let HintsConfig { heartbeat, lifetime_max, retry_min, .. } = self.hints;
        // A hash of the hasher's own random keys and the moment: spread is all that is asked.
        let random = self.jitter.hash_one((self.clock.now_ms(), self.delivery.hub.streams()));
        let share = |bits: u64| (bits & 0xffff) as f64 / f64::from(0xffff);
        Pace {
            retry: retry_min.mul_f64(1.0 + 2.0 * share(random)),
            heartbeat,
            lifetime: lifetime_max.mul_f64(1.0 - 0.25 * share(random >> 16)).min(token_left),
        }
    }

    fn origins(&self) -> &Origins {
        &self.hints.origins
    }
}

/// A stream of events that nobody between here and there holds back.
fn event_stream(body: Body) -> Response<Body> {
    let mut response = reply::stream(EVENT_STREAM, body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, UNCHANGED);
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn told(answer: Result<Told, Unanswered>) -> Response<Body> {
    let Told { status, answer } = answer.unwrap_or_else(Told::from);
    let mut response = reply::json(status, answer);
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::MISDIRECTED_REQUEST].contains(&status) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn plainly(status: StatusCode, error: RefusalCode, detail: &str) -> Response<Body> {
    refuse(status, &Refusal { error, detail: detail.to_owned(), retry_after_ms: None })
}

fn refuse(status: StatusCode, refusal: &Refusal) -> Response<Body> {
    let mut response = reply::json(status, refusal.to_json());
    if let Some(wait_ms) = refusal.retry_after_ms {
        response.headers_mut().insert(RETRY_AFTER, wait_ms.div_ceil(1000).into());
    }
    response
}

#[cfg(test)]
mod tests;
