//! What both services share: accept, limits, drain, TLS, admin listener, config, telemetry, tokens, clock.
//!
//! Nothing here knows what a click is or that there is a Kafka. A service puts the parts together
//! in its own `run(config, listeners, shutdown)`:
//!
//! 1. [`config::load`] and [`telemetry::init`] in `main`, before a port is bound;
//! 2. [`listen::Listeners::bind`], or port 0 in a test;
//! 3. [`metrics::Metrics::new`] with the service's own table;
//! 4. [`serve::serve`] on the public listener and [`admin::run`] on the admin listener;
//! 5. on [`shutdown::Shutdown::triggered`] the drain in one written order: readiness fails by
//!    itself, the service closes what never ends (streams), begins the shutdown of its listener
//!    and waits for [`serve::serve`] to return, flushes, and ends the admin listener last.

#![forbid(unsafe_code)]

pub mod admin;
pub mod bearer;
pub mod body;
pub mod clock;
pub mod config;
pub mod cookie;
pub mod cors;
pub mod forwarded;
pub mod listen;
pub mod metrics;
pub mod network;
pub mod proxy;
pub mod query;
pub mod reload;
pub mod reply;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod trace;
