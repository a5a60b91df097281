//! While Kafka is away, events wait on the collector's disk: durable there, in order, until it is
//! back.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickmill_tests::figure::memory_mb;
use clickmill_tests::until::until;
use clickmill_tests::world::WorldBuilder;
use clickmill_tests::{Crowd, Edge, Folder, Kafka, Load, Setup, World};

/// Length of a segment's head, bytes; records follow it.
const HEAD_BYTES: usize = 36;

/// Enough events that every visitor is under way.
const SOME: usize = 1000;

/// How much more memory the collector may need while events wait on its disk, MB: what Kafka's
/// producer holds until it gives up, and what is on its way to the disk.
const GROWTH_MB_MAX: f64 = 40.0;

/// The spool's folder among a story's files.
const SPOOL: &str = "spool";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn kafka_away_for_ninety_seconds_delays_and_loses_nothing() {
    let edge = spooling("").edge().await;
    let load = Crowd::default().visit(&edge);
    load.settles(SOME).await;
    edge.kafka.freeze(0);
    let peak_mb = || memory_mb(edge.collector.process(), "VmHWM");
    let (before, mb_before) = (load.read(|ledger| ledger.accepted), peak_mb());
    load.lasts(Duration::from_secs(90)).await;
    let meanwhile = load.read(|ledger| ledger.accepted) - before;
    println!("accepted while Kafka was away: {meanwhile}; the spool holds {}", lying(&edge).await);
    let mb_grown = peak_mb() - mb_before;
    println!("the collector's memory at its peak: {mb_before} MB before, {mb_grown} MB more then");
    assert!(mb_grown < GROWTH_MB_MAX, "{mb_grown} MB");
    assert!(meanwhile > 20 * SOME, "{meanwhile} events were accepted while Kafka was away");
    edge.kafka.thaw(0);
    comes_back(&edge, load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_kafka_killed_while_the_collector_spools_loses_nothing() {
    let mut edge = spooling("").edge().await;
    let load = Crowd::default().visit(&edge);
    load.settles(SOME).await;
    edge.kafka.kill(0);
    load.settles(5 * SOME).await;
    edge.kafka.restart(0);
    comes_back(&edge, load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_collector_killed_while_it_spools_and_torn_segments_lose_nothing() {
    let mut edge = spooling("").edge().await;
    let load = Crowd::default().visit(&edge);
    load.settles(SOME).await;
    edge.kafka.freeze(0);
    for _ in 0..3 {
        load.settles(2 * SOME).await;
        edge.collector.kill();
        let torn = tear(&edge.folder().path().join(SPOOL));
        println!("{torn} segments end in what was never acknowledged");
        assert!(torn > 0, "there are segments");
        edge.collector.restart().await;
    }
    load.settles(2 * SOME).await;
    edge.kafka.thaw(0);
    comes_back(&edge, load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_spool_that_is_full_turns_events_away_and_recovers() {
    let small = "producer.record_bytes_max = 65536
        spool.segment_bytes_max = 65536
        spool.bytes_max = 4194304";
    let edge = spooling(small).edge().await;
    println!("full by the spool's own bound of 4 MiB");
    fills_and_recovers(&edge).await;
}

/// What a real disk with an end does; run where one may be mounted, see `cargo xtask test`.
mod small_disk {
    use clickmill_tests::room::Room;

    use super::{SPOOL, fills_and_recovers, spooling};

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes long and needs to mount a small disk: cargo xtask test --all"]
    async fn a_disk_that_is_full_turns_events_away_and_recovers() {
        let builder = spooling("").set(|setup, folder| {
            setup.room = Some(Room::new(folder.path().join(SPOOL), 4 << 20));
        });
        let edge = builder.edge().await;
        println!("full by a disk of 4 MiB (ENOSPC)");
        fills_and_recovers(&edge).await;
    }
}

/// A Kafka that the story may freeze, and a collector with a spool.
fn spooling(settings: &str) -> WorldBuilder {
    World::builder().kafka(Kafka::alone(2, &[])).set(|setup: &mut Setup, folder: &Folder| {
        let dir = folder.path().join(SPOOL);
        setup.settings = format!("spool.dir = \"{}\"\n{settings}", dir.display());
    })
}

/// The spool runs full while Kafka is away, and events are turned away; then Kafka comes back.
async fn fills_and_recovers(edge: &Edge) {
    let load = Crowd::default().visit(edge);
    load.settles(SOME).await;
    edge.kafka.freeze(0);
    until("the spool is full and says so", || async {
        let full = edge.collector.metric("clickmill_collector_spool_full").await;
        let turned_away = load.read(|ledger| ledger.retried + ledger.refused);
        (full > 0.0 && turned_away > 100).then_some(())
    })
    .await;
    edge.kafka.thaw(0);
    load.settles(2 * SOME).await;
    comes_back(edge, load).await;
}

/// Kafka is back: everything drains, and whatever was acknowledged is there in order.
async fn comes_back(edge: &Edge, load: Load) {
    load.settles(SOME).await;
    let ledger = load.ends().await;
    until("the spool is empty", || async { (lying(edge).await == 0.0).then_some(()) }).await;
    ledger.lies_in_kafka(edge).await;
    edge.every_delivery_has_one_outcome().await;
}

/// Records in the spool.
async fn lying(edge: &Edge) -> f64 {
    edge.collector.metric("clickmill_collector_spool_records").await
}

/// Leaves the end of every lane's newest segment as a crash might: with a record that was only
/// begun, with zeros, or with anything at all. How many there were.
fn tear(spool: &Path) -> usize {
    let lanes =
        fs::read_dir(spool).expect("the spool's folder").map(|lane| lane.expect("an entry"));
    let newest = |lane: &Path| -> Option<PathBuf> {
        let files = fs::read_dir(lane).ok()?.filter_map(|file| Some(file.ok()?.path()));
        files.filter(|file| file.extension().is_some_and(|kind| kind == "seg")).max()
    };
    let segments: Vec<PathBuf> = lanes.filter_map(|lane| newest(&lane.path())).collect();
    for (number, segment) in segments.iter().enumerate() {
        let bytes = fs::read(segment).expect("a segment");
        let tail: Vec<u8> = match number % 3 {
            // A record's beginning, as it follows the head of the file.
            0 => bytes.iter().skip(HEAD_BYTES).take(100).copied().collect(),
            1 => vec![0; 512],
            _ => (0..=255).rev().collect(),
        };
        let mut file = OpenOptions::new().append(true).open(segment).expect("a segment");
        file.write_all(&tail).expect("a longer segment");
    }
    segments.len()
}
