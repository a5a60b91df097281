//! From Kafka to hints: keeps visitor sessions, decides, and streams decisions to pages.
//!
//! The route of a click: [`views::visitor`] folds it, [`react`] decides, says and enriches,
//! [`hints::hub`] fans out, [`routes`] serves the streams. [`run`] puts it together.

#![forbid(unsafe_code)]

pub mod ask;
pub mod config;
pub mod customers;
pub mod decide;
pub mod event;
pub mod hints;
pub mod learn;
pub mod live;
pub mod metrics;
pub mod open;
pub mod peers;
pub mod promotions;
pub mod react;
pub mod rebuild;
pub mod render;
pub mod routes;
mod run;
pub mod stock;
pub mod suggestions;
pub mod tables;
pub mod views;
pub mod visitors;

pub use run::{RunError, run};
