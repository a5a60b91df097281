//! `cargo xtask demo`: the whole route on this machine, with a page to click in.

mod ports;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clickmill_xtask::http;
use clickmill_xtask::kafka::{Broker, BrokerOptions};
use clickmill_xtask::need::Need;
use clickmill_xtask::process::{self, Launch, Running, last_lines};
use clickmill_xtask::web::{self, Effort};

use self::ports::Ports;
use super::{Build, Failure, Scratch, Shell};
use crate::words::Words;

/// How long a service may take until it is ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How long a service may take to end in order.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// Clicks through the demo in a browser.
const CHECK: (&str, &str) = ("clickmill-tests", "clickmill-demo-check");

/// With what the demo's shop signs who is logged in: the key's name, and the secret that it shares with
/// the collector.
const PROOF_KEY: (&str, &str) = ("demo", "for the demo only, never for a real site");

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let check = words.flag("--check");
    let port = words.option::<u16>("--port")?;
    words.end()?;
    if check { run_check(shell) } else { run_until_ctrl_c(shell, port.unwrap_or(ports::SHOP)) }
}

/// With the data of the last time, until the person has seen enough.
fn run_until_ctrl_c(shell: &Shell, port: u16) -> Result<(), Failure> {
    let start = Instant::now();
    let ports = Ports::from_shop(port)?;
    let home = shell.place.cache().join("demo");
    let _only_one = lock(&home)?;
    ports.check()?;
    prepare(shell, &[], &[])?;
    let mut demo = Demo::start(shell, ports, &home)?;
    let Ports { shop, collector_admin, relay_admin, .. } = ports;
    let token = said_of_collector(shell, "token")?;
    println!(
        "\nThe demo is ready after {:.1} s.\n\n  the shop   http://127.0.0.1:{shop}/\n  live       \
         http://127.0.0.1:{relay_admin}/#token={token}\n  figures    \
         http://127.0.0.1:{collector_admin}/metrics (collector), \
         http://127.0.0.1:{relay_admin}/metrics (relay)\n  Kafka      {}\n  logs       {}\n\n\
         Ctrl-C ends all of it.",
        start.elapsed().as_secs_f64(),
        demo.broker.bootstrap(),
        home.join("log").display(),
    );
    let watched = demo.watch(shell);
    demo.stop();
    watched
}

/// On free ports with fresh data, clicked through by a program that says what is missing.
fn run_check(shell: &Shell) -> Result<(), Failure> {
    prepare(shell, &[Need::Browser], &[CHECK])?;
    let (ports, scratch) = (Ports::free()?, Scratch::new(&shell.place)?);
    let mut demo = Demo::start(shell, ports, &scratch.0)?;
    let mut command = Command::new(shell.place.program(Build::Dev.folder(), CHECK.1));
    let at = |port: u16| format!("http://127.0.0.1:{port}");
    command
        .args(["--shop", &at(ports.shop)])
        .args(["--collector-admin", &at(ports.collector_admin)])
        .args(["--relay-admin", &at(ports.relay_admin)]);
    let checked = process::status(CHECK.1, &mut command, &shell.interrupt)?;
    if checked.success() {
        demo.stop();
        return Ok(());
    }
    for service in &demo.services {
        eprintln!("the end of {}:\n{}", service.log().display(), service.last_lines());
    }
    demo.stop();
    Err(Failure::Silent(checked.code().and_then(|code| code.try_into().ok()).unwrap_or(1)))
}

/// Everything that needs no port: what is missing, the jars, the programs, the SDK.
fn prepare(shell: &Shell, needs: &[Need], more: &[(&str, &str)]) -> Result<(), Failure> {
    shell.step("needs", || shell.needs(needs))?;
    shell.step("Kafka's jars", || shell.jars())?;
    shell.step("programs", || shell.build_route(Build::Dev, more))?;
    shell.step("SDK", || Ok(web::build(&shell.place, Effort::Everyday, &shell.interrupt)?))?;
    Ok(())
}

/// Makes sure that no second demo writes to the same data.
fn lock(home: &Path) -> Result<File, Failure> {
    let told = |what: String| Failure::Told(format!("{}: {what}", home.display()));
    fs::create_dir_all(home).map_err(|error| told(error.to_string()))?;
    let lock = File::create(home.join("lock")).map_err(|error| told(error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(told(
            "another demo runs with this data; stop it, or set CLICKMILL_HOME to another folder"
                .to_owned(),
        )),
        Err(fs::TryLockError::Error(error)) => Err(told(error.to_string())),
    }
}

/// The running parts, in the order in which they end.
struct Demo {
    /// Shop, collector, relay.
    services: Vec<Running>,
    broker: Broker,
}

impl Demo {
    fn start(shell: &Shell, ports: Ports, home: &Path) -> Result<Self, Failure> {
        let broker = shell.step("Kafka", || {
            let options = BrokerOptions {
                port: ports.kafka,
                controller_port: ports.controller,
                interrupt: shell.interrupt.clone(),
                ..BrokerOptions::new(home.join("kafka"))
            };
            Ok(Broker::start(&options)?)
        })?;
        let stage = Stage { shell, ports, home, bootstrap: broker.bootstrap() };
        shell.step("topics", || stage.topics())?;
        let services = shell.step("collector, relay and shop", || stage.services())?;
        Ok(Self { services, broker })
    }

    /// Waits for Ctrl-C, or for a part that ends by itself.
    fn watch(&mut self, shell: &Shell) -> Result<(), Failure> {
        while !shell.interrupt.wait(Duration::from_millis(500)) {
            for service in &mut self.services {
                if service.ended() {
                    return Err(Failure::Told(format!(
                        "a part ended by itself; the end of {}:\n{}",
                        service.log().display(),
                        service.last_lines()
                    )));
                }
            }
            if self.broker.ended() {
                let log = self.broker.log();
                return Err(Failure::Told(format!("Kafka ended by itself; see {}", log.display())));
            }
        }
        Ok(())
    }

    /// Ends everything in order: first who asks, then who answers, Kafka last.
    fn stop(&mut self) {
        eprintln!("stopping");
        for service in &mut self.services {
            service.stop(STOP_GRACE);
        }
        self.broker.stop();
    }
}

/// What the services are started with.
struct Stage<'a> {
    shell: &'a Shell,
    ports: Ports,
    home: &'a Path,
    bootstrap: String,
}

impl Stage<'_> {
    /// Creates the topics of the built-in contracts and of the shop's.
    fn topics(&self) -> Result<(), Failure> {
        let log = self.log("catalog");
        let told = |error: std::io::Error| Failure::Told(format!("{}: {error}", log.display()));
        fs::create_dir_all(self.home.join("log")).map_err(told)?;
        let file = File::create(&log).map_err(told)?;
        let mut command = Command::new(self.program("clickmill-catalog"));
        command
            .args(["apply", "--bootstrap", &self.bootstrap, "--replication", "1", "--contracts"])
            .arg(self.shop_file("contracts"))
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(told)?)
            .stderr(file);
        let applied = process::status("clickmill-catalog", &mut command, &self.shell.interrupt)?;
        if applied.success() {
            return Ok(());
        }
        let said = last_lines(&log);
        Err(Failure::Told(format!("the topics could not be made; {}:\n{said}", log.display())))
    }

    /// Starts the three services side by side and waits for each.
    fn services(&self) -> Result<Vec<Running>, Failure> {
        let mut shop = Running::start(&self.shop()?)?;
        let mut collector = Running::start(&self.collector()?)?;
        let mut relay = Running::start(&self.relay())?;
        let (ports, interrupt) = (self.ports, &self.shell.interrupt);
        collector.wait_for_http(address(ports.collector_admin), READY_PATIENCE, interrupt)?;
        relay.wait_for_http(address(ports.relay_admin), READY_PATIENCE, interrupt)?;
        let page = || http::status(address(ports.shop), "/").is_ok_and(|status| status == 200);
        shop.wait_until_ready(READY_PATIENCE, interrupt, page)?;
        Ok(vec![shop, collector, relay])
    }

    fn collector(&self) -> Result<Launch, Failure> {
        let Ports { shop, collector, collector_admin, .. } = self.ports;
        let mut launch = self.service("collector", (collector, collector_admin));
        // The pages' origin has the shop's port in it.
        let origins = format!("\"http://127.0.0.1:{shop}\", \"http://localhost:{shop}\"");
        let key = self.write_key()?;
        let (id, secret) = PROOF_KEY;
        launch.environment.push((
            "CLICKMILL_COLLECTOR__SITES".to_owned(),
            format!(
                "[{{ write_key = \"{key}\", tenant = \"shop\", origins = [{origins}], \
                 proofs = {{ keys = [{{ id = \"{id}\", secret = \"{secret}\" }}] }} }}]"
            )
            .into(),
        ));
        Ok(launch)
    }

    fn relay(&self) -> Launch {
        let Ports { relay, relay_admin, collector_admin, .. } = self.ports;
        let mut launch = self.service("relay", (relay, relay_admin));
        launch.environment.push((
            "CLICKMILL_RELAY__LIVE__INSPECTOR".to_owned(),
            format!("http://{}", address(collector_admin)).into(),
        ));
        launch
    }

    /// A service with its configuration file, and over it what this run decides.
    fn service(&self, name: &str, (public, admin): (u16, u16)) -> Launch {
        let variable = |key: &str| format!("CLICKMILL_{}__{key}", name.to_uppercase());
        Launch {
            name: format!("the {name}"),
            program: self.program(&format!("clickmill-{name}")),
            arguments: vec!["--config".into(), self.shop_file(&format!("{name}.toml")).into()],
            environment: vec![
                (variable("LISTEN__PUBLIC"), address(public).to_string().into()),
                (variable("LISTEN__ADMIN"), address(admin).to_string().into()),
                (variable("KAFKA__BOOTSTRAP"), self.bootstrap.clone().into()),
            ],
            // Paths in the configuration files begin in the workspace.
            folder: self.shell.place.root().to_owned(),
            log: self.log(name),
        }
    }

    fn shop(&self) -> Result<Launch, Failure> {
        let Ports { shop, collector, relay, .. } = self.ports;
        let sdk = self.shell.place.sdk().into_os_string();
        let (id, secret) = PROOF_KEY;
        let arguments = [
            ("--listen", address(shop).to_string().into()),
            ("--collector", format!("http://{}", address(collector)).into()),
            ("--hints", format!("http://{}", address(relay)).into()),
            ("--write-key", self.write_key()?.into()),
            ("--sdk-dir", sdk),
            ("--proof-key", format!("{id}:{secret}").into()),
            ("--bootstrap", self.bootstrap.clone().into()),
        ];
        Ok(Launch {
            name: "the shop".to_owned(),
            program: self.program("clickmill-shop"),
            arguments: arguments.into_iter().flat_map(|(key, value)| [key.into(), value]).collect(),
            environment: Vec::new(),
            folder: self.shell.place.root().to_owned(),
            log: self.log("shop"),
        })
    }

    fn write_key(&self) -> Result<String, Failure> {
        said_of_collector(self.shell, "write_key")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.shell.place.program(Build::Dev.folder(), name)
    }

    fn shop_file(&self, name: &str) -> PathBuf {
        shop_file(self.shell, name)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.home.join("log").join(format!("{name}.log"))
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn shop_file(shell: &Shell, name: &str) -> PathBuf {
    shell.place.root().join("examples/shop").join(name)
}

/// What the configuration of the shop's collector, its one place, says of a key.
fn said_of_collector(shell: &Shell, key: &str) -> Result<String, Failure> {
    let file = shop_file(shell, "collector.toml");
    let told = |what: String| Failure::Told(format!("{}: {what}", file.display()));
    let text = fs::read_to_string(&file).map_err(|error| told(error.to_string()))?;
    find(&text, key).ok_or_else(|| told(format!("names no {key}")))
}

/// The first `key = "…"` of a configuration.
fn find(toml: &str, key: &str) -> Option<String> {
    let value = toml.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then_some(value)
    })?;
    value.split('"').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_configuration_is_found() {
        let toml = "# write_key comes below\n[[sites]]\nwrite_key = \"demo\" # public\n";
        assert_eq!(find(toml, "write_key").as_deref(), Some("demo"));
        assert_eq!(find("tenant = \"shop\"", "write_key"), None);
    }
}
