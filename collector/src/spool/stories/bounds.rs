//! There is no room, for one reason or another: nothing acknowledged is lost, nothing hangs.

use super::*;
use crate::sink::Health;

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_said_and_ends_when_there_is_room() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    assert_eq!(rig.send("v1", "1").await, SPOOLED);
    rig.disk.set_full(true);
    assert_eq!(rig.send("v1", "2").await, AGAIN);
    let standing = rig.spool().probe().await;
    assert!(matches!(&standing.spool, Some(Health::Away(why)) if why.contains("disk")));
    assert!(matches!(standing.way, Health::Away(_)), "{standing:?}");
    rig.disk.set_full(false);
    // It finds out by itself, since nobody sends to what is not ready.
    until("there is room", async || rig.stand().no_room.is_none()).await;
    assert_eq!(rig.send("v1", "2").await, SPOOLED);
    rig.disk.set_unsynced(true);
    assert_eq!(rig.send("v1", "3").await, AGAIN);
    rig.disk.set_unsynced(false);
    assert_eq!(rig.send("v1", "3").await, SPOOLED);
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_at_the_take_over_leaves_kafka_its_chance() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    rig.disk.set_full(true);
    let (outcome, ()) = tokio::join!(rig.send("v1", "1"), async {
        sleep(Duration::from_secs(5)).await;
        rig.broker.set_up(true);
    });
    assert!(in_kafka(outcome), "{outcome:?}");
    rig.disk.set_full(false);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1"]);

    // And when Kafka does not take it either, the sender hears of it.
    rig.broker.set_up(false);
    rig.disk.set_full(true);
    assert!(rig.send("v1", "2").await.is_err());
    rig.broker.set_up(true);
    rig.disk.set_full(false);
    rig.drained().await;
    assert!(in_kafka(rig.send("v1", "2").await));
    assert_eq!(rig.broker.stored("v1"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn its_bytes_are_bounded() {
    let rig = Rig::start_with(|config| config.bytes_max = 200_000).await;
    rig.broker.set_up(false);
    let mut acknowledged = Vec::new();
    for number in 0..400 {
        let value = format!("{number:01000}");
        let outcome = rig.send("v1", &value).await;
        assert!(outcome == SPOOLED || outcome == AGAIN);
        if outcome == SPOOLED {
            acknowledged.push(value);
        }
    }
    let stand = rig.stand();
    assert!(stand.bytes <= 200_000 && stand.bytes > 150_000, "{stand:?}");
    assert!(stand.no_room.is_some_and(|why| why.contains("bytes_max")));
    assert!(acknowledged.len() > 80 && acknowledged.len() < 100);
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), acknowledged);
    assert!(in_kafka(rig.send("v1", "after").await));
}

#[tokio::test(start_paused = true)]
async fn its_age_is_bounded() {
    let rig = Rig::start_with(|config| config.age_max = Duration::from_secs(600)).await;
    rig.broker.set_up(false);
    assert_eq!(rig.send("v1", "1").await, SPOOLED);
    sleep(Duration::from_secs(590)).await;
    assert_eq!(rig.send("v1", "2").await, SPOOLED);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(rig.send("v1", "3").await, AGAIN);
    assert!(rig.stand().no_room.is_some_and(|why| why.contains("age_max")));
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1", "2"]);
}
