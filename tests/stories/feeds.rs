//! A shop's servers are told what is said to its visitors: all of it, or a part.

use std::collections::BTreeSet;
use std::time::Duration;

use clickmill_relay::peers::FEED_PATH;
use clickmill_tests::service::{OTHERS_SERVER_KEY, Relay, SERVER_KEY};
use clickmill_tests::{Ask, Feed, Http, Page, Told, World};

use crate::PATIENCE;

const SEGMENTS: &str = r#"hints.segments = [{ name = "buyers", basket_min = 1 }]"#;
const PRODUCTS: [(&str, i64); 6] =
    [("kettle", 5), ("toaster", 5), ("mixer", 5), ("oven", 5), ("hob", 5), ("fridge", 5)];

/// A feed that is told everything from now on.
async fn feed(relay: &Relay, query: &str) -> Feed {
    let mut feed = Feed::open(relay, (query, SERVER_KEY)).await.expect("a feed");
    assert_eq!(feed.next(PATIENCE).await, Some(Told::Open));
    feed
}

/// The visitor and the kind of the next hint; gaps are passed over.
async fn next(feed: &mut Feed) -> (String, String) {
    loop {
        match feed.next(PATIENCE).await.expect("something is told") {
            Told::Hint { visitor, kind, .. } => return (visitor, kind),
            Told::Gap(_) => {}
            Told::Open => panic!("it is open already"),
        }
    }
}

/// Whether a feed hears of all these visitors, in any order; and of nobody else meanwhile.
async fn hears_all(feed: &mut Feed, pages: &[Page]) {
    let mut left: BTreeSet<String> = pages.iter().map(|page| page.visitor().to_string()).collect();
    let known = left.clone();
    while !left.is_empty() {
        let (visitor, kind) = next(feed).await;
        assert!(known.contains(&visitor) && kind == "suggest", "{visitor} {kind}");
        left.remove(&visitor);
    }
}

async fn all_view(pages: &[Page], sku: &str) {
    for page in pages {
        assert_eq!(page.send(vec![page.views(sku)]).await.accepted, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_hear_what_is_said_by_every_relay_to_whom_they_choose() {
    let (mut world, second) = World::builder().relay(SEGMENTS).two_relays(&PRODUCTS).await;
    // So many that each relay has some.
    let pages: Vec<Page> = (0..12).map(|_| world.page()).collect();
    let (browsers, buyers) = pages.split_at(6);
    let mut all = [feed(&world.relay, "").await, feed(&second, "").await];
    let mut segment = feed(&world.relay, "?segment=buyers").await;
    let mut mixers = feed(&second, "?sku=mixer&slot=suggested").await;
    let mut others = Feed::open(&second, ("", OTHERS_SERVER_KEY)).await.expect("a feed");
    assert_eq!(others.next(PATIENCE).await, Some(Told::Open));

    all_view(browsers, "kettle").await;
    for feed in &mut all {
        hears_all(feed, browsers).await;
    }
    for page in buyers {
        let takes = page.event("basket_add", r#"{"sku":"toaster","quantity":1}"#);
        assert_eq!(page.send(vec![takes]).await.accepted, 1);
    }
    for feed in all.iter_mut().chain([&mut segment]) {
        hears_all(feed, buyers).await;
    }
    all_view(&buyers[..2], "mixer").await;
    for feed in all.iter_mut().chain([&mut segment, &mut mixers]) {
        hears_all(feed, &buyers[..2]).await;
    }

    // What is taken back is told to whom the hint was told.
    all_view(&pages[..1], "mixer").await;
    let Some(Told::Hint { hint, .. }) = mixers.next(PATIENCE).await else {
        panic!("the visitor has come to that page");
    };
    let shown = hint["content"]["items"][0]["sku"].as_str().expect("a product");
    world.kafka.levels().say(shown, 0);
    let taken_back = (pages[0].visitor().to_string(), "withdraw".to_owned());
    while next(&mut mixers).await != taken_back {}

    // One relay dies: what it said last may be lost, and that is told. Then the other one goes on.
    let [mut here, mut there] = all;
    world.relay.kill();
    while !matches!(there.next(PATIENCE).await.expect("a gap"), Told::Gap(_)) {}
    all_view(&pages, "hob").await;
    let mut left: BTreeSet<String> = pages.iter().map(|page| page.visitor().to_string()).collect();
    while !left.is_empty() {
        left.remove(&next(&mut there).await.0);
    }
    // Its own feeds have ended, and nobody heard anything of another tenant.
    while here.next(PATIENCE).await.is_some() {}
    while let Some(told) = others.next(Duration::from_millis(100)).await {
        assert!(matches!(told, Told::Gap(_)), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_servers_key_opens_a_feed_and_only_of_what_there_is() {
    let world = World::builder().relay(SEGMENTS).start().await;
    let refused = async |query: &str, key: &str| {
        Feed::open(&world.relay, (query, key)).await.expect_err("none is opened")
    };
    assert_eq!(refused("", "nobody's key").await.0, 401);
    for (query, named) in [("?segment=sellers", "sellers"), ("?segmnt=buyers", "segmnt")] {
        let (status, body) = refused(query, SERVER_KEY).await;
        assert!(status == 400 && body.contains(named), "{status} {body}");
    }
    let page_token = world.page().token().await;
    assert_eq!(refused("", &page_token).await.0, 401);
    // Nobody but an instance has a relay tell its part.
    let body = r#"{"tenant":"shop","choice":{}}"#;
    let ask = Ask::post(format!("http://{}{FEED_PATH}", world.relay.peers), body);
    assert_eq!(Http::default().ask(ask).await.expect("an answer").status, 401);
}
