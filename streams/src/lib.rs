//! Keyed state on Kafka: a view is a pure fold over a topic; this crate feeds it and keeps its state.
//!
//! Mechanism only: nothing here knows what a click is, or that there is HTTP.
//!
//! - [`View`]: the fold, `(state, record, tables, now) → (state', outputs)`, one state per record
//!   key;
//! - [`Driver`]: runs a view without Kafka, for tests and tools;
//! - [`Runtime`]: runs it on a consumer group, one [`Task`] for each partition, and hands what it
//!   says to a [`Sink`];
//! - [`Lookup`]: looks states up while it runs;
//! - [`Owners`]: which instance to ask for the others;
//! - [`app`]: a view as a program of its own;
//! - [`Table`]: a compacted topic held whole in memory, read by folds and sinks.
//!
//! What holds: outputs, states and offsets are exactly once. They lie in one Kafka transaction for
//! each commit, the states in a compacted topic (the changelog). On the disk lies a copy of the
//! states that is some records behind; a restart reads those from the changelog, and a copy that
//! is lost or damaged is made anew from there. Tables are read on their own, so a view that joins
//! one says for a record what the table held just then.

#![forbid(unsafe_code)]

mod alarms;
pub mod app;
mod changelog;
mod compare;
mod driver;
mod error;
pub mod join;
mod owners;
mod record;
mod restore;
mod runtime;
mod sink;
mod states;
mod store;
mod table;
mod task;
#[cfg(test)]
mod testing;
mod transactions;
mod view;
mod writer;

pub use changelog::TASK_KEY;
pub use compare::{Comparison, Example, compare, each_state};
pub use driver::Driver;
pub use error::Error;
pub use owners::{Advert, Owner, Owners};
pub use record::{Place, Poison, Produce, Raw};
pub use runtime::{
    Looking, Lookup, Meters, NotHere, Parts, Patience, Purge, READ_AHEAD_BYTES_MAX, Runtime,
    RuntimeConfig, Seen, Status,
};
pub use sink::{At, Sink};
pub use states::Bounds;
pub use table::{Reading, Rows, Table, TableConfig, Version, Watch};
pub use task::{Task, Unwoken};
pub use transactions::{Pacing, StepMeters};
pub use view::{Around, Due, State, View};
