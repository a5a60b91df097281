//! An answer that goes on for long, on HTTP/1: taken from hyper and written here.
//!
//! hyper keeps 16 KiB of buffers and its own state for as long as an answer lasts. That is nothing
//! for a request, and most of what an idle stream takes: so once a service gives a
//! [stream](crate::reply::stream), the socket is taken back, and given to hyper again for the
//! request after it. Nothing of an earlier answer is lost with it: hyper goes on to the next request
//! once all of that is written (test `an_answer_before_a_stream_arrives_whole_however_slowly_it_is_read`).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame};
use hyper::header::{CONNECTION, HeaderMap};
use hyper::{Method, Request, Response, Version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::clock::{Clock as _, SystemClock};
use crate::reply::{Body, BoxError, Endless};
use crate::serve::connection::Ended;

/// What is gathered of a body that has much ready, before it is written.
const PIECE_BYTES: usize = 16 * 1024;

/// What is read ahead of a client that sends its next request before the answer is over.
const AHEAD_BYTES: usize = 32;

/// What ends a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How a request is answered, if its answer turns out to be a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Whether the length of each piece is told; otherwise the body ends with the connection.
    is_chunked: bool,
    /// Whether the client may ask again over the same connection.
    is_kept: bool,
}

impl Manner {
    /// How that request would be answered; none where hyper has to do it, since there is something
    /// to read or nothing to write.
    pub(super) fn of<B: HttpBody>(request: &Request<B>) -> Option<Self> {
        if request.method() != Method::GET || !request.body().is_end_stream() {
            return None;
        }
        let is_chunked = request.version() >= Version::HTTP_11;
        Some(Self { is_chunked, is_kept: is_chunked && !is_last(request.headers()) })
    }
}

/// Whether a client says that it asks nothing more.
fn is_last(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("close"))
}

/// An answer that hyper is not given.
#[derive(Debug)]
pub(super) struct Taken {
    response: Response<Body>,
    manner: Manner,
}

/// Where a connection's service puts an answer that hyper is not given.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside(Arc<Mutex<Option<Box<Taken>>>>);

impl Aside {
    /// Gives an answer back, unless it is a stream that can be taken: then it is put aside, and the
    /// call never ends.
    pub(super) async fn pass(
        &self,
        response: Response<Body>,
        manner: Option<Manner>,
    ) -> Response<Body> {
        let is_stream = response.extensions().get::<Endless>().is_some();
        match manner.filter(|_| is_stream) {
            None => response,
            Some(manner) => {
                *self.lock() = Some(Box::new(Taken { response, manner }));
                std::future::pending().await
            }
        }
    }

    /// What was put aside.
    pub(super) fn take(&self) -> Option<Box<Taken>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Taken>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Writes the answer to its end. Gives the socket back where another request may follow.
    pub(super) async fn write<I>(
        self: Box<Self>,
        mut io: Ahead<I>,
        has_to_end: impl Fn() -> bool,
    ) -> Result<Ahead<I>, Ended>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { response, manner } = *self;
        let manner = Manner { is_kept: manner.is_kept && !has_to_end(), ..manner };
        let mut piece = Piece { bytes: head(&response, manner), is_chunked: manner.is_chunked };
        let mut body = response.into_body();
        let mut is_over = false;
        loop {
            is_over = is_over || piece.gather(&mut body)?;
            io.write_all(&piece.bytes).await.map_err(|_| Ended::Broken)?;
            io.flush().await.map_err(|_| Ended::Broken)?;
            if is_over {
                break;
            }
            // Most of its time a stream waits, and holds nothing of what it wrote.
            piece.bytes = Vec::new();
            let frame = tokio::select! {
                frame = body.frame() => frame,
                ended = io.left() => return Err(ended),
            };
            is_over = piece.add(frame)?;
        }
        if manner.is_kept && !has_to_end() {
            return Ok(io);
        }
        // One that has gone meanwhile needs no farewell.
        let _ = io.shutdown().await;
        Err(Ended::Clean)
    }
}

/// The line and the headers, as hyper writes them.
fn head(response: &Response<Body>, manner: Manner) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let mut line = |parts: [&[u8]; 3]| {
        parts.into_iter().for_each(|part| head.extend_from_slice(part));
        head.extend_from_slice(b"\r\n");
    };
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    line([b"HTTP/1.1 ", format!("{} ", status.as_str()).as_bytes(), reason.as_bytes()]);
    for (name, value) in response.headers() {
        line([name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now_ms());
    line([b"date", b": ", httpdate::fmt_http_date(now).as_bytes()]);
    if manner.is_chunked {
        line([b"transfer-encoding", b": ", b"chunked"]);
    }
    if !manner.is_kept {
        line([b"connection", b": ", b"close"]);
    }
    line([b"", b"", b""]);
    head
}

/// What is written next.
struct Piece {
    bytes: Vec<u8>,
    is_chunked: bool,
}

impl Piece {
    /// Adds what else of the body is ready. Whether it is over.
    fn gather(&mut self, body: &mut Body) -> Result<bool, Ended> {
        while self.bytes.len() < PIECE_BYTES {
            let Some(frame) = body.frame().now_or_never() else { return Ok(false) };
            if self.add(frame)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a frame of the body, or its end. Whether it is over.
    fn add(&mut self, frame: Option<Result<Frame<Bytes>, BoxError>>) -> Result<bool, Ended> {
        let Some(frame) = frame else {
            if self.is_chunked {
                self.bytes.extend_from_slice(LAST_CHUNK);
            }
            return Ok(true);
        };
        // Streams have no trailers, and an empty chunk would be the last one.
        let data = frame.map_err(|_| Ended::Broken)?.into_data().unwrap_or_default();
        if data.is_empty() {
            return Ok(false);
        }
        if self.is_chunked {
            self.bytes.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        }
        self.bytes.extend_from_slice(&data);
        if self.is_chunked {
            self.bytes.extend_from_slice(b"\r\n");
        }
        Ok(false)
    }
}

/// A socket, and what was read ahead of it.
#[derive(Debug)]
pub(super) struct Ahead<I> {
    ahead: BytesMut,
    io: I,
}

impl<I> Ahead<I> {
    /// A socket from which `ahead` was read already.
    pub(super) fn new(ahead: BytesMut, io: I) -> Self {
        Self { ahead, io }
    }

    /// As after more was read, by somebody who was given this socket.
    pub(super) fn put_back(mut self, read: &[u8]) -> Self {
        // What he had from here came first.
        let rest = std::mem::replace(&mut self.ahead, BytesMut::from(read));
        self.ahead.extend_from_slice(&rest);
        self
    }
}

impl<I: AsyncRead + Unpin> Ahead<I> {
    /// Resolves once the client is gone. One that goes on to ask is not read any further.
    async fn left(&mut self) -> Ended {
        while self.ahead.len() < AHEAD_BYTES {
            let mut bytes = [0; AHEAD_BYTES];
            match self.io.read(&mut bytes).await {
                Ok(0) | Err(_) => return Ended::Broken,
                Ok(count) => self.ahead.extend_from_slice(&bytes[..count]),
            }
        }
        std::future::pending().await
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Ahead<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, into);
        }
        let count = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead.split_to(count));
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Ahead<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }
}
