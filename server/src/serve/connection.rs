//! One connection: from its first byte through PROXY header and TLS to HTTP, and how it ended.
//!
//! Most connections are idle most of the time, so a task holds nothing for what it does not do:
//! every stage behind the first byte has a box of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Service;
use super::crowd::{Crowd, Place};
use super::http::{self, Protocols};
use super::limits::ConnectionLimits;
use super::transport::{self, Transport};
use crate::metrics::Counter;
use crate::shutdown::Shutdown;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The peer went away in the middle, or stopped taking anything.
    Broken,
    /// Nothing was left open.
    Clean,
    /// Its address has too many connections.
    Crowded,
    /// TLS could not be agreed on.
    Handshake,
    /// It did not speak HTTP.
    Protocol,
    /// Its PROXY header is wrong, or comes from somebody who is not trusted.
    Proxy,
    /// What it owed did not come in time.
    Timeout,
}

/// What the connections of one listener have in common.
#[derive(Debug)]
pub(super) struct Common<S> {
    pub(super) service: S,
    pub(super) transport: Transport,
    pub(super) limits: ConnectionLimits,
    pub(super) protocols: Protocols,
    crowd: Option<Arc<Crowd>>,
    /// Asks the open connections to finish: later than the listener's own shutdown.
    pub(super) finish: Shutdown,
}

impl<S> Common<S> {
    pub(super) fn new(
        service: S,
        transport: Transport,
        limits: ConnectionLimits,
        stream_panics: Counter,
    ) -> Self {
        Self {
            service,
            transport,
            protocols: Protocols::new(&limits, stream_panics),
            crowd: limits.address_connections_max.map(Crowd::new),
            limits,
            finish: Shutdown::new(),
        }
    }

    /// A place for a connection of that client; the inner option is whether places are counted.
    fn place(&self, client: SocketAddr) -> Result<Option<Place>, Ended> {
        let Some(crowd) = &self.crowd else { return Ok(None) };
        crowd.enter(client.ip()).map(Some).ok_or(Ended::Crowded)
    }
}

/// Runs a connection to its end.
pub(super) async fn run<S: Service>(
    common: Arc<Common<S>>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Ended {
    let ran = if common.transport.is_bare() {
        bare(common, stream, peer).await
    } else {
        let wait = common.limits.handshake_timeout;
        match first_bytes(&common, &stream, wait).await {
            Ok(_) => Box::pin(dressed(common, stream, peer)).await,
            Err(ended) => Err(ended),
        }
    };
    ran.unwrap_or_else(|ended| ended)
}

/// HTTP from the first byte.
async fn bare<S: Service>(
    common: Arc<Common<S>>,
    stream: TcpStream,
    client: SocketAddr,
) -> Result<Ended, Ended> {
    let _place = common.place(client)?;
    let is_h2 = first_bytes(&common, &stream, common.limits.header_read_timeout).await?;
    let socket = transport::bound_writes(stream, common.limits.write_stall_timeout);
    Ok(if is_h2 {
        Box::pin(http::run_h2(common, Box::new(socket), client)).await
    } else {
        http::run_h1(common, socket, client).await
    })
}

/// HTTP behind a PROXY header, TLS or both.
async fn dressed<S: Service>(
    common: Arc<Common<S>>,
    mut stream: TcpStream,
    peer: SocketAddr,
) -> Result<Ended, Ended> {
    let deadline = Instant::now() + common.limits.handshake_timeout;
    let client = timeout_at(deadline, common.transport.client(&mut stream, peer))
        .await
        .map_err(|_| Ended::Timeout)?
        .map_err(|error| {
            tracing::debug!(%peer, %error, "a connection without a PROXY header that counts");
            Ended::Proxy
        })?;
    let Some(tls) = &common.transport.tls else {
        return Box::pin(bare(common, stream, client)).await;
    };
    let _place = common.place(client)?;
    let socket = transport::bound_writes(stream, common.limits.write_stall_timeout);
    let stream = timeout_at(deadline, tls.acceptor().accept(socket))
        .await
        .map_err(|_| Ended::Timeout)?
        .map_err(|error| {
            tracing::debug!(%client, %error, "a TLS handshake failed");
            Ended::Handshake
        })?;
    let stream = Box::new(stream);
    Ok(if transport::agreed_h2(&stream) {
        Box::pin(http::run_h2(common, stream, client)).await
    } else {
        http::run_h1(common, stream, client).await
    })
}

/// Waits until something has arrived, and says whether HTTP/2 may begin with it. What is in the
/// socket when the drain begins counts as begun, so it is looked at first.
async fn first_bytes<S>(
    common: &Common<S>,
    stream: &TcpStream,
    wait: Duration,
) -> Result<bool, Ended> {
    tokio::select! {
        biased;
        seen = timeout(wait, transport::begins_h2(stream)) => match seen {
            Ok(Ok(is_h2)) => Ok(is_h2),
            Ok(Err(_)) => Err(Ended::Broken),
            Err(_) => Err(Ended::Timeout),
        },
        () = common.finish.triggered() => Err(Ended::Clean),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper::body::Incoming;
    use hyper::{Request, Response, StatusCode};
    use tokio::net::TcpListener;

    use super::*;
    use crate::reply::{self, Body};

    /// A handler whose future is as large as a real one's.
    async fn large(_: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        let held = std::hint::black_box([0_u8; 8 * 1024]);
        tokio::task::yield_now().await;
        reply::text(StatusCode::OK, held[..1].to_vec())
    }

    #[tokio::test]
    async fn an_idle_connection_holds_little() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let peer = stream.peer_addr().unwrap();
        let limits = ConnectionLimits::default();
        let common = Common::new(large, Transport::default(), limits, Counter::noop());
        let task = run(Arc::new(common), stream, peer);
        let bytes = size_of_val(&task);
        assert!(bytes <= 1_024, "the task of a connection takes {bytes} bytes");
    }
}
