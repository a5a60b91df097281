//! What a story takes place in: a Kafka with a collector before it, and mostly a relay behind it.

use std::ops::{Deref, DerefMut};

use clickmill_sdk_core::wire::{Record, Topic};

use crate::child::Folder;
use crate::kafka::{Kafka, Lying};
use crate::page::Page;
use crate::service::{Collector, Relay, Setup, WRITE_KEY};
use crate::until::{until, until_enough};

/// A Kafka with a collector before it.
#[derive(Debug)]
pub struct Edge {
    /// The collector.
    pub collector: Collector,
    /// The broker with this world's topics.
    pub kafka: Kafka,
    folder: Folder,
}

/// An edge with a relay behind it.
#[derive(Debug)]
pub struct World {
    /// The relay.
    pub relay: Relay,
    partitions: u32,
    origins: &'static str,
    settings: String,
    edge: Edge,
}

/// What a world is made of.
#[derive(Debug)]
pub struct WorldBuilder {
    partitions: u32,
    kafka: Option<Kafka>,
    setup: Setup,
    relay: String,
    folder: Folder,
}

impl WorldBuilder {
    /// Topics with this many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// This Kafka instead of the one that stories share.
    #[must_use]
    pub fn kafka(mut self, kafka: Kafka) -> Self {
        self.kafka = Some(kafka);
        self
    }

    /// Collector and relay serve the pages of these origins alone: a list as in their configuration.
    #[must_use]
    pub fn origins(mut self, origins: &'static str) -> Self {
        self.setup.origins = origins;
        self
    }

    /// Changes how the collector is set up; the folder is the story's own.
    #[must_use]
    pub fn set(mut self, change: impl FnOnce(&mut Setup, &Folder)) -> Self {
        change(&mut self.setup, &self.folder);
        self
    }

    /// Further lines of the relay's configuration.
    #[must_use]
    pub fn relay(mut self, settings: impl Into<String>) -> Self {
        self.relay = settings.into();
        self
    }

    /// The story's own folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Starts it.
    pub async fn start(self) -> World {
        let (origins, settings) = (self.setup.origins, self.relay.clone());
        let partitions = self.partitions;
        let edge = self.edge().await;
        let relay = Relay::start_with(&edge.kafka, &edge.folder, (origins, &settings)).await;
        World { relay, partitions, origins, settings, edge }
    }

    /// Starts it with a second relay beside the first, once each decides for some of four partitions, and
    /// these products are in stock.
    pub async fn two_relays(self, stock: &[(&str, i64)]) -> (World, Relay) {
        let world = self.partitions(4).start().await;
        world.kafka.stock(stock);
        let second = world.second_relay().await;
        world.is_shared_with(&second).await;
        (world, second)
    }

    /// Starts it without a relay.
    pub async fn edge(self) -> Edge {
        let Self { partitions, kafka, setup, folder, relay: _ } = self;
        let kafka = kafka.unwrap_or_else(|| Kafka::start(partitions));
        Edge { collector: Collector::start(&kafka, &folder, &setup).await, kafka, folder }
    }
}

impl World {
    /// A world to be set up.
    pub fn builder() -> WorldBuilder {
        let folder = Folder::new("story");
        WorldBuilder {
            partitions: 2,
            kafka: None,
            setup: Setup::default(),
            relay: String::new(),
            folder,
        }
    }

    /// A usual world.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A new visitor on a page of its site.
    pub fn page(&self) -> Page {
        Page::new((&self.collector.url, &self.relay.url), WRITE_KEY)
    }

    /// How many partitions its keyed topics have.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Another relay behind the same Kafka, set up like the first.
    pub async fn second_relay(&self) -> Relay {
        let settings = (self.origins, self.settings.as_str());
        Relay::start_with(&self.edge.kafka, &self.edge.folder, settings).await
    }

    /// Waits until both relays decide for some of the partitions, and together for all.
    pub async fn is_shared_with(&self, second: &Relay) {
        const PARTITIONS: &str = "clickmill_relay_partitions";
        let all = f64::from(self.partitions);
        until("both relays have partitions", || async {
            let one = self.relay.metric(PARTITIONS).await;
            let two = second.metric(PARTITIONS).await;
            (one > 0.0 && two > 0.0 && one + two == all).then_some(())
        })
        .await;
    }

    /// Starts the relay again, as it was.
    pub async fn restart_relay(&mut self) {
        self.relay.restart().await;
    }

    /// The enriched records, once there are that many.
    pub async fn enriched(&self, count: usize) -> Vec<Record> {
        until("enriched records", || async {
            let records = self.read(Topic::ClicksEnriched).await;
            (records.len() >= count).then_some(records)
        })
        .await
    }
}

/// A world is an edge and more: whatever can be asked of an edge can be asked of it.
impl Deref for World {
    type Target = Edge;

    fn deref(&self) -> &Edge {
        &self.edge
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Edge {
        &mut self.edge
    }
}

impl Edge {
    /// The story's own folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The write key of its site.
    pub fn write_key(&self) -> &'static str {
        WRITE_KEY
    }

    /// Another collector before the same Kafka.
    pub async fn second_collector(&self) -> Collector {
        Collector::start(&self.kafka, &self.folder, &Setup::default()).await
    }

    /// The records of a topic.
    ///
    /// # Panics
    /// When one is no record.
    pub async fn read(&self, topic: Topic) -> Vec<Record> {
        let records = self.kafka.records(topic).await;
        let read = |lying: &Lying| serde_json::from_str(&lying.value).expect("a record");
        records.iter().map(read).collect()
    }

    /// The ids in a topic, by the headers of its records.
    pub async fn ids(&self, topic: Topic) -> Vec<String> {
        let records = self.kafka.records(topic).await;
        records.iter().map(|record| record.headers["ce_id"].clone()).collect()
    }

    /// Checks that every delivery to this collector has one outcome, by its own books.
    ///
    /// # Panics
    /// When they do not balance.
    pub async fn every_delivery_has_one_outcome(&self) {
        let count = async |series| self.collector.metric(series).await as u64;
        until("deliveries = accepted + duplicate + rejected + retried", || async {
            let deliveries = count("clickmill_collector_deliveries_total").await;
            let outcomes = count("clickmill_collector_events_total").await;
            (deliveries > 0 && deliveries == outcomes).then_some(())
        })
        .await;
    }

    /// Checks that the collector's books balance: every delivery has one outcome, and what it
    /// counts as accepted lies in Kafka, and nothing else but what it could tell nobody of: who went
    /// before the answer has to send again, whatever became of the event.
    ///
    /// # Panics
    /// When they do not.
    pub async fn books_balance(&self) {
        self.every_delivery_has_one_outcome().await;
        // An event lies in Kafka before the collector has heard that it does.
        let count = async |outcome: &str| {
            let series = format!(r#"clickmill_collector_events_total{{outcome="{outcome}""#);
            self.collector.metric(&series).await as usize
        };
        let counts = || async {
            let kept = self.kafka.records(Topic::ClicksRaw).await.len();
            (count("accepted").await, kept, count("retry").await)
        };
        let what = "accepted, in Kafka, and told to send again";
        let is_even = |(accepted, kept, again): &(usize, usize, usize)| {
            (*accepted..=accepted + again).contains(kept)
        };
        until_enough(what, counts, is_even).await;
    }
}
