//! A sink that keeps what it gets, and fails in the ways a test asks for.

use std::sync::{Arc, Mutex, MutexGuard};

use clickmill_kafka::{Class, Position};
use clickmill_sdk_core::wire::Topic;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Delivered, Health, Kept, Message, Sink, Standing};

/// How the fake behaves. By default everything is durable at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Nothing is taken: every message fails at the hand-over.
    pub(crate) refuse: Option<Class>,
    /// Messages are taken, and their acknowledgement is this failure.
    pub(crate) fail_ack: Option<Class>,
    /// Only so many messages more work; the others fail as `fail_ack` says, or find no room.
    pub(crate) first: Option<usize>,
    /// The faults above concern this topic alone.
    pub(crate) topic: Option<Topic>,
    /// Messages whose value holds this text fail that way.
    pub(crate) by_text: Option<(&'static str, Class)>,
}

/// A sink in memory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct FakeSink {
    state: Arc<Mutex<State>>,
    /// Whether acknowledgements flow; held back otherwise.
    flowing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    stored: Vec<Message>,
    handed_over: usize,
    open: usize,
}

impl FakeSink {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), flowing: watch::Sender::new(true) }
    }

    /// Behaves that way from now on.
    pub(crate) fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Holds acknowledgements back until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.flowing.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.flowing.send_replace(true);
    }

    /// What became durable in a topic, in order.
    pub(crate) fn stored(&self, topic: Topic) -> Vec<Message> {
        self.lock().stored.iter().filter(|message| message.topic == topic).cloned().collect()
    }

    /// How many messages came in, whatever became of them.
    pub(crate) fn handed_over(&self) -> usize {
        self.lock().handed_over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn take(&mut self, message: Message) -> Delivered {
        self.handed_over += 1;
        if let Some((text, class)) = self.faults.by_text
            && message.value.contains(text)
        {
            return Err(class);
        }
        if self.faults.topic.is_none_or(|topic| topic == message.topic) {
            if let Some(class) = self.faults.refuse {
                return Err(class);
            }
            match (&mut self.faults.first, self.faults.fail_ack) {
                (Some(0), class) => return Err(class.unwrap_or(Class::QueueFull)),
                (Some(left), _) => *left -= 1,
                (None, Some(class)) => return Err(class),
                (None, None) => {}
            }
        }
        self.stored.push(message);
        let offset = i64::try_from(self.stored.len()).unwrap() - 1;
        Ok(Kept::InKafka(Position { partition: 0, offset }))
    }
}

impl Sink for FakeSink {
    fn hand_over(&self, messages: Vec<Message>) -> BoxFuture<'static, Vec<Delivered>> {
        self.lock().open += 1;
        let (sink, mut flowing) = (self.clone(), self.flowing.subscribe());
        async move {
            let _ = flowing.wait_for(|flowing| *flowing).await;
            let mut state = sink.lock();
            state.open -= 1;
            messages.into_iter().map(|message| state.take(message)).collect()
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Standing> {
        let refused = self.lock().faults.refuse;
        let away = |class| Health::Away(format!("the fake is {class}"));
        async move { Standing { way: refused.map_or(Health::Good, away), spool: None } }.boxed()
    }

    fn flush(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>> {
        async move {
            while self.lock().open > 0 {
                if Instant::now() >= deadline {
                    return Err("some are left".to_owned());
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        .boxed()
    }
}
