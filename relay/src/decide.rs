//! Decisions: pure functions of what a visitor did, what was learned, and the tables.

pub mod learned;
pub mod orders;
pub mod plan;
pub mod suggest;
pub mod visits;
