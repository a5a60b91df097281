//! Kafka goes and comes back.

use std::collections::BTreeSet;

use clickmill_kafka::Class;
use tokio::task::JoinSet;

use super::*;
use crate::sink::Health;
use crate::spool::hash::lane_of;

#[tokio::test(start_paused = true)]
async fn while_kafka_works_nothing_touches_the_disk() {
    let rig = Rig::start().await;
    for number in 0..20 {
        assert!(in_kafka(rig.send("v1", &number.to_string()).await));
    }
    let stand = rig.stand();
    assert_eq!((stand.appended, stand.closed, stand.bytes), (0, 0, 0));
    assert_eq!(rig.broker.stored("v1").len(), 20);
}

/// A visitor that sends an event every so often and tells apart what was acknowledged.
async fn visit(spool: Arc<Spooling>, key: String, (count, pause): (usize, Duration)) -> usize {
    for number in 0..count {
        let asked = Instant::now();
        let outcome = spool.hand_over(vec![message(&key, &format!("{number:04}"))]).await;
        assert!(outcome[0].is_ok(), "{key} {number}: {outcome:?}");
        assert!(asked.elapsed() < ACK_TIMEOUT, "{key} {number} took {:?}", asked.elapsed());
        sleep(pause).await;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn kafka_away_for_an_hour_loses_nothing_and_keeps_every_visitors_order() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    let mut visits = JoinSet::new();
    for visitor in 0..50 {
        let pause = Duration::from_millis(9_000 + visitor * 40);
        visits.spawn(visit(Arc::clone(rig.spool()), format!("v{visitor}"), (380, pause)));
    }
    sleep(Duration::from_secs(1_800)).await;
    let half = rig.stand();
    assert_eq!(half.no_room, None);
    assert!(half.records > 8_000 && half.bytes > 500_000, "{half:?}");
    assert!(half.oldest_ms.is_some());
    assert_eq!(rig.broker.count(), 0);
    let standing = rig.spool().probe().await;
    assert!(matches!(standing.way, Health::Bearable(_)), "{standing:?}");
    assert_eq!(standing.spool, Some(Health::Good));

    sleep(Duration::from_secs(1_800)).await;
    rig.broker.set_up(true);
    let mut acknowledged = 0;
    while let Some(visit) = visits.join_next().await {
        acknowledged += visit.unwrap();
    }
    rig.drained().await;
    assert_eq!(acknowledged, 50 * 380);
    for visitor in 0..50 {
        let expected: Vec<String> = (0..380).map(|number| format!("{number:04}")).collect();
        assert_eq!(rig.broker.stored(&format!("v{visitor}")), expected, "v{visitor}");
    }
    assert!(in_kafka(rig.send("v1", "after").await));
    let stand = rig.stand();
    assert_eq!(stand.oldest_ms, None);
    assert!(stand.drained > 17_000, "{stand:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_acknowledgement_is_no_copy() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    let asked = Instant::now();
    assert_eq!(rig.send("v1", "1").await, SPOOLED);
    assert!(asked.elapsed() >= rig.config.after && asked.elapsed() < ACK_TIMEOUT);
    // From now on the disk is asked at once.
    let asked = Instant::now();
    assert_eq!(rig.send("v1", "2").await, SPOOLED);
    assert!(asked.elapsed() < Duration::from_millis(100));
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_lost_costs_a_copy_and_no_event() {
    let rig = Rig::start().await;
    rig.broker.lose_acks(1);
    assert_eq!(rig.send("v1", "1").await, SPOOLED);
    assert!(rig.send("v1", "2").await.is_ok());
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_partition_delays_its_own_visitors_alone() {
    let rig = Rig::start().await;
    let stuck = lane_of(Some("v1"));
    rig.broker.set_stuck([stuck]);
    let keys: Vec<String> = (1..40).map(|number| format!("v{number}")).collect();
    // All in one batch, as a server would send them.
    let batch = |text: &str| keys.iter().map(|key| message(key, text)).collect::<Vec<_>>();
    for text in ["first", "second"] {
        let outcomes = rig.send_all(batch(text)).await;
        for (key, outcome) in keys.iter().zip(outcomes) {
            let through = lane_of(Some(key)) != stuck;
            assert_eq!((in_kafka(outcome), outcome == SPOOLED), (through, !through), "{key}");
        }
    }
    let lane: BTreeSet<usize> = keys.iter().map(|key| lane_of(Some(key))).collect();
    assert!(lane.len() > 5);
    assert_eq!(rig.stand().closed, 1);
    rig.broker.set_stuck([]);
    rig.drained().await;
    for key in &keys {
        assert_eq!(rig.broker.stored(key), ["first", "second"], "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_sends_to_the_disk_at_once_and_in_order() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    rig.broker.set_queue_max(2);
    let asked = Instant::now();
    let batch = (1..=5).map(|number| message("v1", &number.to_string())).collect();
    let outcomes = rig.send_all(batch).await;
    assert_eq!(outcomes, [SPOOLED; 5]);
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    assert_eq!(rig.send("v1", "6").await, SPOOLED);
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_must_mend_is_the_senders_to_hear_of() {
    let rig = Rig::start().await;
    for class in [Class::Refused, Class::TooLarge] {
        rig.broker.set_refuse(Some(class));
        assert_eq!(rig.send("v1", "1").await, Err(class));
        assert_eq!(rig.stand().closed, 0);
    }
    for class in [Class::Fatal, Class::QueueFull, Class::Retriable] {
        rig.broker.set_refuse(Some(class));
        assert_eq!(rig.send("v1", class.as_str()).await, SPOOLED);
    }
    rig.broker.set_refuse(None);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["fatal", "queue_full", "retriable"]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_opens_under_full_traffic() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    assert_eq!(rig.send("v1", "first").await, SPOOLED);
    rig.broker.set_up(true);
    // One visitor after the other in the same lane, without a pause.
    let key = |number: usize| format!("v{number}");
    let lane = lane_of(Some("v1"));
    let mut keys = (2..).map(key).filter(|key| lane_of(Some(key)) == lane);
    let mut flights = JoinSet::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while rig.stand().closed > 0 {
        assert!(Instant::now() < deadline, "never opens: {:?}", rig.stand());
        for key in keys.by_ref().take(3) {
            flights.spawn(rig.spool().hand_over(vec![message(&key, "1"), message(&key, "2")]));
        }
        sleep(Duration::from_millis(1)).await;
    }
    while let Some(outcomes) = flights.join_next().await {
        assert!(outcomes.unwrap().iter().all(Result::is_ok));
    }
    rig.drained().await;
    assert!(rig.broker.count() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_nobody_asks_for_any_more_lands_all_the_same() {
    let rig = Rig::start().await;
    rig.broker.set_up(false);
    drop(rig.spool().hand_over(vec![message("v1", "1")]));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.stand().records, 1);
    rig.broker.set_up(true);
    rig.drained().await;
    assert_eq!(rig.broker.stored("v1"), ["1"]);
}
