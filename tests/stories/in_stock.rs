//! No page shows what cannot be had: products sell out under load, their source falls silent, and
//! who waits hears when they are back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickmill_sdk_core::wire::{HintKind, Stock, Topic};
use clickmill_tests::figure::Latencies;
use clickmill_tests::page::now;
use clickmill_tests::screen::Screen;
use clickmill_tests::until::until;
use clickmill_tests::{Frame, Page, Stream, World};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::{PATIENCE, skus};

const PRODUCTS: usize = 1_000;
const VISITORS: usize = 40;

/// How long after its stock record a product may still come in a hint. Most of it is for a machine
/// that does much else meanwhile, in a build that is not optimised.
const BUDGET_MS: u64 = 2_000;

/// A page that is looked at: what it shows, kept by whoever reads its stream.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Screen>>);

impl Watched {
    async fn watch(self, mut stream: Stream) {
        while let Some(frame) = stream.next(PATIENCE * 4).await {
            let mut screen = self.0.lock().expect("no holder panics");
            match frame {
                Frame::Hint(hint, _) => screen.take(&hint, now()),
                Frame::Reset(data) => screen.reset(&data, now()),
                Frame::Comment | Frame::Retry(_) => {}
            }
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Screen) -> T) -> T {
        look(&self.0.lock().expect("no holder panics"))
    }
}

/// Looks at products that lie near each other, one after another, until it is over.
async fn browse(page: Page, first: usize, over: Arc<AtomicBool>) {
    let mut n = first;
    while !over.load(Ordering::Acquire) {
        let sku = format!("p{}", (first * 25 + n % 60) % PRODUCTS);
        assert_eq!(page.send(vec![page.views(&sku)]).await.accepted, 1);
        n += 7;
        sleep(Duration::from_millis(60)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_products_sell_out_under_load_and_no_page_shows_one_that_has() {
    let world = World::start().await;
    let names: Vec<String> = (0..PRODUCTS).map(|n| format!("p{n}")).collect();
    let stocked: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 5)).collect();
    world.kafka.stock(&stocked);

    // Half of the visitors look on while products sell out; the others have put their page aside, so
    // that nothing but being taken back changes what it shows.
    let (over, aside) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut screens = Vec::new();
    let (mut streams, mut visitors) = (JoinSet::new(), JoinSet::new());
    for first in 0..VISITORS {
        let (page, screen) = (world.page(), Watched::default());
        streams.spawn(screen.clone().watch(page.listen().await));
        let until = if first % 2 == 0 { &over } else { &aside };
        visitors.spawn(browse(page, first, Arc::clone(until)));
        screens.push(screen);
    }
    until("every page shows something", || async {
        let all = screens.iter().all(|screen| screen.read(|screen| !screen.slots.is_empty()));
        all.then_some(())
    })
    .await;

    aside.store(true, Ordering::Release);

    // They sell out in an order of their own, fifty a second.
    let (levels, mut ticks) = (world.kafka.levels(), interval(Duration::from_millis(20)));
    for n in 0..PRODUCTS {
        ticks.tick().await;
        levels.say(&format!("p{}", (n * 619) % PRODUCTS), 0);
    }
    until("no page shows anything", || async {
        let none = screens.iter().all(|screen| screen.read(|screen| screen.slots.is_empty()));
        none.then_some(())
    })
    .await;
    over.store(true, Ordering::Release);
    while let Some(ended) = visitors.join_next().await {
        ended.expect("a visitor");
    }

    // From outside: when each record came to lie in Kafka, and when each page got what.
    let mut sold_out = HashMap::new();
    for record in world.kafka.records(Topic::Stock).await {
        let stock: Stock = serde_json::from_str(&record.value).expect("a level");
        if stock.available == 0 {
            sold_out.insert(stock.sku.to_string(), record.timestamp as u64);
        }
    }
    assert_eq!(sold_out.len(), PRODUCTS);
    let (mut late, mut latest) = (Latencies::default(), 0);
    let (mut shown, mut withdrawn, mut resets) = (0, 0, 0);
    for screen in &screens {
        let screen = screen.read(Clone::clone);
        assert_eq!(screen.faults, Vec::<String>::new());
        withdrawn += screen.withdrawn.len();
        shown += screen.shown.len();
        resets += screen.resets;
        // When it came, and until when it was there.
        for (shown, at) in screen.shown.iter().chain(&screen.gone) {
            for sku in &shown.skus {
                let after = at.0.saturating_sub(sold_out[sku]);
                if at.0 > sold_out[sku] {
                    late.add(Duration::from_millis(after));
                    latest = latest.max(after);
                }
            }
        }
    }
    eprintln!(
        "{shown} hints shown, {withdrawn} taken back; products came or were there after they sold out \
         {} times, the longest for {latest} ms, p50 {} ms",
        late.count(),
        late.quantile_ms(0.5)
    );
    assert!(latest <= BUDGET_MS, "a page showed a product {latest} ms after it sold out");
    // Every hint that was shown when one of its products sold out was taken back, and nothing else.
    // A page that was slow got a snapshot in place of the hint and what takes it back.
    let said = world.relay.metric(r#"clickmill_relay_hints_total{kind="withdraw""#).await as usize;
    assert!((withdrawn..=withdrawn + resets).contains(&said), "{withdrawn}, {resets}: {said}");
    assert!(withdrawn >= VISITORS && shown > withdrawn, "{withdrawn} of {shown}");
    streams.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_source_of_stock_is_silent_nothing_is_shown_and_it_is_told() {
    let world = World::builder().relay("stock.age_max = \"2s\"").start().await;
    world.kafka.stock(&[("kettle", 5), ("toaster", 5), ("mixer", 5)]);
    let (levels, lives) = (world.kafka.levels(), Arc::new(AtomicBool::new(true)));
    let beating = tokio::spawn({
        let lives = Arc::clone(&lives);
        async move {
            let mut ticks = interval(Duration::from_millis(200));
            loop {
                ticks.tick().await;
                if lives.load(Ordering::Acquire) {
                    levels.beat(2);
                }
            }
        }
    });
    let page = world.page();
    let mut stream = page.listen().await;
    let looks = async || {
        assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
    };
    looks().await;
    let (hint, _) = stream.hint(PATIENCE).await.expect("a hint");
    assert_eq!(hint.kind, HintKind::Suggest);

    lives.store(false, Ordering::Release);
    let (gone, _) = stream.hint(PATIENCE).await.expect("the hint is taken back");
    assert_eq!((gone.kind, gone.why.model.as_str()), (HintKind::Withdraw, "stale"));
    looks().await;
    until("the relay says why it is silent", || async {
        let silent = world.relay.metric(r#"clickmill_relay_silent_total{why="stale""#).await;
        (silent >= 1.0).then_some(())
    })
    .await;
    assert!(world.relay.metric("clickmill_relay_stock_stale_tenants").await >= 1.0);

    lives.store(true, Ordering::Release);
    until("the source is heard again", || async {
        let stale = world.relay.metric("clickmill_relay_stock_stale_tenants").await;
        (stale == 0.0).then_some(())
    })
    .await;
    looks().await;
    let (hint, _) = stream.hint(PATIENCE).await.expect("a hint");
    assert_eq!(hint.kind, HintKind::Suggest);
    beating.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_product_hears_that_it_is_back_and_who_sees_the_last_ones_how_many() {
    let world = World::builder().relay("stock.low_at = 2").start().await;
    world.kafka.stock(&[("kettle", 0), ("toaster", 5), ("mixer", 5)]);
    let (page, other) = (world.page(), world.page());
    let (mut stream, mut others) = (page.listen().await, other.listen().await);
    let asks = page.event("back_in_stock_wanted", r#"{"sku":"kettle"}"#);
    assert_eq!(page.send(vec![asks]).await.accepted, 1);
    let (instead, _) = stream.hint(PATIENCE).await.expect("what can be had instead");
    assert!(!skus(&instead).contains(&"kettle".to_owned()));
    assert_eq!(other.send(vec![other.views("toaster")]).await.accepted, 1);
    assert_eq!(others.hint(PATIENCE).await.expect("a hint").0.kind, HintKind::Suggest);

    let levels = world.kafka.levels();
    levels.say("kettle", 7);
    let (back, _) = stream.hint(PATIENCE).await.expect("that it is back");
    let content: Value = serde_json::from_str(back.content.as_str()).expect("JSON");
    assert_eq!((back.kind, &content["state"]), (HintKind::Stock, &"back".into()));
    assert_eq!((&content["available"], &content["product"]["sku"]), (&7.into(), &"kettle".into()));

    levels.say("toaster", 2);
    let (low, _) = others.hint(PATIENCE).await.expect("that few are left");
    let content: Value = serde_json::from_str(low.content.as_str()).expect("JSON");
    assert_eq!((low.kind, &content["state"]), (HintKind::Stock, &"low".into()));
    // Nobody else was told anything.
    let told = world.relay.metric(r#"clickmill_relay_hints_total{kind="stock""#).await;
    assert_eq!(told as u64, 2);
}
