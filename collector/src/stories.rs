//! The collector over real sockets, with a sink that fails on purpose.

mod answers;
mod customer;
mod dialects;
mod edge;
mod fates;
mod identity;
mod inspect;
mod memory;
mod registry;
mod traces;
mod winding_down;
mod without_kafka;
