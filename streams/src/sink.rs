//! Where a view's outputs go.

use crate::{Place, Poison, Produce, Raw, Unwoken};

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
    /// to write, if any; there is no record where the output was at fault.
    fn poisoned(&self, at: At, raw: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce>;

    /// A key that could not be woken, at the place of the record that is folded next. Returns the dead
    /// letter to write, if any: unless said otherwise, that of a record of the key with an empty value,
    /// since none would delete what a compacted topic holds.
    fn unwoken(&self, at: At, unwoken: &Unwoken) -> Option<Produce> {
        let (place, key, timestamp_ms) = (at.place, Some(&*unwoken.key), at.now_ms);
        let raw = Raw { source: 0, place, key, value: Some(&[]), timestamp_ms };
        self.poisoned(at, Some(&raw), &unwoken.poison)
    }
}
