//! HTTP/1.1 and HTTP/2 on a connection that is ready for them: bounds, requests, the end.

mod activity;
mod endless;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Service;
use super::connection::{Common, Ended};
use super::limits::ConnectionLimits;
use crate::metrics::Counter;
use crate::reply::{self, Body};

use activity::{Activity, Attended};
use endless::{Ahead, Aside, Manner, Taken};

/// How many headers hyper reads without taking memory for each request.
const FREE_HEADERS: usize = 100;

/// What of request bodies may lie unread in one HTTP/2 stream, and in all streams of a connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// What of an answer may wait in one stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams that a peer reset before they were looked at: beyond it, its connection is closed.
const PENDING_RESETS_MAX: usize = 20;

/// Streams that we reset for a peer's errors: beyond it, its connection is closed.
const ERROR_RESETS_MAX: usize = 100;

/// How often a quiet HTTP/2 peer is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle HTTP/2 peer may take to leave after it was asked to.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(5);

/// How the two protocols are spoken on one listener.
#[derive(Debug)]
pub(super) struct Protocols {
    h1: http1::Builder,
    h2: http2::Builder<Streams>,
}

impl Protocols {
    pub(super) fn new(limits: &ConnectionLimits, stream_panics: Counter) -> Self {
        let head_bytes_max = limits.head_bytes_max.get();
        let mut h1 = http1::Builder::new();
        h1.timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_timeout)
            .max_header_size(head_bytes_max)
            .max_buf_size(limits.buffer_bytes());
        if limits.headers_max.get() > FREE_HEADERS {
            h1.max_headers(limits.headers_max.get());
        }
        let mut h2 = http2::Builder::new(Streams { panics: stream_panics });
        h2.timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max.get())
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(ERROR_RESETS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { h1, h2 }
    }
}

/// Serves HTTP/1.1 to its end; once the drain begins, no further request is taken.
pub(super) async fn run_h1<S, I>(common: Arc<Common<S>>, io: I, client: SocketAddr) -> Ended
where
    S: Service,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut io = Ahead::new(BytesMut::new(), io);
    loop {
        // Each in a box of its own: the other holds nothing meanwhile.
        let (left, taken) = match Box::pin(run_requests(&common, io, client)).await {
            Ok(taken) => taken,
            Err(ended) => return ended,
        };
        match Box::pin(taken.write(left, || common.finish.has_begun())).await {
            Ok(left) => io = left,
            Err(ended) => return ended,
        }
    }
}

/// Serves requests until one is answered with a stream, which is given back with the socket.
async fn run_requests<S, I>(
    common: &Arc<Common<S>>,
    io: Ahead<I>,
    client: SocketAddr,
) -> Result<(Ahead<I>, Box<Taken>), Ended>
where
    S: Service,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (finish, aside) = (common.finish.triggered(), Aside::default());
    let requests = Requests { common: Arc::clone(common), client, aside: Some(aside.clone()) };
    let mut connection = common.protocols.h1.serve_connection(TokioIo::new(io), requests);
    let run = async |connection: &mut http1::Connection<_, _>| {
        poll_fn(|context| match connection.poll_unpin(context) {
            Poll::Ready(ended) => Poll::Ready(Err(how(ended))),
            Poll::Pending => aside.take().map_or(Poll::Pending, |taken| Poll::Ready(Ok(taken))),
        })
        .await
    };
    let ran = tokio::select! {
        // The connection first, so that it reads what has arrived before it is asked to finish.
        biased;
        ran = run(&mut connection) => Some(ran),
        () = finish => None,
    };
    let taken = match ran {
        Some(ran) => ran?,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            run(&mut connection).await?
        }
    };
    let parts = connection.into_parts();
    Ok((parts.io.into_inner().put_back(&parts.read_buf), taken))
}

/// A connection of any kind. HTTP/2 has few of them, each with many requests.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<I: AsyncRead + AsyncWrite + Unpin + Send> Duplex for I {}

/// Serves HTTP/2 to its end. Once the drain begins, the peer is told so and what it sent before it
/// heard of it is answered. A connection without an open request ends like an idle one of HTTP/1.
pub(super) async fn run_h2<S: Service>(
    common: Arc<Common<S>>,
    io: Box<dyn Duplex>,
    client: SocketAddr,
) -> Ended {
    let finish = common.finish.triggered();
    let activity = Arc::new(Activity::default());
    let idle = activity.idle(common.limits.header_read_timeout);
    let requests = Requests { common: Arc::clone(&common), client, aside: None };
    let attended = Attended::new(requests, Arc::clone(&activity));
    let connection = common.protocols.h2.serve_connection(TokioIo::new(io), attended);
    let mut connection = pin!(connection);
    let is_idle = tokio::select! {
        biased;
        ended = connection.as_mut() => return how(ended),
        () = finish => false,
        () = idle => true,
    };
    connection.as_mut().graceful_shutdown();
    if !is_idle {
        return how(connection.await);
    }
    // One that never opened its mouth would not hear the farewell either.
    let _ = timeout(LEAVE_TIME_MAX, connection).await;
    Ended::Timeout
}

fn how(ended: hyper::Result<()>) -> Ended {
    match ended {
        Ok(()) => Ended::Clean,
        Err(error) if error.is_timeout() => Ended::Timeout,
        Err(error) if error.is_parse() || error.is_parse_too_large() => Ended::Protocol,
        Err(_) => Ended::Broken,
    }
}

/// Gives the requests of one connection to the service.
struct Requests<S> {
    common: Arc<Common<S>>,
    client: SocketAddr,
    /// Where streams are put that hyper is not to be given.
    aside: Option<Aside>,
}

/// An answer that is being made. In a box: between requests, a connection holds room for none.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S: Service> hyper::service::Service<Request<Incoming>> for Requests<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        if let Some(status) = refuse(&request, &self.common.limits) {
            return Box::pin(std::future::ready(Ok(reply::empty(status))));
        }
        let (common, client) = (Arc::clone(&self.common), self.client);
        let Some(aside) = self.aside.clone() else {
            return Box::pin(async move { Ok(common.service.call(request, client).await) });
        };
        let manner = Manner::of(&request);
        Box::pin(async move {
            let response = common.service.call(request, client).await;
            Ok(aside.pass(response, manner).await)
        })
    }
}

/// What no service is asked: requests with an over-long target or too many headers.
fn refuse<B>(request: &Request<B>, limits: &ConnectionLimits) -> Option<StatusCode> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes_max.get() {
        return Some(StatusCode::URI_TOO_LONG);
    }
    let is_crowded = request.headers().len() > limits.headers_max.get();
    is_crowded.then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// Runs the streams of HTTP/2 connections. They end with their connection, whose end they see.
#[derive(Clone, Debug)]
struct Streams {
    panics: Counter,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let panics = self.panics.clone();
        tokio::spawn(async move {
            // Nothing of a stream that panicked is looked at again.
            if AssertUnwindSafe(stream).catch_unwind().await.is_err() {
                panics.increment(1);
                tracing::error!("a request's handler panicked; its stream is reset");
            }
        });
    }
}
