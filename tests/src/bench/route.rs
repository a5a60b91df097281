//! Click to hint through the whole route: from before a page sends a click until the hint that
//! answers it is in the page's hands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::EventId;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::figure::{Figure, Latencies, Style};
use crate::stream::{Frame, Stream};
use crate::world::World;

/// Products on sale.
const PRODUCTS: usize = 200;
/// Not measured: connections open, caches fill.
const WARM_UP: Duration = Duration::from_secs(3);

/// Clicks under way, and the latencies of those that came back.
#[derive(Debug, Default)]
pub(super) struct Clicks {
    sent: HashMap<EventId, Instant>,
    pub(super) latencies: Latencies,
    /// Clicks that were sent after the warm-up.
    counted: u64,
}

/// Measures at 200 and at 2,000 events/s and prints.
pub async fn measure(seconds: u64, style: Style) {
    let world = World::builder().partitions(4).start().await;
    let skus: Vec<String> = (0..PRODUCTS).map(|n| format!("p{n}")).collect();
    let stocked: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1000)).collect();
    world.kafka.stock(&stocked);
    for (rate, pages, suffix) in [(200, 100, ""), (2000, 400, "_2000")] {
        let clicks = run(&world, rate, pages, Duration::from_secs(seconds)).await;
        let print = |name: String, value: f64, unit| {
            Figure { bench: "route", name: &name, value, unit }.print(style);
        };
        let unanswered = clicks.counted.saturating_sub(clicks.latencies.count());
        print(format!("p50_ms{suffix}"), clicks.latencies.quantile_ms(0.5), "ms");
        print(format!("p99_ms{suffix}"), clicks.latencies.quantile_ms(0.99), "ms");
        print(format!("clicks{suffix}"), clicks.counted as f64, "clicks");
        print(format!("unanswered{suffix}"), unanswered as f64, "clicks");
    }
}

/// `pages` visitors with an open stream each click in turn, `rate` times a second together.
pub(super) async fn run(world: &World, rate: u64, pages: usize, span: Duration) -> Clicks {
    let clicks = Arc::new(Mutex::new(Clicks::default()));
    let mut tasks = JoinSet::new();
    let mut visitors = Vec::new();
    for _ in 0..pages {
        let page = Arc::new(world.page());
        tasks.spawn(receive(page.listen().await, Arc::clone(&clicks)));
        visitors.push(page);
    }
    let mut sends = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (start, mut n) = (Instant::now(), 0_usize);
    while start.elapsed() < WARM_UP + span {
        ticks.tick().await;
        let page = Arc::clone(&visitors[n % pages]);
        let event = page.views(&format!("p{}", (n * 7919) % PRODUCTS));
        let counted = start.elapsed() >= WARM_UP;
        let clicks = Arc::clone(&clicks);
        sends.spawn(async move {
            if counted {
                let mut clicks = clicks.lock().expect("no holder panics");
                clicks.sent.insert(event.id, Instant::now());
                clicks.counted += 1;
            }
            assert_eq!(page.send(vec![event]).await.accepted, 1);
        });
        n += 1;
        while sends.try_join_next().is_some() {}
    }
    while sends.join_next().await.is_some() {}
    answered(&clicks).await;
    tasks.shutdown().await;
    Arc::try_unwrap(clicks).map(|c| c.into_inner().expect("no holder panics")).unwrap_or_default()
}

/// Waits until every click was answered, or for as long as an answer would still be worth anything.
async fn answered(clicks: &Mutex<Clicks>) {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut ticks = interval(Duration::from_millis(20));
    while Instant::now() < deadline && !clicks.lock().expect("no holder panics").sent.is_empty() {
        ticks.tick().await;
    }
}

async fn receive(mut stream: Stream, clicks: Arc<Mutex<Clicks>>) {
    while let Some(frame) = stream.next(Duration::from_secs(60)).await {
        let Frame::Hint(hint, at) = frame else { continue };
        let Some(cause) = hint.cause else { continue };
        let mut clicks = clicks.lock().expect("no holder panics");
        if let Some(sent) = clicks.sent.remove(&cause.event) {
            clicks.latencies.add(at.duration_since(sent));
        }
    }
}
