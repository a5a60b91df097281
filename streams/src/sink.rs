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
///
/// The records that are returned lie in one Kafka transaction with the state that led to them and
/// the offset: all become visible, or none. What else a sink does happens once for each time a
/// record is folded, and after a failure a record is folded again.
pub trait Sink<O>: Send + Sync + 'static {
    /// A partition was assigned; its state is being restored.
    fn assigned(&self, partition: u32);

    /// A partition is live. The epoch is greater than that of any task that had it before, and is
    /// committed already.
    fn opened(&self, partition: u32, epoch: u64);

    /// A partition belongs to somebody else from now on.
    fn closed(&self, partition: u32);

    /// What was said about a record. Returns the records to produce.
    fn live(&self, at: At, outputs: Vec<O>) -> Vec<Produce>;

    /// A record that cannot be read, or whose output Kafka will never take. Returns the dead letter
    /// to write, if any; there is no record where the output was at fault. A key that could not be
    /// woken comes as a record without a value, at the place of the one that is folded next.
    fn poisoned(&self, at: At, raw: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce>;
}
