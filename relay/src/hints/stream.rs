//! The body of one stream: what waits in its outbox, a comment when nothing happens, and an end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::HintId;
use clickmill_server::reply::BoxError;
use hyper::body::{Body, Frame as BodyFrame};
use tokio::time::{Instant, Sleep, sleep_until};

use super::delivery::{Delivery, Hold, OVER};
use super::frame::Frame;
use super::hub::{Closed, Seat, Subject, Subscription};
use super::outbox::{Outbox, Taken};

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
    delivery: Arc<Delivery>,
    subject: Subject,
    outbox: Arc<Outbox>,
    reader: Reader,
    /// Written first: when to connect again, and a comment, so that the headers go out at once.
    preamble: Option<Bytes>,
    heartbeat: Duration,
    ends_at: Instant,
    timer: Pin<Box<Sleep>>,
}

/// Who reads a stream.
#[derive(Debug)]
enum Reader {
    /// A page, for as long as it likes: whoever decides for its visitor.
    Page(Box<Page>),
    /// Another instance, while this one decides for the visitor.
    Peer(Subscription),
}

#[derive(Debug)]
struct Page {
    hold: Option<Hold>,
    /// Where the page stood when the stream was attached last, and what it has got since.
    cursor: Option<HintId>,
    last: Option<Arc<Frame>>,
    _seat: Seat,
}

impl Stream {
    /// A page's stream, which goes on after the hint that the page has. Needs a tokio runtime.
    ///
    /// # Errors
    /// When there is no room, or the relay is going down.
    pub fn of_page(
        delivery: &Arc<Delivery>,
        (subject, cursor): (Subject, Option<HintId>),
        pace: Pace,
    ) -> Result<Self, Closed> {
        let seat = delivery.hub.seat()?;
        let outbox = delivery.hub.outbox();
        let hold = delivery.attach(&subject, (&outbox, cursor.clone()))?;
        let page = Page { hold: Some(hold), cursor, last: None, _seat: seat };
        Ok(Self::new((delivery, subject), (outbox, Reader::Page(Box::new(page))), pace))
    }

    /// Another instance's stream of a visitor that is decided here. Needs a tokio runtime.
    ///
    /// # Errors
    /// When it is not, there is no room, or the relay is going down.
    pub fn of_peer(
        delivery: &Arc<Delivery>,
        (subject, cursor): (&Subject, Option<&HintId>),
        pace: Pace,
    ) -> Result<Self, Closed> {
        let outbox = delivery.hub.outbox();
        let subscription = delivery.here(subject, (&outbox, cursor))?;
        let of = (delivery, subject.clone());
        Ok(Self::new(of, (outbox, Reader::Peer(subscription)), pace))
    }

    fn new(
        (delivery, subject): (&Arc<Delivery>, Subject),
        (outbox, reader): (Arc<Outbox>, Reader),
        pace: Pace,
    ) -> Self {
        let now = Instant::now();
        let preamble = format!("retry: {}\n: open\n\n", pace.retry.as_millis());
        let ends_at = now + pace.lifetime;
        Self {
            delivery: Arc::clone(delivery),
            subject,
            outbox,
            reader,
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

    /// What is taken from the outbox, once it is more than that somebody else fills it now.
    fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let Poll::Ready(taken) = self.outbox.poll_take(context) else { return Poll::Pending };
            match (taken, &mut self.reader) {
                (Taken::Frame(frame), _)
                    if !self.delivery.react.may_go_out((&self.subject, &self.outbox), &frame) => {}
                (Taken::Frame(frame), Reader::Peer(_)) => {
                    return Poll::Ready(Some(frame.bytes.clone()));
                }
                (Taken::Frame(frame), Reader::Page(page)) => {
                    let bytes = frame.bytes.clone();
                    page.last = Some(frame);
                    return Poll::Ready(Some(bytes));
                }
                (Taken::Left, Reader::Page(page)) => {
                    let of = (&self.delivery, &self.subject);
                    if page.attach(of, &self.outbox).is_err() {
                        return Poll::Ready(None);
                    }
                }
                (Taken::Left, Reader::Peer(_)) | (Taken::End, _) => return Poll::Ready(None),
            }
        }
    }

    /// Whether an instance is to be told that the visitor's streams are over. At a drain they are
    /// not: somebody else goes on with them.
    fn is_over(&self) -> bool {
        let Reader::Peer(subscription) = &self.reader else { return false };
        self.outbox.is_closed() && !subscription.is_draining()
    }
}

impl Page {
    /// Goes on with whoever decides now.
    fn attach(
        &mut self,
        (delivery, subject): (&Arc<Delivery>, &Subject),
        outbox: &Arc<Outbox>,
    ) -> Result<(), Closed> {
        // First the end of the old, which would take the new along.
        self.hold = None;
        if let Some(last) = self.last.take() {
            self.cursor = Some(last.id.clone());
        }
        let from = (outbox, self.cursor.clone());
        self.hold = Some(delivery.attach(subject, from)?);
        Ok(())
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
        if let Poll::Ready(taken) = stream.poll_take(context) {
            let Some(bytes) = taken else {
                let is_told = stream.ends_at > Instant::now() && stream.is_over();
                // Once: the next look finds the lifetime over.
                stream.ends_at = Instant::now();
                return if is_told { data(Bytes::from_static(OVER)) } else { Poll::Ready(None) };
            };
            stream.rest();
            return data(bytes);
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
