//! The work that is measured: the visitor view joined to a table of customers by key, with one
//! enriched click and one newest profile for each click. Runs in a process of its own.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clickmill_kafka::{GroupConfig, KafkaConfig, ProducerConfig, ReaderConfig, TransactionConfig};
use clickmill_relay::event;
use clickmill_relay::views::visitor::click::Click;
use clickmill_relay::views::visitor::{Enriched, Seen, Visitor, VisitorView};
use clickmill_sdk_core::wire::Topic;
use clickmill_streams::{
    Around, At, Bounds, Meters, Pacing, Parts, Poison, Produce, READ_AHEAD_BYTES_MAX, Raw, Rows,
    Runtime, RuntimeConfig, Sink, Table, TableConfig, View, Watch,
};
use serde::Deserialize;

/// Which customers' table, without the prefix.
pub const CUSTOMERS: &str = "bench.customers";

/// Where it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Some brokers.
    pub bootstrap: String,
    /// What topic names begin with.
    pub prefix: String,
    /// Where states lie.
    pub state: PathBuf,
}

/// A customer, as the table has it.
#[derive(Clone, Debug, Deserialize)]
struct Customer {
    segment: String,
    orders: u32,
    spent_cents: u64,
}

#[derive(Default)]
struct Customers(HashMap<Box<[u8]>, Customer>);

impl Rows for Customers {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let key = raw.key.unwrap_or_default();
        match raw.value {
            None => drop(self.0.remove(key)),
            Some(value) => {
                let customer = serde_json::from_slice(value).map_err(Poison::malformed)?;
                self.0.insert(key.into(), customer);
            }
        }
        Ok(())
    }
}

struct Nobody;

impl Watch<Customers> for Nobody {
    fn applied(&self, _: &Table<Customers>, _: &Raw<'_>) {}
    fn poisoned(&self, _: &Raw<'_>, _: &Poison) {}
}

/// The visitor view, and the customer of each click.
struct Joined(VisitorView);

impl View for Joined {
    type Input = Click;
    type State = Visitor;
    type Tables = Table<Customers>;
    type Output = (Box<Enriched>, Option<Customer>);

    fn decode(&self, raw: &Raw<'_>) -> Result<Click, Poison> {
        self.0.decode(raw)
    }

    fn time_ms(&self, click: &Click) -> u64 {
        self.0.time_ms(click)
    }

    fn fold(
        &self,
        state: &mut Visitor,
        click: Click,
        around: &Around<'_, Table<Customers>>,
    ) -> Vec<Self::Output> {
        let Around { key, place, stream_time_ms, now_ms, tables } = *around;
        let around = Around { key, place, stream_time_ms, now_ms, tables: &() };
        let said = self.0.fold(state, click, &around);
        said.into_iter()
            .filter_map(|seen| match seen {
                Seen::Duplicate => None,
                Seen::Event(enriched) => {
                    let customers = tables.read();
                    let customer = enriched.key.as_ref().and_then(|key| customers.0.get(&key[..]));
                    Some((enriched, customer.cloned()))
                }
            })
            .collect()
    }
}

/// Writes enriched clicks.
struct Enrich {
    topic: Arc<str>,
    said: AtomicU64,
}

impl Sink<(Box<Enriched>, Option<Customer>)> for Enrich {
    fn assigned(&self, _: u32) {}
    fn opened(&self, _: u32, _: u64) {}
    fn closed(&self, _: u32) {}

    fn live(&self, _: At, outputs: Vec<(Box<Enriched>, Option<Customer>)>) -> Vec<Produce> {
        self.said.fetch_add(outputs.len() as u64, Ordering::Relaxed);
        outputs.into_iter().map(|output| self.enriched(output)).collect()
    }

    fn poisoned(&self, at: At, _: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce> {
        panic!("{}: {poison}", at.place);
    }
}

impl Enrich {
    fn enriched(&self, (enriched, customer): (Box<Enriched>, Option<Customer>)) -> Produce {
        let Enriched { id, kind, key, text, .. } = *enriched;
        let mut json = text;
        if let Some(Customer { segment, orders, spent_cents }) = customer {
            json.pop();
            json.push_str(&format!(
                r#","customer":{{"segment":"{segment}","orders":{orders},"spent_cents":{spent_cents}}}}}"#
            ));
        }
        event::record(&self.topic, (id, &kind), (key, json))
    }
}

/// Runs until it is killed or its input is closed. Says on standard output what it has done, every
/// few milliseconds: `ready`, `restoring` or `joining`, and how many clicks it has answered.
pub async fn run(options: Options) {
    let Options { bootstrap, prefix, state } = options;
    let kafka = KafkaConfig { bootstrap, ..KafkaConfig::default() };
    let table = TableConfig {
        name: "customers",
        kafka: kafka.clone(),
        reader: ReaderConfig::new(format!("{prefix}{CUSTOMERS}")),
    };
    let (customers, _reading) = Table::start(table, Nobody).expect("a table");
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let are_read = {
        let customers = customers.clone();
        move || customers.is_ready()
    };
    let topic = Topic::ClicksEnriched.name(&prefix).into();
    let sink = Arc::new(Enrich { topic, said: AtomicU64::new(0) });
    let config = RuntimeConfig {
        name: "visitor",
        kafka,
        group: GroupConfig {
            instance: Some("bench".to_owned()),
            session_timeout_ms: 6_000,
            fetch_wait_max_ms: 20,
            // As the relay has it.
            queue_bytes_max: 4 << 20,
            ..GroupConfig::new(format!("{prefix}bench"))
        },
        topic: Topic::ClicksRaw.name(&prefix),
        siblings: Vec::new(),
        purge: None,
        until: None,
        changelog: Topic::SessionsView.name(&prefix),
        advert: None,
        transaction: TransactionConfig {
            id: format!("{prefix}bench"),
            timeout_ms: 10_000,
            marks: 64,
            producer: ProducerConfig { linger_us: 1_000, ..ProducerConfig::default() },
        },
        pacing: Pacing::default(),
        state_folder: Some(state),
        write_every: Duration::from_secs(10),
        tombstones_kept: Duration::from_secs(23 * 3_600),
        restores_max: 4,
        read_ahead_bytes_max: READ_AHEAD_BYTES_MAX,
        bounds: Bounds::default(),
        finish_max: Duration::from_secs(5),
    };
    let parts = Parts {
        view: Joined(VisitorView::default()),
        tables: customers,
        is_ready: Box::new(are_read),
        sink: Arc::clone(&sink),
        now_ms: Box::new(now_ms),
        meters: Meters::noop(),
        on_statistics: None,
    };
    let (mut runtime, _lookup) = Runtime::start(config, parts).expect("a runtime");
    let status = runtime.status();
    loop {
        tokio::select! {
            ended = runtime.ended() => return ended.expect("the view goes on"),
            _ = ticks.tick() => {}
        }
        let said = sink.said.load(Ordering::Relaxed);
        let doing = match (status.is_ready(), status.restoring()) {
            (true, _) => "ready",
            (false, 0) => "joining",
            (false, _) => "restoring",
        };
        let told = writeln!(std::io::stdout(), "{doing} {said}");
        if told.is_err() {
            return;
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
