//! Delivery: fills the outbox of a stream from whoever decides for its visitor, for as long as the
//! stream lives.
//!
//! That is the hub of this process, or that of another instance, over one request that stays open.
//! When a partition changes hands, or its owner dies, the stream stays open: it goes on where it was
//! as soon as the next owner is known. What cannot be gone on with begins with a reset.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickmill_sdk_core::wire::{HintId, Millis};
use clickmill_server::clock::SharedClock;
use clickmill_streams::Owner;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::frame::Frame;
use super::hub::{Closed, Hub, Subject, Subscription};
use super::outbox::{Outbox, Put};
use crate::metrics::DeliveryMeters;
use crate::peers::Peers;
use crate::react::React;
use crate::visitors::Visitors;

/// How long a stream that opens may wait for what the visitor was told before.
const RECALL_MAX: Duration = Duration::from_secs(30);

/// Between two looks at whether the tables are read.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// After how long it is looked again who decides, though nobody said that this has changed.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// After how long an owner is asked again who did not take the stream, or lost it.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The longest event of another instance, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Told at the end of a forwarded stream that must not be gone on with.
pub const OVER: &[u8] = b": over\n\n";

/// Fills outboxes.
#[derive(Debug)]
pub struct Delivery {
    /// What is decided here.
    pub hub: Arc<Hub>,
    /// Which partition a visitor lies in, and what is remembered of it.
    pub visitors: Visitors,
    /// Says again what a relay that ran before said.
    pub react: Arc<React>,
    /// The other instances; none where this is the only one.
    pub peers: Option<Arc<Peers>>,
    /// What is counted.
    pub meters: DeliveryMeters,
    /// The wall clock.
    pub clock: SharedClock,
}

/// What fills an outbox; it does no more when dropped.
#[derive(Debug)]
pub enum Hold {
    /// The hub of this process.
    Here(Subscription),
    /// A task that has another instance fill it, or waits until it is known which.
    There(Following),
}

/// A task that ends with its handle.
#[derive(Debug)]
pub struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who decides for a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// This process.
    Here,
    /// Another instance.
    There(Owner),
    /// Nobody, by what is known at this moment.
    Nowhere,
}

/// How a forwarded stream ended.
enum Ended {
    /// The owner has gone, or the partition; or this outbox needs a snapshot.
    Broken,
    /// The visitor's streams are over.
    Over,
}

impl Delivery {
    /// Fills an outbox from now on. `cursor` is the last hint that its page has.
    ///
    /// # Errors
    /// When this process decides for the visitor and has no room, or is going down.
    pub fn attach(
        self: &Arc<Self>,
        subject: &Subject,
        (outbox, cursor): (&Arc<Outbox>, Option<HintId>),
    ) -> Result<Hold, Closed> {
        match self.here(subject, (outbox, cursor.as_ref())) {
            Ok(subscription) => return Ok(Hold::Here(subscription)),
            Err(Closed::Elsewhere) => {}
            Err(closed) => return Err(closed),
        }
        let follow = Follow {
            delivery: Arc::clone(self),
            subject: subject.clone(),
            outbox: Arc::clone(outbox),
            cursor,
        };
        // It ends with the handle: the stream's body holds that.
        Ok(Hold::There(Following(tokio::spawn(follow.run()).abort_handle())))
    }

    /// Has the hub of this process fill an outbox.
    ///
    /// # Errors
    /// When it does not decide for the visitor, has no room, or is going down.
    pub fn here(
        self: &Arc<Self>,
        subject: &Subject,
        (outbox, cursor): (&Arc<Outbox>, Option<&HintId>),
    ) -> Result<Subscription, Closed> {
        let partition = self.visitors.partition_of(subject.key());
        let partition = partition.map_err(|_| Closed::Elsewhere)?;
        let now = Millis(self.clock.now_ms());
        let subscription = self.hub.subscribe(subject, (outbox, cursor), (partition, now))?;
        self.recall(subject);
        Ok(subscription)
    }

    /// Says again what the visitor was told by a relay that ran before. Its partition may still be
    /// restored, so that is not waited for.
    fn recall(self: &Arc<Self>, subject: &Subject) {
        if self.hub.is_whole(subject) {
            return;
        }
        let (delivery, subject) = (Arc::clone(self), subject.clone());
        tokio::spawn(async move {
            let deadline = Instant::now() + RECALL_MAX;
            while !delivery.react.is_ready() && Instant::now() < deadline {
                sleep(LOOK_EVERY).await;
            }
            let Ok(found) = delivery.visitors.find(subject.key(), deadline).await else { return };
            let Some(parts) = subject.parts() else { return };
            if let Some(asked) = found.visitor.last_asked(parts) {
                delivery.react.recall(&subject, asked);
            }
        });
    }

    /// Who decides for a visitor.
    pub fn way(&self, subject: &Subject) -> Way {
        let Ok(partition) = self.visitors.partition_of(subject.key()) else { return Way::Nowhere };
        if self.hub.epoch(partition).is_some() {
            return Way::Here;
        }
        let owner = self.peers.as_ref().and_then(|peers| peers.owner(partition));
        owner.map_or(Way::Nowhere, Way::There)
    }
}

/// The task that follows a visitor who is decided elsewhere.
struct Follow {
    delivery: Arc<Delivery>,
    subject: Subject,
    outbox: Arc<Outbox>,
    cursor: Option<HintId>,
}

impl Follow {
    async fn run(mut self) {
        let mut news = self.delivery.hub.news();
        loop {
            news.mark_unchanged();
            if self.delivery.hub.is_draining() {
                return self.outbox.close();
            }
            match self.delivery.way(&self.subject) {
                // The body of the stream hears it and attaches itself.
                Way::Here => return self.outbox.leave(),
                Way::Nowhere => changed(&mut news, LOOK_AFTER).await,
                Way::There(owner) => {
                    let delivery = Arc::clone(&self.delivery);
                    delivery.meters.forwarded.increment(1.0);
                    let ended = tokio::select! {
                        ended = self.forward(&owner) => ended,
                        () = drained(delivery.hub.news(), &delivery.hub) => Ended::Over,
                    };
                    delivery.meters.forwarded.decrement(1.0);
                    match ended {
                        Ended::Over => return self.outbox.close(),
                        Ended::Broken => changed(&mut news, AGAIN_AFTER).await,
                    }
                }
            }
        }
    }

    /// Has an owner fill the outbox until it does no more.
    async fn forward(&mut self, owner: &Owner) -> Ended {
        let Some(peers) = &self.delivery.peers else { return Ended::Broken };
        let opened = peers.open(&owner.address, (&self.subject, self.cursor.as_ref())).await;
        match opened {
            Ok(response) if response.status() == StatusCode::OK => {
                self.pass_on(response.into_body()).await
            }
            Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => Ended::Over,
            Ok(_) => Ended::Broken,
            Err(why) => {
                tracing::debug!(address = owner.address, %why, "an owner does not take a stream");
                self.delivery.meters.unreached.increment(1);
                Ended::Broken
            }
        }
    }

    async fn pass_on(&mut self, mut body: Incoming) -> Ended {
        let mut buffer = BytesMut::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            buffer.extend_from_slice(&data);
            while let Some(event) = next_event(&mut buffer) {
                if event == OVER {
                    return Ended::Over;
                }
                // Comments are for the connection alone.
                let Some(frame) = Frame::read(event) else { continue };
                let id = frame.id.clone();
                match self.outbox.put(Arc::new(frame)) {
                    Put::Queued | Put::Conflated => self.cursor = Some(id),
                    Put::Full | Put::Untrue => {
                        // Only the owner knows what holds: a cursor that it never gave brings it.
                        self.cursor = Some(HintId { source: "unknown".to_owned(), ..id });
                        return Ended::Broken;
                    }
                }
            }
            if buffer.len() > EVENT_BYTES_MAX {
                return Ended::Broken;
            }
        }
        Ended::Broken
    }
}

/// Takes a whole event with the empty line at its end.
pub(super) fn next_event(buffer: &mut BytesMut) -> Option<Bytes> {
    let end = buffer.windows(2).position(|two| two == b"\n\n")?;
    Some(buffer.split_to(end + 2).freeze())
}

/// Resolves when something has changed, or after a while.
pub(super) async fn changed(news: &mut watch::Receiver<()>, after: Duration) {
    tokio::select! {
        _ = news.changed() => {}
        () = sleep(after) => {}
    }
}

/// Resolves once the relay is going down.
async fn drained(mut news: watch::Receiver<()>, hub: &Hub) {
    while !hub.is_draining() {
        if news.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole() {
        let mut buffer = BytesMut::from(&b": over\n\nid: a\nda"[..]);
        assert_eq!(next_event(&mut buffer).unwrap(), OVER);
        assert_eq!(next_event(&mut buffer), None);
        buffer.extend_from_slice(b"ta: {}\n\n");
        assert_eq!(next_event(&mut buffer).unwrap(), &b"id: a\ndata: {}\n\n"[..]);
        assert!(buffer.is_empty());
    }
}
