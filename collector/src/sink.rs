//! The way out: a port with three members, Kafka behind it, and a fake that fails on purpose.

#[cfg(test)]
pub(crate) mod fake;
mod kafka;
mod spooling;

use std::fmt;
use std::sync::Arc;

use clickmill_kafka::{Class, Headers, Position};
use clickmill_sdk_core::wire::Topic;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub(crate) use kafka::{KafkaSettings, KafkaSink};
pub(crate) use spooling::Spooling;

/// What is to be made durable.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Where it goes.
    pub(crate) topic: Topic,
    /// What keeps it in order with others; none if nothing does.
    pub(crate) key: Option<Arc<str>>,
    /// The record or dead letter as JSON.
    pub(crate) value: String,
    /// CloudEvents attributes and trace.
    pub(crate) headers: Headers,
}

/// Where a message is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In Kafka, on all in-sync replicas.
    InKafka(Position),
    /// On this machine's disk, on its way to Kafka.
    InSpool,
}

/// Where a message is durable, or what can be done about it.
pub(crate) type Delivered = Result<Kept, Class>;

/// Takes messages and says when they are durable.
pub(crate) trait Sink: fmt::Debug + Send + Sync {
    /// Takes messages in their order, at once and without waiting. The future yields what became of
    /// each, in the same order, and resolves by itself within a bounded time. Messages go their way
    /// whether or not it is awaited. When one finds no room, those behind it find none either.
    fn hand_over(&self, messages: Vec<Message>) -> BoxFuture<'static, Vec<Delivered>>;

    /// Whether messages would get through now.
    fn probe(&self) -> BoxFuture<'_, Standing>;

    /// Waits until all that was handed over has its outcome; says what is left at the deadline.
    fn flush(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>>;
}

/// How things stand on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether what is handed over now finds its way.
    pub(crate) way: Health,
    /// Whether the spool has room, if there is a spool.
    pub(crate) spool: Option<Health>,
}

/// Whether something works. The words are one clause for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    /// It does not, for now, and the collector can do without.
    Bearable(String),
    /// It does not, and events may be `retry`; it may pass by itself.
    Away(String),
    /// It does not until somebody mends the set-up.
    Broken(String),
}

/// The way to Kafka as the spool needs it: it keeps the messages, and asks at any time what became of
/// them.
pub(crate) trait Line: Sink {
    /// Takes messages in their order, at once and without waiting, as [`Sink::hand_over`] does.
    fn send(&self, messages: &[&Message]) -> Box<dyn Underway>;
}

/// Messages that are underway on a [`Line`].
pub(crate) trait Underway: fmt::Debug + Send + Sync {
    /// Waits until each has its final outcome, within a bounded time. At most one waits at a time.
    fn wait(&self) -> BoxFuture<'_, ()>;

    /// Whether each has its final outcome.
    fn is_settled(&self) -> bool;

    /// Whether one has failed already.
    fn has_failed(&self) -> bool;

    /// The outcomes that are there, in the order of the messages.
    fn so_far(&self) -> Vec<Option<Delivered>>;
}
