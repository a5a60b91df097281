//! A feed at work: what is said here, and by every other instance, in one stream of events.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickmill_sdk_core::wire::Tenant;
use clickmill_server::reply::{Body, BoxError};
use futures_util::future::join_all;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::StatusCode;
use hyper::body::{Frame, Incoming};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::choice::Choice;
use super::queue::Queue;
use super::register::Entry;
use crate::hints::delivery::{Delivery, changed, next_event};
use crate::hints::hub::Closed;
use crate::hints::stream::Pace;
use crate::peers::Peers;

/// Written when nothing happens.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Written once every instance tells this feed.
const OPEN: Bytes = Bytes::from_static(b": open\n\n");

/// After how long it is looked again which instances there are, though nobody said so.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// After how long an instance is asked again that did not tell, or does no more.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The longest event of another instance, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// What a server wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whose visitors.
    pub tenant: Tenant,
    /// Which hints.
    pub choice: Choice,
}

/// An open feed.
#[derive(Debug)]
pub struct Feed {
    queue: Arc<Queue>,
    _entry: Entry,
    /// Has the other instances tell; none for an instance.
    _following: Option<Following>,
    heartbeat: Duration,
    ends_at: Instant,
}

/// A task that ends with its handle.
#[derive(Debug)]
struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Feed {
    /// Opens a server's feed. One that comes back has missed something. Needs a tokio runtime.
    ///
    /// # Errors
    /// When there is no room, or the relay is going down.
    pub fn of_server(
        delivery: &Arc<Delivery>,
        wish: Wish,
        (pace, comes_back): (Pace, bool),
    ) -> Result<Self, Closed> {
        let queue = Arc::new(Queue::default());
        let entry = delivery.hub.feeds().enter((&wish.tenant, &wish.choice), &queue, true)?;
        queue.put(format!("retry: {}\n\n", pace.retry.as_millis()).into());
        if comes_back {
            queue.put_gap();
        }
        let follow = Follow { delivery: Arc::clone(delivery), wish, queue: Arc::clone(&queue) };
        let following = Some(Following(tokio::spawn(follow.run())));
        Ok(Self::new((queue, entry, following), pace))
    }

    /// Opens the part of a feed that this instance has to tell another one.
    ///
    /// # Errors
    /// When the relay is going down.
    pub fn of_peer(delivery: &Arc<Delivery>, wish: &Wish, pace: Pace) -> Result<Self, Closed> {
        let queue = Arc::new(Queue::default());
        let entry = delivery.hub.feeds().enter((&wish.tenant, &wish.choice), &queue, false)?;
        queue.put(OPEN);
        Ok(Self::new((queue, entry, None), pace))
    }

    fn new((queue, entry, following): (Arc<Queue>, Entry, Option<Following>), pace: Pace) -> Self {
        let ends_at = Instant::now() + pace.lifetime;
        let heartbeat = pace.heartbeat;
        Self { queue, _entry: entry, _following: following, heartbeat, ends_at }
    }

    /// What is written to the server.
    pub fn into_body(self) -> Body {
        let events = stream::unfold(self, |feed| async move {
            let event = feed.next().await?;
            Some((Ok::<_, BoxError>(Frame::data(event)), feed))
        });
        StreamBody::new(events).boxed_unsync()
    }

    async fn next(&self) -> Option<Bytes> {
        let until = self.ends_at.min(Instant::now() + self.heartbeat);
        tokio::select! {
            biased;
            event = poll_fn(|context| self.queue.poll_take(context)) => event,
            () = sleep_until(until) => (Instant::now() < self.ends_at).then_some(HEARTBEAT),
        }
    }
}

/// The task that has the other instances tell a feed.
struct Follow {
    delivery: Arc<Delivery>,
    wish: Wish,
    queue: Arc<Queue>,
}

impl Follow {
    async fn run(self) {
        let mut news = self.delivery.hub.news();
        let Some(peers) = self.delivery.peers.clone() else {
            self.queue.put(OPEN);
            return;
        };
        news.mark_unchanged();
        let others = self.others(&peers);
        let opening = others.iter().map(|address| self.open(&peers, address));
        let opened: Vec<Option<Incoming>> = join_all(opening).await;
        let mut lines = Lines::default();
        for (address, body) in others.into_iter().zip(opened) {
            lines.spawn(address, self.line(&peers, body));
        }
        self.queue.put(OPEN);
        loop {
            changed(&mut news, LOOK_AFTER).await;
            news.mark_unchanged();
            let others = self.others(&peers);
            if lines.leave_all_but(&others) {
                // What was on its way from there is lost.
                self.queue.put_gap();
            }
            for address in others {
                if !lines.has(&address) {
                    let line = self.line(&peers, None);
                    lines.spawn(address, line);
                }
            }
        }
    }

    /// The instances that own anything, but for this one.
    fn others(&self, peers: &Peers) -> BTreeSet<String> {
        let partitions = 0..self.delivery.visitors.partitions();
        partitions.filter_map(|partition| peers.owner(partition)).map(|own| own.address).collect()
    }

    async fn open(&self, peers: &Peers, address: &str) -> Option<Incoming> {
        open(peers, address, &self.wish).await
    }

    /// One instance's part, which is begun with already or not.
    fn line(
        &self,
        peers: &Arc<Peers>,
        begun: Option<Incoming>,
    ) -> impl FnOnce(String) -> LineFuture + use<> {
        let (peers, wish, queue) = (Arc::clone(peers), self.wish.clone(), Arc::clone(&self.queue));
        move |address| {
            Box::pin(async move {
                let mut body = begun;
                loop {
                    if let Some(body) = body.take() {
                        pass_on(body, &queue).await;
                        queue.put_gap();
                    }
                    body = open(&peers, &address, &wish).await;
                    match &body {
                        // What was said before it was asked is lost.
                        Some(_) => queue.put_gap(),
                        None => sleep(AGAIN_AFTER).await,
                    }
                }
            })
        }
    }
}

type LineFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks that read from instances, by their addresses; they end with this.
#[derive(Default)]
struct Lines {
    tasks: JoinSet<()>,
    by_address: HashMap<String, tokio::task::AbortHandle>,
}

impl Lines {
    fn spawn(&mut self, address: String, line: impl FnOnce(String) -> LineFuture) {
        let handle = self.tasks.spawn(line(address.clone()));
        self.by_address.insert(address, handle);
    }

    fn has(&self, address: &str) -> bool {
        self.by_address.contains_key(address)
    }

    /// Leaves instances that own nothing any more. Whether there was one.
    fn leave_all_but(&mut self, addresses: &BTreeSet<String>) -> bool {
        let before = self.by_address.len();
        self.by_address.retain(|address, handle| {
            let is_kept = addresses.contains(address);
            if !is_kept {
                handle.abort();
            }
            is_kept
        });
        while self.tasks.try_join_next().is_some() {}
        self.by_address.len() < before
    }
}

async fn open(peers: &Peers, address: &str, wish: &Wish) -> Option<Incoming> {
    match peers.open_feed(address, wish).await {
        Ok(response) if response.status() == StatusCode::OK => Some(response.into_body()),
        Ok(response) => {
            tracing::debug!(address, status = %response.status(), "an instance does not tell");
            None
        }
        Err(why) => {
            tracing::debug!(address, %why, "an instance does not tell");
            None
        }
    }
}

/// Puts an instance's events into the queue until it tells no more.
async fn pass_on(mut body: Incoming, queue: &Queue) {
    let mut buffer = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        buffer.extend_from_slice(&data);
        while let Some(event) = next_event(&mut buffer) {
            // Comments are for the connection alone.
            if !event.starts_with(b":") {
                queue.put(event);
            }
        }
        if buffer.len() > EVENT_BYTES_MAX {
            return;
        }
    }
}
