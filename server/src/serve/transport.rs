//! What stands between a socket and HTTP: the PROXY header, TLS, and which HTTP it is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::server::TlsStream;

use crate::network::Networks;
use crate::proxy;
use crate::tls::{H2, Tls};

/// What HTTP/2 opens with, as far as it takes to tell it from a method of HTTP/1.
const H2_START: &[u8] = b"PRI";

/// What stands between the socket of a listener and HTTP. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// The networks of the balancers that open every connection with a PROXY header, if they do.
    pub proxies: Option<Networks>,
}

impl Transport {
    /// Whether HTTP begins with the first byte.
    pub(super) fn is_bare(&self) -> bool {
        self.tls.is_none() && self.proxies.is_none()
    }

    /// Whom a connection comes from, once its PROXY header was read.
    pub(super) async fn client(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
    ) -> io::Result<SocketAddr> {
        match &self.proxies {
            None => Ok(peer),
            Some(trusted) if trusted.contain(peer.ip()) => {
                Ok(proxy::read(stream).await?.unwrap_or(peer))
            }
            Some(_) => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

/// A socket whose writes fail once the peer has taken nothing for some time.
pub(super) type Socket = Pin<Box<TimeoutWriter<TcpStream>>>;

/// Bounds how long a peer may take nothing.
pub(super) fn bound_writes(stream: TcpStream, stall: Duration) -> Socket {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(stall));
    Box::pin(stream)
}

/// Waits for the first bytes and says whether a client that was not asked speaks HTTP/2. They are
/// looked at, not taken. Clients send this start in one piece; one that does not is taken for
/// HTTP/1.
pub(super) async fn begins_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; H2_START.len()];
    let count = stream.peek(&mut start).await?;
    Ok(count == H2_START.len() && start == H2_START)
}

/// Whether HTTP/2 was agreed on in the handshake.
pub(super) fn agreed_h2(stream: &TlsStream<Socket>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}
