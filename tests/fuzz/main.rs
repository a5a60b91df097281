//! Fuzz targets: whatever strangers' bytes meet first, held to more than not to panic.
//!
//! `cargo test` runs each target for two seconds, with the same dice each time; `cargo xtask fuzz
//! [NAME...] [--seconds N]` for as long as one likes, with new ones. A target begins with its corpus in `tests/corpus`, and goes on with inputs that
//! are made from it: damaged, spliced, packed, filled with the words of its language. What shows a
//! behaviour that was not seen before is made from in turn; by hand it is also kept in the corpus, as
//! is, always, what breaks a promise. Such an input is met first in the next run.
//!
//! A broken promise names its seed; `CLICKMILL_FUZZ_SEED` begins with the same dice again.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

mod bodies;
mod corpus;
mod credentials;
mod disk;
mod edge;
mod lines;
mod mutate;
mod queries;
mod rules;
mod schemas;
mod target;

pub(crate) use clickmill_tests::dice::Dice;
pub(crate) use target::Target;
