//! Our own programs as actors: a collector, a relay, a shop.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::child::{Folder, Program, built, free_port};
use crate::http::{Ask, Http};
use crate::kafka::{Kafka, TENANT};
use crate::room::Room;
use crate::world::World;

/// The write key of the one site there is.
pub const WRITE_KEY: &str = "wk-shop";
/// Pages of any site may use it.
pub const ANY_ORIGIN: &str = r#"["*"]"#;
/// What collector and relay sign with here.
pub const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The key of the web server of all stories.
pub const SERVER_KEY: &str = "the key of a server in stories";

/// The key of the web server of another tenant.
pub const OTHERS_SERVER_KEY: &str = "the key of another server";

/// The name and the secret of the key that the shop signs with who is logged in: none of a collector's
/// own unless its site is told of it.
pub const PROOF_KEY: (&str, &str) = ("shop", "what shop and collector share in stories");

/// What relays show each other.
pub const PEER_KEY: &str = "what relays in stories share";

/// The relay's count of records that are committed: enriched ones, where it has neither promotions nor
/// an open copy.
pub const ENRICHED: &str = "clickmill_relay_outputs_total";

/// The relay's count of clicks it has folded, committed or not.
pub const FOLDED: &str = r#"clickmill_relay_records_total{how="folded""#;

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

/// How a collector is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The origins of its site's pages: a list as in its configuration.
    pub origins: &'static str,
    /// Further lines of its configuration: keys, or whole sites.
    pub settings: String,
    /// Further lines about its site.
    pub site: String,
    /// A further folder of schemas.
    pub schemas: Option<PathBuf>,
    /// A folder of its own with an end.
    pub room: Option<Room>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            origins: ANY_ORIGIN,
            settings: String::new(),
            site: String::new(),
            schemas: None,
            room: None,
        }
    }
}

/// A collector of one's own.
#[derive(Debug)]
pub struct Collector {
    /// Its address, without a path.
    pub url: String,
    /// Its admin address.
    pub admin: String,
    config: PathBuf,
    room: Option<Room>,
    program: Program,
}

impl Collector {
    /// Starts one that writes to this Kafka.
    pub async fn start(kafka: &Kafka, folder: &Folder, setup: &Setup) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/contracts/schemas");
        let config = format!(
            r#"
            topic_prefix = "{prefix}"
            listen.public = "127.0.0.1:{port}"
            listen.admin = "127.0.0.1:{admin_port}"
            kafka.bootstrap = "{bootstrap}"
            schemas.folders = ["{schemas}"{more}]
            tokens.keys = [{{ id = "a", secret = "{SIGNING_KEY}" }}]
            cookie.secure = false
            limits.address_requests_per_s = 1000000
            limits.address_requests_burst = 1000000
            limits.visitor_events_per_s = 10000000
            limits.visitor_events_burst = 10000000
            {settings}
            [[sites]]
            write_key = "{WRITE_KEY}"
            tenant = "{TENANT}"
            origins = {origins}
            events_per_s = 10000000
            events_burst = 10000000
            {site}
            "#,
            site = setup.site,
            more = setup.schemas.iter().map(|more| format!(", {more:?}")).collect::<String>(),
            prefix = kafka.prefix,
            bootstrap = kafka.services,
            settings = setup.settings,
            origins = setup.origins,
        );
        let config = folder.write(&format!("collector-{port}.toml"), &config);
        let (admin, room) = (format!("http://127.0.0.1:{admin_port}"), setup.room.clone());
        let program = Self::run(&config, room.as_ref());
        let url = format!("http://127.0.0.1:{port}");
        let mut collector = Self { url, admin, config, room, program };
        collector.is_ready().await;
        collector
    }

    fn run(config: &Path, room: Option<&Room>) -> Program {
        let arguments = HashMap::from([("--config", config.display().to_string())]);
        Program::spawn("clickmill-collector", &arguments, &config.with_extension("log"), room)
    }

    /// Waits until it says that it is ready.
    pub async fn is_ready(&mut self) {
        self.program.answers(&format!("{}/ready", self.admin)).await;
    }

    /// Waits until it answers at all, ready or not.
    pub async fn lives(&mut self) {
        self.program.answers(&format!("{}/live", self.admin)).await;
    }

    /// Changes its file, all at once, while it may be running.
    ///
    /// # Panics
    /// When the file cannot be changed.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        let next = self.config.with_extension("next");
        std::fs::write(&next, change(text)).expect("a file in a folder of our own");
        std::fs::rename(&next, &self.config).expect("a file in a folder of our own");
    }

    /// Sends it SIGHUP.
    pub fn hang_up(&self) {
        self.program.hang_up();
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again, as it was; it need not be ready yet.
    pub async fn restart(&mut self) {
        // One that still ran would keep the ports.
        self.program.kill();
        self.program = Self::run(&self.config, self.room.as_ref());
        self.lives().await;
    }

    /// Runs one of its program's commands with its configuration to the end; what that says.
    ///
    /// # Panics
    /// When it ends with a failure.
    pub async fn command(&self, name: &str, options: &[&str]) -> String {
        let (code, said) = self.ask(name, options, &[]).await;
        assert_eq!(code, Some(0), "{name} {options:?}: {said}");
        said
    }

    /// Runs one of its program's commands with its configuration, and these variables over it, to
    /// the end: its exit code and all that it says.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn ask(
        &self,
        name: &str,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(built("clickmill-collector"));
        command.arg(name).arg("--config").arg(&self.config).args(options);
        command.env_clear().envs(variables.iter().copied());
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let ended = ran.expect("a thread").expect("the collector's program");
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
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
    /// Where other relays ask it.
    pub peers: String,
    config: PathBuf,
    state: PathBuf,
    room: Option<Room>,
    program: Program,
}

impl Relay {
    /// Starts one that reads from this Kafka.
    pub async fn start(kafka: &Kafka, folder: &Folder, origins: &str) -> Self {
        Self::start_with(kafka, folder, (origins, "")).await
    }

    /// Starts one with further lines of configuration.
    pub async fn start_with(
        kafka: &Kafka,
        folder: &Folder,
        (origins, settings): (&str, &str),
    ) -> Self {
        let (port, admin_port, peer_port) = (free_port(), free_port(), free_port());
        let state = folder.path().join(format!("relay-{port}"));
        let config = format!(
            r#"
            topic_prefix = "{prefix}"
            listen = {{ public = "127.0.0.1:{port}", admin = "127.0.0.1:{admin_port}" }}
            kafka.bootstrap = "{bootstrap}"
            tokens.keys = [{{ id = "a", secret = "{SIGNING_KEY}" }}]
            servers.keys = [
                {{ tenant = "{TENANT}", secret = "{SERVER_KEY}" }},
                {{ tenant = "other", secret = "{OTHERS_SERVER_KEY}" }},
            ]
            peers.listen = "127.0.0.1:{peer_port}"
            peers.keys = [{{ id = "a", secret = "{PEER_KEY}" }}]
            view.group = "relay"
            view.instance = "relay-{port}"
            view.session_timeout = "6s"
            view.state_folder = "{state}"
            hints.origins = {origins}
            {settings}
            "#,
            prefix = kafka.prefix,
            bootstrap = kafka.services,
            state = state.display(),
        );
        let config = folder.write(&format!("relay-{port}.toml"), &config);
        let mut relay = Self {
            url: format!("http://127.0.0.1:{port}"),
            admin: format!("http://127.0.0.1:{admin_port}"),
            peers: format!("127.0.0.1:{peer_port}"),
            program: Self::run(&config, None),
            config,
            state,
            room: None,
        };
        relay.is_ready().await;
        relay
    }

    fn run(config: &Path, room: Option<&Room>) -> Program {
        let arguments = HashMap::from([("--config", config.display().to_string())]);
        Program::spawn("clickmill-relay", &arguments, &config.with_extension("log"), room)
    }

    /// From its next start on its states lie on an empty disk of that size.
    pub fn gets_a_disk_of(&mut self, bytes: u64) {
        self.room = Some(Room::new(&self.state, bytes));
    }

    /// Waits until it says that it is ready.
    pub async fn is_ready(&mut self) {
        self.program.answers(&format!("{}/ready", self.admin)).await;
    }

    /// Changes its file; it is read at the next start.
    ///
    /// # Panics
    /// When the file cannot be changed.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        std::fs::write(&self.config, change(text)).expect("a file in a folder of our own");
    }

    /// Runs one of its program's commands with its configuration to the end: its exit code and all
    /// that it says.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn ask(&self, command: &[&str]) -> (Option<i32>, String) {
        let mut program = Command::new(built("clickmill-relay"));
        program.arg("--config").arg(&self.config).args(command).env_clear();
        let ran = tokio::task::spawn_blocking(move || program.output()).await;
        let ended = ran.expect("a thread").expect("the relay's program");
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.program.log()
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

    /// Halts it where it stands.
    pub fn freeze(&self) {
        self.program.freeze();
    }

    /// Lets it go on where it was halted.
    pub fn thaw(&self) {
        self.program.thaw();
    }

    /// A metric of its own.
    pub async fn metric(&self, series: &str) -> f64 {
        metric_at(&Http::default(), &self.admin, series).await
    }

    /// Starts it again, as it was.
    pub async fn restart(&mut self) {
        // One that still ran would keep the ports.
        self.program.kill();
        self.program = Self::run(&self.config, self.room.as_ref());
        self.is_ready().await;
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
    /// Starts the shop with the SDK that `cargo xtask web` built, which sends to this address.
    ///
    /// # Panics
    /// When the SDK was not built.
    pub async fn start(world: &World, collector: &str) -> Self {
        let sdk = built("sdk/clickmill.js");
        let sdk = sdk.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        let with = HashMap::from([
            ("--bootstrap", world.kafka.bootstrap.clone()),
            ("--topic-prefix", world.kafka.prefix.clone()),
            ("--tenant", TENANT.to_owned()),
            ("--collector", collector.to_owned()),
            ("--hints", world.relay.url.clone()),
            ("--write-key", WRITE_KEY.to_owned()),
            ("--sdk-dir", sdk),
            ("--proof-key", format!("{}:{}", PROOF_KEY.0, PROOF_KEY.1)),
        ]);
        Self::open(with, world.folder()).await
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
        let mut program = Program::spawn("clickmill-shop", &arguments, &log, None);
        program.answers(&format!("{url}/healthz")).await;
        Self { url, _program: program }
    }
}
