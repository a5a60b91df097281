//! Keyed state on Kafka: a view is a pure fold over a topic; this crate feeds it and keeps its state.
//!
//! Mechanism only: nothing here knows what a click is, or that there is HTTP.
//!
//! - [`View`]: the fold, `(state, record, tables, now) → outputs`, one state per record key;
//! - [`Driver`]: runs a view without Kafka, for tests and tools;
//! - [`Runtime`]: runs it on a consumer group, one [`Task`] for each partition, and hands what it
//!   says to a [`Sink`];
//! - [`Table`]: a compacted topic held whole in memory, read by folds and sinks.
//!
//! What holds in this step: outputs are at least once. Offsets are committed only after all
//! outputs of the records before them were acknowledged, and state is rebuilt by folding the topic
//! again up to the committed offset with outputs held back, so a crash repeats at most the outputs
//! since the last commit. The changelog and the transactions that make this exactly once come
//! behind the same [`View`].

#![forbid(unsafe_code)]

mod driver;
mod error;
mod keys;
mod ledger;
mod record;
mod runtime;
mod sink;
mod table;
mod task;
mod view;

pub use driver::Driver;
pub use error::Error;
pub use keys::Bounds;
pub use record::{Place, Poison, Produce, Raw};
pub use runtime::{Meters, Parts, Runtime, RuntimeConfig, Status};
pub use sink::{At, Sink};
pub use table::{Reading, Rows, Table, TableConfig, Version, Watch};
pub use task::Task;
pub use view::{Around, View};
