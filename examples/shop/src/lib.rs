//! The example shop: some forty electrical products, rendered on the server, with slots where hints appear.
//!
//! [`run::run`] opens it. Inside, [`routes::answer`] is a plain function from a request to an
//! answer; `serve` puts HTTP around it, and `publish` tells Kafka what is sold and what is left.
//! The pages work without any script; with the SDK, `assets/shop.js` shows hints in the slots and
//! verdicts in the strip.

#![forbid(unsafe_code)]

pub mod answer;
pub mod art;
pub mod ask;
pub mod assets;
pub mod basket;
pub mod catalogue;
pub mod config;
pub mod customers;
pub mod orders;
mod pages;
pub mod proof;
pub mod publish;
pub mod routes;
pub mod run;
pub mod sdk;
pub mod serve;
pub mod sessions;
pub mod shop;
pub mod stock;
