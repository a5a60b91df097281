//! Whatever dies or hangs, what was acknowledged is in Kafka, and each visitor's events lie in
//! their order.

use std::time::{Duration, Instant};

use clickmill_tests::{Crowd, Kafka, Wire, World};

/// Enough events that every visitor is under way.
const SOME: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_killed_under_load_loses_nothing() {
    let mut edge = World::builder().edge().await;
    // Hardly any rest, so that some requests are under way at every moment.
    let load = Crowd { rest: Duration::from_millis(5), ..Crowd::default() }.visit(&edge);
    for _ in 0..3 {
        load.settles(3 * SOME).await;
        edge.collector.kill();
        edge.collector.restart().await;
    }
    load.settles(SOME).await;
    let ledger = load.ends().await;
    assert!(ledger.unanswered > 0, "requests were under way when it died");
    // Whoever got no answer sends again: what had arrived all the same lies there twice.
    ledger.lies_in_kafka(&edge).await;
    edge.every_delivery_has_one_outcome().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_kafka_killed_under_load_loses_nothing() {
    let mut edge = World::builder().kafka(Kafka::alone(2, &[])).edge().await;
    let load = Crowd::default().visit(&edge);
    load.settles(SOME).await;
    let killed = Instant::now();
    edge.kafka.kill(0);
    edge.kafka.restart(0);
    load.settles(SOME).await;
    load.lasts(Duration::from_secs(2)).await;
    let ledger = load.ends().await;
    println!("one broker, killed and started again: {}", ledger.rate_around(killed));
    let found = ledger.lies_in_kafka(&edge).await;
    assert_eq!(found.doubled, 0, "the producer lived, so nothing lies there twice");
    edge.every_delivery_has_one_outcome().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn of_three_brokers_one_is_killed_under_load_and_nothing_is_lost() {
    let mut edge = World::builder().kafka(Kafka::cluster(6)).edge().await;
    let load = Crowd::default().visit(&edge);
    load.settles(3 * SOME).await;
    let killed = Instant::now();
    edge.kafka.kill(0);
    load.lasts(Duration::from_secs(15)).await;
    let rate = load.read(|ledger| ledger.rate_around(killed));
    println!("one broker of three killed: {rate}");
    assert!(rate.recovered_after.is_some(), "two brokers carry the load: {rate}");

    // The one that comes back takes its part again while the load goes on.
    edge.kafka.restart(0);
    load.settles(SOME).await;
    let ledger = load.ends().await;
    let found = ledger.lies_in_kafka(&edge).await;
    assert_eq!(found.doubled, 0, "the producer lived, so nothing lies there twice");
    edge.every_delivery_has_one_outcome().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_wire_to_kafka_that_is_slow_cut_and_silent_loses_nothing() {
    let wire = Wire::lay().await;
    let builder = World::builder().kafka(Kafka::behind(&wire, 2)).set(|setup, _| {
        setup.settings = "limits.ack_timeout = \"2s\"".to_owned();
    });
    let edge = builder.edge().await;
    let load = Crowd::default().visit(&edge);
    load.settles(SOME).await;

    wire.slows(Duration::from_millis(150));
    load.settles(SOME).await;
    for _ in 0..5 {
        wire.is_cut();
        load.settles(SOME / 5).await;
    }
    wire.mends();
    load.settles(SOME).await;
    // Longer than a request waits: it is told to try again, and its events become durable late.
    wire.falls_silent();
    load.lasts(Duration::from_secs(5)).await;
    wire.mends();
    load.settles(SOME).await;

    let ledger = load.ends().await;
    assert!(ledger.refused > 0 && ledger.duplicate > 0, "{ledger}");
    let found = ledger.lies_in_kafka(&edge).await;
    assert_eq!(found.doubled, 0, "what became durable late is known when it comes again");
    edge.every_delivery_has_one_outcome().await;
}
