//! Decisions: pure functions of what a visitor did, what was learned, and the tables.

pub mod co_view;
pub mod suggest;
