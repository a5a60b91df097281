//! What an event of a long visit costs beside one of a short visit: the visitor view fed by a
//! driver, in this process, without Kafka.

use std::time::{Duration, Instant};

use clickmill_relay::views::visitor::VisitorView;
use clickmill_streams::{Driver, State as _};

use crate::figure::{Figure, Style};
use crate::kafka::TENANT;

/// How many events a visit has.
const LENGTHS: [usize; 4] = [10, 100, 1_000, 10_000];

/// Events at each length: the longest visit ten times.
const EVENTS: usize = 100_000;

/// Each length is measured so often, in turns; the quickest counts.
const ROUNDS: usize = 5;

/// What one event costs.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// Bytes of its state, as they go to the changelog.
    bytes: usize,
}

/// Measures and prints.
///
/// # Panics
/// When the view does not fold.
pub fn measure(style: Style) {
    let mut best = [Cost { time: Duration::MAX, bytes: 0 }; LENGTHS.len()];
    for _ in 0..ROUNDS {
        for (best, length) in best.iter_mut().zip(LENGTHS) {
            let cost = cost(length);
            *best = Cost { time: best.time.min(cost.time), bytes: cost.bytes };
        }
    }
    for (cost, length) in best.iter().zip(LENGTHS) {
        let print = |name: &str, value, unit| {
            let name = format!("{name}_of_{length}");
            Figure { bench: "sessions", name: &name, value, unit }.print(style);
        };
        print("ns_per_event", cost.time.as_secs_f64() * 1e9 / EVENTS as f64, "ns");
        print("bytes_per_event", cost.bytes as f64 / EVENTS as f64, "bytes");
    }
}

/// Reads, folds and writes down the state of each event, as if every event were a commit of its own.
fn cost(length: usize) -> Cost {
    let (mut cost, mut state) = (Cost { time: Duration::ZERO, bytes: 0 }, Vec::new());
    let mut driver = Driver::new(VisitorView::default(), ());
    for visit in 0..EVENTS / length {
        let key = format!("{TENANT}:{}", visitor(visit));
        let records: Vec<String> = (0..length).map(|n| record(visit, n)).collect();
        let began = Instant::now();
        for record in &records {
            let said = driver.feed(Some(key.as_bytes()), Some(record.as_bytes()));
            assert_eq!(said.expect("a record").len(), 1);
            state.clear();
            let known = driver.state(key.as_bytes()).expect("a state");
            known.expect("a state").write(&mut state).expect("a state that can be written");
            cost.bytes += state.len();
        }
        cost.time += began.elapsed();
    }
    cost
}

fn visitor(n: usize) -> String {
    format!("v{n:031}")
}

/// What somebody does who looks around: pages, products, searches, now and then the basket.
fn record(visit: usize, n: usize) -> String {
    let at = 1_800_000_000_000 + n as u64 * 1_000;
    let (kind, props) = match n % 10 {
        0 | 5 => ("page_view", "{}".to_owned()),
        3 => ("search", format!(r#"{{"query":"something no. {}"}}"#, n % 997)),
        8 => ("basket_add", format!(r#"{{"sku":"SKU-{}","quantity":1}}"#, n % 211)),
        _ => ("product_view", format!(r#"{{"sku":"SKU-{}"}}"#, n % 499)),
    };
    format!(
        r#"{{"id":"019abfe2-1c40-7000-a000-{n:012x}","tenant":"{TENANT}","type":"{kind}","version":1,"at":{at},"time":{at},"queue":"q-{visit}","seq":{n},"arrival":{{"write_key":"wk","sent_at":{at},"received_at":{at},"attempt":0}},"context":{{"visitor":"{visitor}","session":"s-{visit}"}},"props":{props}}}"#,
        visitor = visitor(visit),
    )
}
