//! What waits while a partition is restored is more than what is read ahead: it is paused, and gone on
//! with where it was, whatever happens to it meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clickmill_kafka::{
    Admin, KafkaConfig, NextOffset, ProducerConfig, TopicPartition, TransactionConfig,
    TransactionalProducer,
};
use clickmill_streams::Runtime;
use clickmill_tests::Kafka;
use clickmill_tests::until::{PATIENCE, until, until_enough};
use tokio::time::{Instant, interval};

use crate::engine::Instance;

const KEYS: u64 = 200;
const PARTITIONS: u32 = 4;
/// A few records of a partition.
const READ_AHEAD_BYTES: usize = 500;
const ROUNDS: usize = 3;

/// A view of two topics, whose partitions are folded only while the gate is open.
struct Stage {
    kafka: Kafka,
    gate: Arc<AtomicBool>,
    restarts: Arc<AtomicU64>,
    stalls: Arc<AtomicU64>,
    instances: Vec<(String, Runtime)>,
    started: usize,
    /// What was put, and so must be said, of each key and topic, in this order.
    put: BTreeMap<(String, usize), Vec<u64>>,
    next: u64,
}

impl Stage {
    async fn new() -> Self {
        let kafka = Kafka::start(PARTITIONS);
        kafka.make(&["sums.left", "sums.right", "sums.said"], PARTITIONS, &[]).await;
        kafka.make(&["sums.view"], PARTITIONS, &[("cleanup.policy", "compact")]).await;
        Self {
            kafka,
            gate: Arc::default(),
            restarts: Arc::default(),
            stalls: Arc::default(),
            instances: Vec::new(),
            started: 0,
            put: BTreeMap::new(),
            next: 1,
        }
    }

    fn start(&mut self) {
        let name = format!("i{}", self.started);
        self.started += 1;
        let instance = Instance {
            name: &name,
            read_ahead_bytes_max: READ_AHEAD_BYTES,
            is_ready: Arc::clone(&self.gate),
            restarts: Arc::clone(&self.restarts),
            restored: Arc::default(),
            stalls: Arc::clone(&self.stalls),
        };
        let runtime = instance.start(&self.kafka);
        self.instances.push((name, runtime));
    }

    async fn stop(&mut self, which: usize) {
        let (_, mut runtime) = self.instances.remove(which);
        runtime.status().stop();
        runtime.ended().await.expect("it ends well");
    }

    /// One record more for each key in both topics, no two alike.
    fn put(&mut self) {
        for (source, topic) in ["sums.left", "sums.right"].into_iter().enumerate() {
            let mut records = Vec::new();
            for key in 0..KEYS {
                let key = format!("k{key}");
                records.push((key.clone(), Some(self.next.to_string())));
                self.put.entry((key, source)).or_default().push(self.next);
                self.next += 1;
            }
            self.kafka.put(topic, &records);
        }
    }

    /// Puts more until another partition is paused.
    async fn stalls(&mut self) {
        let before = self.stalls.load(Ordering::Acquire);
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = interval(Duration::from_millis(200));
        while self.stalls.load(Ordering::Acquire) == before {
            assert!(Instant::now() < deadline, "no partition is paused");
            self.put();
            ticks.tick().await;
        }
    }

    /// Puts an instance's producers out of action, so that its next commit fails and it begins again
    /// with what it has.
    async fn fence(&self, which: usize) {
        let id = format!("{}{}", self.kafka.prefix, self.instances[which].0);
        let kafka = KafkaConfig::plain(&self.kafka.bootstrap);
        tokio::task::spawn_blocking(move || {
            for turn in 0..2 {
                let config = TransactionConfig {
                    id: format!("{id}-{turn}"),
                    timeout_ms: 10_000,
                    marks: 0,
                    producer: ProducerConfig::default(),
                };
                let made = TransactionalProducer::connect(&kafka, &config, PATIENCE);
                made.expect("a producer").take_over(PATIENCE).expect("it takes over");
            }
        })
        .await
        .expect("it ends by itself");
    }

    /// Opens the gate, waits until all is said, and compares.
    async fn folds(&mut self) {
        self.gate.store(true, Ordering::Release);
        let wanted: usize = self.put.values().map(Vec::len).sum();
        let said = async || self.kafka.records_of("sums.said").await.len();
        until_enough("everything is folded", said, |said| *said >= wanted).await;
        let mut said = BTreeMap::<(String, usize), Vec<u64>>::new();
        for record in self.kafka.records_of("sums.said").await {
            let (source, value) = record.value.split_once(' ').expect("a source and a value");
            let at = (record.key.expect("a key"), source.parse().expect("a source"));
            said.entry(at).or_default().push(value.parse().expect("a value"));
        }
        assert_eq!(said.len(), self.put.len());
        for (at, values) in &self.put {
            assert_eq!(said.get(at), Some(values), "{at:?}");
        }
        self.gate.store(false, Ordering::Release);
    }

    async fn holds_the_sums(&self) {
        let mut states = BTreeMap::new();
        for state in self.kafka.records_of("sums.view").await {
            states.insert(state.key.expect("a key"), state.value);
        }
        let sum = |key: &String, source| -> u64 { self.put[&(key.clone(), source)].iter().sum() };
        states.remove("!task");
        assert_eq!(states.len(), KEYS as usize);
        for (key, state) in states {
            assert_eq!(state, format!("[{},{}]", sum(&key, 0), sum(&key, 1)), "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_read_ahead_is_folded_once_wherever_its_partition_goes_meanwhile() {
    let mut stage = Stage::new().await;
    stage.start();
    stage.stalls().await;
    stage.folds().await;
    for round in 0..ROUNDS {
        // Half of the partitions move, and wait at a closed gate, paused.
        stage.start();
        stage.stalls().await;
        // The others join them, since a commit fails; or they move on, or back.
        match round % 3 {
            0 => {
                let before = stage.restarts.load(Ordering::Acquire);
                stage.fence(0).await;
                stage.put();
                let restarts = Arc::clone(&stage.restarts);
                until("the view begins again", async || {
                    (restarts.load(Ordering::Acquire) > before).then_some(())
                })
                .await;
                stage.fence(1).await;
                stage.put();
            }
            1 => {
                stage.start();
                stage.stalls().await;
                stage.stop(1).await;
            }
            _ => {
                stage.stop(0).await;
                stage.stalls().await;
            }
        }
        stage.put();
        stage.folds().await;
        while stage.instances.len() > 1 {
            stage.stop(round % 2).await;
        }
        stage.put();
        stage.folds().await;
    }
    stage.stop(0).await;
    stage.holds_the_sums().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_first_records_are_gone_is_gone_on_with_after_a_pause() {
    let mut stage = Stage::new().await;
    stage.put();
    // Before anybody has read them.
    let at = |topic: &str, partition| TopicPartition {
        topic: format!("{}{topic}", stage.kafka.prefix),
        partition,
    };
    let mut gone = Vec::new();
    for topic in ["sums.left", "sums.right"] {
        for partition in 0..PARTITIONS.cast_signed() {
            gone.push(NextOffset { at: at(topic, partition), offset: 5 });
        }
    }
    let admin = Admin::new(&KafkaConfig::plain(&stage.kafka.bootstrap), PATIENCE);
    admin.expect("an admin").delete_before(&gone).await.expect("records are deleted");
    stage.put.clear();
    for (source, topic) in ["sums.left", "sums.right"].into_iter().enumerate() {
        for record in stage.kafka.records_of(topic).await {
            let at = (record.key.expect("a key"), source);
            stage.put.entry(at).or_default().push(record.value.parse().expect("a value"));
        }
    }
    assert!(stage.put.len() < 2 * KEYS as usize);
    stage.start();
    stage.stalls().await;
    stage.folds().await;
    assert_eq!(stage.restarts.load(Ordering::Acquire), 0);
    stage.stop(0).await;
}
