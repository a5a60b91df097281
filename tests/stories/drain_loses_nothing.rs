//! A collector that is told to go finishes what it has begun: what it answered is in Kafka.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clickmill_sdk_core::wire::{Outcome, Receipt, ToJson, Topic};
use clickmill_tests::{World, until::until};

#[tokio::test(flavor = "multi_thread")]
async fn drain_loses_nothing() {
    let mut world = World::start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..16)
        .map(|_| {
            let (page, stop) = (world.page(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let events = vec![page.views("a"), page.views("b")];
                    let ids: Vec<String> = events.iter().map(|e| e.id.to_string()).collect();
                    let Ok(answer) = page.post(page.batch(events).to_json()).await else { break };
                    if answer.status != 200 {
                        break;
                    }
                    let receipt: Receipt = serde_json::from_str(&answer.body).expect("a receipt");
                    let open = |index: usize| {
                        receipt.verdicts.iter().any(|verdict| {
                            verdict.index as usize == index
                                && !matches!(verdict.outcome, Outcome::Duplicate)
                        })
                    };
                    let done = ids.into_iter().enumerate().filter(|(index, _)| !open(*index));
                    acknowledged.extend(done.map(|(_, id)| id));
                }
                acknowledged
            })
        })
        .collect();

    // Under load, SIGTERM.
    until("some load", || async { (world.ids(Topic::ClicksRaw).await.len() > 500).then_some(()) })
        .await;
    let status = world.collector.stop().await;
    stop.store(true, Ordering::Relaxed);
    assert!(status.success(), "{status}");

    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.extend(sender.await.expect("a sender"));
    }
    let lying = world.ids(Topic::ClicksRaw).await;
    let distinct: HashSet<&String> = lying.iter().collect();
    assert_eq!(distinct.len(), lying.len(), "nothing is doubled");
    assert!(acknowledged.len() > 500);
    let lost = acknowledged.iter().filter(|id| !distinct.contains(id)).count();
    assert_eq!(lost, 0, "of {} acknowledged", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_goes_and_comes_back_enriches_everything() {
    let mut world = World::start().await;
    let page = world.page();
    page.send((0..50).map(|n| page.views(&format!("p{n}"))).collect()).await;
    world.enriched(50).await;
    assert!(world.relay.stop().await.success());
    page.send((50..80).map(|n| page.views(&format!("p{n}"))).collect()).await;
    world.restart_relay().await;
    let enriched = world.enriched(80).await;
    let distinct: HashSet<_> = enriched.iter().map(|record| record.id).collect();
    assert_eq!(distinct.len(), 80);
    // The visit goes on: its state was rebuilt from the topic.
    let last = enriched.last().and_then(|r| r.enrichment.clone()).expect("enrichment");
    assert_eq!((last.session_events, last.visits), (80, 1));
}
