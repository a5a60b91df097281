//! The floor both sides stand on: every type that crosses a process (`wire`) and the SDK's logic
//! as a state machine (`client`).
//!
//! Nothing here knows a runtime, a network, Kafka or a browser: time, randomness and input are
//! arguments, effects are return values. `cargo xtask tidy` keeps it so.

pub mod client;
pub mod wire;
