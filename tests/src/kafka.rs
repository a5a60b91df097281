//! Kafka as the stories see it: topics of their own on a real broker, and an independent eye on
//! what lies in them.

mod nodes;

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::time::{Duration, Instant};

use clickmill_kafka::{Admin, Creation, KafkaConfig, TopicSpec};
use clickmill_sdk_core::wire::{Product, Sku, Stock, StockBeat, ToJson, Topic};
use clickmill_xtask::kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use uuid::Uuid;

use crate::child::{Folder, built};
use crate::page::now;
use crate::until::{PATIENCE, until};

/// The tenant of all stories.
pub const TENANT: &str = "shop";

/// One record as it lies in Kafka.
#[derive(Clone, Debug)]
pub struct Lying {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When the broker or the producer dated it, ms.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<String>,
    /// Its value.
    pub value: String,
    /// Its headers.
    pub headers: HashMap<String, String>,
}

/// A real Kafka, shared or of one's own, with topics under a prefix of one's own.
#[derive(Debug)]
pub struct Kafka {
    /// Its address.
    pub bootstrap: String,
    /// The address that services are given: another one where a wire lies between.
    pub services: String,
    /// What this story's topic names begin with.
    pub prefix: String,
    /// The nodes of one's own; none where it is shared.
    nodes: Vec<Broker>,
    /// Where their data lies: it goes after them.
    _folder: Option<Folder>,
}

impl Kafka {
    /// Takes the broker that `cargo xtask test` started, or starts one, and creates the topics of
    /// the contract files.
    ///
    /// # Panics
    /// When no broker can be had.
    pub fn start(partitions: u32) -> Self {
        match std::env::var("CLICKMILL_TEST_KAFKA") {
            Ok(bootstrap) => Self::of(bootstrap, Vec::new(), None).apply(partitions, 1),
            Err(_) => Self::alone(partitions, &[]),
        }
    }

    fn of(bootstrap: String, nodes: Vec<Broker>, folder: Option<Folder>) -> Self {
        let prefix = format!("t{}.", Uuid::now_v7().simple());
        Self { services: bootstrap.clone(), bootstrap, prefix, nodes, _folder: folder }
    }

    /// Creates this story's topics by the catalogue's own program.
    fn apply(self, partitions: u32, replication: usize) -> Self {
        let contracts =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/contracts").to_owned();
        let output = Command::new(built("clickmill-catalog"))
            .args(["apply", "--bootstrap", &self.bootstrap, "--topic-prefix", &self.prefix])
            .args(["--contracts", &contracts, "--replication", &replication.to_string()])
            .args(["--partitions", &partitions.to_string()])
            .output()
            .expect("the catalogue's program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self
    }

    /// The full name of a topic of this story.
    pub fn topic(&self, topic: Topic) -> String {
        topic.name(&self.prefix)
    }

    /// Publishes products named by their numbers, each with this many pieces in stock.
    ///
    /// # Panics
    /// When the broker does not take them.
    pub fn stock(&self, products: &[(&str, i64)]) {
        let producer = self.producer();
        for (sku, available) in products {
            let key = format!("{TENANT}:{sku}");
            let sku = Sku::parse(*sku).expect("a product number");
            let product = Product {
                name: format!("Product {sku}"),
                category: "things".into(),
                price_cents: 1999,
                currency: "GBP".into(),
                url: format!("/p/{sku}"),
                image: None,
                sku: sku.clone(),
            };
            let stock = Stock { sku, available: *available, at: now(), source: None };
            for (topic, value) in
                [(Topic::Products, product.to_json()), (Topic::Stock, stock.to_json())]
            {
                let topic = self.topic(topic);
                let record = BaseRecord::to(&topic).key(&key).payload(&value);
                producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
            }
        }
        producer.flush(PATIENCE).expect("all records arrive");
    }

    /// The system that tells stock levels.
    pub fn levels(&self) -> Levels {
        Levels { producer: self.producer(), topic: self.topic(Topic::Stock) }
    }

    /// Makes topics of any name under this story's prefix, named without it, on every node of a cluster
    /// of one's own.
    ///
    /// # Panics
    /// When the broker does not do it.
    pub async fn make(&self, topics: &[&str], partitions: u32, settings: &[(&str, &str)]) {
        let config = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let config: std::collections::BTreeMap<String, String> = config.collect();
        let replication = self.nodes.len().max(1).try_into().expect("a few");
        let spec = |topic: &&str| TopicSpec {
            name: format!("{}{topic}", self.prefix),
            partitions,
            replication,
            config: config.clone(),
        };
        let specs: Vec<TopicSpec> = topics.iter().map(spec).collect();
        for made in self.admin().create(&specs).await.expect("topics are made") {
            assert!(matches!(made, Creation::Made), "{made:?}");
        }
    }

    /// Writes records to a topic under this story's prefix, and waits until they have arrived: key
    /// and value, none for a tombstone.
    ///
    /// # Panics
    /// When the broker does not take them.
    pub fn put(&self, topic: &str, records: &[(String, Option<String>)]) {
        let (producer, topic) = (self.producer(), format!("{}{topic}", self.prefix));
        for (key, value) in records {
            let mut record = BaseRecord::<str, str>::to(&topic).key(key);
            record.payload = value.as_deref();
            producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
        }
        producer.flush(PATIENCE).expect("all records arrive");
    }

    /// Takes a topic away and makes it anew, empty, under the same name.
    ///
    /// # Panics
    /// When the broker does not do it.
    pub async fn remake(&self, topic: Topic, partitions: u32) {
        let (name, admin) = (self.topic(topic), self.admin());
        let deleting: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .expect("an admin client");
        let deleted = deleting.delete_topics(&[&name], &AdminOptions::new()).await;
        let deleted = deleted.expect("an answer").pop().expect("an outcome");
        deleted.expect("the topic is taken away");
        let spec = TopicSpec { name, partitions, replication: 1, config: [].into() };
        // The name is free only once all of the old topic is gone.
        until("the topic is there again", || async {
            let made = admin.create(std::slice::from_ref(&spec)).await.ok()?.pop()?;
            matches!(made, Creation::Made).then_some(())
        })
        .await;
    }

    /// Adds partitions to a topic, up to that many.
    ///
    /// # Panics
    /// When the broker does not do it.
    pub async fn add_partitions(&self, topic: Topic, partitions: u32) {
        self.add_partitions_to(topic.as_str(), partitions).await;
    }

    /// The same for any topic under this story's prefix.
    ///
    /// # Panics
    /// When the broker does not do it.
    pub async fn add_partitions_to(&self, topic: &str, partitions: u32) {
        let topic = format!("{}{topic}", self.prefix);
        let added = self.admin().increase_partitions(&topic, partitions).await;
        added.expect("partitions are added");
    }

    /// Whether there is a topic of that name under this story's prefix.
    ///
    /// # Panics
    /// When the broker does not tell.
    pub async fn has(&self, topic: &str) -> bool {
        let topic = format!("{}{topic}", self.prefix);
        self.admin().partitions(&topic).await.expect("an answer").is_some()
    }

    fn admin(&self) -> Admin {
        Admin::new(&KafkaConfig::plain(&self.bootstrap), PATIENCE).expect("an admin client")
    }

    /// A raw librdkafka producer, set as the collector's own.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn producer(&self) -> ThreadedProducer<DefaultProducerContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "1")
            .create()
            .expect("a producer")
    }

    /// How many records were ever written to each partition of a topic, by the broker's own account.
    ///
    /// # Panics
    /// When the broker does not tell.
    pub fn ends(&self, topic: Topic) -> Vec<(i32, i64)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .expect("a consumer");
        let topic = self.topic(topic);
        let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE).expect("the metadata");
        let partitions = metadata.topics()[0].partitions().iter();
        let end = |partition: i32| consumer.fetch_watermarks(&topic, partition, PATIENCE);
        partitions.map(|p| (p.id(), end(p.id()).expect("the topic's ends").1)).collect()
    }

    /// All records of a topic, read from its beginning to its present end.
    ///
    /// # Panics
    /// When the topic cannot be read.
    pub async fn records(&self, topic: Topic) -> Vec<Lying> {
        self.records_of(topic.as_str()).await
    }

    /// All records of any topic under this story's prefix, named without it; none while there is no
    /// such topic.
    ///
    /// # Panics
    /// When the topic cannot be read.
    pub async fn records_of(&self, topic: &str) -> Vec<Lying> {
        let (bootstrap, topic) = (self.bootstrap.clone(), format!("{}{topic}", self.prefix));
        tokio::task::spawn_blocking(move || read_all(&bootstrap, &topic))
            .await
            .expect("the reader ends by itself")
    }
}

/// A system that tells stock levels.
pub struct Levels {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Levels {
    /// Says how much there is of a product; does not wait for it to arrive.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn say(&self, sku: &str, available: i64) {
        let key = format!("{TENANT}:{sku}");
        let sku = Sku::parse(sku).expect("a product number");
        let value = Stock { sku, available, at: now(), source: None }.to_json();
        let record = BaseRecord::to(&self.topic).key(&key).payload(&value);
        self.producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
    }

    /// Says to every partition that all is as it was said.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn beat(&self, partitions: i32) {
        let (key, value) = (format!("{TENANT}!"), StockBeat { at: now() }.to_json());
        for partition in 0..partitions {
            let record = BaseRecord::to(&self.topic).key(&key).payload(&value);
            let sent = self.producer.send(record.partition(partition));
            sent.map_err(|(error, _)| error).expect("a record is taken");
        }
    }
}

impl Drop for Levels {
    /// What was said arrives.
    fn drop(&mut self) {
        let _ = self.producer.flush(PATIENCE);
    }
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Levels").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// How a consumer reads what is committed, for itself: it belongs to no group and keeps no offsets.
pub fn reads_committed(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    config
}

/// Reads a whole topic with a consumer that belongs to no group: every record that is committed by
/// now, since a partition ends where the first open transaction begins.
fn read_all(bootstrap: &str, topic: &str) -> Vec<Lying> {
    let consumer: BaseConsumer = reads_committed(bootstrap)
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the topic's metadata");
    let (mut open, mut list) = (HashSet::new(), TopicPartitionList::new());
    for partition in metadata.topics()[0].partitions() {
        open.insert(partition.id());
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE * 4);
    while !open.is_empty() {
        assert!(Instant::now() < deadline, "{topic} could not be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => records.push(lying(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // Brokers that are killed come back while the story reads.
            Some(Err(error)) => eprintln!("reading {topic}: {error}"),
        }
    }
    records
}

fn lying(message: &BorrowedMessage<'_>) -> Lying {
    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
    let headers = message.headers().map(|headers| {
        let pair = |h: rdkafka::message::Header<'_, &[u8]>| {
            (h.key.to_owned(), text(h.value).unwrap_or_default())
        };
        headers.iter().map(pair).collect()
    });
    Lying {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: text(message.key()),
        value: text(message.payload()).unwrap_or_default(),
        headers: headers.unwrap_or_default(),
    }
}
