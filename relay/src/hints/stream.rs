//! The body of one stream: what waits in its outbox, a comment when nothing happens, and an end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::reply::BoxError;
use hyper::body::{Body, Frame as BodyFrame};
use tokio::time::{Instant, Sleep, sleep_until};

use super::hub::Subscription;

/// A comment: it keeps proxies from closing an idle connection, and shows a dead one.
const HEARTBEAT: &[u8] = b":\n\n";

/// When a stream says something on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a browser waits before it connects again.
    pub retry: Duration,
    /// How long nothing may be written.
    pub heartbeat: Duration,
    /// How long the stream lives.
    pub lifetime: Duration,
}

/// The body of one stream.
#[derive(Debug)]
pub struct Stream {
    subscription: Subscription,
    /// Written first: when to connect again, and a comment, so that the headers go out at once.
    preamble: Option<Bytes>,
    heartbeat: Duration,
    ends_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Stream {
    /// The body for a subscription. Needs a tokio runtime.
    pub fn new(subscription: Subscription, pace: Pace) -> Self {
        let now = Instant::now();
        let preamble = format!("retry: {}\n: open\n\n", pace.retry.as_millis());
        let ends_at = now + pace.lifetime;
        Self {
            subscription,
            preamble: Some(Bytes::from(preamble)),
            heartbeat: pace.heartbeat,
            ends_at,
            timer: Box::pin(sleep_until(ends_at.min(now + pace.heartbeat))),
        }
    }

    /// Something was written: the next comment can wait.
    fn rest(&mut self) {
        let next = self.ends_at.min(Instant::now() + self.heartbeat);
        self.timer.as_mut().reset(next);
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BoxError>>> {
        let stream = self.get_mut();
        let data = |bytes| Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
        if let Some(preamble) = stream.preamble.take() {
            return data(preamble);
        }
        if let Poll::Ready(taken) = stream.subscription.outbox().poll_take(context) {
            let Some(frame) = taken else { return Poll::Ready(None) };
            stream.rest();
            return data(frame.bytes.clone());
        }
        if stream.timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if Instant::now() >= stream.ends_at {
            return Poll::Ready(None);
        }
        stream.rest();
        data(Bytes::from_static(HEARTBEAT))
    }
}
