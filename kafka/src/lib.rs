//! librdkafka wired once: client defaults, producer, consumer, admin, error classes, statistics, headers.
//!
//! Knows Kafka and nothing above it: no clicks, no HTTP. Every client is made from a
//! [`KafkaConfig`], every failure carries a [`Class`] that says what the caller can do about it,
//! and nothing blocks without a stated wait.

mod admin;
mod config;
mod consumer;
mod context;
mod error;
mod headers;
mod placement;
mod producer;
mod statistics;
mod transaction;

pub use admin::{Admin, Creation, TopicSpec, TopicState};
pub use config::{KafkaConfig, Protocol, Secret, Security};
pub use consumer::{
    Commit, Ends, GroupConfig, GroupConsumer, Hooks, Isolation, Message, NextOffset, NoRebalance,
    PartitionReader, Reader, ReaderConfig, Rebalance, Revocation, Start, StartAt, Step,
    TopicPartition, committed,
};
pub use error::{Class, Error, Failure};
pub use headers::{CloudEvent, Headers, NotHeaders, SchemaId, names};
pub use placement::partition_of;
pub use producer::{Compression, Outcome, Outgoing, Pending, Position, Producer, ProducerConfig};
pub use statistics::{OnStatistics, PartitionLag, Statistics};
pub use transaction::{GroupMetadata, TransactionConfig, TransactionalProducer};
