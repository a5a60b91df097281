//! What the shop is told when it starts, by flags or the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clickmill_sdk_core::wire::{Tenant, WriteKey};
use clickmill_server::token::KeyError;
use hyper::Uri;

use crate::proof::ProofKey;
use crate::shop::Tracking;

/// The example shop of Clickmill: some forty electrical products to click on.
///
/// Without any flag it runs alone. With the addresses of a collector and a relay its pages carry
/// the SDK; with a bootstrap server it tells Kafka what it sells and what is in stock.
#[derive(Clone, Debug, Parser)]
#[command(name = "clickmill-shop", version)]
pub struct Options {
    /// Address and port to listen on
    #[arg(long, env = "CLICKMILL_SHOP_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Origin of the collector, such as http://127.0.0.1:8081
    #[arg(long, env = "CLICKMILL_SHOP_COLLECTOR", requires_all = ["hints", "write_key", "sdk_dir"])]
    pub collector: Option<String>,
    /// Origin of the relay, such as http://127.0.0.1:8082
    #[arg(long, env = "CLICKMILL_SHOP_HINTS", requires = "collector")]
    pub hints: Option<String>,
    /// The site's public write key
    #[arg(long, env = "CLICKMILL_SHOP_WRITE_KEY", requires = "collector")]
    pub write_key: Option<String>,
    /// A key that signs who is logged in, `id:secret`, as in the collector's `proofs` of this site; without
    /// one nobody is proven
    #[arg(
        long,
        env = "CLICKMILL_SHOP_PROOF_KEY",
        requires = "collector",
        hide_env_values = true,
        value_name = "ID:SECRET"
    )]
    pub proof_key: Option<String>,
    /// Folder with the built SDK, served under /sdk/
    #[arg(long, env = "CLICKMILL_SHOP_SDK_DIR")]
    pub sdk_dir: Option<PathBuf>,
    /// Kafka's bootstrap servers; without them nothing is published
    #[arg(long, env = "CLICKMILL_SHOP_BOOTSTRAP")]
    pub bootstrap: Option<String>,
    /// Text before every topic's name
    #[arg(long, env = "CLICKMILL_SHOP_TOPIC_PREFIX", default_value = "")]
    pub topic_prefix: String,
    /// The tenant that the products belong to
    #[arg(long, env = "CLICKMILL_SHOP_TENANT", default_value = "shop")]
    pub tenant: String,
    /// Seconds between two publications of all stock levels, changed or not
    #[arg(long, env = "CLICKMILL_SHOP_STOCK_EVERY_S", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub stock_every_s: u64,
    /// Log levels by module
    #[arg(long, env = "CLICKMILL_SHOP_LOG", default_value = "info")]
    pub log: String,
}

/// The options, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How pages are tracked; none when they are not.
    pub tracking: Option<Tracking>,
    /// Folder with the built SDK.
    pub sdk_dir: Option<PathBuf>,
    /// Where products and stock are published; none when they are not.
    pub publishing: Option<Publishing>,
}

/// Where products and stock are published.
#[derive(Clone, Debug)]
pub struct Publishing {
    /// Kafka's bootstrap servers.
    pub bootstrap: String,
    /// Text before every topic's name.
    pub topic_prefix: String,
    /// The tenant that the products belong to.
    pub tenant: Tenant,
    /// How often all stock levels are published, changed or not.
    pub stock_every: Duration,
}

/// Which option cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An address that is no origin.
    #[error("--{option} must be an origin such as http://127.0.0.1:8081, not {value:?}")]
    Origin {
        /// The option.
        option: &'static str,
        /// What it was given.
        value: String,
    },
    /// A key that the collector would not take.
    #[error("--proof-key must be `id:secret`: {0}")]
    ProofKey(#[from] KeyError),
    /// A tenant that could not be part of a key.
    #[error("--tenant is no tenant's name: {0:?}")]
    Tenant(String),
    /// A write key that could not be part of an address.
    #[error("--write-key is no write key")]
    WriteKey,
}

impl Options {
    /// Checks the options.
    pub fn config(self) -> Result<Config, ConfigError> {
        let tenant = Tenant::parse(&self.tenant).map_err(|_| ConfigError::Tenant(self.tenant))?;
        let sign = |key: &String| ProofKey::parse(key, tenant.clone());
        let tracking = match (&self.collector, &self.hints, &self.write_key) {
            (Some(collector), Some(hints), Some(write_key)) => Some(Tracking {
                collector: origin("collector", collector)?,
                hints: origin("hints", hints)?,
                write_key: WriteKey::parse(write_key)
                    .map_err(|_| ConfigError::WriteKey)?
                    .to_string(),
                proofs: self.proof_key.as_ref().map(sign).transpose()?,
            }),
            _ => None,
        };
        let publishing = self.bootstrap.map(|bootstrap| Publishing {
            bootstrap,
            topic_prefix: self.topic_prefix,
            tenant,
            stock_every: Duration::from_secs(self.stock_every_s),
        });
        Ok(Config { tracking, sdk_dir: self.sdk_dir, publishing })
    }
}

/// An origin goes into a header of every page, so nothing else may hide in it.
fn origin(option: &'static str, value: &str) -> Result<String, ConfigError> {
    let wrong = || ConfigError::Origin { option, value: value.to_owned() };
    let uri: Uri = value.parse().map_err(|_| wrong())?;
    let plain = uri.path() == "/" && uri.query().is_none();
    let host = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority))
            if plain && authority.as_str().bytes().all(host) =>
        {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from([&["clickmill-shop"], arguments].concat())
    }

    #[test]
    fn without_flags_it_runs_alone() {
        let options = options(&[]).unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:8080");
        let config = options.config().unwrap();
        assert!(config.tracking.is_none() && config.publishing.is_none());
    }

    #[test]
    fn tracking_needs_all_of_its_parts() {
        assert!(options(&["--collector", "http://127.0.0.1:8081"]).is_err());
        assert!(options(&["--hints", "http://127.0.0.1:8082"]).is_err());
        let whole = [
            "--collector",
            "http://127.0.0.1:8081/",
            "--hints",
            "https://hints.example",
            "--write-key",
            "demo",
            "--sdk-dir",
            "sdk",
        ];
        let tracking = options(&whole).unwrap().config().unwrap().tracking.unwrap();
        assert_eq!(tracking.collector, "http://127.0.0.1:8081");
        assert_eq!(tracking.hints, "https://hints.example");
        assert_eq!(tracking.proofs, None);
        let signed = [&whole[..], &["--proof-key", "k:0123456789abcdef"]].concat();
        let tracking = options(&signed).unwrap().config().unwrap().tracking.unwrap();
        assert!(tracking.proofs.is_some());
        let short = [&whole[..], &["--proof-key", "k:short"]].concat();
        let refused = options(&short).unwrap().config().unwrap_err().to_string();
        assert!(refused.starts_with("--proof-key must be `id:secret`: the secret"), "{refused}");
        assert!(options(&["--proof-key", "k:0123456789abcdef"]).is_err());
    }

    #[test]
    fn only_origins_reach_the_policy_header() {
        for bad in
            ["", "127.0.0.1:8081", "ftp://a", "http://a/path", "http://a;script-src", "http://u@a"]
        {
            assert!(origin("collector", bad).is_err(), "{bad}");
        }
        assert_eq!(origin("hints", "http://[::1]:8082").unwrap(), "http://[::1]:8082");
    }
}
