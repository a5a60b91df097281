//! A Kafka for the spool's tests, with a producer before it as librdkafka has it: a queue that waits
//! while the broker is away, a time after which messages fail, acknowledgements that get lost.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use clickmill_kafka::{Class, Position};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::hash::lane_of;
use crate::sink::{Delivered, Health, Kept, Line, Message, Sink, Standing, Underway};

/// How long the producer tries.
pub(crate) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A Kafka in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broker {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    up: bool,
    /// Lanes that it does not serve.
    stuck: BTreeSet<usize>,
    /// So many acknowledgements more get lost, though the messages are stored.
    acks_lost: usize,
    /// How the next messages fail, without being stored.
    refuse: Option<Class>,
    queue_max: usize,
    waiting: VecDeque<Waiting>,
    stored: Vec<Message>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            up: true,
            stuck: BTreeSet::new(),
            acks_lost: 0,
            refuse: None,
            queue_max: usize::MAX,
            waiting: VecDeque::new(),
            stored: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    since: Instant,
    flight: Arc<Sent>,
    index: usize,
}

#[derive(Debug)]
struct Sent {
    outcomes: Mutex<Vec<Option<Delivered>>>,
    changed: Notify,
    last: Instant,
}

impl Sent {
    fn set(&self, index: usize, outcome: Delivered) {
        self.outcomes.lock().unwrap()[index] = Some(outcome);
        self.changed.notify_one();
    }
}

impl Broker {
    /// Comes or goes.
    pub(crate) fn set_up(&self, up: bool) {
        self.change(|state| state.up = up);
    }

    pub(crate) fn set_stuck(&self, lanes: impl IntoIterator<Item = usize>) {
        self.change(|state| state.stuck = lanes.into_iter().collect());
    }

    pub(crate) fn lose_acks(&self, count: usize) {
        self.change(|state| state.acks_lost = count);
    }

    pub(crate) fn set_refuse(&self, refuse: Option<Class>) {
        self.change(|state| state.refuse = refuse);
    }

    pub(crate) fn set_queue_max(&self, queue_max: usize) {
        self.change(|state| state.queue_max = queue_max);
    }

    /// What it has of a visitor, in order.
    pub(crate) fn stored(&self, key: &str) -> Vec<String> {
        let state = self.lock();
        let ours = state.stored.iter().filter(|message| message.key.as_deref() == Some(key));
        ours.map(|message| message.value.clone()).collect()
    }

    /// How many messages it has.
    pub(crate) fn count(&self) -> usize {
        self.lock().stored.len()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        state.expire();
        change(&mut state);
        state.serve();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Stores what it can, in order.
    fn serve(&mut self) {
        if !self.up {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        for waiting in waiting {
            if self.stuck.contains(&lane_of(waiting.message.key.as_deref())) {
                self.waiting.push_back(waiting);
                continue;
            }
            let offset = i64::try_from(self.stored.len()).unwrap();
            self.stored.push(waiting.message);
            let lost = self.acks_lost > 0;
            self.acks_lost = self.acks_lost.saturating_sub(1);
            let kept = Kept::InKafka(Position { partition: 0, offset });
            waiting.flight.set(waiting.index, if lost { Err(Class::TimedOut) } else { Ok(kept) });
        }
    }

    /// Gives up what has waited too long.
    fn expire(&mut self) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|first| now >= first.since + MESSAGE_TIMEOUT) {
            if let Some(late) = self.waiting.pop_front() {
                late.flight.set(late.index, Err(Class::TimedOut));
            }
        }
    }
}

impl Line for Broker {
    fn send(&self, messages: &[&Message]) -> Box<dyn Underway> {
        let now = Instant::now();
        let sent = Arc::new(Sent {
            outcomes: Mutex::new(vec![None; messages.len()]),
            changed: Notify::new(),
            last: now + MESSAGE_TIMEOUT,
        });
        let mut state = self.lock();
        state.expire();
        for (index, message) in messages.iter().enumerate() {
            let full = state.waiting.len() >= state.queue_max;
            match state.refuse.or(full.then_some(Class::QueueFull)) {
                Some(class) => sent.set(index, Err(class)),
                None => {
                    let (message, flight) = ((*message).clone(), Arc::clone(&sent));
                    state.waiting.push_back(Waiting { message, since: now, flight, index });
                }
            }
        }
        state.serve();
        drop(state);
        Box::new(Parcel { broker: self.clone(), sent })
    }
}

/// What the broker was sent.
#[derive(Debug)]
struct Parcel {
    broker: Broker,
    sent: Arc<Sent>,
}

impl Underway for Parcel {
    fn wait(&self) -> BoxFuture<'_, ()> {
        async move {
            while !self.is_settled() {
                tokio::select! {
                    () = self.sent.changed.notified() => {}
                    () = sleep_until(self.sent.last) => {}
                }
            }
        }
        .boxed()
    }

    fn is_settled(&self) -> bool {
        self.so_far().iter().all(Option::is_some)
    }

    fn has_failed(&self) -> bool {
        self.so_far().iter().any(|outcome| matches!(outcome, Some(Err(_))))
    }

    fn so_far(&self) -> Vec<Option<Delivered>> {
        self.broker.lock().expire();
        self.sent.outcomes.lock().unwrap().clone()
    }
}

impl Sink for Broker {
    fn hand_over(&self, messages: Vec<Message>) -> BoxFuture<'static, Vec<Delivered>> {
        let underway = self.send(&messages.iter().collect::<Vec<_>>());
        async move {
            underway.wait().await;
            underway.so_far().into_iter().flatten().collect()
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Standing> {
        let up = self.lock().up;
        let way = if up { Health::Good } else { Health::Away("no broker answers".to_owned()) };
        async move { Standing { way, spool: None } }.boxed()
    }

    fn flush(&self, _: Instant) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }
}
