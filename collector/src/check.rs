//! Check: looks at what a collector would stand on before one does, and says what it looked at.

mod topics;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clickmill_catalog::{
    Catalogue, ContractError, PlanOptions, Refusal, Schemas, Standing, observe,
};
use clickmill_kafka::{Admin, Error as KafkaError};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::listen::ProxyProtocol;

use crate::config::{Config, RegistryConfig, UnknownType};
use crate::run::open_schemas;

/// How far a check goes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CheckOptions {
    /// Leaves Kafka and the schema registry out: for a machine that cannot reach them.
    #[arg(long)]
    pub offline: bool,
    /// Fails on warnings, too, with the exit code 3.
    #[arg(long)]
    pub strict: bool,
    /// A folder of contracts that count over the built-in ones, as for clickmill-catalog; may be
    /// given more than once.
    #[arg(long, value_name = "DIR")]
    pub contracts: Vec<PathBuf>,
    /// How long Kafka may take to answer one question.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10s")]
    pub wait: Duration,
}

/// What a check found, in the order in which it looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(Vec<Finding>);

/// One line of a report; the text is a clause for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It was looked at and is good.
    Checked(String),
    /// It was not looked at.
    Skipped(String),
    /// It works, and something is worse than it should be.
    Warning(String),
    /// A collector would not start, not become ready, or not keep its word.
    Error(String),
}

/// Looks at a configuration and at what it names: certificate, schemas, proxies, and the cluster
/// with the topics that a collector writes. Changes nothing.
pub async fn check(config: &Config, options: &CheckOptions) -> Report {
    let mut report = Report::default();
    if let Err(error) = config.check() {
        report.0.push(Finding::Error(error.to_string()));
        return report;
    }
    let sites = config.sites.len();
    report.0.push(Finding::Checked(format!("every key of the configuration; sites: {sites}")));
    report.0.extend(certificate(config));
    report.0.extend(schemas(config, options).await);
    report.0.push(proxies(config));
    if options.offline {
        report.0.push(Finding::Skipped("Kafka and its topics (--offline)".to_owned()));
    } else {
        report.0.extend(kafka(config, options).await);
    }
    report
}

impl Report {
    /// How many things are worse than they should be.
    pub fn warnings(&self) -> usize {
        self.0.iter().filter(|finding| matches!(finding, Finding::Warning(_))).count()
    }

    /// How many things keep a collector from working.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|finding| matches!(finding, Finding::Error(_))).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let judgement = if self.errors() == 0 { "good" } else { "not good" };
        let (warnings, errors) = (self.warnings(), self.errors());
        write!(f, "the configuration is {judgement}; errors: {errors}, warnings: {warnings}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match self {
            Self::Checked(text) => ("checked", text),
            Self::Skipped(text) => ("skipped", text),
            Self::Warning(text) => ("warning", text),
            Self::Error(text) => ("error", text),
        };
        write!(f, "{word:7}  {text}")
    }
}

fn certificate(config: &Config) -> Option<Finding> {
    config.listen.tls.as_ref()?;
    Some(match config.listen.transport() {
        Ok(_) => Finding::Checked("certificate and key of listen.tls".to_owned()),
        Err(error) => Finding::Error(error.to_string()),
    })
}

async fn schemas(config: &Config, options: &CheckOptions) -> Vec<Finding> {
    let schemas = match open_schemas(config).await {
        Ok(schemas) => schemas,
        Err(error) => return vec![Finding::Error(error.to_string())],
    };
    let count = schemas.load().len();
    let own = Finding::Checked(format!("schemas, built-in and in folders: {count}"));
    let registry = match &config.schemas.registry {
        none if none.urls.is_empty() => Vec::new(),
        _ if options.offline => {
            vec![Finding::Skipped("the schema registry (--offline)".to_owned())]
        }
        registry => ask(registry, schemas).await,
    };
    [vec![own], registry].concat()
}

/// Asks the registry for all that it holds, as a start does, and compiles it. The copy that a running
/// collector keeps of it is left alone.
async fn ask(config: &RegistryConfig, schemas: Arc<Schemas>) -> Vec<Finding> {
    let uncopied = RegistryConfig { cache_dir: None, ..config.clone() };
    let asked = tokio::task::spawn_blocking(move || -> Result<_, String> {
        let registry = uncopied.open().map_err(|error| error.to_string())?;
        let registry = Arc::new(registry.ok_or("it has no address")?);
        registry.refresh();
        let source = Box::new(Arc::clone(&registry));
        let refused = schemas.add(source).map_err(|error| error.to_string())?;
        Ok((registry.standing(), schemas.load().len(), refused))
    });
    match asked.await {
        Ok(Ok((standing, count, refused))) => answered(config, standing, count, &refused),
        Ok(Err(problem)) => vec![Finding::Error(format!("schemas.registry: {problem}"))],
        Err(_) => vec![Finding::Error("schemas.registry: its reader ended early".to_owned())],
    }
}

/// What a registry's answer means. One that is away keeps a collector without a copy from becoming
/// ready; one with a copy starts with that.
fn answered(
    config: &RegistryConfig,
    standing: Standing,
    count: usize,
    refused: &[Refusal],
) -> Vec<Finding> {
    match (standing.away, &config.cache_dir) {
        (Some(why), None) => vec![Finding::Error(format!(
            "schemas.registry: {why}. Without schemas.registry.cache_dir no collector is ready \
             before it answers; --offline leaves it out"
        ))],
        (Some(why), Some(copy)) => vec![Finding::Warning(format!(
            "schemas.registry: {why}. Meanwhile a collector judges by the copy in {}, if one is there",
            copy.display()
        ))],
        (None, _) => {
            let urls = config.urls.join(", ");
            let asked = format!("the schema registry at {urls}; schemas with its own: {count}");
            let left_out = |refusal| Finding::Warning(format!("left out: {refusal}"));
            std::iter::once(Finding::Checked(asked)).chain(refused.iter().map(left_out)).collect()
        }
    }
}

/// Whom the quotas by address would count. Nobody can see from here whether a balancer stands before
/// this collector; that it speaks no TLS, or listens to its own machine alone, says that one does.
fn proxies(config: &Config) -> Finding {
    let listen = &config.listen;
    let read = match (listen.proxy_protocol, listen.forwarded_depth) {
        (ProxyProtocol::Required, 0) => "the PROXY header",
        (ProxyProtocol::Required, 1..) => "the PROXY header and X-Forwarded-For",
        (ProxyProtocol::Off, 1..) => "X-Forwarded-For",
        (ProxyProtocol::Off, 0) => return unread(config),
    };
    Finding::Checked(format!(
        "clients' addresses come from {read} of listen.trusted_proxies: quotas count clients"
    ))
}

fn unread(config: &Config) -> Finding {
    let listen = &config.listen;
    let sign = if !listen.trusted_proxies.is_empty() {
        "listen.trusted_proxies names some"
    } else if listen.public.ip().is_loopback() {
        "listen.public is for this machine alone"
    } else if listen.tls.is_none() {
        "without listen.tls something else must speak TLS to browsers"
    } else {
        return Finding::Checked(
            "quotas count whoever connects: right unless a balancer stands before this collector \
             (listen.proxy_protocol is \"off\", listen.forwarded_depth is 0)"
                .to_owned(),
        );
    };
    let per_s = config.limits.address_requests_per_s;
    Finding::Warning(format!(
        "listen: a proxy or balancer seems to stand before this collector ({sign}), but \
         listen.proxy_protocol is \"off\" and listen.forwarded_depth is 0. The quota by address \
         then counts the balancer: all visitors together may send {per_s} requests/s \
         (limits.address_requests_per_s), and its address is what is kept with events. Set one of \
         the two, and listen.trusted_proxies"
    ))
}

/// Why the cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error("contracts: {0}")]
    Contracts(#[from] ContractError),
    #[error("kafka: {0}; --offline leaves Kafka out")]
    Kafka(#[from] KafkaError),
}

async fn kafka(config: &Config, options: &CheckOptions) -> Vec<Finding> {
    match look(config, options).await {
        Ok(findings) => findings,
        Err(unseen) => vec![Finding::Error(unseen.to_string())],
    }
}

async fn look(config: &Config, options: &CheckOptions) -> Result<Vec<Finding>, Unseen> {
    let mut catalogue = Catalogue::builtin()?;
    for folder in &options.contracts {
        catalogue.add_folder(folder)?;
    }
    let written = written(config);
    let contracts: Vec<_> =
        written.iter().filter_map(|each| catalogue.get(each.as_str())).collect();
    let plan = PlanOptions { topic_prefix: config.topic_prefix.clone(), ..PlanOptions::default() };
    let admin = Admin::new(&config.kafka, options.wait)?;
    let cluster = observe(&admin, contracts.iter().copied(), &plan).await?;

    let (mut names, mut found) = (Vec::new(), Vec::new());
    for contract in contracts {
        let name = plan.topic(contract);
        let largest = config.producer.record_bytes_max;
        found.extend(topics::judge(&name, contract, cluster.topics.get(&name), largest));
        names.push(name);
    }
    let (bootstrap, brokers, names) = (&config.kafka.bootstrap, cluster.brokers, names.join(", "));
    let looked = format!("Kafka at {bootstrap}; brokers: {brokers}; topics: {names}");
    Ok([vec![Finding::Checked(looked)], found].concat())
}

/// The topics that a collector writes.
fn written(config: &Config) -> Vec<Topic> {
    let mut written = vec![Topic::ClicksRaw, Topic::ClicksRejected, Topic::ClicksOverflow];
    if config.schemas.unknown_type == UnknownType::Unvalidated {
        written.push(Topic::ClicksUnvalidated);
    }
    written
}

#[cfg(test)]
mod tests {
    use clickmill_server::listen::ListenConfig;
    use clickmill_server::tls::TlsConfig;

    use super::*;

    fn config(listen: &str) -> Config {
        let default =
            ListenConfig::plain(([0, 0, 0, 0], 443).into(), ([127, 0, 0, 1], 9081).into());
        let mut config = Config { listen: default, ..Config::default() };
        for word in listen.split_whitespace() {
            match word {
                "loopback" => config.listen.public.set_ip([127, 0, 0, 1].into()),
                "tls" => {
                    let file = PathBuf::from("edge.pem");
                    let tls = TlsConfig { certificate_file: file.clone(), key_file: file };
                    config.listen.tls = Some(tls);
                }
                "proxy" => config.listen.proxy_protocol = ProxyProtocol::Required,
                "forwarded" => config.listen.forwarded_depth = 1,
                "trusted" => {
                    let trusted = serde_json::from_str(r#"["10.0.0.0/8"]"#).unwrap();
                    config.listen.trusted_proxies = trusted;
                }
                other => panic!("{other}"),
            }
        }
        config
    }

    #[test]
    fn a_balancer_that_is_counted_as_one_is_warned_of() {
        for (listen, says) in [
            ("", "without listen.tls"),
            ("loopback tls", "for this machine alone"),
            ("tls trusted", "trusted_proxies names some"),
        ] {
            let finding = proxies(&config(listen));
            let Finding::Warning(text) = &finding else { panic!("{listen}: {finding}") };
            assert!(text.contains(says) && text.contains("500 requests/s"), "{listen}: {text}");
        }
        for (listen, says) in [
            ("tls", "whoever connects"),
            ("proxy trusted", "the PROXY header of"),
            ("loopback forwarded trusted", "X-Forwarded-For of"),
            ("tls proxy forwarded trusted", "the PROXY header and X-Forwarded-For of"),
        ] {
            let finding = proxies(&config(listen));
            let Finding::Checked(text) = &finding else { panic!("{listen}: {finding}") };
            assert!(text.contains(says), "{listen}: {text}");
        }
    }

    #[test]
    fn a_report_ends_with_its_judgement() {
        let said = |findings: &[Finding]| Report(findings.to_vec()).to_string();
        let (good, bad) = (Finding::Warning("w".to_owned()), Finding::Error("e".to_owned()));
        assert_eq!(
            said(&[Finding::Checked("c".to_owned()), good.clone()]),
            "checked  c\nwarning  w\nthe configuration is good; errors: 0, warnings: 1"
        );
        assert!(said(&[good, bad]).ends_with("is not good; errors: 1, warnings: 1"));
    }

    #[tokio::test]
    async fn what_is_left_out_is_said_and_a_bad_configuration_is_not_looked_behind() {
        let offline = CheckOptions { offline: true, ..CheckOptions::default() };
        let good = crate::testing::config();
        let said = check(&good, &offline).await.to_string();
        assert!(said.contains("skipped  Kafka and its topics (--offline)"), "{said}");
        assert!(said.contains("is good; errors: 0"), "{said}");

        let bad = Config { sites: Vec::new(), ..good.clone() };
        let report = check(&bad, &offline).await;
        assert_eq!((report.0.len(), report.errors()), (1, 1), "{report}");

        let mut bad = good;
        bad.schemas.folders = vec!["no/such/folder".into()];
        let said = check(&bad, &offline).await.to_string();
        assert!(said.contains("error    schemas: ") && said.contains("no/such/folder"), "{said}");
    }

    #[test]
    fn a_topic_that_nobody_writes_is_not_asked_for() {
        let mut config = Config::default();
        assert!(!written(&config).contains(&Topic::ClicksUnvalidated));
        config.schemas.unknown_type = UnknownType::Unvalidated;
        assert!(written(&config).contains(&Topic::ClicksUnvalidated));
    }
}
