//! The process ends, in order or not, and another one takes up what it left.

use super::*;
use crate::spool::SpoolError;

/// A flush with that much time.
async fn flush(rig: &Rig, time: Duration) -> Result<(), String> {
    rig.spool().flush(Instant::now() + time).await
}

#[tokio::test(start_paused = true)]
async fn what_kafka_has_not_taken_at_the_end_goes_to_the_disk() {
    let mut rig = Rig::start_with(|config| config.after = Duration::from_secs(8)).await;
    rig.broker.set_up(false);
    let spool = Arc::clone(rig.spool());
    let begun = Instant::now();
    let open = tokio::spawn(spool.hand_over(vec![message("v1", "1"), message("v2", "1")]));
    drop(spool);
    tokio::task::yield_now().await;
    flush(&rig, Duration::from_secs(4)).await.unwrap();
    assert_eq!(open.await.unwrap(), [SPOOLED; 2]);
    assert!(begun.elapsed() < Duration::from_secs(4));
    // Nothing comes in any more.
    assert_eq!(rig.send("v1", "2").await, AGAIN);

    rig.crash().await;
    rig.broker = Broker::default();
    rig.open().await;
    assert!(rig.send("v1", "2").await.is_ok());
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1", "2"]);
    assert_eq!(rig.broker.stored("v2"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_it_spools_takes_no_time() {
    let mut rig = Rig::start().await;
    rig.broker.set_up(false);
    for number in 0..30 {
        assert_eq!(rig.send("v1", &format!("{number:02}")).await, SPOOLED);
    }
    let begun = Instant::now();
    flush(&rig, Duration::from_secs(15)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    rig.crash().await;
    rig.broker = Broker::default();
    rig.open().await;
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1").len(), 30);
    assert!(rig.broker.stored("v1").is_sorted());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_drained_before_anything_new() {
    let mut rig = Rig::start().await;
    rig.broker.set_up(false);
    for number in 0..10 {
        assert_eq!(rig.send("v1", &format!("{number:02}")).await, SPOOLED);
    }
    rig.crash().await;
    rig.broker = Broker::default();
    rig.broker.set_up(false);
    rig.open().await;
    let stand = rig.stand();
    assert_eq!((stand.records, stand.closed), (10, 1));
    assert!(stand.oldest_ms.is_some());
    assert_eq!(rig.send("v1", "10").await, SPOOLED);
    rig.broker.set_up(true);
    rig.drained().await;
    let expected: Vec<String> = (0..=10).map(|number| format!("{number:02}")).collect();
    assert_eq!(rig.broker.stored("v1"), expected);
    // What was drained does not come again.
    rig.crash().await;
    rig.open().await;
    assert_eq!(rig.stand().records, 0);
    assert_eq!(rig.broker.count(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_folder_has_one_owner() {
    let rig = Rig::start().await;
    let clock = Arc::new(Wall(Instant::now()));
    let line = Arc::new(rig.broker.clone());
    let second = Spooling::open(&rig.config, line, clock, &rig.metrics).await.unwrap_err();
    assert!(matches!(second, SpoolError::InUse(_)), "{second}");
    assert!(second.to_string().contains("in use by another collector"));
}

#[tokio::test(start_paused = true)]
async fn damage_costs_what_is_damaged_and_is_counted() {
    let mut rig = Rig::start().await;
    rig.broker.set_up(false);
    for number in 0..10 {
        assert_eq!(rig.send("v1", &format!("{number:02}")).await, SPOOLED);
    }
    rig.crash().await;
    let lane = format!("{:02}", crate::spool::hash::lane_of(Some("v1")));
    let folder = rig.config.dir.clone().unwrap().join(lane);
    let segment = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|e| e == "seg"));
    let segment = segment.unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    rig.broker = Broker::default();
    rig.open().await;
    rig.drained().await;
    let stored = rig.broker.stored("v1");
    assert_eq!(stored.len(), 9);
    assert!(stored.is_sorted());
    let text = rig.metrics.render();
    assert!(text.contains("clickmill_collector_spool_damages_total 1"), "{text}");
    assert!(segment.with_extension("damaged").exists());
}
