//! The spool: what Kafka does not take in time waits on this machine's disk, in order.
//!
//! **Lanes.** Messages with a key lie in one of sixteen lanes, chosen by the hash that Kafka's
//! partitioner uses: a partition that is stuck delays the visitors of its lane alone. Messages
//! without a key have a lane of their own, so that they hold no visitor up. A lane is open, and its
//! messages go straight to Kafka, or closed, and everything new goes behind what lies in its log.
//!
//! **Take-over.** A lane closes when one of its messages has had no outcome for `spool.after`, failed
//! in a way that passes by itself, or found the producer's queue full. Whatever Kafka has not
//! acknowledged of that lane goes into the log, in its order, and counts as durable once an
//! `fdatasync` covers it. Nothing is purged: what librdkafka still holds gets its final outcome
//! within `producer.message_timeout_ms`. Only then is the lane drained, and what made it after all is
//! skipped, so a copy in Kafka is rare: it needs an acknowledgement that was lost, or a crash.
//!
//! **Return.** A closed lane is drained in windows. When the last one holds all that lies on the
//! disk, it is sent together with what is on its way to the disk, and in the same moment the lane
//! opens: what comes next goes to Kafka behind it. So a lane opens under full traffic, too.
//!
//! `segment` is the form on the disk, `log` one lane there, `store` all of them; `lanes` is the state,
//! without any waiting; `keeper` and `drain` are the tasks; `sink/spooling.rs` is the way in.

#[cfg(test)]
pub(crate) mod broker;
pub(crate) mod disk;
pub(crate) mod drain;
mod flight;
pub(crate) mod hash;
pub(crate) mod keeper;
pub(crate) mod lanes;
pub(crate) mod log;
pub(crate) mod segment;
pub(crate) mod store;
#[cfg(test)]
mod stories;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use flight::Flight;
pub use store::SpoolError;

/// Lanes of messages that have a key.
pub(crate) const KEYED_LANES: usize = 16;

/// All lanes: the last one is for messages without a key.
pub(crate) const LANES: usize = KEYED_LANES + 1;
