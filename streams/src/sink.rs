//! Where a view's outputs go.

use crate::{Place, Poison, Produce, Raw};

/// Which record something was said about, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Where the record lies.
    pub place: Place,
    /// The wall clock, ms.
    pub now_ms: u64,
}

/// Takes what a view says. Called on the thread that reads, so be brief.
pub trait Sink<O>: Send + Sync + 'static {
    /// A partition was assigned; its state is being rebuilt from here on.
    fn assigned(&self, partition: u32);

    /// A partition is live: what comes now was not processed before.
    fn opened(&self, partition: u32);

    /// A partition belongs to somebody else from now on.
    fn closed(&self, partition: u32);

    /// What was said about a record that was processed before and is folded again for the state
    /// alone. Nothing may leave the process because of it.
    fn replayed(&self, at: At, outputs: Vec<O>);

    /// What was said about a new record. Returns the records to produce; the offset is committed
    /// only after they were acknowledged.
    fn live(&self, at: At, outputs: Vec<O>) -> Vec<Produce>;

    /// A record that cannot be read, or an output that Kafka will never take: the place to write
    /// a dead letter.
    fn poisoned(&self, at: At, raw: Option<&Raw<'_>>, poison: &Poison);
}
