//! Another version of the visitor view is made beside the one that is served, compared, and takes its
//! place.

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::World;
use clickmill_tests::clicks::Clicks;
use clickmill_tests::reference::Difference;
use clickmill_tests::until::until_enough;

const NEXT: &str = "web.sessions.view.pii.v2";

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_made_anew_beside_the_live_one_compared_and_takes_its_place() {
    const VISITORS: usize = 60;
    let mut world = World::start().await;
    let clicks = Clicks::of(&world.kafka, VISITORS);
    (0..600).for_each(|n| clicks.send(n));
    world.enriched(600).await;

    let (code, said) = world.relay.ask(&["rebuild", "--version", "1"]).await;
    assert_ne!(code, Some(0));
    assert!(said.contains("is the one that is served"), "{said}");
    let (code, said) = world.relay.ask(&["rebuild", "--version", "2"]).await;
    assert_ne!(code, Some(0));
    assert!(said.contains(NEXT), "the missing topic is named: {said}");
    world.kafka.make(&[NEXT], 2, &[("cleanup.policy", "compact")]).await;

    // Beside the live one, which goes on.
    let (code, said) = world.relay.ask(&["rebuild", "--version", "2"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = world.relay.ask(&["compare", "--version", "2"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{VISITORS} keys: 0 differ, 0 only")), "{said}");
    (600..900).for_each(|n| clicks.send(n));
    assert_eq!(world.enriched(900).await.len(), 900, "what is made beside it says nothing");
    let (code, said) = world.relay.ask(&["compare", "--version", "2"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("{VISITORS} keys: {VISITORS} differ")), "{said}");

    // The old one stops, the new one comes to the same place and is served from there on.
    (900..1_000).for_each(|n| clicks.send(n));
    assert!(world.relay.stop().await.success());
    let (code, said) = world.relay.ask(&["rebuild", "--version", "2"]).await;
    assert_eq!(code, Some(0), "{said}");
    world.relay.reconfigure(|text| format!("view.version = 2\n{text}"));
    world.restart_relay().await;
    (1_000..1_200).for_each(|n| clicks.send(n));
    let enriched = async || world.kafka.records(Topic::ClicksEnriched).await.len();
    until_enough("all clicks are enriched", enriched, |n| *n >= 1_200).await;
    let difference = Difference::with_states_of(&world.kafka, NEXT).await;
    assert_eq!(difference.count, 0, "{difference}");
    assert_eq!((difference.inputs, difference.visitors), (1_200, VISITORS), "each click once");
}
