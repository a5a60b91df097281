//! The bounds of connections.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

/// The bounds of one listener's connections, as configuration gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionLimits {
    /// The most connections at once; beyond it, new ones wait in the system's queue.
    pub connections_max: NonZeroUsize,
    /// The most connections at once of one address, or of one IPv6 network of 64 bits; no bound
    /// but the one above if left out. Beyond it, new ones are closed.
    pub address_connections_max: Option<NonZeroUsize>,
    /// The longest head of a request (line and headers), in bytes. A longer one is answered
    /// with 431.
    pub head_bytes_max: NonZeroUsize,
    /// The most headers of a request; more are answered with 431.
    pub headers_max: NonZeroUsize,
    /// The longest path and query of a request, in bytes; a longer one is answered with 414.
    pub target_bytes_max: NonZeroUsize,
    /// The most requests at once on one HTTP/2 connection.
    pub streams_max: NonZeroU32,
    /// How long PROXY header and TLS handshake may take together.
    #[serde(with = "crate::config::duration")]
    pub handshake_timeout: Duration,
    /// How long a connection may take for the head of its next request. It runs from the moment
    /// the last answer is out, so it is the longest idle time too; of HTTP/2 it is the longest time
    /// without an open request.
    #[serde(with = "crate::config::duration")]
    pub header_read_timeout: Duration,
    /// How long a peer may take nothing of what is written to it before its connection is ended.
    #[serde(with = "crate::config::duration")]
    pub write_stall_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(8_192).unwrap();
        const HEAD_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(32 * 1024).unwrap();
        const HEADERS_MAX: NonZeroUsize = NonZeroUsize::new(100).unwrap();
        const TARGET_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(8 * 1024).unwrap();
        const STREAMS_MAX: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self {
            connections_max: CONNECTIONS_MAX,
            address_connections_max: None,
            head_bytes_max: HEAD_BYTES_MAX,
            headers_max: HEADERS_MAX,
            target_bytes_max: TARGET_BYTES_MAX,
            streams_max: STREAMS_MAX,
            handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(30),
        }
    }
}

impl ConnectionLimits {
    /// The buffer of one connection and direction: room for a whole head, and 64 KiB of a body.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.head_bytes_max.get().max(64 * 1024)
    }
}
