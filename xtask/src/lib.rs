//! What cargo cannot say: a real Kafka as a child process, the SDK's bundle, what a machine lacks,
//! and the rules of the house.
//!
//! The program `clickmill-xtask` stands on this library, and so do the tests, which take their
//! broker from [`kafka`]. It compiles in seconds: no Kafka client, no WebDriver and no wasm tooling
//! in here; it calls the programs that have them.

pub mod browsers;
pub mod http;
pub mod interrupt;
pub mod kafka;
pub mod need;
pub mod npm;
pub mod place;
pub mod process;
pub mod registry;
pub mod tidy;
pub mod trouble;
pub mod wait;
pub mod web;
