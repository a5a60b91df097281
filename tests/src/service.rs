//! Our own programs as actors: a collector, a relay, a shop, and the world they share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitStatus;

use clickmill_sdk_core::wire::{Record, Topic};

use crate::child::{Folder, Program, built, free_port};
use crate::demo::Addresses;
use crate::http::{Ask, Http};
use crate::kafka::{Kafka, TENANT};
use crate::page::Page;
use crate::until::until;

/// The write key of the one site there is.
const WRITE_KEY: &str = "wk-shop";
/// Pages of any site may use it.
pub const ANY_ORIGIN: &str = r#"["*"]"#;
/// What collector and relay sign with here.
const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The relay's count of enriched records that Kafka has.
pub const ENRICHED: &str = r#"clickmill_relay_outputs_total{how="acknowledged""#;

/// Reads a counter or gauge from an admin address: the sum of its series whose line begins with
/// `series`, such as `name` or `name{outcome="accepted"`. Zero when there is none.
pub async fn metric_at(http: &Http, admin: &str, series: &str) -> f64 {
    let Ok(answer) = http.ask(Ask::get(format!("{admin}/metrics"))).await else { return 0.0 };
    let ours = |line: &&str| {
        let rest = line.strip_prefix(series);
        rest.is_some_and(|rest| rest.starts_with([' ', '{', ',', '}']))
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    answer.body.lines().filter(ours).filter_map(value).sum()
}

/// A collector of one's own.
#[derive(Debug)]
pub struct Collector {
    /// Its address, without a path.
    pub url: String,
    /// Its admin address.
    pub admin: String,
    program: Program,
}

impl Collector {
    /// Starts one that writes to this Kafka.
    pub async fn start(kafka: &Kafka, folder: &Folder, origins: &str) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/contracts/schemas");
        let config = format!(
            r#"
            topic_prefix = "{prefix}"
            listen = {{ public = "127.0.0.1:{port}", admin = "127.0.0.1:{admin_port}" }}
            kafka.bootstrap = "{bootstrap}"
            schemas.folders = ["{schemas}"]
            tokens.keys = [{{ id = "a", secret = "{SIGNING_KEY}" }}]
            cookie.secure = false
            limits.address_requests_per_s = 1000000
            limits.address_requests_burst = 1000000
            [[sites]]
            write_key = "{WRITE_KEY}"
            tenant = "{TENANT}"
            origins = {origins}
            events_per_s = 10000000
            events_burst = 10000000
            "#,
            prefix = kafka.prefix,
            bootstrap = kafka.bootstrap,
        );
        let file = folder.write(&format!("collector-{port}.toml"), &config);
        Self {
            url: format!("http://127.0.0.1:{port}"),
            admin: format!("http://127.0.0.1:{admin_port}"),
            program: Program::start("clickmill-collector", &file, admin_port).await,
        }
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.program.id()
    }

    /// Asks it to end and waits.
    pub async fn stop(&mut self) -> ExitStatus {
        self.program.stop().await
    }

    /// A metric of its own.
    pub async fn metric(&self, series: &str) -> f64 {
        metric_at(&Http::default(), &self.admin, series).await
    }
}

/// A relay of one's own.
#[derive(Debug)]
pub struct Relay {
    /// Its address, without a path.
    pub url: String,
    /// Its admin address.
    pub admin: String,
    config: PathBuf,
    admin_port: u16,
    program: Program,
}

impl Relay {
    /// Starts one that reads from this Kafka.
    pub async fn start(kafka: &Kafka, folder: &Folder, origins: &str) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let config = format!(
            r#"
            topic_prefix = "{prefix}"
            listen = {{ public = "127.0.0.1:{port}", admin = "127.0.0.1:{admin_port}" }}
            kafka.bootstrap = "{bootstrap}"
            tokens.keys = [{{ id = "a", secret = "{SIGNING_KEY}" }}]
            view.group = "{prefix}relay"
            hints.origins = {origins}
            "#,
            prefix = kafka.prefix,
            bootstrap = kafka.bootstrap,
        );
        let config = folder.write(&format!("relay-{port}.toml"), &config);
        Self {
            url: format!("http://127.0.0.1:{port}"),
            admin: format!("http://127.0.0.1:{admin_port}"),
            program: Program::start("clickmill-relay", &config, admin_port).await,
            config,
            admin_port,
        }
    }

    /// Asks it to end and waits.
    pub async fn stop(&mut self) -> ExitStatus {
        self.program.stop().await
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.program.id()
    }

    /// A metric of its own.
    pub async fn metric(&self, series: &str) -> f64 {
        metric_at(&Http::default(), &self.admin, series).await
    }

    async fn restart(&mut self) {
        self.program = Program::start("clickmill-relay", &self.config, self.admin_port).await;
    }
}

/// The example shop.
#[derive(Debug)]
pub struct Shop {
    /// Its address, without a path.
    pub url: String,
    _program: Program,
}

impl Shop {
    /// Starts the shop with the SDK that `cargo xtask web` built.
    ///
    /// # Panics
    /// When the SDK was not built.
    pub async fn start(world: &World) -> Self {
        let sdk = built("sdk/clickmill.js");
        let sdk = sdk.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        let with = HashMap::from([
            ("--bootstrap", world.kafka.bootstrap.clone()),
            ("--topic-prefix", world.kafka.prefix.clone()),
            ("--tenant", TENANT.to_owned()),
            ("--collector", world.collector.url.clone()),
            ("--hints", world.relay.url.clone()),
            ("--write-key", WRITE_KEY.to_owned()),
            ("--sdk-dir", sdk),
        ]);
        Self::open(with, &world.folder).await
    }

    /// Starts the shop without anything behind it and without the SDK.
    pub async fn alone(folder: &Folder) -> Self {
        Self::open(HashMap::new(), folder).await
    }

    async fn open(mut arguments: HashMap<&str, String>, folder: &Folder) -> Self {
        let port = free_port();
        arguments.insert("--listen", format!("127.0.0.1:{port}"));
        let url = format!("http://127.0.0.1:{port}");
        let log = folder.path().join("shop.log");
        let mut program = Program::spawn("clickmill-shop", &arguments, &log);
        program.answers(&format!("{url}/healthz")).await;
        Self { url, _program: program }
    }

    /// The addresses of the demo's parts.
    pub fn addresses(&self, world: &World) -> Addresses {
        Addresses {
            shop: self.url.clone(),
            collector_admin: world.collector.admin.clone(),
            relay_admin: world.relay.admin.clone(),
        }
    }
}

/// A Kafka with a collector before and a relay behind it.
#[derive(Debug)]
pub struct World {
    /// The relay.
    pub relay: Relay,
    /// The collector.
    pub collector: Collector,
    /// The broker with this world's topics.
    pub kafka: Kafka,
    folder: Folder,
}

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct WorldBuilder {
    partitions: u32,
    origins: &'static str,
}

impl WorldBuilder {
    /// Topics with this many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Collector and relay serve the pages of these origins alone: a list as in their configuration.
    #[must_use]
    pub fn origins(mut self, origins: &'static str) -> Self {
        self.origins = origins;
        self
    }

    /// Starts it.
    pub async fn start(self) -> World {
        let folder = Folder::new("story");
        let kafka = Kafka::start(self.partitions);
        let collector = Collector::start(&kafka, &folder, self.origins).await;
        let relay = Relay::start(&kafka, &folder, self.origins).await;
        World { relay, collector, kafka, folder }
    }
}

impl World {
    /// A world to be set up.
    pub fn builder() -> WorldBuilder {
        WorldBuilder { partitions: 2, origins: ANY_ORIGIN }
    }

    /// A usual world.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The write key of its site.
    pub fn write_key(&self) -> &'static str {
        WRITE_KEY
    }

    /// A new visitor on a page of its site.
    pub fn page(&self) -> Page {
        Page::new((&self.collector.url, &self.relay.url), WRITE_KEY)
    }

    /// Another collector before the same Kafka.
    pub async fn second_collector(&self) -> Collector {
        Collector::start(&self.kafka, &self.folder, ANY_ORIGIN).await
    }

    /// Starts the relay again, as it was.
    pub async fn restart_relay(&mut self) {
        self.relay.restart().await;
    }

    /// The records of a topic.
    ///
    /// # Panics
    /// When one is no record.
    pub async fn read(&self, topic: Topic) -> Vec<Record> {
        let records = self.kafka.records(topic).await;
        let read = |lying: &crate::Lying| serde_json::from_str(&lying.value).expect("a record");
        records.iter().map(read).collect()
    }

    /// The ids in a topic, by the headers of its records.
    pub async fn ids(&self, topic: Topic) -> Vec<String> {
        let records = self.kafka.records(topic).await;
        records.iter().map(|record| record.headers["ce_id"].clone()).collect()
    }

    /// The enriched records, once there are that many.
    pub async fn enriched(&self, count: usize) -> Vec<Record> {
        until("enriched records", || async {
            let records = self.read(Topic::ClicksEnriched).await;
            (records.len() >= count).then_some(records)
        })
        .await
    }

    /// Checks that the collector's books balance: every delivery has one outcome, and what it
    /// counts as accepted lies in Kafka.
    ///
    /// # Panics
    /// When they do not.
    pub async fn books_balance(&self) {
        let count = async |series| self.collector.metric(series).await as u64;
        let deliveries = count("clickmill_collector_deliveries_total").await;
        let outcomes = count("clickmill_collector_events_total").await;
        let accepted = count(r#"clickmill_collector_events_total{outcome="accepted""#).await;
        assert!(deliveries > 0);
        assert_eq!(deliveries, outcomes, "deliveries = accepted + duplicate + rejected + retried");
        assert_eq!(accepted as usize, self.kafka.records(Topic::ClicksRaw).await.len());
    }
}
