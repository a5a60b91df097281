//! A disk that does not give back what was written: what it gives goes on, the rest is told.

use super::*;
use crate::sink::Health;

/// Enough for two blocks of a disk and more.
const SOME: usize = 60;

/// That many events of one visitor, each of half a kilobyte, in the spool and nowhere else.
async fn spooled(rig: &Rig) -> Vec<String> {
    rig.broker.set_up(false);
    let values: Vec<String> =
        (0..SOME).map(|number| format!("{number:02} {}", "x".repeat(400))).collect();
    for value in &values {
        assert_eq!(rig.send("v1", value).await, SPOOLED);
    }
    values
}

/// The files of one kind in all lanes.
fn files(rig: &Rig, extension: &str) -> Vec<std::path::PathBuf> {
    let lanes = std::fs::read_dir(rig.config.dir.clone().unwrap()).unwrap();
    let lanes = lanes.map(|lane| lane.unwrap().path()).filter(|path| path.is_dir());
    let files = lanes.flat_map(|lane| std::fs::read_dir(lane).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == extension)).collect()
}

async fn shows(rig: &Rig, line: &str) {
    until(line, async || rig.metrics.render().lines().any(|shown| shown == line)).await;
}

#[tokio::test(start_paused = true)]
async fn a_block_that_the_disk_does_not_give_costs_what_is_in_it() {
    let mut rig = Rig::start().await;
    let values = spooled(&rig).await;
    rig.crash().await;
    rig.disk.set_unreadable(8_192..8_200);
    rig.broker = Broker::default();
    rig.open().await;
    rig.drained().await;

    let stored = rig.broker.stored("v1");
    let lost = SOME - stored.len();
    assert!((1..20).contains(&lost), "{lost} of {SOME} are lost");
    assert!(stored.is_sorted() && stored.iter().all(|value| values.contains(value)));
    shows(&rig, &format!("clickmill_collector_spool_lost_total {lost}")).await;
    shows(&rig, "clickmill_collector_spool_damages_total 1").await;
    shows(&rig, "clickmill_collector_spool_failed_reads_total 5").await;
    shows(&rig, "clickmill_collector_spool_aside_segments 1").await;
    // Whoever asks whether it is ready hears of it, until the file is taken away.
    let told = rig.spool().probe().await.spool.unwrap();
    assert!(matches!(&told, Health::Bearable(why) if why.contains("kept aside")), "{told:?}");
    let [aside] = &files(&rig, "damaged")[..] else { panic!("one segment is kept aside") };
    std::fs::remove_file(aside).unwrap();
    shows(&rig, "clickmill_collector_spool_aside_segments 0").await;
    assert_eq!(rig.spool().probe().await.spool, Some(Health::Good));

    // The lane is as good as new.
    rig.disk.set_unreadable(0..0);
    assert!(rig.send("v1", "later").await.is_ok_and(|kept| matches!(kept, Kept::InKafka(_))));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_a_while_costs_nothing() {
    let rig = Rig::start().await;
    let values = spooled(&rig).await;
    rig.disk.fail_reads(3);
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), values);
    shows(&rig, "clickmill_collector_spool_failed_reads_total 3").await;
    shows(&rig, "clickmill_collector_spool_lost_total 0").await;
    assert_eq!(rig.spool().probe().await.spool, Some(Health::Good));
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_does_not_open_holds_nobody_up() {
    let rig = Rig::start().await;
    let values = spooled(&rig).await;
    rig.disk.set_unopenable(true);
    rig.broker.set_up(true);
    until("the lane is open again", async || rig.stand().closed == 0).await;
    // The first one was with the producer, too, until the lane closed.
    let stored = rig.broker.stored("v1");
    assert_eq!(stored, values[..1]);
    shows(&rig, &format!("clickmill_collector_spool_lost_total {}", SOME - 1)).await;
    assert_eq!(files(&rig, "damaged").len(), 1);
    assert!(rig.send("v1", "later").await.is_ok_and(|kept| matches!(kept, Kept::InKafka(_))));
}

#[tokio::test(start_paused = true)]
async fn a_start_on_a_bad_disk_gives_no_number_twice() {
    let mut rig = Rig::start().await;
    let values = spooled(&rig).await;
    rig.crash().await;
    // The end, where the last numbers stand.
    rig.disk.set_unreadable(20_480..u64::MAX);
    rig.broker = Broker::default();
    rig.broker.set_up(false);
    rig.open().await;
    assert_eq!(rig.send("v1", "later").await, SPOOLED);
    rig.broker.set_up(true);
    rig.drained().await;
    let stored = rig.broker.stored("v1");
    let (last, first) = stored.split_last().unwrap();
    assert_eq!((last.as_str(), first), ("later", &values[..first.len()]));
    assert!(first.len() > 10 && first.len() < SOME, "{}", first.len());
}
