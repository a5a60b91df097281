//! How the instances of one group ask each other.

use std::net::SocketAddr;

use clickmill_server::token::{Signer, SigningKey};
use hyper::http::uri::Authority;
use serde::Deserialize;

use super::Unfit;

/// How the instances of one group ask each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeersConfig {
    /// Address and port for the other instances alone; without one, this is the only instance, or
    /// one that answers for its own visitors only.
    pub listen: Option<SocketAddr>,
    /// Where the others reach it, `host:port`; `listen` itself if left out.
    pub advertise: Option<String>,
    /// The keys that all instances share: the first signs, all verify.
    pub keys: Vec<SigningKey>,
    /// Most requests to other instances that are under way at once.
    pub requests_max: u32,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self { listen: None, advertise: None, keys: Vec::new(), requests_max: 1_000 }
    }
}

impl PeersConfig {
    /// Where the others reach this instance.
    ///
    /// # Errors
    /// When that cannot be an address.
    pub fn address(&self, listen: SocketAddr) -> Result<String, Unfit> {
        let Some(advertise) = &self.advertise else {
            // From elsewhere these lead nowhere.
            let is_address = !listen.ip().is_unspecified() && listen.port() != 0;
            return if is_address { Ok(listen.to_string()) } else { Err(Unfit::Advertise) };
        };
        let authority = advertise.parse::<Authority>().map_err(|_| Unfit::Advertise)?;
        let is_address = authority.port_u16().is_some_and(|port| port > 0)
            && !authority.host().is_empty()
            && !advertise.contains('@');
        if is_address { Ok(advertise.clone()) } else { Err(Unfit::Advertise) }
    }

    pub(super) fn check(&self) -> Result<(), Unfit> {
        match self.listen {
            Some(listen) => {
                Signer::new(&self.keys).map_err(Unfit::PeerKeys)?;
                if self.requests_max == 0 {
                    return Err(Unfit::Zero("peers.requests_max"));
                }
                self.address(listen).map(drop)
            }
            None if self.advertise.is_some() || !self.keys.is_empty() => Err(Unfit::NoPeers),
            None => Ok(()),
        }
    }
}
