//! The public listener: every route in one table, and what each answers.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::{Millis, Refusal, RefusalCode, ToJson};
use clickmill_server::clock::SharedClock;
use clickmill_server::cors::{self, Cors, Origins};
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::Service;
use clickmill_server::token::Signer;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::config::HintsConfig;
use crate::hints::admit::{Refused, admit};
use crate::hints::hub::Hub;
use crate::hints::stream::{Pace, Stream};
use crate::metrics::RefusedMeters;
use crate::react::React;

const CORS: Cors = Cors {
    methods: "GET",
    request_headers: "last-event-id",
    exposed_headers: "retry-after",
    max_age: Duration::from_secs(3_600),
};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

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
    /// Fans hints out.
    pub hub: Arc<Hub>,
    /// Says again what a relay that ran before said.
    pub react: Arc<React>,
    /// The wall clock.
    pub clock: SharedClock,
    /// Counts what is refused.
    pub refused: RefusedMeters,
    /// Where jitter comes from.
    pub jitter: RandomState,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Hints,
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
        let (head, _) = request.into_parts();
        std::future::ready(self.answer(&head.method, &head.uri, &head.headers))
    }
}

impl Routes {
    /// The table of routes. None of them takes a body.
    fn route(&self, method: &Method, path: &str) -> Route {
        match (path.strip_prefix(self.path_prefix.as_str()), method) {
            (Some("/v1/hints"), &Method::GET) => Route::Hints,
            (Some("/v1/hints"), &Method::OPTIONS) => Route::Preflight,
            (Some("/v1/hints"), _) => Route::WrongMethod,
            _ => Route::Unknown,
        }
    }

    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let origin = cors::origin(headers);
        let allowed = origin.filter(|origin| self.origins().allow(origin));
        let mut response = match self.route(method, uri.path()) {
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
            Route::Unknown => {
                plainly(StatusCode::NOT_FOUND, RefusalCode::NotFound, "there is nothing here")
            }
        };
        CORS.mark(response.headers_mut(), allowed);
        response
    }

    /// Opens a stream: admit → subscribe → recall → write.
    fn open(&self, uri: &Uri, headers: &HeaderMap) -> Result<Response<Body>, Refused> {
        let now_ms = self.clock.now_ms();
        let admitted = admit((uri, headers), &self.signer, now_ms)?;
        let pace = self.pace(Duration::from_millis(admitted.expires_at_ms.saturating_sub(now_ms)));
        let subject = admitted.subject.clone();
        let subscribed = self.hub.subscribe(subject, admitted.cursor.as_ref(), Millis(now_ms))?;
        // Only now: a partition that opens meanwhile finds this stream, or is found here.
        self.react.recall(&admitted.subject);
        let body = Stream::new(subscribed, pace).boxed_unsync();
        let mut response = reply::with_type(StatusCode::OK, EVENT_STREAM, body);
        response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        Ok(response)
    }

    /// No two streams alike, so that what starts together does not come back together.
    fn pace(&self, token_left: Duration) -> Pace {
        let HintsConfig { heartbeat, lifetime_max, retry_min, .. } = self.hints;
        // A hash of the hasher's own random keys and the moment: spread is all that is asked.
        let random = self.jitter.hash_one((self.clock.now_ms(), self.hub.streams()));
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
