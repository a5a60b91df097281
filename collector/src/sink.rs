//! The way out: a port with three members, Kafka behind it, and a fake that fails on purpose.

#[cfg(test)]
pub(crate) mod fake;
mod kafka;

use std::fmt;
use std::sync::Arc;

use clickmill_kafka::{Class, Headers, Position};
use clickmill_sdk_core::wire::Topic;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub(crate) use kafka::{KafkaSettings, KafkaSink};

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
    #[expect(dead_code, reason = "the spool comes behind this port")]
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

    /// Whether messages would get through now; the error is one clause for operators.
    fn probe(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Waits until all that was handed over has its outcome; says what is left at the deadline.
    fn flush(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>>;
}
