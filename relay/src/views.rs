//! What the relay remembers: pure folds over streams of records, one state per key.

pub mod visitor;
