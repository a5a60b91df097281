//! Reload: takes over what may change of a configuration, while requests go on: all of it, or
//! nothing where any part is no good.

mod differing;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use clickmill_server::reload::Changes;
use clickmill_server::telemetry::{Filter, LogFilter, TelemetryError};
use clickmill_server::tls::{Tls, TlsError};
use clickmill_server::token::KeyError;

use self::differing::differing;
use crate::collector::Collector;
use crate::config::{BadConfig, Config};
use crate::run::{RunError, open_schemas};

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

/// Why nothing was taken over.
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
    /// What is new does not go with the keys that need a restart.
    #[error("as long as it was not restarted: {0}")]
    Mixed(BadConfig),
    /// A collector would not start with the schemas that are in its folders now.
    #[error(transparent)]
    Schemas(#[from] RunError),
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
        match self.take(Config::load(self.source.file.as_deref())).await {
            Ok(waiting) => {
                self.read_schemas().await;
                report(&waiting);
            }
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded; all of the running one stays");
            }
        }
    }

    /// Reads the schemas of all sources. Those of the folders were good a moment ago; others than
    /// this collector's operators write into a registry.
    async fn read_schemas(&self) {
        let schemas = Arc::clone(&self.current.load().schemas);
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

    /// Takes a configuration over, all that may change or nothing. Names the keys that differ and
    /// need a restart.
    async fn take(
        &self,
        read: Result<Config, BadConfig>,
    ) -> Result<Vec<&'static str>, ReloadError> {
        let read = read?;
        let running = self.current.load_full();
        let config = merge(&running.config, read.clone());
        let waiting = differing(&config, &read);
        // Whatever can fail comes first.
        config.check().map_err(ReloadError::Mixed)?;
        open_schemas(&config).await?;
        let renewed = running.renewed(config)?;
        let certified = match (&self.tls, &renewed.config.listen.tls) {
            (Some(tls), Some(files)) => Some((tls, Tls::read(files)?)),
            _ => None,
        };
        let filter = Filter::read(&renewed.config.log.filter)?;

        if let Some((tls, certified)) = certified {
            tls.take(certified);
        }
        if let Some(log) = &self.source.log {
            log.set(filter);
        }
        self.current.store(Arc::new(renewed));
        Ok(waiting)
    }
}

fn report(waiting: &[&str]) {
    if waiting.is_empty() {
        tracing::info!("configuration reloaded");
    } else {
        let keys = waiting.join(", ");
        tracing::warn!(%keys, "configuration reloaded; these keys differ and need a restart");
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use clickmill_catalog::{Builtin, Schemas};
    use clickmill_kafka::Secret;
    use clickmill_server::clock::ManualClock;
    use clickmill_server::metrics::Metrics;
    use serde_json::json;

    use super::*;
    use crate::collector::Parts;
    use crate::metrics::TABLE;
    use crate::sink::fake::FakeSink;
    use crate::testing::{self, NOW_MS, site_entry};

    fn config() -> Config {
        let entry = site_entry(&json!({ "events_per_s": 1, "events_burst": 1_000 }));
        Config { sites: vec![entry], ..testing::config() }
    }

    fn reload_of(config: Config) -> Reload {
        let parts = Parts {
            config,
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

    fn reload() -> Reload {
        reload_of(config())
    }

    #[tokio::test]
    async fn sites_come_and_go_and_a_key_that_stays_keeps_its_quota() {
        let reload = reload();
        let spent = Arc::clone(reload.current.load().sites.find("wk").unwrap());
        spent.quota.charge(1_000).unwrap();
        let mut read = config();
        read.sites.push(site_entry(&json!({ "write_key": "wk2", "tenant": "another" })));
        assert_eq!(reload.take(Ok(read.clone())).await.unwrap(), Vec::<&str>::new());
        let collector = reload.current.load_full();
        let (kept, new) =
            (collector.sites.find("wk").unwrap(), collector.sites.find("wk2").unwrap());
        assert!(kept.quota.charge(500).is_err(), "what was spent stays spent");
        assert_ne!(new.tenant_number, kept.tenant_number);
        assert_eq!(kept.tenant_number, spent.tenant_number, "copies are still recognised");
        read.sites.remove(0);
        reload.take(Ok(read)).await.unwrap();
        assert!(reload.current.load().sites.find("wk").is_none());
    }

    #[tokio::test]
    async fn limits_are_taken_over_and_what_needs_a_restart_is_named() {
        let reload = reload();
        let mut read = config();
        read.limits.event_bytes_max = 1_234;
        read.limits.ack_timeout = Duration::from_secs(5);
        read.kafka.bootstrap = "elsewhere:9092".to_owned();
        read.kafka.security.sasl_password = Some(Secret::new("another"));
        read.listen.public.set_port(1);
        let waiting = reload.take(Ok(read)).await.unwrap();
        let password = "kafka.security.sasl_password";
        assert_eq!(waiting, ["listen.public", "kafka.bootstrap", password, "limits.ack_timeout"]);
        let collector = reload.current.load_full();
        assert_eq!(collector.decode_limits.event_bytes_max, 1_234);
        assert_eq!(collector.config.kafka.bootstrap, config().kafka.bootstrap);
        assert_eq!(collector.config.limits.ack_timeout, config().limits.ack_timeout);
    }

    #[tokio::test]
    async fn limits_that_do_not_go_with_what_needs_a_restart_are_refused() {
        let reload = reload();
        let mut read = config();
        read.limits.memory_bytes_max = 4 << 30;
        read.limits.inflated_bytes_max = 256 << 20;
        let refused = reload.take(Ok(read)).await.unwrap_err().to_string();
        assert!(refused.contains("not restarted: `limits.memory_bytes_max`"), "{refused}");
        assert_eq!(reload.current.load().config.limits, config().limits);
    }

    #[tokio::test]
    async fn a_bad_file_keeps_what_runs() {
        let mut reload = reload();
        reload.source.file = Some("nowhere/collector.toml".into());
        reload.once().await;
        assert!(reload.current.load().sites.find("wk").is_some());
        let mut read = config();
        read.tokens.keys.clear();
        read.sites[0] = site_entry(&json!({ "write_key": "wk2" }));
        assert!(reload.take(Ok(read)).await.is_err());
        assert!(reload.current.load().sites.find("wk").is_some());
    }

    #[tokio::test]
    async fn a_bad_schema_keeps_the_whole_configuration_that_runs() {
        let folder = std::env::temp_dir().join(format!("clickmill-reload-{}", std::process::id()));
        fs::create_dir_all(folder.join("wish")).unwrap();
        let mut config = config();
        config.schemas.folders = vec![folder.clone()];
        let reload = reload_of(config.clone());
        let write = |schema: &str| fs::write(folder.join("wish/1.json"), schema).unwrap();
        config.sites[0] = site_entry(&json!({ "write_key": "wk2" }));
        write("{");
        let refused = reload.take(Ok(config.clone())).await.unwrap_err().to_string();
        assert!(refused.starts_with("schemas: ") && refused.contains("wish/1.json"), "{refused}");
        assert!(reload.current.load().sites.find("wk").is_some());
        write(r#"{"type":"object"}"#);
        reload.take(Ok(config)).await.unwrap();
        assert!(reload.current.load().sites.find("wk2").is_some());
        fs::remove_dir_all(folder).unwrap();
    }
}
