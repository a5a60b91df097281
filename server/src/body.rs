//! Reading a request body within bounds of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

/// What is read of an over-long body before it is refused. A client that is still sending when the
/// connection closes may never see the answer; one that is only a little over sees it.
const DRAIN_BYTES_MAX: usize = 256 * 1024;

/// How long the reading of an over-long body goes on.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// The bounds of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The longest body that is taken, as it comes from the wire (before inflating), in bytes.
    pub bytes_max: usize,
    /// How long the whole body may take.
    pub timeout: Duration,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The client went away or broke the protocol. Nobody may be there to hear an answer.
    #[error("the body broke off")]
    Broken,
    /// The body did not arrive in time.
    #[error("the body did not arrive within {0:?}")]
    TimedOut(Duration),
    /// The body is longer than the bound in bytes that is named.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
}

/// Reads a whole body. One that is too long is read on for a little, so that the client can read
/// the refusal. A body that came in one piece is not copied.
pub async fn read<B>(mut body: B, limits: BodyLimits) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let deadline = Instant::now() + limits.timeout;
    let announced = body.size_hint().lower();
    if announced > u64::try_from(limits.bytes_max).unwrap_or(u64::MAX) {
        drain(body, deadline).await;
        return Err(BodyError::TooLarge(limits.bytes_max));
    }
    let mut parts = Parts::default();
    loop {
        let piece = timeout_at(deadline, next_piece(&mut body))
            .await
            .map_err(|_| BodyError::TimedOut(limits.timeout))??;
        let Some(piece) = piece else { return Ok(parts.into_bytes()) };
        if parts.len() + piece.len() > limits.bytes_max {
            drop((parts, piece));
            drain(body, deadline).await;
            return Err(BodyError::TooLarge(limits.bytes_max));
        }
        parts.push(piece);
    }
}

/// The next data of the body; trailers are passed over.
async fn next_piece<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
) -> Result<Option<Bytes>, BodyError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B, deadline: Instant) {
    let deadline = deadline.min(Instant::now() + DRAIN_TIME_MAX);
    let mut drained_bytes = 0;
    while drained_bytes < DRAIN_BYTES_MAX {
        match timeout_at(deadline, next_piece(&mut body)).await {
            Ok(Ok(Some(piece))) => drained_bytes += piece.len(),
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        }
    }
}

/// What has come so far: nothing is copied until there is a second piece.
#[derive(Default)]
struct Parts {
    first: Bytes,
    joined: BytesMut,
}

impl Parts {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if !self.first.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    /// A body in pieces; when they are used up it ends, breaks or hangs.
    struct Pieces {
        left: VecDeque<&'static [u8]>,
        end: End,
    }

    enum End {
        Clean,
        Breaks,
        Hangs,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if let Some(piece) = self.left.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece)))));
            }
            match self.end {
                End::Clean => Poll::Ready(None),
                End::Breaks => Poll::Ready(Some(Err("reset"))),
                End::Hangs => Poll::Pending,
            }
        }
    }

    const LIMITS: BodyLimits = BodyLimits { bytes_max: 8, timeout: Duration::from_secs(5) };

    async fn check(pieces: &[&'static [u8]], end: End, expected: Result<&[u8], BodyError>) {
        let body = Pieces { left: pieces.iter().copied().collect(), end };
        let read = read(body, LIMITS).await;
        assert_eq!(read.as_deref(), expected.as_ref().copied(), "{pieces:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_are_joined_up_to_the_bound() {
        check(&[], End::Clean, Ok(b"")).await;
        check(&[b"abc"], End::Clean, Ok(b"abc")).await;
        check(&[b"", b"abc", b"", b"de", b"fgh"], End::Clean, Ok(b"abcdefgh")).await;
        check(&[b"abcdefgh", b"i"], End::Clean, Err(BodyError::TooLarge(8))).await;
        check(&[b"abcdefghi"], End::Hangs, Err(BodyError::TooLarge(8))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn breaking_off_and_hanging_are_told_apart() {
        check(&[b"abc"], End::Breaks, Err(BodyError::Broken)).await;
        let started = Instant::now();
        check(&[b"abc"], End::Hangs, Err(BodyError::TimedOut(LIMITS.timeout))).await;
        assert_eq!(started.elapsed(), LIMITS.timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_of_a_refused_body_is_bounded_in_time() {
        let started = Instant::now();
        check(&[b"abcdefghi"], End::Hangs, Err(BodyError::TooLarge(8))).await;
        assert_eq!(started.elapsed(), DRAIN_TIME_MAX);
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_without_keeping_anything() {
        let body = http_body_util::Full::new(Bytes::from_static(b"0123456789"));
        assert_eq!(read(body, LIMITS).await, Err(BodyError::TooLarge(8)));
    }
}
