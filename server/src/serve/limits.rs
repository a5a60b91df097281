//! The bounds of connections.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;

/// The bounds of one listener's connections, as configuration gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionLimits {
    /// The most connections at once; beyond it, new ones wait in the system's queue.
    pub connections_max: NonZeroUsize,
    /// The longest head of a request (line and headers), in bytes. A longer one is answered
    /// with 431.
    pub head_bytes_max: NonZeroUsize,
    /// How long a connection may take for the head of its next request. It runs from the moment
    /// the last answer is out, so it is the longest idle time too.
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
        Self {
            connections_max: CONNECTIONS_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
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
