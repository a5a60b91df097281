//! Bound sockets: production binds what the configuration names, a test binds port 0.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use tokio::net::TcpListener;

use crate::forwarded::Forwarded;
use crate::network::Networks;
use crate::serve::Transport;
use crate::tls::{Tls, TlsConfig, TlsError};

/// Where a service listens, and what stands before it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Address and port for everybody, such as `127.0.0.1:8081`.
    pub public: SocketAddr,
    /// Address and port for operators only: health and metrics.
    pub admin: SocketAddr,
    /// Certificate and key of the public listener; without them it speaks plainly.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Whether connections to the public listener open with a PROXY header.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// How many proxies of ours append to `X-Forwarded-For`; 0 ignores the header.
    #[serde(default)]
    pub forwarded_depth: usize,
    /// The networks that our proxies and balancers connect from.
    #[serde(default)]
    pub trusted_proxies: Networks,
}

/// Whether connections open with a PROXY header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// None does.
    #[default]
    Off,
    /// Each does, and comes from one of the trusted networks; others are refused.
    Required,
}

/// A header of proxies is to be believed, and nothing says whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must name the networks of the proxies whose word counts, since {0} is set; \
     [\"0.0.0.0/0\", \"::/0\"] would believe everybody"
)]
pub struct NoTrust(&'static str);

impl ListenConfig {
    /// Two addresses, spoken to plainly and directly.
    pub fn plain(public: SocketAddr, admin: SocketAddr) -> Self {
        Self {
            public,
            admin,
            tls: None,
            proxy_protocol: ProxyProtocol::Off,
            forwarded_depth: 0,
            trusted_proxies: Networks::default(),
        }
    }

    /// Checks that proxies are believed only where it is said whose they are; the error is about
    /// `listen.trusted_proxies`.
    ///
    /// # Errors
    /// If nothing says it.
    pub fn check_trust(&self) -> Result<(), NoTrust> {
        match (self.proxy_protocol, self.forwarded_depth) {
            _ if !self.trusted_proxies.is_empty() => Ok(()),
            (ProxyProtocol::Required, _) => Err(NoTrust("listen.proxy_protocol")),
            (ProxyProtocol::Off, 1..) => Err(NoTrust("listen.forwarded_depth")),
            (ProxyProtocol::Off, 0) => Ok(()),
        }
    }

    /// What stands between the public socket and HTTP; reads certificate and key.
    ///
    /// # Errors
    /// If certificate or key cannot be used.
    pub fn transport(&self) -> Result<Transport, TlsError> {
        let proxies = match self.proxy_protocol {
            ProxyProtocol::Off => None,
            ProxyProtocol::Required => Some(self.trusted_proxies.clone()),
        };
        Ok(Transport { tls: self.tls.as_ref().map(Tls::open).transpose()?, proxies })
    }

    /// How far `X-Forwarded-For` is believed.
    pub fn forwarded(&self) -> Forwarded {
        Forwarded { depth: self.forwarded_depth, trusted: self.trusted_proxies.clone() }
    }
}

/// The two bound sockets of a service.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody.
    pub public: TcpListener,
    /// For operators only.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both sockets.
    pub async fn bind(config: &ListenConfig) -> Result<Self, ListenError> {
        Ok(Self {
            public: bind(config.public, "listen.public").await?,
            admin: bind(config.admin, "listen.admin").await?,
        })
    }

    /// Binds both sockets on the loopback address, on ports that the system picks.
    pub async fn loopback() -> Result<Self, ListenError> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::bind(&ListenConfig::plain(any_port, any_port)).await
    }

    /// Where the public socket ended up.
    pub fn public_addr(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// Where the admin socket ended up.
    pub fn admin_addr(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }
}

/// Why a socket could not be bound. `key` is the configuration key of the address.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("{addr} ({key}) is taken by another program: stop it or choose another port")]
    Taken {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The configuration key it came from.
        key: &'static str,
    },
    /// The address belongs to another machine.
    #[error("{addr} ({key}) is no address of this machine")]
    Elsewhere {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The configuration key it came from.
        key: &'static str,
    },
    /// The system refuses the port to this user.
    #[error("{addr} ({key}) may not be used by this user: choose a port above 1023")]
    Forbidden {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The configuration key it came from.
        key: &'static str,
    },
    /// Anything else.
    #[error("{addr} ({key}) cannot be listened on: {source}")]
    Failed {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The configuration key it came from.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Binds one socket; `key` is the configuration key that an error shall name.
pub async fn bind(addr: SocketAddr, key: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(addr).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { addr, key },
        io::ErrorKind::AddrNotAvailable => ListenError::Elsewhere { addr, key },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { addr, key },
        _ => ListenError::Failed { addr, key, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_one_clear_sentence() {
        let first = Listeners::loopback().await.unwrap();
        let addr = first.public_addr().unwrap();
        let error = bind(addr, "listen.public").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{addr} (listen.public) is taken by another program: stop it or choose another port"
            )
        );
    }

    #[test]
    fn nobody_is_believed_unless_it_is_said_who() {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = ListenConfig::plain(addr, addr);
        config.check_trust().unwrap();
        config.forwarded_depth = 1;
        let complaint = config.check_trust().unwrap_err().to_string();
        assert!(complaint.contains("since listen.forwarded_depth is set"), "{complaint}");
        config.proxy_protocol = ProxyProtocol::Required;
        assert_eq!(config.check_trust(), Err(NoTrust("listen.proxy_protocol")));
        config.trusted_proxies = serde_json::from_str(r#"["10.0.0.0/8"]"#).unwrap();
        config.check_trust().unwrap();
    }

    #[tokio::test]
    async fn a_foreign_address_is_told_apart() {
        // 192.0.2.0/24 is set aside for documentation: no machine has it.
        let addr = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = bind(addr, "listen.admin").await.unwrap_err();
        assert!(matches!(error, ListenError::Elsewhere { .. }), "{error}");
    }
}
