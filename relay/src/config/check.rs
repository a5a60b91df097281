//! What makes no sense though it can be read.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::Tenant;
use clickmill_server::config::ConfigError;
use clickmill_server::listen::NoTrust;
use clickmill_server::token::{KeyError, Signer};

use super::Config;

/// A configuration that can be read and makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The file or the environment cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// Kafka's part is wrong.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// The keys are wrong.
    #[error("tokens.keys: {0}")]
    Keys(#[from] KeyError),
    /// The prefix would never match.
    #[error("path_prefix must be empty, or begin with a slash and not end with one")]
    PathPrefix,
    /// Nothing says which proxies to believe.
    #[error("listen.trusted_proxies {0}")]
    Trust(#[from] NoTrust),
    /// The keys between instances are wrong.
    #[error("peers.keys: {0}")]
    PeerKeys(KeyError),
    /// Nobody could reach this instance there.
    #[error("peers.advertise must be the host and port where other instances reach peers.listen")]
    Advertise,
    /// There are settings for other instances, and none can ask.
    #[error("peers.listen is missing: without it no instance asks another")]
    NoPeers,
    /// A server's key could be guessed.
    #[error("servers.keys: the secret of {0} must have 16 bytes or more")]
    ServerKey(Tenant),
    /// Pseudonyms could be turned back.
    #[error("open.keys: the secret of {0} must have 16 bytes or more")]
    OpenKey(Tenant),
    /// Nobody could tell which is meant.
    #[error("hints.segments: {0:?} is empty, or there twice")]
    Segment(String),
    /// A time that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

/// The shortest secret that cannot be guessed.
const SECRET_BYTES_MIN: usize = 16;

impl Config {
    /// Checks what can be checked without a network.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn check(&self) -> Result<(), Unfit> {
        self.kafka.check()?;
        self.listen.check_trust()?;
        Signer::new(&self.tokens.keys)?;
        self.peers.check()?;
        let weak =
            self.servers.keys.iter().find(|key| key.secret.expose().len() < SECRET_BYTES_MIN);
        if let Some(key) = weak {
            return Err(Unfit::ServerKey(key.tenant.clone()));
        }
        let weak = self.open.keys.iter().find(|key| key.secret.expose().len() < SECRET_BYTES_MIN);
        if let Some(key) = weak {
            return Err(Unfit::OpenKey(key.tenant.clone()));
        }
        let mut names = BTreeSet::from([""]);
        let bad = self.hints.segments.iter().find(|segment| !names.insert(&segment.name));
        if let Some(segment) = bad {
            return Err(Unfit::Segment(segment.name.clone()));
        }
        let prefix = &self.path_prefix;
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.ends_with('/')) {
            return Err(Unfit::PathPrefix);
        }
        let times = [
            ("hints.heartbeat", self.hints.heartbeat),
            ("hints.lifetime_max", self.hints.lifetime_max),
            ("view.commit_max", self.view.commit_max),
            ("view.transaction_timeout", self.view.transaction_timeout),
            ("suggest.lifetime", self.suggest.lifetime),
        ];
        if self.view.version == 0 {
            return Err(Unfit::Zero("view.version"));
        }
        match times.into_iter().find(|(_, time)| time.is_zero()) {
            Some((key, _)) => Err(Unfit::Zero(key)),
            None => Ok(()),
        }
    }
}
