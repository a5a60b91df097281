//! The accept loop: bounded connections, each a task that gives its requests to the service, and the
//! drain.
//!
//! At the connection cap the loop stops accepting until a connection ends, so the system's own
//! queue and then the clients feel it. On shutdown it takes what the system has already accepted
//! for it, closes the socket, asks every connection to finish what it has begun, waits for the
//! grace period and cuts what is left. Bytes that are in a socket's buffer when the drain begins
//! count as begun: hyper alone would close a connection whose first request it has not read yet.

mod accept;
mod connection;
mod crowd;
mod http;
mod limits;
mod transport;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use crate::metrics::{Counter, Counters, Entry, Gauge, Gauges, Metrics};
use crate::reply::Body;
use crate::shutdown::Shutdown;

use connection::{Common, Ended};

pub use accept::Accept;
pub use limits::ConnectionLimits;
pub use transport::Transport;

const OPEN: Gauges<1> = Gauges::new("http_connections_open", "Open connections.", ["listener"]);
const ACCEPTED: Counters<1> =
    Counters::new("http_connections_total", "Connections accepted.", ["listener"]);
const FULL: Counters<1> = Counters::new(
    "http_connections_full_total",
    "Times that accepting stopped because the connection cap was reached.",
    ["listener"],
);
const ACCEPT_ERRORS: Counters<1> = Counters::new(
    "http_accept_errors_total",
    "Errors while accepting, such as a lack of file descriptors.",
    ["listener"],
);
const STREAM_PANICS: Counters<1> = Counters::new(
    "http_stream_panics_total",
    "Requests over HTTP/2 whose handler panicked: each costs its own stream.",
    ["listener"],
);
const ENDED: Counters<2> = Counters::new(
    "http_connections_ended_total",
    "Connections that ended, by how: clean, timeout, protocol, broken, panic, cut, proxy (its header \
     is wrong or its source not trusted), handshake (of TLS), crowded (too many of one address).",
    ["listener", "how"],
);

/// This module's lines in every service's table of metrics.
pub(crate) const METRICS: &[Entry] = &[
    OPEN.entry(),
    ACCEPTED.entry(),
    FULL.entry(),
    ACCEPT_ERRORS.entry(),
    STREAM_PANICS.entry(),
    ENDED.entry(),
];

/// What answers requests. Any `async fn(Request<Incoming>, SocketAddr) -> Response<Body>` does.
///
/// The future of a call is dropped when its client goes away: work that must be carried through
/// even so belongs into a task of its own.
pub trait Service: Send + Sync + 'static {
    /// Answers one request from the peer.
    fn call(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

impl<F, Answer> Service for F
where
    F: Fn(Request<Incoming>, SocketAddr) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Response<Body>> + Send,
{
    fn call(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send {
        self(request, peer)
    }
}

/// All that the accept loop needs.
#[derive(Debug)]
pub struct Serve<S, A = TcpListener> {
    /// The bound socket.
    pub listener: A,
    /// What stands between its connections and HTTP.
    pub transport: Transport,
    /// What answers.
    pub service: S,
    /// The bounds of connections.
    pub limits: ConnectionLimits,
    /// Begins the drain of this listener.
    pub shutdown: Shutdown,
    /// How long the drain may take before connections are cut.
    pub grace: Duration,
    /// Where it is counted.
    pub metrics: ConnectionMetrics,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that finished within the grace period.
    pub finished: usize,
    /// Connections that were cut.
    pub cut: usize,
}

/// Serves until the shutdown begins and the drain has ended. Dropping the future cuts everything.
pub async fn serve<S: Service, A: Accept>(serve: Serve<S, A>) -> Drained {
    let Serve { mut listener, transport, service, limits, shutdown, grace, metrics } = serve;
    let common = Common::new(service, transport, limits, metrics.stream_panics.clone());
    let mut connections = Connections::new(common, metrics);
    let mut stop = pin!(shutdown.triggered());
    let mut backoff = accept::Backoff::default();
    let mut was_full = false;
    loop {
        let is_full = connections.is_full();
        if is_full && !was_full {
            connections.metrics.full.increment(1);
            tracing::warn!(open = connections.tasks.len(), "connection cap reached");
        }
        was_full = is_full;
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = connections.tasks.join_next() => connections.count(ended),
            accepted = accept::next(&mut listener, &mut backoff), if !is_full => match accepted {
                Ok((stream, peer)) => connections.open(stream, peer),
                Err(error) => {
                    connections.metrics.accept_errors.increment(1);
                    tracing::warn!(%error, "accepting failed");
                }
            },
        }
    }
    connections.take_waiting(&mut listener).await;
    drop(listener);
    connections.drain(grace).await
}

/// The handles of one listener's metrics.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    full: Counter,
    accept_errors: Counter,
    clean: Counter,
    timeout: Counter,
    protocol: Counter,
    broken: Counter,
    panic: Counter,
    cut: Counter,
    proxy: Counter,
    handshake: Counter,
    crowded: Counter,
    stream_panics: Counter,
}

impl ConnectionMetrics {
    /// The handles under the listener's name, such as `public`.
    pub fn new(metrics: &Metrics, listener: &str) -> Self {
        let ended = |how| metrics.counter(&ENDED, [listener, how]);
        Self {
            open: metrics.gauge(&OPEN, [listener]),
            accepted: metrics.counter(&ACCEPTED, [listener]),
            full: metrics.counter(&FULL, [listener]),
            accept_errors: metrics.counter(&ACCEPT_ERRORS, [listener]),
            clean: ended("clean"),
            timeout: ended("timeout"),
            protocol: ended("protocol"),
            broken: ended("broken"),
            panic: ended("panic"),
            cut: ended("cut"),
            proxy: ended("proxy"),
            handshake: ended("handshake"),
            crowded: ended("crowded"),
            stream_panics: metrics.counter(&STREAM_PANICS, [listener]),
        }
    }
}

/// The open connections, each a task.
struct Connections<S> {
    common: Arc<Common<S>>,
    metrics: ConnectionMetrics,
    tasks: JoinSet<Ended>,
}

impl<S: Service> Connections<S> {
    fn new(common: Common<S>, metrics: ConnectionMetrics) -> Self {
        Self { common: Arc::new(common), metrics, tasks: JoinSet::new() }
    }

    fn is_full(&self) -> bool {
        self.tasks.len() >= self.common.limits.connections_max.get()
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        // A system that refuses the option only makes small answers slower.
        let _ = stream.set_nodelay(true);
        self.tasks.spawn(connection::run(Arc::clone(&self.common), stream, peer));
        self.metrics.accepted.increment(1);
        self.metrics.open.increment(1.0);
    }

    fn count(&self, ended: Result<Ended, JoinError>) {
        self.metrics.open.decrement(1.0);
        let metrics = &self.metrics;
        let how = match ended {
            Ok(Ended::Broken) => &metrics.broken,
            Ok(Ended::Clean) => &metrics.clean,
            Ok(Ended::Crowded) => &metrics.crowded,
            Ok(Ended::Handshake) => &metrics.handshake,
            Ok(Ended::Protocol) => &metrics.protocol,
            Ok(Ended::Proxy) => &metrics.proxy,
            Ok(Ended::Timeout) => &metrics.timeout,
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a request's handler panicked; its connection is cut");
                &metrics.panic
            }
            Err(_) => &metrics.cut,
        };
        how.increment(1);
    }

    /// Takes the connections that the system has accepted: their clients believe they are in.
    async fn take_waiting<A: Accept>(&mut self, listener: &mut A) {
        while !self.is_full() {
            match timeout(Duration::ZERO, listener.accept()).await {
                Ok(Ok((stream, peer))) => self.open(stream, peer),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        // Lets the runtime learn what has arrived on the connections before they are asked to end.
        tokio::task::yield_now().await;
    }

    async fn drain(mut self, grace: Duration) -> Drained {
        let open = self.tasks.len();
        self.common.finish.begin();
        let all_ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                self.count(ended);
            }
        };
        // Whether the time was enough shows in what is left.
        let _ = timeout(grace, all_ended).await;
        let mut cut = 0;
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            // A task may still have ended by itself between the two lines above.
            cut += usize::from(matches!(&ended, Err(error) if error.is_cancelled()));
            self.count(ended);
        }
        if cut > 0 {
            tracing::warn!(cut, "grace period over: connections cut");
        }
        Drained { finished: open - cut, cut }
    }
}
