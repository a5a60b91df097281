//! Reload: takes over what may change of a configuration, while requests go on.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use clickmill_server::reload::Changes;
use clickmill_server::telemetry::{LogFilter, TelemetryError};
use clickmill_server::tls::{Tls, TlsError};
use clickmill_server::token::KeyError;

use crate::collector::Collector;
use crate::config::{BadConfig, Config};

/// The collector as the next request meets it.
pub(crate) type Current = Arc<ArcSwap<Collector>>;

/// Where a configuration came from, and what of it lives outside of the collector.
#[derive(Debug, Default)]
pub struct Source {
    /// The file; the environment lies over it.
    pub file: Option<PathBuf>,
    /// Changes what is logged.
    pub log: Option<LogFilter>,
}

/// Why nothing was taken over, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The configuration is no good.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The signing keys are no good.
    #[error("tokens.keys: {0}")]
    Keys(#[from] KeyError),
    /// The log filter is no good.
    #[error(transparent)]
    Log(#[from] TelemetryError),
    /// Certificate or key is no good.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Reloads one collector.
pub(crate) struct Reload {
    pub(crate) source: Source,
    pub(crate) current: Current,
    pub(crate) tls: Option<Tls>,
}

impl Reload {
    /// Reloads on every change. Never resolves.
    pub(crate) async fn follow(self, mut changes: Changes) {
        loop {
            changes.next(&self.watched()).await;
            self.once().await;
        }
    }

    fn watched(&self) -> Vec<PathBuf> {
        let collector = self.current.load();
        let config = &collector.config;
        let pair = config.listen.tls.iter();
        let pair = pair.flat_map(|tls| [tls.certificate_file.clone(), tls.key_file.clone()]);
        let folders = config.schemas.folders.iter().cloned();
        self.source.file.iter().cloned().chain(pair).chain(folders).collect()
    }

    async fn once(&self) {
        match Config::load(self.source.file.as_deref()).map_err(ReloadError::from) {
            Ok(config) => self.report(self.take(config)),
            Err(error) => self.report(Err(error)),
        }
        let schemas = Arc::clone(&self.current.load().schemas);
        // The schemas' files have nothing to do with the configuration being good.
        match tokio::task::spawn_blocking(move || schemas.reload()).await {
            Ok(Ok(refused)) => {
                for refusal in refused {
                    tracing::error!(%refusal, "a schema is refused; what was in force stays");
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "schemas cannot be read; the old ones stay"),
            Err(error) => tracing::error!(%error, "the reading of schemas broke off"),
        }
    }

    fn report(&self, taken: Result<Vec<&'static str>, ReloadError>) {
        match taken {
            Ok(waiting) if waiting.is_empty() => tracing::info!("configuration reloaded"),
            Ok(waiting) => {
                let keys = waiting.join(", ");
                tracing::warn!(%keys, "configuration reloaded; these keys need a restart");
            }
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded; the running one stays");
            }
        }
    }

    /// Takes a configuration over, all that may change or nothing. Names the keys that differ and
    /// need a restart.
    fn take(&self, read: Config) -> Result<Vec<&'static str>, ReloadError> {
        let running = self.current.load_full();
        let waiting = differing(&running.config, &read);
        let config = merge(&running.config, read);
        let renewed = running.renewed(config)?;
        let filter = renewed.config.log.filter.as_str();
        if let (Some(tls), Some(files)) = (&self.tls, &renewed.config.listen.tls) {
            tls.reload(files)?;
        }
        if let Some(log) = &self.source.log {
            log.set(filter)?;
        }
        self.current.store(Arc::new(renewed));
        Ok(waiting)
    }
}

/// What is in force after a reload: what may change as it was read, all else as it runs.
fn merge(running: &Config, read: Config) -> Config {
    let mut config = running.clone();
    config.limits = read.limits;
    config.limits.memory_bytes_max = running.limits.memory_bytes_max;
    config.limits.ack_timeout = running.limits.ack_timeout;
    config.log.filter = read.log.filter;
    config.traces = read.traces;
    config.schemas.unknown_type = read.schemas.unknown_type;
    if running.listen.tls.is_some() && read.listen.tls.is_some() {
        config.listen.tls = read.listen.tls;
    }
    config.tokens = read.tokens;
    config.cookie = read.cookie;
    config.privacy = read.privacy;
    config.dialects = read.dialects;
    config.sites = read.sites;
    config
}

/// The keys that differ and need a restart.
fn differing(running: &Config, read: &Config) -> Vec<&'static str> {
    let after = merge(running, read.clone());
    // Kafka's settings have no equality; their texts hide secrets alone.
    let texts = |config: &Config| {
        [
            ("listen", format!("{:?}", config.listen)),
            ("path_prefix", config.path_prefix.clone()),
            ("topic_prefix", config.topic_prefix.clone()),
            ("log.format", format!("{:?}", config.log.format)),
            ("kafka", format!("{:?}", config.kafka)),
            ("producer", format!("{:?}", config.producer)),
            ("schemas", format!("{:?}", config.schemas)),
            ("connections", format!("{:?}", config.connections)),
            ("limits.memory_bytes_max", config.limits.memory_bytes_max.to_string()),
            ("limits.ack_timeout", format!("{:?}", config.limits.ack_timeout)),
            ("dedup", format!("{:?}", config.dedup)),
            ("spool", format!("{:?}", config.spool)),
            ("drain", format!("{:?}", config.drain)),
        ]
    };
    let pairs = texts(&after).into_iter().zip(texts(read));
    let differing = pairs.filter(|((_, now), (_, want))| now != want).map(|((key, _), _)| key);
    let inspect = (after.inspect != read.inspect).then_some("inspect");
    differing.chain(inspect).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clickmill_catalog::{Builtin, Schemas};
    use clickmill_server::clock::ManualClock;
    use clickmill_server::config::Secret;
    use clickmill_server::metrics::Metrics;
    use clickmill_server::token::SigningKey;
    use serde_json::json;

    use super::*;
    use crate::collector::Parts;
    use crate::metrics::TABLE;
    use crate::sink::fake::FakeSink;
    use crate::testing::{NOW_MS, site_entry};

    fn config() -> Config {
        let entry = site_entry(&json!({ "events_per_s": 1, "events_burst": 1_000 }));
        let mut config = Config { sites: vec![entry], ..Config::default() };
        let secret = Secret::new("0123456789abcdef");
        config.tokens.keys = vec![SigningKey { id: "k".to_owned(), secret }];
        config
    }

    fn reload() -> Reload {
        let parts = Parts {
            config: config(),
            sink: Arc::new(FakeSink::new()),
            schemas: Arc::new(Schemas::open(vec![Box::new(Builtin)]).unwrap().0),
            refresh: None,
            clock: ManualClock::at(NOW_MS).shared(),
            metrics: Metrics::new(TABLE).unwrap(),
            source: Source::default(),
        };
        let collector = Collector::new(parts).unwrap();
        let current = Arc::new(ArcSwap::from_pointee(collector));
        Reload { source: Source::default(), current, tls: None }
    }

    #[tokio::test]
    async fn sites_come_and_go_and_a_key_that_stays_keeps_its_quota() {
        let reload = reload();
        let spent = Arc::clone(reload.current.load().sites.find("wk").unwrap());
        spent.quota.charge(1_000).unwrap();
        let mut read = config();
        read.sites.push(site_entry(&json!({ "write_key": "wk2", "tenant": "another" })));
        assert_eq!(reload.take(read.clone()).unwrap(), Vec::<&str>::new());
        let collector = reload.current.load_full();
        let (kept, new) =
            (collector.sites.find("wk").unwrap(), collector.sites.find("wk2").unwrap());
        assert!(kept.quota.charge(500).is_err(), "what was spent stays spent");
        assert_ne!(new.tenant_number, kept.tenant_number);
        assert_eq!(kept.tenant_number, spent.tenant_number, "copies are still recognised");
        read.sites.remove(0);
        reload.take(read).unwrap();
        assert!(reload.current.load().sites.find("wk").is_none());
    }

    #[tokio::test]
    async fn limits_are_taken_over_and_what_needs_a_restart_is_named() {
        let reload = reload();
        let mut read = config();
        read.limits.event_bytes_max = 1_234;
        read.limits.ack_timeout = Duration::from_secs(5);
        read.kafka.bootstrap = "elsewhere:9092".to_owned();
        read.listen.public.set_port(1);
        let waiting = reload.take(read).unwrap();
        assert_eq!(waiting, ["listen", "kafka", "limits.ack_timeout"]);
        let collector = reload.current.load_full();
        assert_eq!(collector.decode_limits.event_bytes_max, 1_234);
        assert_eq!(collector.config.kafka.bootstrap, config().kafka.bootstrap);
        assert_eq!(collector.config.limits.ack_timeout, config().limits.ack_timeout);
    }

    #[tokio::test]
    async fn a_bad_file_keeps_what_runs() {
        let mut reload = reload();
        reload.source.file = Some("nowhere/collector.toml".into());
        reload.once().await;
        assert!(reload.current.load().sites.find("wk").is_some());
        let mut read = config();
        read.tokens.keys.clear();
        read.sites.clear();
        assert!(matches!(reload.take(read), Err(ReloadError::Keys(_))));
        assert!(reload.current.load().sites.find("wk").is_some());
    }
}
