//! What views are built of, on a real Kafka: keys that are woken, topics side by side.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clickmill_kafka::{GroupConfig, KafkaConfig, ProducerConfig, TransactionConfig};
use clickmill_sdk_core::wire::Topic;
use clickmill_streams::{
    Around, At, Bounds, Due, Meters, Pacing, Parts, Poison, Produce, Purge, READ_AHEAD_BYTES_MAX,
    Raw, Runtime, RuntimeConfig, Sink, View, app,
};
use clickmill_tests::child::Program;
use clickmill_tests::page::now;
use clickmill_tests::reference::newest;
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Folder, Kafka};
use metrics::Counter;
use serde_json::Value;

const MINUTE_MS: u64 = 60 * 1000;

/// Starts an example as a program of its own.
pub(crate) fn example(name: &'static str, kafka: &Kafka, folder: &Folder) -> Program {
    instance_of(name, "1", kafka, folder)
}

/// Starts one of several instances of an example.
fn instance_of(name: &'static str, instance: &str, kafka: &Kafka, folder: &Folder) -> Program {
    let arguments = HashMap::from([
        ("--dev", format!("--bootstrap={}", kafka.bootstrap)),
        ("--prefix", kafka.prefix.clone()),
        ("--instance", instance.to_owned()),
        ("--state", folder.path().join(format!("state-{instance}")).display().to_string()),
    ]);
    Program::spawn(name, &arguments, &folder.path().join("example.log"), None)
}

/// Some clicks of each of these visitors at once.
fn clicks(visitors: &[String], at_ms: u64, count: u64) -> Vec<(String, Option<String>)> {
    let click = |visitor: &String, n| {
        (visitor.clone(), Some(format!(r#"{{"time":{},"props":{{}}}}"#, at_ms + n)))
    };
    visitors.iter().flat_map(|visitor| (0..count).map(move |n| click(visitor, n))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_visit_ends_once_though_the_view_is_killed() {
    const RAW: &str = "web.clicks.raw.pii.v1";
    let (kafka, folder) = (Kafka::start(3), Folder::new("visits"));
    let visitors: Vec<String> = (0..40).map(|n| format!("shop:v{n}")).collect();
    let began = now().0 - 600 * MINUTE_MS;
    let ended = async || match kafka.has("visits.ended").await {
        true => kafka.records_of("visits.ended").await,
        false => Vec::new(),
    };

    let mut own = example("examples/ended_visits", &kafka, &folder);
    // Three clicks, an hour's rest that ends the visit, two more: the first records of the second
    // visits end the first visits.
    kafka.put(RAW, &clicks(&visitors, began, 3));
    until("the view goes", async || {
        kafka.has("visits.view").await.then_some(())?;
        let states = kafka.records_of("visits.view").await;
        states.iter().any(|state| state.value.contains("clicks")).then_some(())
    })
    .await;
    own.kill();
    kafka.put(RAW, &clicks(&visitors, began + 60 * MINUTE_MS, 2));
    let mut own = example("examples/ended_visits", &kafka, &folder);
    until_enough("first visits have ended", async || ended().await.len(), |n| *n > 5).await;
    own.kill();
    // And at last one that ends all second visits, and stays.
    kafka.put(RAW, &clicks(&visitors, began + 300 * MINUTE_MS, 1));
    let mut own = example("examples/ended_visits", &kafka, &folder);
    let wanted = 2 * visitors.len();
    until_enough("all visits have ended", async || ended().await.len(), |n| *n >= wanted).await;
    // One click more in each partition: had a visit not been closed for good, it would end again.
    kafka.put(RAW, &clicks(&visitors, began + 301 * MINUTE_MS, 1));
    until("all is folded", async || {
        let mut newest = BTreeMap::new();
        for state in kafka.records_of("visits.view").await {
            newest.insert(state.key, state.value);
        }
        let twice = newest.values().filter(|state| state.contains(r#""clicks":2"#)).count();
        (twice == visitors.len()).then_some(())
    })
    .await;
    assert!(own.stop().await.success());

    let mut visits = BTreeMap::<String, Vec<u64>>::new();
    for record in ended().await {
        let visit: Value = serde_json::from_str(&record.value).expect("a visit");
        visits
            .entry(record.key.expect("a key"))
            .or_default()
            .push(visit["clicks"].as_u64().expect("a count"));
    }
    assert_eq!(visits.len(), visitors.len());
    assert!(visits.values().all(|clicks| clicks == &[3, 2]), "{visits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_basket_that_is_left_is_told_once_while_no_record_comes_and_the_view_is_killed() {
    const LEFT_MS: u64 = 30 * MINUTE_MS;
    const BASKETS: u64 = 60;
    /// From the first basket that is left to the last one: on a busy machine a program takes its time
    /// to come back, and some must be left after that.
    const SPREAD_MS: u64 = 20_000;
    let (kafka, folder) = (Kafka::start(3), Folder::new("baskets"));
    let told = async || match kafka.has("baskets.left").await {
        true => kafka.records_of("baskets.left").await,
        false => Vec::new(),
    };
    let mut own = instance_of("examples/left_baskets", "1", &kafka, &folder);
    until("all partitions are live", async || {
        kafka.has("baskets.view").await.then_some(())?;
        (kafka.records_of("baskets.view").await.len() >= 3).then_some(())
    })
    .await;
    // All that ever comes. The first baskets are left in a moment.
    let begins = now().0 + 2_000 - LEFT_MS;
    let event = |n: u64, kind: &str| {
        let value = format!(r#"{{"time":{},"type":"{kind}"}}"#, begins + n * SPREAD_MS / BASKETS);
        (format!("shop:v{n}"), Some(value))
    };
    let mut events: Vec<_> = (0..BASKETS + 5).map(|n| event(n, "basket_add")).collect();
    events.extend((BASKETS..BASKETS + 5).map(|n| event(n, "order")));
    kafka.put(Topic::ClicksRaw.as_str(), &events);
    let written = kafka.ends(Topic::ClicksRaw);

    let at_least = async |count: usize| {
        until_enough("baskets are told of", async || told().await.len(), |n| *n >= count).await
    };
    at_least(5).await;
    own.kill();
    // It comes back, and another one takes over once it is gone for good.
    let mut own = instance_of("examples/left_baskets", "1", &kafka, &folder);
    let before = at_least(20).await;
    own.kill();
    assert!(before < BASKETS as usize, "all was told of before it was killed");
    let mut other = instance_of("examples/left_baskets", "2", &kafka, &folder);
    at_least(BASKETS as usize).await;
    until("nobody is remembered", async || {
        newest(kafka.records_of("baskets.view").await).is_empty().then_some(())
    })
    .await;
    assert!(other.stop().await.success());

    let mut keys: Vec<_> = told().await.into_iter().filter_map(|record| record.key).collect();
    keys.sort_unstable();
    let mut wanted: Vec<_> = (0..BASKETS).map(|n| format!("shop:v{n}")).collect();
    wanted.sort_unstable();
    assert_eq!(keys, wanted, "once each");
    assert_eq!(kafka.ends(Topic::ClicksRaw), written, "no record came meanwhile");
}

/// What a fold panics at.
const CURSED: u64 = 666_666;

/// The sum of what the first topic says at which a key is woken, in vain.
const UNWAKEABLE: u64 = 777_777;

/// The sum at which a key is woken, and what it says then makes the sink panic.
const UNSAYABLE: u64 = 555_555;

/// The sum at which a key is woken when the second topic says, ms, and has nothing to say.
const SILENT: u64 = 888_888;

/// Sums what two topics say of a key, apart from each other.
struct Sums;

impl View for Sums {
    const WAKES: bool = true;
    type Input = (usize, u64);
    type State = [u64; 2];
    type Tables = ();
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<(usize, u64), Poison> {
        let text = String::from_utf8_lossy(raw.value.unwrap_or_default());
        Ok((raw.source, text.parse().map_err(Poison::malformed)?))
    }

    fn time_ms(&self, _: &(usize, u64)) -> u64 {
        1
    }

    fn fold(
        &self,
        sums: &mut [u64; 2],
        (source, more): (usize, u64),
        around: &Around<'_, ()>,
    ) -> Vec<Produce> {
        assert!(more != CURSED, "no view should do this");
        sums[source] += more;
        let key = around.key.unwrap_or_default().to_vec();
        vec![app::output(&"sums.said".into(), key, Some(format!("{source} {more}").into_bytes()))]
    }

    fn due(&self, sums: &[u64; 2]) -> Option<Due> {
        match *sums {
            [UNWAKEABLE | UNSAYABLE, _] => Some(Due::Wall(0)),
            [SILENT, at_ms] if at_ms > 0 => Some(Due::Wall(at_ms)),
            _ => None,
        }
    }

    fn wake(&self, sums: &mut [u64; 2], around: &Around<'_, ()>) -> Vec<Produce> {
        let key = around.key.unwrap_or_default().to_vec();
        match std::mem::take(&mut sums[0]) {
            SILENT => Vec::new(),
            UNSAYABLE => vec![app::output(&"sums.said".into(), key, None)],
            _ => panic!("no view should do this"),
        }
    }
}

struct Said(String);

impl Sink<Produce> for Said {
    fn assigned(&self, _: u32) {}
    fn opened(&self, _: u32, _: u64) {}
    fn closed(&self, _: u32) {}

    fn live(&self, _: At, mut outputs: Vec<Produce>) -> Vec<Produce> {
        for output in &mut outputs {
            assert!(output.value.is_some(), "no sink should do this");
            output.topic = format!("{}{}", self.0, output.topic).into();
        }
        outputs
    }

    fn poisoned(&self, at: At, _: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce> {
        assert!(poison.reason.ends_with("_panicked"), "{}: {poison}", at.place);
        let topic = format!("{}sums.said", self.0).into();
        Some(app::output(&topic, b"poison".to_vec(), Some(poison.reason.into())))
    }
}

/// An instance of the view in this process.
pub(crate) struct Instance<'a> {
    pub(crate) name: &'a str,
    pub(crate) read_ahead_bytes_max: usize,
    /// Whether partitions that were restored may be folded.
    pub(crate) is_ready: Arc<AtomicBool>,
    /// How often it began anew.
    pub(crate) restarts: Arc<AtomicU64>,
    /// How many records of the changelog it has read back.
    pub(crate) restored: Arc<AtomicU64>,
    /// How often a partition was paused.
    pub(crate) stalls: Arc<AtomicU64>,
}

/// Starts one that reads ahead as far as any; counts how often it began anew.
fn sums(kafka: &Kafka, name: &str, restarts: &Arc<AtomicU64>) -> Runtime {
    instance(name, restarts).start(kafka)
}

fn instance<'a>(name: &'a str, restarts: &Arc<AtomicU64>) -> Instance<'a> {
    Instance {
        name,
        read_ahead_bytes_max: READ_AHEAD_BYTES_MAX,
        is_ready: Arc::new(AtomicBool::new(true)),
        restarts: Arc::clone(restarts),
        restored: Arc::default(),
        stalls: Arc::default(),
    }
}

impl Instance<'_> {
    /// Starts it.
    pub(crate) fn start(self, kafka: &Kafka) -> Runtime {
        let config = self.config(kafka);
        self.start_as(config, kafka)
    }

    fn config(&self, kafka: &Kafka) -> RuntimeConfig {
        let full = |topic: &str| format!("{}{topic}", kafka.prefix);
        RuntimeConfig {
            name: "sums",
            kafka: KafkaConfig::plain(&kafka.bootstrap),
            group: GroupConfig { session_timeout_ms: 6_000, ..GroupConfig::new(full("sums")) },
            topic: full("sums.left"),
            siblings: vec![full("sums.right")],
            purge: Some(Purge {
                topics: vec![full("sums.right")],
                every: Duration::from_millis(100),
            }),
            until: None,
            changelog: full("sums.view"),
            advert: None,
            transaction: TransactionConfig {
                id: full(self.name),
                timeout_ms: 10_000,
                marks: 8,
                producer: ProducerConfig::default(),
            },
            pacing: Pacing::default(),
            state_folder: None,
            write_every: Duration::from_secs(10),
            tombstones_kept: Duration::from_secs(3_600),
            restores_max: 2,
            read_ahead_bytes_max: self.read_ahead_bytes_max,
            bounds: Bounds::default(),
            finish_max: Duration::from_secs(5),
        }
    }

    fn start_as(self, config: RuntimeConfig, kafka: &Kafka) -> Runtime {
        let Self { is_ready, restarts, restored, stalls, .. } = self;
        let parts = Parts {
            view: Sums,
            tables: (),
            is_ready: Box::new(move || is_ready.load(Ordering::Acquire)),
            sink: Arc::new(Said(kafka.prefix.clone())),
            now_ms: Box::new(|| now().0),
            meters: Meters {
                restarts: Counter::from_arc(restarts),
                restored: Counter::from_arc(restored),
                stalls: Counter::from_arc(stalls),
                ..Meters::noop()
            },
            on_statistics: None,
        };
        Runtime::start(config, parts).expect("a runtime").0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_side_by_side_are_folded_once_while_instances_come_and_go() {
    const KEYS: u64 = 50;
    const ROUNDS: u64 = 8;
    let kafka = Kafka::start(4);
    kafka.make(&["sums.left", "sums.right", "sums.said"], 4, &[]).await;
    kafka.make(&["sums.view"], 4, &[("cleanup.policy", "compact")]).await;
    let restarts = Arc::default();
    let mut instances = vec![sums(&kafka, "one", &restarts)];
    for round in 0..ROUNDS {
        let records = |more: u64| -> Vec<_> {
            let record = |key| (format!("k{key}"), Some((more + round).to_string()));
            (0..KEYS).map(record).collect()
        };
        kafka.put("sums.left", &records(1));
        kafka.put("sums.right", &records(1_000));
        match round {
            2 => instances.push(sums(&kafka, "two", &restarts)),
            4 => {
                let mut first = instances.remove(0);
                first.status().stop();
                first.ended().await.expect("it ends well");
            }
            6 => instances.push(sums(&kafka, "three", &restarts)),
            _ => {}
        }
    }
    let wanted = (2 * KEYS * ROUNDS) as usize;
    let said = async || kafka.records_of("sums.said").await.len();
    until_enough("everything was folded", said, |n| *n >= wanted).await;
    for mut instance in instances {
        instance.status().stop();
        instance.ended().await.expect("it ends well");
    }
    assert_eq!(said().await, wanted, "once");
    // What was folded of the topic that nobody else reads is deleted, and of the other one nothing.
    assert_eq!(kafka.records_of("sums.left").await.len(), wanted / 2);
    assert!(kafka.records_of("sums.right").await.len() < wanted / 2);
    let mut states = BTreeMap::new();
    for state in kafka.records_of("sums.view").await {
        states.insert(state.key.expect("a key"), state.value);
    }
    states.remove("!task");
    let rounds: u64 = (0..ROUNDS).sum();
    let sums = format!("[{},{}]", ROUNDS + rounds, 1_000 * ROUNDS + rounds);
    assert_eq!(states.len(), KEYS as usize);
    assert!(states.values().all(|state| *state == sums), "{sums} and not {states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_fold_panics_is_poison_and_costs_nothing_else() {
    let kafka = Kafka::start(2);
    kafka.make(&["sums.left", "sums.right", "sums.said"], 2, &[]).await;
    kafka.make(&["sums.view"], 2, &[("cleanup.policy", "compact")]).await;
    let restarts = Arc::default();
    let mut runtime = sums(&kafka, "one", &restarts);
    let record = |key: u64, more: u64| (format!("k{key}"), Some(more.to_string()));
    for round in 1..=5 {
        kafka.put("sums.left", &(0..20).map(|key| record(key, round)).collect::<Vec<_>>());
        if round % 2 == 0 {
            kafka.put("sums.left", &[record(round, CURSED)]);
        }
    }
    let said = async || kafka.records_of("sums.said").await;
    until_enough("all are folded", async || said().await.len(), |n| *n >= 102).await;
    let all = said().await;
    let of = |key: &str| -> Vec<&str> {
        let all = all.iter().filter(|record| record.key.as_deref() == Some(key));
        all.map(|record| record.value.as_str()).collect()
    };
    assert_eq!(all.len(), 102);
    assert_eq!(of("poison"), ["fold_panicked"; 2]);
    assert_eq!(of("k2"), ["0 1", "0 2", "0 3", "0 4", "0 5"]);
    assert!((1..=2).contains(&restarts.load(Ordering::Relaxed)), "{restarts:?}");
    runtime.status().stop();
    runtime.ended().await.expect("it ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn states_on_the_disk_are_made_anew_where_the_changelog_is_another_one_however_long() {
    let (kafka, folder) = (Kafka::start(1), Folder::new("another"));
    kafka.make(&["sums.left", "sums.right", "sums.said"], 1, &[]).await;
    kafka.make(&["sums.view", "sums.again"], 1, &[("cleanup.policy", "compact")]).await;
    let (restarts, restored) = (Arc::default(), Arc::<AtomicU64>::default());
    let start = |name: &'static str, changelog: &str| {
        let restored = Arc::clone(&restored);
        let instance = Instance { restored, ..instance(name, &restarts) };
        // The second one knows nothing but its changelog.
        let state_folder = (name == "one").then(|| folder.path().join("state"));
        let changelog = format!("{}{changelog}", kafka.prefix);
        let config = RuntimeConfig { changelog, state_folder, ..instance.config(&kafka) };
        instance.start_as(config, &kafka)
    };
    let end = async |mut runtime: Runtime| {
        runtime.status().stop();
        runtime.ended().await.expect("it ends well");
    };
    let add = |keys: std::ops::Range<u64>| {
        let record = |key| (format!("k{key}"), Some("1".to_owned()));
        kafka.put("sums.left", &keys.map(record).collect::<Vec<_>>());
    };
    let sums_are = async |changelog: &str, wanted: &[(u64, u64)]| {
        until("it is folded", async || {
            let states = newest(kafka.records_of(changelog).await);
            let is = |(key, sum): &(u64, u64)| {
                states.get(&format!("k{key}")) == Some(&format!("[{sum},0]"))
            };
            wanted.iter().all(is).then_some(())
        })
        .await;
    };
    let one = start("one", "sums.view");
    add(0..10);
    sums_are("sums.view", &[(0, 1), (9, 1)]).await;
    end(one).await;
    // Other states under the same name, and more of them.
    let two = start("two", "sums.again");
    for round in 1..=5 {
        add(0..5);
        sums_are("sums.again", &[(0, round), (4, round)]).await;
    }
    end(two).await;
    let one = start("one", "sums.again");
    add(0..10);
    sums_are("sums.again", &[(0, 6), (4, 6), (5, 1), (9, 1)]).await;
    end(one).await;
    // Where it is the one that it was, only what came since is read.
    let two = start("two", "sums.again");
    add(0..3);
    sums_are("sums.again", &[(0, 7), (2, 7)]).await;
    end(two).await;
    let before = restored.load(Ordering::Relaxed);
    let one = start("one", "sums.again");
    add(0..10);
    sums_are("sums.again", &[(0, 8), (2, 8), (4, 7), (9, 2)]).await;
    end(one).await;
    assert!((3..10).contains(&(restored.load(Ordering::Relaxed) - before)), "{restored:?}");
    assert_eq!(restarts.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_woken_and_says_nothing_is_written_though_no_record_comes() {
    let kafka = Kafka::start(1);
    kafka.make(&["sums.left", "sums.right", "sums.said"], 1, &[]).await;
    kafka.make(&["sums.view"], 1, &[("cleanup.policy", "compact")]).await;
    let mut runtime = sums(&kafka, "one", &Arc::default());
    let record = |more: u64| ("k".to_owned(), Some(more.to_string()));
    kafka.put("sums.left", &[record(SILENT)]);
    let states = async || newest(kafka.records_of("sums.view").await);
    let is = |sums: String| move |states: &BTreeMap<String, String>| states.get("k") == Some(&sums);
    until_enough("it is folded", states, is(format!("[{SILENT},0]"))).await;
    // Late enough for what was folded to be committed before it.
    let due_ms = now().0 + 1_500;
    kafka.put("sums.right", &[record(due_ms)]);
    until_enough("it is woken", states, is(format!("[0,{due_ms}]"))).await;
    runtime.status().stop();
    runtime.ended().await.expect("it ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_panics_when_it_is_woken_is_told_once_and_costs_nothing_else() {
    // In the view, or in the sink that is to tell of it.
    for bad in [UNWAKEABLE, UNSAYABLE] {
        told_once_and_costs_nothing_else(bad).await;
    }
}

async fn told_once_and_costs_nothing_else(bad: u64) {
    let kafka = Kafka::start(1);
    kafka.make(&["sums.left", "sums.right", "sums.said"], 1, &[]).await;
    kafka.make(&["sums.view"], 1, &[("cleanup.policy", "compact")]).await;
    let restarts = Arc::default();
    let mut runtime = sums(&kafka, "one", &restarts);
    let said = async || {
        let said = kafka.records_of("sums.said").await.into_iter();
        said.map(|record| (record.key.unwrap_or_default(), record.value)).collect::<Vec<_>>()
    };
    let record = |key: &str, more: u64| (key.to_owned(), Some(more.to_string()));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    kafka.put("sums.left", &[record("bad", bad)]);
    let told = pair("poison", "wake_panicked");
    until_enough("it is told, though no record comes", said, |said| said.contains(&told)).await;
    kafka.put("sums.left", &[record("good", 1), record("bad", 1)]);
    let first = pair("bad", &format!("0 {bad}"));
    let wanted = [first, told.clone(), pair("good", "0 1"), pair("bad", "0 1")];
    until_enough("all is folded", said, |said| said.len() >= wanted.len()).await;
    runtime.status().stop();
    runtime.ended().await.expect("it ends well");
    assert_eq!(said().await, wanted);
    assert_eq!(restarts.load(Ordering::Relaxed), 0);
    let states = newest(kafka.records_of("sums.view").await);
    assert_eq!(states.get("bad"), Some(&format!("[{},0]", bad + 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_do_not_place_keys_alike_are_named() {
    let kafka = Kafka::start(2);
    kafka.make(&["sums.left", "sums.said"], 2, &[]).await;
    kafka.make(&["sums.right"], 3, &[]).await;
    kafka.make(&["sums.view"], 2, &[("cleanup.policy", "compact")]).await;
    let restarts = Arc::default();
    let mut runtime = sums(&kafka, "one", &restarts);
    kafka.put("sums.left", &[("k".to_owned(), Some("1".to_owned()))]);
    until("it tries again", async || (restarts.load(Ordering::Relaxed) > 2).then_some(())).await;
    assert!(!runtime.status().is_ready());
    assert_eq!(kafka.records_of("sums.view").await.len(), 0);
    kafka.add_partitions_to("sums.left", 3).await;
    kafka.add_partitions_to("sums.view", 3).await;
    until("it goes on once they are alike", async || {
        let states = kafka.records_of("sums.view").await;
        states.iter().any(|state| state.value == "[1,0]").then_some(())
    })
    .await;
    runtime.status().stop();
    runtime.ended().await.expect("it ends well");
}

/// Orders and customers as they change, and what the newest of them say.
#[derive(Default)]
pub(crate) struct Shop {
    orders: BTreeMap<String, (String, u64)>,
    customers: BTreeMap<String, String>,
}

impl Shop {
    /// Changes what is told by a number: an order comes, changes its customer or goes, a customer
    /// comes, is renamed or goes. The topic, the key and the value.
    pub(crate) fn change(&mut self, n: u64) -> (&'static str, (String, Option<String>)) {
        // Any numbers without a pattern do.
        let any = |of: u64, salt: u64| {
            let mixed = (3 * n + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % of
        };
        let (key, other) = (any(40, 0), any(12, 1));
        match any(10, 2) {
            0 => {
                self.orders.remove(&format!("o{key}"));
                ("shop.orders", (format!("o{key}"), None))
            }
            1..6 => {
                let value = format!(r#"{{"customer":"c{other}","cents":{n}}}"#);
                self.orders.insert(format!("o{key}"), (format!("c{other}"), n));
                ("shop.orders", (format!("o{key}"), Some(value)))
            }
            6 => {
                self.customers.remove(&format!("c{other}"));
                ("shop.customers", (format!("c{other}"), None))
            }
            _ => {
                self.customers.insert(format!("c{other}"), format!("name {n}"));
                let value = format!(r#"{{"name":"name {n}"}}"#);
                ("shop.customers", (format!("c{other}"), Some(value)))
            }
        }
    }

    pub(crate) fn joined(&self) -> BTreeMap<String, String> {
        let join = |(order, (customer, cents)): (&String, &(String, u64))| {
            let name = self.customers.get(customer)?;
            Some((order.clone(), format!(r#"{{"name":"{name}","cents":{cents}}}"#)))
        };
        self.orders.iter().filter_map(join).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_joined_to_their_customers_though_the_stages_are_killed() {
    const CHANGES: u64 = 60;
    let (kafka, folder) = (Kafka::start(1), Folder::new("orders"));
    kafka.make(&["shop.orders"], 3, &[]).await;
    kafka.make(&["shop.customers"], 2, &[]).await;
    let newest = async || match kafka.has("shop.orders.named").await {
        true => newest(kafka.records_of("shop.orders.named").await),
        false => BTreeMap::new(),
    };
    let (mut shop, mut n) = (Shop::default(), 0);
    for round in 0..4 {
        let mut program = example("examples/orders_with_customers", &kafka, &folder);
        for _ in 0..CHANGES {
            let (topic, record) = shop.change(n);
            kafka.put(topic, &[record]);
            n += 1;
        }
        if round % 2 == 0 {
            // Killed as soon as it says anything of them, in the middle of the rest.
            let begun = |newest: &BTreeMap<String, String>| !newest.is_empty();
            until_enough("something is joined", newest, begun).await;
            program.kill();
        } else {
            let joined = shop.joined();
            until_enough("all is joined", newest, |newest| *newest == joined).await;
            assert!(program.stop().await.success());
        }
    }
}

#[test]
fn topics_between_stages_are_contracts_that_the_catalogue_reads() {
    let folder = Folder::new("contracts");
    let contracts = folder.path().join("contracts");
    let example = clickmill_tests::child::built("examples/orders_with_customers");
    let ran = std::process::Command::new(example).arg("--contracts").arg(&contracts).status();
    assert!(ran.expect("the example").success());
    let mut catalogue = clickmill_catalog::Catalogue::default();
    catalogue.add_folder(&contracts).expect("contracts");
    let found: Vec<_> = catalogue.contracts().map(|c| (c.name.to_string(), c.partitions)).collect();
    let wanted = [("shop.orders.answers.pii.v1", 3), ("shop.orders.wishes.open.v1", 2)];
    assert_eq!(found, wanted.map(|(name, partitions)| (name.to_owned(), partitions)));
}
