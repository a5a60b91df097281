//! The client, driven step by step with a page, a storage and a collector made of plain values.
//!
//! Runs natively and, the same functions, as wasm (`cargo xtask test`).
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

mod answers;
mod consent;
mod deliver;
mod hear;
mod identify;
mod page;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
mod store;
