//! The harness: one builder per actor, so that a story is a few lines; the stories themselves lie
//! in `stories/`, named by behaviour.
//!
//! The actors are the real programs and a real Kafka. Only the visitor is played: [`Page`] makes
//! events as the SDK does, [`Stream`] sees every byte that the relay sends.
#![allow(clippy::expect_used)] // A harness panics: that is how a story fails.

pub mod bench;
pub mod browser;
pub mod certificate;
pub mod child;
pub mod clicks;
pub mod demo;
pub mod dice;
pub mod faults;
pub mod feed;
pub mod figure;
pub mod front;
pub mod http;
pub mod kafka;
pub mod load;
pub mod page;
pub mod proof;
pub mod recording;
pub mod reference;
pub mod registry;
pub mod replay;
pub mod rolling;
pub mod room;
pub mod screen;
pub mod service;
pub mod stream;
pub mod tunnel;
pub mod until;
pub mod visit;
pub mod wire;
pub mod world;

pub use child::Folder;
pub use feed::{Feed, Told};

pub use front::{Front, Mishap, Passed};
pub use http::{Answer, Ask, Http};
pub use kafka::{Kafka, Lying, TENANT};
pub use load::{Crowd, Ledger, Load};
pub use page::Page;
pub use service::{Collector, Relay, Setup};
pub use stream::{Frame, Stream};
pub use tunnel::Tunnel;
pub use visit::Visit;
pub use wire::Wire;
pub use world::{Edge, World};
