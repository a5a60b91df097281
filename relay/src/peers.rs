//! The other instances: who owns which partition, and asking them.
//!
//! Instances speak HTTP/2 without TLS on a listener of their own, over one connection that stays
//! open to each. A request shows a [`pass`]: it is from an instance, for this one, and as it was
//! sent. Nobody passes on what was passed on to him.

mod client;
pub mod pass;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::{Refusal, RefusalCode, ToJson as _};
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::clock::SharedClock;
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::Service;
use clickmill_server::token::Signer;
use clickmill_streams::{Owner, Owners, Table};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::ask::{self, Ask, Query, Told};

pub use client::{Client, Unreached};

/// Where instances ask each other.
pub const PATH: &str = "/peers/v1/visitors";

/// The bounds of what an instance is asked.
const ASKED: BodyLimits = BodyLimits { bytes_max: 64 * 1024, timeout: Duration::from_secs(2) };

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
        let body = query.written();
        let pass = pass::sign(&self.signer, (address, PATH, &body), self.clock.now_ms());
        let request = Request::post(format!("http://{address}{PATH}"))
            .header(pass::HEADER, pass)
            .body(Full::new(body))
            .map_err(|error| Unreached::Failed(error.to_string()))?;
        let (status, answer) = self.client.send(address, request, deadline + ON_THE_WAY).await?;
        if status != StatusCode::OK {
            return Err(Unreached::Refused(status));
        }
        Told::read_all(&answer, query.visitors.len())
            .ok_or_else(|| Unreached::Failed("the answer cannot be read".to_owned()))
    }
}

/// What instances ask this one.
#[derive(Debug)]
pub struct PeerRoutes {
    /// Answers.
    pub ask: Arc<Ask>,
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
        if (head.uri.path(), &head.method) != (PATH, &Method::POST) {
            return refuse(
                StatusCode::NOT_FOUND,
                RefusalCode::NotFound,
                "instances ask each other here",
            );
        }
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
        if !pass.is_for((&self.address, PATH, &body)) {
            tracing::warn!(%peer, "an instance shows a pass for something else");
            return refuse(
                StatusCode::UNAUTHORIZED,
                RefusalCode::Unauthorized,
                "the pass is for something else",
            );
        }
        self.answer(&body).await
    }
}

impl PeerRoutes {
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
