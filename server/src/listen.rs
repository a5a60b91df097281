//! Bound sockets: production binds what the configuration names, a test binds port 0.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use tokio::net::TcpListener;

/// Where a service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Address and port for everybody, such as `127.0.0.1:8081`.
    pub public: SocketAddr,
    /// Address and port for operators only: health and metrics.
    pub admin: SocketAddr,
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
        Self::bind(&ListenConfig { public: any_port, admin: any_port }).await
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

    #[tokio::test]
    async fn a_foreign_address_is_told_apart() {
        // 192.0.2.0/24 is set aside for documentation: no machine has it.
        let addr = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = bind(addr, "listen.admin").await.unwrap_err();
        assert!(matches!(error, ListenError::Elsewhere { .. }), "{error}");
    }
}
