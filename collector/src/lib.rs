//! The edge service: HTTP in, a verdict per event, Kafka out.
//!
//! The way of one delivery is in `ingest.rs`: admit, decode, validate, produce, receipt. A success
//! answer means durable. [`run`] is the whole service; `main.rs` only reads its configuration.

#![forbid(unsafe_code)]

mod address;
mod admit;
mod books;
mod check;
mod collector;
pub mod config;
mod customer;
pub mod decode;
mod dedup;
mod delivery;
pub mod dialect;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod ingest;
pub mod inspect;
mod link;
mod memory;
mod metrics;
mod overflow;
mod parcel;
mod privacy;
mod produce;
mod receipt;
mod record;
mod refresh;
mod reload;
mod routes;
mod run;
mod sink;
mod site;
mod spool;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod testing;
mod trace;
mod validate;

pub use check::{CheckOptions, Finding, Report, check};
pub use config::Config;
pub use reload::Source;
pub use run::{RunError, run};
pub use spool::SpoolError;
