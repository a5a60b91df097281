//! Inspect: what becomes of events, for operators who look while it happens, and dead letters that
//! are put through again.

mod client;
mod filter;
mod hub;
mod line;
mod replay;
mod routes;
mod seat;

pub use client::{TailError, TailOptions, tail};
pub(crate) use hub::Inspector;
pub use replay::{ReplayError, ReplayOptions, Tally, replay};
pub(crate) use routes::guarded;
