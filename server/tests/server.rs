//! The crate from outside, over real sockets: one binary, a module for each behaviour.

// Clippy knows a test by its attribute; the helpers of this binary may panic like one.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "server/harness.rs"]
mod harness;
#[path = "server/pki.rs"]
mod pki;

#[path = "server/admin.rs"]
mod admin;
#[path = "server/bodies.rs"]
mod bodies;
#[path = "server/drain.rs"]
mod drain;
#[path = "server/drain_behind_tls.rs"]
mod drain_behind_tls;
#[path = "server/hard_inputs.rs"]
mod hard_inputs;
#[path = "server/http2.rs"]
mod http2;
#[path = "server/limits.rs"]
mod limits;
#[path = "server/proxied.rs"]
mod proxied;
#[path = "server/signals.rs"]
mod signals;
#[path = "server/streams.rs"]
mod streams;
#[path = "server/tls.rs"]
mod tls;
