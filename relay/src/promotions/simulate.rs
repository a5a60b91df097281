//! `clickmill-relay simulate`: rules run against recorded traffic, by the very code that serves, set up
//! as the relay is, with the recording's own clock: an event is decided at the moment when it arrived.
//! Who would have been shown what?
//!
//! A recording is a file of lines: `session <tab> item <tab> unix time`, or JSON of the form
//! `{"session", "at", "type", "props"}`, as `cargo xtask replay` reads them, or whole records as they
//! lie on the raw or the enriched topic; or it is one of these topics, whose partitions are read side
//! by side in the order of time. Each session of the short forms is a visitor of its own, who allows
//! personalization; `customer` in a line of JSON says which customer the visitor is proven to be. A
//! product that no file of products has is taken to be on sale, in stock and in no category.

mod recording;
mod report;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clickmill_kafka::{KafkaConfig, Reader, ReaderConfig, Step};
use clickmill_sdk_core::wire::{Customer, Millis, Product, Sku, Tenant, ToJson};
use clickmill_streams::{Driver, Place, Raw};
use serde_json::json;

use super::promoter::{Promoter, Setting};
use super::rules::{Entry, Rules, read_folder};
use crate::config::Config;
use crate::tables::Tables;
use crate::views::visitor::{Seen, VisitorView};

use self::recording::of_record;
pub use self::recording::{Recorded, read_recording};
use self::report::Tally;
pub use self::report::{Report, Telling};

/// How long Kafka may take to open the topic.
const OPEN_WAIT: Duration = Duration::from_secs(10);

/// How long one look for records may take.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// What is run.
#[derive(Debug)]
pub struct Simulation {
    driver: Driver<VisitorView>,
    promoter: Arc<Promoter>,
    tables: Tables,
    known: HashSet<(Tenant, Sku)>,
    /// Rows that were put into the tables.
    rows: u64,
    tally: BTreeMap<(Tenant, String), Tally>,
    events: u64,
    unread: u64,
    spent: Duration,
}

/// Why a simulation cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The products are none.
    #[error("{0}: {1}")]
    Products(PathBuf, serde_json::Error),
    /// The customers are none.
    #[error("{0}: {1}")]
    Customers(PathBuf, serde_json::Error),
    /// Kafka cannot be read.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
}

impl Simulation {
    /// Runs these rules over products in stock, in a relay of which nothing is set.
    pub fn new(rules: Vec<Entry>, products: (&Tenant, &[Product])) -> Self {
        Self::of(&Config::default(), rules, products)
    }

    /// The same in a relay that is set up like this: when visits end, how long visitors are remembered,
    /// and who is promoted to that said nothing about it.
    pub fn of(relay: &Config, rules: Vec<Entry>, products: (&Tenant, &[Product])) -> Self {
        let tables = Tables::detached();
        let promoter = Arc::new(Promoter::new(Setting {
            folder: None,
            topic: None,
            tables: tables.clone(),
            personalizes_unasked: relay.suggest.personalizes_unasked(),
            late_ms: relay.lifetime_ms(),
            decided: None,
            leases: None,
            meters: None,
        }));
        promoter.set(rules);
        let view = VisitorView {
            rule: relay.rule(),
            limits: relay.limits(),
            promoter: Some(Arc::clone(&promoter)),
            stock: None,
        };
        let mut simulation = Self {
            driver: Driver::new(view, ()).bounded(relay.bounds()),
            promoter,
            tables,
            known: HashSet::new(),
            rows: 0,
            tally: BTreeMap::new(),
            events: 0,
            unread: 0,
            spent: Duration::ZERO,
        };
        for product in products.1 {
            simulation.offer(products.0, product.clone());
        }
        simulation
    }

    /// Tells what the site knows of a customer.
    pub fn know(&mut self, tenant: &Tenant, customer: &Customer) {
        let (key, value) = (format!("{tenant}:{}", customer.customer), customer.to_json());
        let place = Place { partition: 0, offset: self.rows };
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        if let Some(customers) = &self.tables.customers {
            // One that a relay would pass over is nobody here, either.
            let _ = customers.apply(&Raw { source: 0, place, key, value, timestamp_ms: 0 });
        }
        self.rows += 1;
    }

    /// The rules that are run.
    pub fn rules(&self) -> Arc<Rules> {
        self.promoter.rules()
    }

    /// Runs one event.
    pub fn run(&mut self, recorded: &Recorded) {
        for sku in &recorded.skus {
            if !self.known.contains(&(recorded.tenant.clone(), sku.clone())) {
                self.offer(&recorded.tenant, unknown(sku));
            }
        }
        self.driver.set_now_ms(recorded.at);
        let started = Instant::now();
        let (key, value) = (recorded.key.as_bytes(), recorded.value.as_bytes());
        let folded = self.driver.feed(Some(key), Some(value));
        self.spent += started.elapsed();
        let Ok(seen) = folded else {
            self.unread += 1;
            return;
        };
        self.events += 1;
        for seen in seen {
            if let Seen::Event(enriched) = seen
                && let Some(signals) = &enriched.signals
            {
                for verdict in &signals.promotions.verdicts {
                    let key = (signals.tenant.clone(), verdict.rule.name.as_str().to_owned());
                    let tally = self.tally.entry(key).or_default();
                    let visitor = signals.visitor.as_str();
                    tally.add((verdict.outcome, visitor), day(Millis(recorded.at)));
                }
            }
        }
    }

    /// A line that was none.
    pub fn unread(&mut self) {
        self.unread += 1;
    }

    /// What was found.
    pub fn report(self) -> Report {
        let rules = self.promoter.rules();
        let mut all = self.tally;
        for rule in rules.all() {
            all.entry((rule.tenant.clone(), rule.name.as_str().to_owned())).or_default();
        }
        Report {
            rules: all,
            refusals: rules.refusals().to_vec(),
            events: self.events,
            unread: self.unread,
            spent: self.spent,
        }
    }

    /// Puts a product on sale, as many as one likes of it.
    fn offer(&mut self, tenant: &Tenant, product: Product) {
        let key = format!("{tenant}:{}", product.sku);
        let stock = json!({ "sku": product.sku.as_str(), "available": 1_000_000, "at": 0 });
        let (product_row, stock_row) = (product.to_json(), stock.to_string());
        let place = Place { partition: 0, offset: self.rows };
        let row =
            |value| Raw { source: 0, place, key: Some(key.as_bytes()), value, timestamp_ms: 0 };
        // Rows of our own making can be read.
        let _ = self.tables.products.apply(&row(Some(product_row.as_bytes())));
        let _ = self.tables.stock.apply(&row(Some(stock_row.as_bytes())));
        self.rows += 1;
        self.known.insert((tenant.clone(), product.sku));
    }
}

fn unknown(sku: &Sku) -> Product {
    Product {
        sku: sku.clone(),
        name: sku.as_str().to_owned(),
        category: String::new(),
        price_cents: 0,
        currency: "EUR".to_owned(),
        url: String::new(),
        image: None,
    }
}

fn day(at: Millis) -> String {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX));
    let text = moment.map(|moment| moment.to_string()).unwrap_or_default();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// What is to be run, against what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the relay is set up that is simulated.
    pub relay: Config,
    /// The folder of rules.
    pub rules: PathBuf,
    /// Another folder of rules to compare with.
    pub against: Option<PathBuf>,
    /// A file of products: a list as JSON.
    pub products: Option<PathBuf>,
    /// A file of customers: a list as JSON.
    pub customers: Option<PathBuf>,
    /// Whose the recording, the products and the customers are.
    pub tenant: Tenant,
}

/// Where traffic comes from.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// A file.
    File(PathBuf),
    /// A topic, from its beginning to its present end.
    Topic(Box<KafkaConfig>, String),
}

/// Runs a plan. Blocks. Returns what the rules, and those to compare with, came to.
///
/// # Errors
/// When something cannot be read.
pub fn simulate(plan: &Plan, traffic: &Traffic) -> Result<(Report, Option<Report>), SimulateError> {
    let products: Vec<Product> = match &plan.products {
        None => Vec::new(),
        Some(file) => {
            let text = open(file)?;
            serde_json::from_reader(text)
                .map_err(|error| SimulateError::Products(file.clone(), error))?
        }
    };
    let customers: Vec<Customer> = match &plan.customers {
        None => Vec::new(),
        Some(file) => serde_json::from_reader(open(file)?)
            .map_err(|error| SimulateError::Customers(file.clone(), error))?,
    };
    let new = |folder: &Path| {
        let mut run = Simulation::of(&plan.relay, read_folder(folder), (&plan.tenant, &products));
        customers.iter().for_each(|customer| run.know(&plan.tenant, customer));
        run
    };
    let mut runs: Vec<Simulation> =
        [Some(&plan.rules), plan.against.as_ref()].into_iter().flatten().map(|f| new(f)).collect();
    match traffic {
        Traffic::File(file) => {
            let (recorded, unread) = read_recording(open(file)?, &plan.tenant)
                .map_err(|error| SimulateError::File(file.clone(), error))?;
            for run in &mut runs {
                recorded.iter().for_each(|recorded| run.run(recorded));
                run.unread += unread;
            }
        }
        Traffic::Topic(kafka, topic) => read_topic(kafka, topic, &mut runs)?,
    }
    let mut reports = runs.into_iter().map(Simulation::report);
    let first = reports.next();
    let second = reports.next();
    // There is one for the plan's own rules.
    Ok((first.unwrap_or_else(Report::empty), second))
}

fn open(file: &Path) -> Result<io::BufReader<std::fs::File>, SimulateError> {
    let opened = std::fs::File::open(file);
    opened.map(io::BufReader::new).map_err(|error| SimulateError::File(file.to_owned(), error))
}

/// A partition, and the event that comes next in it.
struct Lane {
    reader: Reader,
    next: Option<Recorded>,
}

/// Runs what a topic holds, always the earliest of what comes next in its partitions: what all visitors
/// share, such as a cap in total, goes to whoever came first.
fn read_topic(
    kafka: &KafkaConfig,
    topic: &str,
    runs: &mut [Simulation],
) -> Result<(), SimulateError> {
    let mut config = ReaderConfig::new(topic.to_owned());
    let whole = Reader::open(kafka, &config, OPEN_WAIT)?;
    // All of them together fetch ahead what one would.
    config.queue_bytes_max /= whole.partitions().len().max(1) as u64;
    let mut lanes = Vec::new();
    for partition in whole.partitions() {
        let mut reader = Reader::open(kafka, &config, OPEN_WAIT)?;
        reader.keep_to(&|other| other == *partition)?;
        let next = read_event(&mut reader, runs)?;
        lanes.push(Lane { reader, next });
    }
    let at = |lane: &&mut Lane| lane.next.as_ref().map(|next| next.at);
    while let Some(lane) = lanes.iter_mut().filter(|lane| lane.next.is_some()).min_by_key(at) {
        let next = read_event(&mut lane.reader, runs)?;
        if let Some(recorded) = std::mem::replace(&mut lane.next, next) {
            runs.iter_mut().for_each(|run| run.run(&recorded));
        }
    }
    Ok(())
}

/// The next event that has a visitor: nobody is promoted to without. None at the end.
fn read_event(
    reader: &mut Reader,
    runs: &mut [Simulation],
) -> Result<Option<Recorded>, SimulateError> {
    loop {
        match reader.poll(POLL_WAIT)? {
            Step::CaughtUp => return Ok(None),
            Step::Idle => {}
            Step::Message(message) => {
                let value = message.value().and_then(|value| serde_json::from_slice(value).ok());
                match value.and_then(of_record) {
                    Some(recorded) => return Ok(Some(recorded)),
                    None => runs.iter_mut().for_each(Simulation::unread),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
