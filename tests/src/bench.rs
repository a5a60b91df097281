//! What is measured, one file a benchmark.

pub mod collector;
pub mod handover;
pub mod hints;
pub mod page;
pub mod queries;
pub mod relay;
pub mod route;
pub mod rules;
pub mod sessions;
pub mod suggest;
