//! The sink to Kafka: topic names, the producer, and a new producer when one is beyond repair.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clickmill_kafka::{
    Class, Error, Failure, KafkaConfig, Outcome, Outgoing, Pending, Producer, ProducerConfig,
    Statistics,
};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::metrics::Metrics;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Delivered, Health, Kept, Line, Message, Sink, Standing, Underway};
use crate::metrics::KafkaMetrics;

/// How long the question for a topic's partitions may take.
const PROBE_WAIT: Duration = Duration::from_secs(3);

/// What a producer is made from.
#[derive(Clone, Debug)]
pub(crate) struct KafkaSettings {
    pub(crate) kafka: KafkaConfig,
    pub(crate) producer: ProducerConfig,
    pub(crate) topic_prefix: String,
}

/// Kafka behind the port.
#[derive(Debug)]
pub(crate) struct KafkaSink {
    settings: KafkaSettings,
    metrics: Metrics,
    producer: ArcSwap<Producer>,
    /// The topics' full names, in the order of [`Topic::ALL`].
    names: Vec<String>,
}

impl KafkaSink {
    /// Makes the producer; does not wait for a broker.
    pub(crate) fn new(settings: KafkaSettings, metrics: Metrics) -> Result<Self, Error> {
        let producer = produce_with(&settings, &metrics)?;
        Ok(Self {
            names: Topic::ALL.map(|topic| topic.name(&settings.topic_prefix)).into(),
            producer: ArcSwap::from_pointee(producer),
            settings,
            metrics,
        })
    }

    fn topic(&self, topic: Topic) -> &str {
        // `Topic::ALL` is in the order of its variants.
        self.names.get(topic as usize).map_or(topic.as_str(), String::as_str)
    }

    fn enqueue<'a>(&self, messages: impl ExactSizeIterator<Item = &'a Message>) -> Pending {
        self.producer.load().enqueue(messages.map(|message| Outgoing {
            topic: self.topic(message.topic),
            key: message.key.as_deref().map(str::as_bytes),
            value: Some(message.value.as_bytes()),
            headers: Some(&message.headers),
            ..Outgoing::default()
        }))
    }

    async fn health(&self) -> Health {
        if let Err(why) = self.replace_if_dead() {
            return Health::Away(why);
        }
        let producer = self.producer.load_full();
        for topic in [Topic::ClicksRaw, Topic::ClicksRejected] {
            if let Err(error) = producer.partitions(self.topic(topic), PROBE_WAIT).await {
                let broken = error.class() == Class::Refused;
                let why = error.to_string();
                return if broken { Health::Broken(why) } else { Health::Away(why) };
            }
        }
        Health::Good
    }

    /// Replaces a producer that can send nothing any more. Its messages have failed, so none of
    /// them can come after what the new one sends.
    fn replace_if_dead(&self) -> Result<(), String> {
        let Some(reason) = self.producer.load().fatal_error() else { return Ok(()) };
        tracing::warn!(reason, "the Kafka producer is beyond repair; making a new one");
        let producer =
            produce_with(&self.settings, &self.metrics).map_err(|error| error.to_string())?;
        self.producer.store(Arc::new(producer));
        Ok(())
    }
}

impl Sink for KafkaSink {
    fn hand_over(&self, messages: Vec<Message>) -> BoxFuture<'static, Vec<Delivered>> {
        let pending = self.enqueue(messages.iter());
        async move { pending.settled().await.into_iter().map(delivered).collect() }.boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Standing> {
        async move { Standing { way: self.health().await, spool: None } }.boxed()
    }

    fn flush(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let producer = self.producer.load_full();
            producer.flush(deadline).await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

impl Line for KafkaSink {
    fn send(&self, messages: &[&Message]) -> Box<dyn Underway> {
        Box::new(self.enqueue(messages.iter().copied()))
    }
}

impl Underway for Pending {
    fn wait(&self) -> BoxFuture<'_, ()> {
        Self::wait(self).boxed()
    }

    fn is_settled(&self) -> bool {
        Self::is_settled(self) || self.is_over()
    }

    fn has_failed(&self) -> bool {
        Self::has_failed(self)
    }

    fn so_far(&self) -> Vec<Option<Delivered>> {
        let over = self.is_over().then_some(Err(Class::TimedOut));
        Self::so_far(self).into_iter().map(|outcome| outcome.map(delivered).or(over)).collect()
    }
}

fn delivered(outcome: Outcome) -> Delivered {
    outcome.map(Kept::InKafka).map_err(|failure: Failure| failure.class)
}

fn produce_with(settings: &KafkaSettings, metrics: &Metrics) -> Result<Producer, Error> {
    let gauges = KafkaMetrics::new(metrics);
    let on_statistics = Box::new(move |statistics: &Statistics| gauges.show(statistics));
    Producer::new(&settings.kafka, &settings.producer, Some(on_statistics))
}
