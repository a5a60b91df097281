//! A web server's questions: asked of the relay that remembers the visitor, and of one that has to
//! ask it, side by side, while clicks are folded at a fixed rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clickmill_kafka::partition_of;
use clickmill_sdk_core::wire::Topic;
use clickmill_streams::Owner;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::clicks::{Clicks, key, visitor};
use crate::figure::{Figure, Latencies, Style};
use crate::http::{Ask, Http};
use crate::kafka::Kafka;
use crate::service::SERVER_KEY;
use crate::until::until;
use crate::world::World;

const PARTITIONS: u32 = 4;
/// Who clicks, and is asked for.
const VISITORS: usize = 4_000;
/// Clicks a second.
const PACE: u32 = 2_000;
/// Questions a second, of each kind.
const QUESTIONS: u32 = 200;
/// Products that there are to decide about.
const PRODUCTS: usize = 100;
/// Visitors who said nothing may get hints.
const SETTINGS: &str = r#"suggest.consent_default = ["personalization"]"#;
/// What the admin listener answers when it is asked for nothing.
const ALIVE: &str = "live\n";
/// Visitors in a list.
const LIST: usize = 50;

/// Measures and prints.
pub async fn measure(seconds: u64, style: Style) {
    let world = World::builder().partitions(PARTITIONS).relay(SETTINGS).start().await;
    let second = world.second_relay().await;
    let over = Arc::new(AtomicBool::new(false));
    let clicking = {
        let (clicks, over) = (Clicks::of(&world.kafka, VISITORS), Arc::clone(&over));
        std::thread::spawn(move || clicks.run(PACE, &over))
    };
    until("both relays have partitions, and each visitor is known", || async {
        let owners = owners(&world.kafka).await;
        let addresses = [&world.relay, &second].map(|relay| &relay.peers);
        let shared = addresses.iter().all(|address| owners.values().any(|owner| owner == *address));
        let folded = world.kafka.ends(Topic::ClicksRaw).iter().map(|(_, end)| *end).sum::<i64>();
        let known = usize::try_from(folded).unwrap_or_default() > 2 * VISITORS;
        (shared && known).then_some(())
    })
    .await;

    let owners = owners(&world.kafka).await;
    let (own, others): (Vec<usize>, Vec<usize>) = (0..VISITORS).partition(|visitor| {
        let partition = partition_of(key(*visitor).as_bytes(), PARTITIONS);
        owners[&partition] == world.relay.peers
    });
    let span = Duration::from_secs(seconds);
    let url = world.relay.url.as_str();
    let everybody: Vec<usize> = (0..VISITORS).collect();
    // What a question costs that asks for nothing: the machine's part in all of them.
    let nothing = Ask::get(format!("{}/live", world.relay.admin));
    let (floor, local, forwarded, lists) = tokio::join!(
        questions((QUESTIONS, span), |_| nothing.clone()),
        questions((QUESTIONS, span), |n| one(url, &own, n)),
        questions((QUESTIONS, span), |n| one(url, &others, n)),
        questions((10, span), |n| many(url, &everybody, n)),
    );
    // From here on there is something to decide about, for clicks, too.
    let names: Vec<String> = (0..PRODUCTS).map(|n| format!("SKU-{n}")).collect();
    let stocked: Vec<(&str, i64)> = names.iter().map(|sku| (sku.as_str(), 1_000)).collect();
    world.kafka.stock(&stocked);
    until("hints are decided for clicks", || async {
        let told = second.metric("clickmill_relay_hints_total").await;
        (told > 0.0).then_some(())
    })
    .await;
    let (decided, passed) = tokio::join!(
        questions((QUESTIONS, span), |n| decide(url, &own, n)),
        questions((QUESTIONS, span), |n| decide(url, &others, n)),
    );
    over.store(true, Ordering::Release);
    let clicks = clicking.join().expect("the clicks end");
    for (name, Asking { latencies, .. }) in [
        ("floor", &floor),
        ("local", &local),
        ("forwarded", &forwarded),
        ("list50", &lists),
        ("decide_local", &decided),
        ("decide_forwarded", &passed),
    ] {
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            let name = format!("{name}_{quantile}_ms");
            let value = latencies.quantile_ms(share);
            Figure { bench: "queries", name: &name, value, unit: "ms" }.print(style);
        }
    }
    let all = [local, forwarded, lists, decided, passed];
    let questions = all.iter().map(|one| one.latencies.count()).sum::<u64>() as f64;
    let put_off = all.iter().map(|one| one.put_off).sum::<u64>() as f64;
    let print = |name, value, unit| Figure { bench: "queries", name, value, unit }.print(style);
    print("answered", questions, "questions");
    print("put_off", put_off, "questions");
    print("clicks_per_s", clicks, "clicks/s");
}

/// The address of each partition's owner.
async fn owners(kafka: &Kafka) -> BTreeMap<u32, String> {
    let records = kafka.records(Topic::RelayOwners).await;
    let rows = records.into_iter().map(|record| {
        let owner: Owner = serde_json::from_str(&record.value).expect("an owner");
        (record.key.and_then(|key| key.parse().ok()).expect("a partition"), owner.address)
    });
    rows.collect()
}

/// What came of questions.
#[derive(Default)]
struct Asking {
    latencies: Latencies,
    /// Questions that were put off: 503.
    put_off: u64,
}

impl Asking {
    fn take(&mut self, took: Option<Duration>) {
        match took {
            Some(took) => self.latencies.add(took),
            None => self.put_off += 1,
        }
    }
}

/// Asks for one visitor.
fn one(url: &str, visitors: &[usize], n: usize) -> Ask {
    Ask::get(format!("{url}/v1/visitors/{}", visitor(turn(visitors, n))))
}

/// Asks for a list of visitors.
fn many(url: &str, visitors: &[usize], n: usize) -> Ask {
    let ids: Vec<String> = (0..LIST).map(|at| visitor(turn(visitors, n + at))).collect();
    let body = serde_json::json!({ "visitors": ids }).to_string();
    Ask::post(format!("{url}/v1/visitors"), body)
}

/// Has a page about a product decided for a visitor.
fn decide(url: &str, visitors: &[usize], n: usize) -> Ask {
    let (visitor, sku) = (visitor(turn(visitors, n)), n % PRODUCTS);
    let body = format!(r#"{{"visitor":"{visitor}","slots":["suggested"],"sku":"SKU-{sku}"}}"#);
    Ask::post(format!("{url}/v1/decide"), body)
}

/// Whose turn it is.
fn turn(visitors: &[usize], n: usize) -> usize {
    visitors[(n * 7_919) % visitors.len()]
}

/// Asks at a fixed rate, whatever the answers take: from the planned moment of a question until its
/// whole answer is there.
async fn questions((rate, span): (u32, Duration), ask: impl Fn(usize) -> Ask) -> Asking {
    let (http, mut asked) = (Http::default(), JoinSet::new());
    let mut moments = planned_moments(rate, span);
    let (mut asking, mut n) = (Asking::default(), 0_usize);
    while let Some(planned) = moments.recv().await {
        let ask = ask(n).header("authorization", &format!("Bearer {SERVER_KEY}"));
        n += 1;
        let http = http.clone();
        asked.spawn(async move {
            let answer = http.ask(ask).await.expect("an answer");
            let took = planned.elapsed();
            if answer.status == 503 {
                return None;
            }
            assert_eq!(answer.status, 200, "{}", answer.body);
            is_answer(&answer.body).then_some(took)
        });
        while let Some(took) = asked.try_join_next() {
            asking.take(took.expect("an answer"));
        }
    }
    while let Some(took) = asked.join_next().await {
        asking.take(took.expect("an answer"));
    }
    asking
}

/// Whether an answer is one: a list in which one has to wait is put off as a whole.
fn is_answer(body: &str) -> bool {
    if body == ALIVE {
        return true;
    }
    let told: Value = serde_json::from_str(body).expect("JSON");
    let known = |one: &Value| one["state"]["sessions"][0]["events"].as_u64() > Some(0);
    match (told["visitors"].as_array(), told["hints"].as_array()) {
        (Some(all), _) if all.iter().any(|one| one["status"] == 503) => return false,
        (Some(all), _) => assert!(all.iter().all(|one| known(&one["answer"]))),
        (None, Some(hints)) => assert_eq!(hints.len(), 1, "{told}"),
        (None, None) => assert!(known(&told), "{told}"),
    }
    true
}

/// The moments of a fixed rate, each handed over when it comes. A thread of its own keeps them: the
/// runtime's timers are late by up to a millisecond, which would be counted as the answers' own.
fn planned_moments(rate: u32, span: Duration) -> UnboundedReceiver<Instant> {
    let (tell, moments) = unbounded_channel();
    std::thread::spawn(move || {
        let (start, step) = (Instant::now(), Duration::from_secs(1) / rate);
        let planned = (0..).map(|n| start + step * n).take_while(|at| *at - start < span);
        for at in planned {
            std::thread::park_timeout(at.saturating_duration_since(Instant::now()));
            if tell.send(at).is_err() {
                return;
            }
        }
    });
    moments
}
