//! The other instances: who owns which partition, asking them, and having them fill streams.
//!
//! Instances speak HTTP without TLS on a listener of their own, over connections that stay open. A
//! request shows a [`pass`]: it is from an instance, for this one, and as it was sent. Nobody passes
//! on what was passed on to him.

mod client;
pub mod pass;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{HintId, Refusal, RefusalCode, Tenant, ToJson as _, VisitorId};
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::clock::SharedClock;
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::Service;
use clickmill_server::token::Signer;
use clickmill_streams::{Owner, Owners, Table};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use crate::ask::{self, Ask, Query, Told};
use crate::hints::admit::Refused;
use crate::hints::delivery::Delivery;
use crate::hints::feed::{Choice, Feed, Wish};
use crate::hints::hub::Subject;
use crate::hints::stream::{Pace, Stream};
use crate::render::Render;

pub use client::{Client, Unreached};

/// Where instances ask each other.
pub const PATH: &str = "/peers/v1/visitors";

/// Where instances have each other fill streams.
pub const STREAM_PATH: &str = "/peers/v1/hints";

/// Where instances have each other tell what servers want to hear.
pub const FEED_PATH: &str = "/peers/v1/feeds";

/// Where instances have each other decide for a page that a server renders.
pub const DECIDE_PATH: &str = "/peers/v1/decide";

/// How long an instance may take to begin with a stream.
const OPEN_MAX: Duration = Duration::from_secs(2);

/// How a stream between instances is kept. It lives for as long as the page that it is for.
const PACE: Pace = Pace {
    retry: Duration::ZERO,
    heartbeat: Duration::from_secs(15),
    lifetime: Duration::from_secs(24 * 3_600),
};

/// The bounds of what an instance is asked.
const ASKED: BodyLimits = BodyLimits { bytes_max: 64 * 1024, timeout: Duration::from_secs(2) };

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// An answer may come so much later than what it waits for.
const ON_THE_WAY: Duration = Duration::from_millis(250);

/// The other instances.
#[derive(Debug)]
pub struct Peers {
    /// Who owns which partition.
    pub owners: Table<Owners>,
    /// Where the others reach this one.
    pub address: String,
    /// Signs what is asked.
    pub signer: Signer,
    /// The connections.
    pub client: Client,
    /// The wall clock.
    pub clock: SharedClock,
}

impl Peers {
    /// The instance that owns a partition by what is known here; none where that is this one.
    pub fn owner(&self, partition: u32) -> Option<Owner> {
        let owner = self.owners.read().of(partition).cloned();
        owner.filter(|owner| owner.address != self.address)
    }

    /// Has an instance tell all that it says to a visitor, from a hint on.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn open(
        &self,
        address: &str,
        (subject, cursor): (&Subject, Option<&HintId>),
    ) -> Result<Response<Incoming>, Unreached> {
        let body = Wanted::written(subject, cursor);
        let request = self.request((address, STREAM_PATH), body)?;
        self.client.open_stream(address, request, Instant::now() + OPEN_MAX).await
    }

    /// Has an instance tell its part of a feed.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn open_feed(
        &self,
        address: &str,
        wish: &Wish,
    ) -> Result<Response<Incoming>, Unreached> {
        let mut w = Writer::with_capacity(192);
        w.object(|w| {
            w.field("tenant", Some(&wish.tenant));
            w.field("choice", Some(&wish.choice));
        });
        let request = self.request((address, FEED_PATH), w.finish().into())?;
        self.client.open_stream(address, request, Instant::now() + OPEN_MAX).await
    }

    /// Has an instance decide for a page.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn decide(
        &self,
        address: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Told, Unreached> {
        let request = self.request((address, DECIDE_PATH), body)?;
        let (status, answer) = self.client.send(address, request, deadline + ON_THE_WAY).await?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(Unreached::Refused(status));
        }
        let answer = String::from_utf8(answer.to_vec());
        let answer = answer.map_err(|error| Unreached::Failed(error.to_string()))?;
        Ok(Told { status, answer })
    }

    fn request(
        &self,
        (address, path): (&str, &str),
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Unreached> {
        let pass = pass::sign(&self.signer, (address, path, &body), self.clock.now_ms());
        Request::post(format!("http://{address}{path}"))
            .header(pass::HEADER, pass)
            .body(Full::new(body))
            .map_err(|error| Unreached::Failed(error.to_string()))
    }

    /// Asks an instance about visitors of partitions that it owns.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn ask(
        &self,
        address: &str,
        query: &Query,
        deadline: Instant,
    ) -> Result<Vec<Told>, Unreached> {
        let request = self.request((address, PATH), query.written())?;
        let (status, answer) = self.client.send(address, request, deadline + ON_THE_WAY).await?;
        if status != StatusCode::OK {
            return Err(Unreached::Refused(status));
        }
        Told::read_all(&answer, query.visitors.len())
            .ok_or_else(|| Unreached::Failed("the answer cannot be read".to_owned()))
    }
}

/// Whose hints an instance wants to pass on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tenant: Tenant,
    visitor: VisitorId,
    #[serde(default)]
    cursor: Option<String>,
}

/// What an instance wants to pass on to a server.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedFeed {
    tenant: Tenant,
    choice: Choice,
}

impl Wanted {
    fn written(subject: &Subject, cursor: Option<&HintId>) -> Bytes {
        let mut w = Writer::with_capacity(192);
        w.object(|w| {
            if let Some((tenant, visitor)) = subject.parts() {
                w.field("tenant", Some(&tenant));
                w.field("visitor", Some(&visitor));
            }
            w.field("cursor", cursor.map(ToString::to_string).as_ref());
        });
        w.finish().into()
    }
}

/// What instances ask this one.
#[derive(Debug)]
pub struct PeerRoutes {
    /// Answers.
    pub ask: Arc<Ask>,
    /// Fills streams.
    pub delivery: Arc<Delivery>,
    /// Decides for pages.
    pub render: Arc<Render>,
    /// Verifies who asks.
    pub signer: Signer,
    /// Where the others reach this instance: what is for another address is for nobody.
    pub address: String,
    /// The wall clock.
    pub clock: SharedClock,
}

impl Service for PeerRoutes {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let (head, body) = request.into_parts();
        let path = [PATH, STREAM_PATH, FEED_PATH, DECIDE_PATH]
            .into_iter()
            .find(|path| *path == head.uri.path());
        let Some(path) = path.filter(|_| head.method == Method::POST) else {
            return refuse(
                StatusCode::NOT_FOUND,
                RefusalCode::NotFound,
                "instances ask each other here",
            );
        };
        // Strangers are turned away before their body is read.
        let shown = pass::read(&self.signer, &head.headers, self.clock.now_ms());
        let Ok(pass) = shown else {
            tracing::warn!(%peer, "somebody who is no instance of this relay asks");
            return refuse(StatusCode::UNAUTHORIZED, RefusalCode::Unauthorized, "show a pass");
        };
        let body = match body::read(body, ASKED).await {
            Ok(body) => body,
            Err(error) => return unanswered(error.into()),
        };
        if !pass.is_for((&self.address, path, &body)) {
            tracing::warn!(%peer, "an instance shows a pass for something else");
            return refuse(
                StatusCode::UNAUTHORIZED,
                RefusalCode::Unauthorized,
                "the pass is for something else",
            );
        }
        match path {
            STREAM_PATH => self.stream(&body),
            FEED_PATH => self.feed(&body),
            DECIDE_PATH => {
                let told = self.render.passed(&body).await;
                reply::json(told.status, told.answer)
            }
            _ => self.answer(&body).await,
        }
    }
}

impl PeerRoutes {
    fn stream(&self, body: &Bytes) -> Response<Body> {
        let Ok(Wanted { tenant, visitor, cursor }) = serde_json::from_slice(body) else {
            let detail = "that names no visitor";
            return refuse(StatusCode::BAD_REQUEST, RefusalCode::Malformed, detail);
        };
        let subject = Subject::new(&tenant, &visitor);
        let cursor = cursor.and_then(|cursor| HintId::parse(&cursor).ok());
        match Stream::of_peer(&self.delivery, (&subject, cursor.as_ref()), PACE) {
            Ok(stream) => reply::with_type(StatusCode::OK, EVENT_STREAM, stream.boxed_unsync()),
            Err(closed) => {
                let (status, refusal) = Refused::Closed(closed).answer();
                reply::json(status, refusal.to_json())
            }
        }
    }

    fn feed(&self, body: &Bytes) -> Response<Body> {
        let Ok(WantedFeed { tenant, choice }) = serde_json::from_slice(body) else {
            let detail = "that is nothing to be told";
            return refuse(StatusCode::BAD_REQUEST, RefusalCode::Malformed, detail);
        };
        match Feed::of_peer(&self.delivery, &Wish { tenant, choice }, PACE) {
            Ok(feed) => reply::stream(EVENT_STREAM, feed.into_body()),
            Err(closed) => {
                let (status, refusal) = Refused::Closed(closed).answer();
                reply::json(status, refusal.to_json())
            }
        }
    }

    async fn answer(&self, body: &Bytes) -> Response<Body> {
        match Query::read(body) {
            Ok(query) => {
                let told = self.ask.here(&query, Instant::now() + ask::WAIT_MAX).await;
                reply::json(StatusCode::OK, ask::written(&query.visitors, &told))
            }
            Err(why) => unanswered(why),
        }
    }
}

fn unanswered(why: ask::Unanswered) -> Response<Body> {
    let (status, refusal) = why.answer();
    reply::json(status, refusal.to_json())
}

fn refuse(status: StatusCode, error: RefusalCode, detail: &str) -> Response<Body> {
    let refusal = Refusal { error, detail: detail.to_owned(), retry_after_ms: None };
    reply::json(status, refusal.to_json())
}
