//! `clickmill-relay simulate`: rules run against recorded traffic, by the very code that serves, with
//! the recording's own clock. Who would have been shown what?
//!
//! A recording is a file of lines: `session <tab> item <tab> unix time`, or JSON of the form
//! `{"session", "at", "type", "props"}`, as `cargo xtask replay` reads them, or whole records as they
//! lie on the raw or the enriched topic; or it is one of these topics. Each session of the short forms
//! is a visitor of its own, who allows personalization; `customer` in a line of JSON says which customer
//! the visitor is proven to be. A product that no file of products has is taken to be on sale, in stock
//! and in no category.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clickmill_kafka::{KafkaConfig, Reader, ReaderConfig, Step};
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Customer, CustomerId, Millis, Product, Sku, Tenant, ToJson};
use clickmill_streams::{Driver, Place, Raw};
use serde::Deserialize;
use serde_json::{Value, json};

use super::decide::Outcome;
use super::promoter::{Promoter, Setting};
use super::rule::Refusal;
use super::rules::{Entry, Rules, read_folder};
use crate::tables::Tables;
use crate::views::visitor::{Seen, VisitorView};

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

/// What became of one rule.
#[derive(Clone, Debug, Default)]
struct Tally {
    outcomes: BTreeMap<Outcome, u64>,
    visitors: BTreeMap<Outcome, HashSet<String>>,
    /// Shown and held out, by day.
    days: BTreeMap<String, (u64, u64)>,
}

/// What a simulation has found.
#[derive(Clone, Debug)]
pub struct Report {
    rules: BTreeMap<(Tenant, String), Tally>,
    refusals: Vec<Refusal>,
    /// Events that were run.
    pub events: u64,
    /// Lines or records that could not be read.
    pub unread: u64,
    /// How long deciding took, folding included.
    pub spent: Duration,
}

/// A line of our own short form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    session: String,
    at: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    props: Value,
    #[serde(default)]
    customer: Option<CustomerId>,
}

/// An event to be run: its key, its record, and when it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    key: String,
    value: String,
    at: u64,
    tenant: Tenant,
    skus: Vec<Sku>,
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
    /// Runs these rules over products in stock.
    pub fn new(rules: Vec<Entry>, products: (&Tenant, &[Product])) -> Self {
        let tables = Tables::detached();
        let promoter = Arc::new(Promoter::new(Setting {
            folder: None,
            topic: None,
            tables: tables.clone(),
            personalizes_unasked: true,
            late_ms: u64::MAX,
            decided: None,
            leases: None,
            meters: None,
        }));
        promoter.set(rules);
        let view = VisitorView { promoter: Some(Arc::clone(&promoter)), ..VisitorView::default() };
        let mut simulation = Self {
            driver: Driver::new(view, ()),
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

impl Tally {
    fn add(&mut self, (outcome, visitor): (Outcome, &str), day: String) {
        *self.outcomes.entry(outcome).or_default() += 1;
        let visitors = self.visitors.entry(outcome).or_default();
        if !visitors.contains(visitor) {
            visitors.insert(visitor.to_owned());
        }
        let (shown, held_out) = self.days.entry(day).or_default();
        *shown += u64::from(outcome == Outcome::Shown);
        *held_out += u64::from(outcome == Outcome::HeldOut);
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or_default()
    }

    fn visitors(&self, outcome: Outcome) -> usize {
        self.visitors.get(&outcome).map_or(0, HashSet::len)
    }

    fn matched(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The events of a recording, in the order in which they happened, and the number of lines that are
/// none.
///
/// # Errors
/// When the file cannot be read.
pub fn read_recording(input: impl BufRead, tenant: &Tenant) -> io::Result<(Vec<Recorded>, u64)> {
    let (mut all, mut unread, mut places) = (Vec::new(), 0, HashMap::new());
    for (n, line) in input.lines().enumerate() {
        let line = line?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match one(line, (tenant, n as u64), &mut places) {
            Some(recorded) => all.push(recorded),
            // The first line may name the columns.
            None => unread += u64::from(n > 0),
        }
    }
    all.sort_by_key(|recorded| recorded.at);
    Ok((all, unread))
}

fn one(
    line: &str,
    (tenant, n): (&Tenant, u64),
    places: &mut HashMap<String, u64>,
) -> Option<Recorded> {
    if line.starts_with('{') {
        let value: Value = serde_json::from_str(line).ok()?;
        if value.get("tenant").is_some() {
            return of_record(value);
        }
        let line: Line = serde_json::from_value(value).ok()?;
        return of_line(&line, (tenant, n), places);
    }
    let mut fields = line.split('\t').map(str::trim);
    let (session, item) = (fields.next()?.to_owned(), fields.next()?);
    let seconds: f64 = fields.next()?.parse().ok()?;
    let line = Line {
        session,
        at: (seconds * 1_000.0) as u64,
        kind: "product_view".to_owned(),
        props: json!({ "sku": item }),
        customer: None,
    };
    of_line(&line, (tenant, n), places)
}

/// A record as a collector would have written it.
fn of_line(
    line: &Line,
    (tenant, n): (&Tenant, u64),
    places: &mut HashMap<String, u64>,
) -> Option<Recorded> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let session: String = line.session.chars().take(48).map(plain).collect();
    if session.is_empty() {
        return None;
    }
    let seq = places.entry(session.clone()).or_default();
    *seq += 1;
    let (id, at) = (format!("019abfe2-1c40-7000-a000-{n:012x}"), line.at);
    let props = if line.props.is_null() { json!({}) } else { line.props.clone() };
    let customer = line.customer.as_ref().map(CustomerId::as_str);
    of_record(json!({
        "id": id, "tenant": tenant.as_str(), "type": line.kind, "at": at, "time": at,
        "queue": session, "seq": *seq,
        "arrival": { "write_key": "simulated", "sent_at": at, "received_at": at, "attempt": 0 },
        "context": { "visitor": session, "session": session },
        "props": props, "proven": customer,
    }))
}

/// A raw or enriched record.
fn of_record(mut value: Value) -> Option<Recorded> {
    value.as_object_mut()?.remove("enrichment");
    let tenant = Tenant::parse(value.get("tenant")?.as_str()?).ok()?;
    let visitor = value.get("context")?.get("visitor")?.as_str()?;
    let (key, at) = (format!("{tenant}:{visitor}"), value.get("time")?.as_u64()?);
    let props = value.get("props");
    let sku = props.and_then(|props| props.get("sku")?.as_str());
    let skus = sku.and_then(|sku| Sku::parse(sku).ok()).into_iter().collect();
    Some(Recorded { key, value: value.to_string(), at, tenant, skus })
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
        let mut run = Simulation::new(read_folder(folder), (&plan.tenant, &products));
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

fn read_topic(
    kafka: &KafkaConfig,
    topic: &str,
    runs: &mut [Simulation],
) -> Result<(), SimulateError> {
    let mut reader = Reader::open(kafka, &ReaderConfig::new(topic.to_owned()), OPEN_WAIT)?;
    loop {
        match reader.poll(POLL_WAIT)? {
            Step::CaughtUp => return Ok(()),
            Step::Idle => {}
            Step::Message(message) => {
                let value = message.value().and_then(|value| serde_json::from_slice(value).ok());
                let recorded = value.and_then(of_record);
                for run in &mut *runs {
                    match &recorded {
                        Some(recorded) => run.run(recorded),
                        // Nobody is promoted to without a visitor, either.
                        None => run.unread(),
                    }
                }
            }
        }
    }
}

impl Report {
    fn empty() -> Self {
        Self {
            rules: BTreeMap::new(),
            refusals: Vec::new(),
            events: 0,
            unread: 0,
            spent: Duration::ZERO,
        }
    }

    /// The rules that were refused.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// How many rules were applied to events in a second.
    pub fn rule_events_per_s(&self) -> f64 {
        let pairs = self.events as f64 * self.rules.len() as f64;
        pairs / self.spent.as_secs_f64().max(1e-9)
    }

    /// How often a rule came to an outcome.
    pub fn count(&self, rule: &str, outcome: Outcome) -> u64 {
        let of_rule = self.rules.iter().filter(|((_, name), _)| name == rule);
        of_rule.map(|(_, tally)| tally.count(outcome)).sum()
    }

    /// A table for people; with another report also what differs.
    pub fn table(&self, against: Option<&Self>) -> String {
        let mut text = format!(
            "{} events, {} could not be read; {:.0} rules*events/s\n\n{:<32}",
            self.events,
            self.unread,
            self.rule_events_per_s(),
            "rule"
        );
        let columns = Outcome::ALL;
        text.push_str(&format!("{:>9}", "matched"));
        for outcome in columns {
            text.push_str(&format!("{:>11}", outcome.as_str()));
        }
        text.push_str(&format!("{:>10}\n", "visitors"));
        let empty = Tally::default();
        for key in self.keys(against) {
            let tally = self.rules.get(&key).unwrap_or(&empty);
            text.push_str(&format!("{:<32}{:>9}", format!("{}:{}", key.0, key.1), tally.matched()));
            for outcome in columns {
                text.push_str(&format!("{:>11}", tally.count(outcome)));
            }
            text.push_str(&format!("{:>10}\n", tally.visitors(Outcome::Shown)));
            for (day, (shown, held_out)) in &tally.days {
                text.push_str(&format!("  {day}: {shown} shown, {held_out} held out\n"));
            }
            if let Some(against) = against {
                let (more, fewer) = self.differ(against, &key);
                text.push_str(&format!("  against: {more} visitors more, {fewer} fewer\n"));
            }
        }
        for refusal in &self.refusals {
            text.push_str(&format!("refused: {refusal}\n"));
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self, against: Option<&Self>) -> String {
        let mut w = Writer::default();
        w.object(|w| {
            w.number_field("events", self.events);
            w.number_field("unread", self.unread);
            w.number_field("rule_events_per_s", self.rule_events_per_s() as u64);
            w.key("rules").array(|w| {
                for key in self.keys(against) {
                    let empty = Tally::default();
                    let tally = self.rules.get(&key).unwrap_or(&empty);
                    w.object(|w| {
                        w.field("tenant", Some(&key.0));
                        w.text_field("rule", &key.1);
                        tally.write(w);
                        if let Some(against) = against {
                            let (more, fewer) = self.differ(against, &key);
                            w.number_field("visitors_more", more as u64);
                            w.number_field("visitors_fewer", fewer as u64);
                        }
                    });
                }
            });
            let refused: Vec<String> = self.refusals.iter().map(Refusal::to_string).collect();
            w.list_field("refused", &refused);
        });
        w.finish()
    }

    fn keys(&self, against: Option<&Self>) -> BTreeSet<(Tenant, String)> {
        let others = against.into_iter().flat_map(|against| against.rules.keys());
        self.rules.keys().chain(others).cloned().collect()
    }

    /// Visitors that a rule is shown to here and not there, and the other way round.
    fn differ(&self, against: &Self, key: &(Tenant, String)) -> (usize, usize) {
        let empty = HashSet::new();
        let of = |report: &'_ Self| -> HashSet<String> {
            let tally = report.rules.get(key);
            tally.and_then(|tally| tally.visitors.get(&Outcome::Shown)).unwrap_or(&empty).clone()
        };
        let (here, there) = (of(self), of(against));
        (here.difference(&there).count(), there.difference(&here).count())
    }
}

impl Tally {
    fn write(&self, w: &mut Writer) {
        w.number_field("matched", self.matched());
        for outcome in Outcome::ALL {
            w.number_field(outcome.as_str(), self.count(outcome));
        }
        w.number_field("visitors_shown", self.visitors(Outcome::Shown) as u64);
        w.number_field("visitors_held_out", self.visitors(Outcome::HeldOut) as u64);
        w.key("days").array(|w| {
            for (day, (shown, held_out)) in &self.days {
                w.object(|w| {
                    w.text_field("day", day);
                    w.number_field("shown", *shown);
                    w.number_field("held_out", *held_out);
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promotions::rules::read_bytes;

    const RULES: &str = r#"
        tenant = "shop"
        [[rule]]
        name = "third-look"
        slot = "banner"
        when = "visit.products >= 3"
        caps = { visit = 1, total = 2 }
        holdout = { percent = 0 }
        content = { title = "Look" }
        [[rule]]
        name = "seen"
        slot = "aside"
        when = "product.category == 'kettles'"
        products = "seen"
        lifetime = "10s"
        cool_down = { rule = "30s" }
        content = {}
        [[rule]]
        name = "typo"
        slot = "aside"
        when = "visit.page > 1"
        content = {}
    "#;

    fn shop() -> Tenant {
        Tenant::parse("shop").unwrap()
    }

    fn run(rules: &str, recording: &str) -> Report {
        let kettle = Product { category: "kettles".into(), ..unknown(&Sku::parse("K").unwrap()) };
        let entries = read_bytes("a.toml", rules.as_bytes());
        let mut simulation = Simulation::new(entries, (&shop(), &[kettle]));
        let (recorded, unread) = read_recording(recording.as_bytes(), &shop()).unwrap();
        recorded.iter().for_each(|recorded| simulation.run(recorded));
        simulation.unread += unread;
        simulation.report()
    }

    #[test]
    fn rules_run_by_the_clock_of_the_recording() {
        let mut lines = vec!["SessionId\tItemId\tTime".to_owned()];
        for session in ["a", "b", "c"] {
            for (n, item) in ["K", "B", "C", "D", "K"].iter().enumerate() {
                lines.push(format!("{session}\t{item}\t{}", 1_800_000_000 + n * 20));
            }
        }
        lines.push("nonsense".to_owned());
        let report = run(RULES, &lines.join("\n"));
        assert_eq!((report.events, report.unread), (15, 1));
        let counts = |rule: &str, outcomes: &[Outcome]| {
            outcomes.iter().map(|outcome| report.count(rule, *outcome)).collect::<Vec<_>>()
        };
        use Outcome::{Cooling, Holds, Shown, SpentOut};
        // The total of two is shown to two visitors; the third is told so at each look.
        assert_eq!(counts("third-look", &[Shown, Holds, SpentOut]), [2, 4, 3]);
        // 80 seconds later it is neither held nor cooling.
        assert_eq!(counts("seen", &[Shown, Cooling]), [6, 0]);
        assert!(report.refusals()[0].to_string().contains("rule `typo`: when"));
        let json: Value = serde_json::from_str(&report.json(None)).unwrap();
        assert_eq!(json["rules"][1]["visitors_shown"], 2);
        assert_eq!(json["rules"][0]["days"][0]["day"], "2027-01-15");
        assert!(report.table(None).contains("shop:third-look"), "{}", report.table(None));
    }

    #[test]
    fn two_sets_of_rules_are_compared_by_who_sees_them() {
        let recording = r#"
            {"session":"a","at":1800000000000,"type":"product_view","props":{"sku":"K"}}
            {"session":"b","at":1800000000000,"type":"product_view","props":{"sku":"B"}}
            {"session":"c","at":1800000000000,"type":"page_view"}"#;
        let first = run(RULES, recording);
        let second = run(&RULES.replace("== 'kettles'", "!= 'kettles'"), recording);
        let json: Value = serde_json::from_str(&second.json(Some(&first))).unwrap();
        let seen = &json["rules"][0];
        assert_eq!((&seen["visitors_more"], &seen["visitors_fewer"]), (&1.into(), &1.into()));
    }

    #[test]
    fn an_audience_of_customers_is_those_who_are_proven_to_be_such() {
        let rules = r#"
            tenant = "shop"
            [[rule]]
            name = "win-back"
            slot = "banner"
            when = "visit.pages >= 0"
            audience = "customer.segment == 'gold' && customer.orders > 1 && customer.days_since_order > 90"
            content = {}
            [[rule]]
            name = "log-in"
            slot = "aside"
            when = "!customer.is_proven"
            content = {}
            [[rule]]
            name = "typo"
            slot = "aside"
            when = "customer.segmnt == 'gold'"
            content = {}
        "#;
        let recording = r#"
            {"session":"a","at":1800000000000,"type":"page_view","customer":"ada"}
            {"session":"b","at":1800000000000,"type":"page_view","customer":"bob"}
            {"session":"c","at":1800000000000,"type":"page_view","customer":"nobody"}
            {"session":"d","at":1800000000000,"type":"page_view"}"#;
        let entries = read_bytes("a.toml", rules.as_bytes());
        let mut simulation = Simulation::new(entries, (&shop(), &[]));
        for (id, segment) in [("ada", "gold"), ("bob", "silver")] {
            let known = json!({"customer": id, "segment": segment, "orders": 2,
                               "last_order_at": 1_790_000_000_000_u64});
            simulation.know(&shop(), &serde_json::from_value(known).unwrap());
        }
        let (recorded, unread) = read_recording(recording.as_bytes(), &shop()).unwrap();
        assert_eq!(unread, 0);
        recorded.iter().for_each(|recorded| simulation.run(recorded));
        let report = simulation.report();
        let shown = |rule: &str| report.count(rule, Outcome::Shown);
        assert_eq!((shown("win-back"), shown("log-in")), (1, 1));
        let refusal = report.refusals()[0].to_string();
        assert!(refusal.contains("rule `typo`: when") && refusal.contains("customer.segment"));
    }

    #[test]
    fn enriched_records_are_run_like_raw_ones() {
        let enriched = include_str!("../../../sdk-core/golden/record_enriched.json");
        let raw = include_str!("../../../sdk-core/golden/record_raw.json");
        for text in [enriched, raw] {
            let value: Value = serde_json::from_str(text).unwrap();
            let report = run(RULES, &value.to_string());
            assert_eq!((report.events, report.unread), (1, 0));
        }
    }
}
