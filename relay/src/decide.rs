//! Decisions: pure functions of what a visitor did, what was learned, and the tables.

pub mod suggest;
pub mod visits;
