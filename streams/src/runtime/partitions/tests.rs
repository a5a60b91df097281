//! Partitions that come, are rebuilt, go live and go, without a broker.

use std::sync::Arc;

use clickmill_kafka::{GroupConfig, Headers, KafkaConfig, Producer, ProducerConfig};

use super::*;
use crate::runtime::Meters;
use crate::{Around, Bounds, Place, Produce};

/// Says every record's key and value.
struct Echo;

impl View for Echo {
    type Input = String;
    type State = u64;
    type Tables = ();
    type Output = String;

    fn decode(&self, raw: &Raw<'_>) -> Result<String, Poison> {
        let value = std::str::from_utf8(raw.value.unwrap_or_default());
        Ok(value.map_err(Poison::malformed)?.to_owned())
    }

    fn time_ms(&self, _: &String) -> u64 {
        1
    }

    fn fold(&self, count: &mut u64, input: String, _: &Around<'_, ()>) -> Vec<String> {
        *count += 1;
        vec![format!("{input}{count}")]
    }
}

/// Writes down what it is told; produces what begins with `out`.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Sink<String> for Notes {
    fn assigned(&self, partition: u32) {
        self.note(format!("assigned {partition}"));
    }

    fn opened(&self, partition: u32) {
        self.note(format!("opened {partition}"));
    }

    fn closed(&self, partition: u32) {
        self.note(format!("closed {partition}"));
    }

    fn replayed(&self, at: At, outputs: Vec<String>) {
        self.note(format!("replayed {} {}", at.place, outputs.join(" ")));
    }

    fn live(&self, at: At, outputs: Vec<String>) -> Vec<Produce> {
        self.note(format!("live {} {}", at.place, outputs.join(" ")));
        let produce = |output: String| {
            output.starts_with("out").then(|| Produce {
                topic: "t".into(),
                key: None,
                value: Some(output.into_bytes()),
                headers: Headers::default(),
            })
        };
        outputs.into_iter().filter_map(produce).collect()
    }

    fn poisoned(&self, at: At, _: Option<&Raw<'_>>, poison: &Poison) {
        self.note(format!("poisoned {} {}", at.place, poison.reason));
    }
}

/// A group with committed offsets; writes down what is committed.
#[derive(Default)]
struct Group {
    committed: BTreeMap<TopicPartition, i64>,
    /// Whether it cannot tell them.
    is_silent: bool,
    commits: Mutex<Vec<(i32, i64)>>,
}

impl Commit for Group {
    fn commit(&self, offsets: &[NextOffset]) -> Result<(), clickmill_kafka::Error> {
        let commits = offsets.iter().map(|next| (next.at.partition, next.offset));
        self.commits.lock().unwrap().extend(commits);
        Ok(())
    }

    fn commit_later(&self, offsets: &[NextOffset]) -> Result<(), clickmill_kafka::Error> {
        self.commit(offsets)
    }

    fn committed(
        &self,
        _: &[TopicPartition],
        _: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, clickmill_kafka::Error> {
        if self.is_silent {
            return Err(clickmill_kafka::Error::Failed {
                doing: "asking for committed offsets".to_owned(),
                class: clickmill_kafka::Class::TimedOut,
                detail: "no answer in time".to_owned(),
            });
        }
        Ok(self.committed.clone())
    }
}

struct Fixture {
    partitions: Partitions<Echo, Notes>,
    notes: Arc<Notes>,
    status: Status,
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "raw".into(), partition }
}

fn group(committed: &[(i32, i64)]) -> Group {
    let committed = committed.iter().map(|(partition, offset)| (at(*partition), *offset));
    Group { committed: committed.collect(), ..Group::default() }
}

impl Fixture {
    fn new(restore_records_max: Option<u64>) -> Self {
        // Nobody listens there: nothing that is produced is ever acknowledged.
        let kafka = KafkaConfig::plain("127.0.0.1:1");
        let config = RuntimeConfig {
            name: "echo",
            kafka: kafka.clone(),
            group: GroupConfig::new("g"),
            topic: "raw".into(),
            commit_every: Duration::from_millis(1),
            restore_records_max,
            bounds: Bounds::default(),
            open_records_max: 10,
            finish_max: Duration::from_millis(5),
        };
        let notes = Arc::new(Notes::default());
        let parts = Parts {
            view: Echo,
            tables: (),
            sink: Arc::clone(&notes),
            producer: Producer::new(&kafka, &ProducerConfig::default(), None).unwrap(),
            now_ms: Box::new(|| 7),
            meters: Meters::noop(),
            on_statistics: None,
        };
        let status = Status::default();
        Self { partitions: Partitions::new(config, parts, status.clone()), notes, status }
    }

    fn feed(&self, partition: u32, offset: u64, value: &[u8]) {
        let place = Place { partition, offset };
        self.partitions.feed(&Raw { place, key: Some(b"k"), value: Some(value) });
    }

    fn commits(&self) -> Vec<i64> {
        let look = self.partitions.look(Instant::now()).unwrap();
        look.commits.iter().map(|next| next.offset).collect()
    }
}

#[test]
fn what_was_processed_before_is_folded_and_kept_in() {
    let fixture = Fixture::new(None);
    let starts = fixture.partitions.assigned(&group(&[(0, 12)]), &[at(0)]);
    assert_eq!(starts, [StartAt::Beginning]);
    assert_eq!((fixture.status.is_ready(), fixture.status.restoring()), (false, 1));
    fixture.feed(0, 10, b"a");
    fixture.feed(0, 11, b"b");
    assert!(fixture.status.is_ready());
    fixture.feed(0, 12, b"c");
    assert_eq!(
        fixture.notes.take(),
        ["assigned 0", "replayed 0@10 a1", "replayed 0@11 b2", "opened 0", "live 0@12 c3"]
    );
    assert_eq!(fixture.commits(), [13]);
    assert!(fixture.commits().is_empty());
}

#[test]
fn a_new_partition_is_live_at_once() {
    let fixture = Fixture::new(None);
    assert_eq!(fixture.partitions.assigned(&group(&[]), &[at(3)]), [StartAt::Beginning]);
    assert!(fixture.status.is_ready());
    fixture.feed(3, 0, b"a");
    assert_eq!(fixture.notes.take(), ["assigned 3", "opened 3", "live 3@0 a1"]);
}

#[test]
fn what_comes_while_stopping_with_unknown_offsets_says_nothing() {
    let fixture = Fixture::new(Some(100));
    fixture.status.stop();
    let group = Group { is_silent: true, ..group(&[(0, 12)]) };
    assert_eq!(fixture.partitions.assigned(&group, &[at(0)]), [StartAt::Beginning]);
    fixture.feed(0, 0, b"out");
    assert_eq!(fixture.notes.take(), ["assigned 0", "replayed 0@0 out1"]);
    assert!(fixture.commits().is_empty());
    fixture.partitions.revoked(&group, &[at(0)], Revocation::Asked);
    assert!(group.commits.lock().unwrap().is_empty());
}

#[test]
fn a_horizon_bounds_what_is_read_again() {
    let starts = |committed| {
        let fixture = Fixture::new(Some(100));
        fixture.partitions.assigned(&group(&[(0, committed)]), &[at(0)])
    };
    assert_eq!(starts(1_000), [StartAt::Offset(900)]);
    assert_eq!(starts(100), [StartAt::Beginning]);
}

#[test]
fn a_partition_that_lost_its_last_records_goes_live_and_still_repeats_nothing() {
    let fixture = Fixture::new(None);
    fixture.partitions.assigned(&group(&[(0, 12), (1, 5)]), &[at(0), at(1)]);
    fixture.feed(1, 4, b"x");
    // Another partition's records are no rest: it may wait behind them.
    fixture.partitions.look(Instant::now() + QUIET / 2).unwrap();
    assert_eq!(fixture.status.restoring(), 1);
    fixture.partitions.look(Instant::now() + QUIET * 2).unwrap();
    assert!(fixture.status.is_ready());
    fixture.feed(0, 11, b"late");
    fixture.feed(0, 12, b"new");
    let notes = fixture.notes.take();
    assert_eq!(notes[4..], ["opened 0", "replayed 0@11 late1", "live 0@12 new2"]);
}

#[test]
fn poison_is_told_once_and_passed() {
    let fixture = Fixture::new(None);
    fixture.partitions.assigned(&group(&[(0, 1)]), &[at(0)]);
    fixture.feed(0, 0, b"\xff");
    fixture.feed(0, 1, b"\xff");
    fixture.feed(0, 2, b"a");
    assert_eq!(
        fixture.notes.take(),
        ["assigned 0", "replayed 0@0 ", "opened 0", "poisoned 0@1 malformed", "live 0@2 a1"]
    );
    assert_eq!(fixture.commits(), [3]);
}

#[test]
fn outputs_without_acknowledgement_are_not_committed() {
    let fixture = Fixture::new(None);
    let group = group(&[]);
    fixture.partitions.assigned(&group, &[at(0), at(1)]);
    fixture.feed(0, 0, b"a");
    fixture.feed(0, 1, b"out");
    fixture.feed(0, 2, b"b");
    fixture.feed(1, 0, b"c");
    assert_eq!(fixture.commits(), [1, 1]);
    fixture.feed(1, 1, b"d");
    fixture.partitions.revoked(&group, &[at(0), at(1)], Revocation::Asked);
    assert_eq!(*group.commits.lock().unwrap(), [(1, 2)]);
    let notes = fixture.notes.take();
    assert_eq!(notes[notes.len() - 2..], ["closed 0", "closed 1"]);
    // What still comes of them belongs to somebody else.
    fixture.feed(0, 3, b"e");
    assert!(fixture.notes.take().is_empty());
}

#[test]
fn what_is_lost_is_not_committed() {
    let fixture = Fixture::new(None);
    let group = group(&[]);
    fixture.partitions.assigned(&group, &[at(0)]);
    fixture.feed(0, 0, b"a");
    fixture.partitions.revoked(&group, &[at(0)], Revocation::Lost);
    assert!(group.commits.lock().unwrap().is_empty());
    assert_eq!(fixture.notes.take().last().unwrap(), "closed 0");
}
