//! The one thing a user of this crate writes: a pure fold over the records of a key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Place, Poison, Raw};

/// How far a record's time may be ahead of our own clock unless a view says otherwise, ms.
const AHEAD_MAX_MS: u64 = 60_000;

/// A keyed fold: what a key's state becomes with each of its records, and what is said about it.
///
/// A fold is pure. It sees nothing but its arguments, so that folding the same records again gives
/// the same states and outputs: recovery and the [`Driver`](crate::Driver) rest on that.
///
/// Several topics may feed a view. A key's records come in the order of their own topic; between
/// topics there is none, so a fold must come to the same state whichever comes first.
pub trait View: Send + Sync + 'static {
    /// A record, read.
    type Input;
    /// What is remembered for one key.
    type State: State;
    /// The global tables a fold may look into; `()` where there are none.
    type Tables: Send + Sync + 'static;
    /// What a fold says.
    type Output;

    /// Whether keys are woken, see [`View::due`]. Restoring a partition reads every state then.
    const WAKES: bool = false;

    /// Reads a record. Where several topics feed the view, [`Raw::source`] tells which it is of.
    ///
    /// # Errors
    /// What cannot be read is poison: it is passed over and reported to the sink.
    fn decode(&self, raw: &Raw<'_>) -> Result<Self::Input, Poison>;

    /// When it happened, in milliseconds since 1970: what drives stream time. A record cannot have
    /// happened after it was written: Kafka's timestamp is the bound, and our own clock and
    /// [`View::ahead_max_ms`] where that is ahead.
    fn time_ms(&self, input: &Self::Input) -> u64;

    /// How far a record's time may be ahead of our own clock, ms: what the clocks of producers may
    /// differ by. One that is further ahead would move the stream time of its whole partition, and end
    /// everybody's visits there. Keep it well below what the view waits for, and below the hour that
    /// brokers take a timestamp from the future for (`message.timestamp.after.max.ms`): states are
    /// written with stream time.
    fn ahead_max_ms(&self) -> u64 {
        AHEAD_MAX_MS
    }

    /// Folds a record into its key's state. A record without a key gets a state of its own that is
    /// forgotten afterwards.
    fn fold(
        &self,
        state: &mut Self::State,
        input: Self::Input,
        around: &Around<'_, Self::Tables>,
    ) -> Vec<Self::Output>;

    /// Whether a state says nothing any more: its key is then forgotten.
    fn is_over(&self, state: &Self::State) -> bool {
        let _ = state;
        false
    }

    /// When a key is to be woken although it gets no record; asked whenever its state has changed,
    /// if [`View::WAKES`]. It should be before the key is too old to be remembered
    /// ([`Bounds::ttl_ms`](crate::Bounds)).
    fn due(&self, state: &Self::State) -> Option<Due> {
        let _ = state;
        None
    }

    /// Wakes a key whose time has come, before the record that moved stream time so far is folded.
    /// A state that is due at the same moment still is woken again only after its next record.
    ///
    /// One that panics costs only itself: the state stays as it was, nothing is said, and the sink is
    /// told of it as of poison. So does one after which [`View::due`] panics, or the sink at what it says.
    fn wake(
        &self,
        state: &mut Self::State,
        around: &Around<'_, Self::Tables>,
    ) -> Vec<Self::Output> {
        let _ = (state, around);
        Vec::new()
    }
}

/// When a key is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Once stream time has come so far, ms: the same records wake it at the same place, whenever
    /// they are folded. While its partition gets no records, nobody is woken.
    Stream(u64),
    /// Once the wall clock says so, ms since 1970.
    Wall(u64),
}

/// What is remembered for one key, and how it is written down.
///
/// Whatever serde can write and read is a state, as JSON. After an upgrade yesterday's states come
/// back, so give new fields `#[serde(default)]`.
///
/// A state has one form or two: the one that is published in the changelog, where others may read
/// it, and where that is long, a [packed](Self::pack) one for memory and disk.
pub trait State: Default + Send + 'static {
    /// Which packed form [`State::pack`] writes: 0 where a state is kept as it is published. Count
    /// it up with each change that an earlier version cannot read. A version that does not know the
    /// form on a disk has its states made anew from the changelog.
    const FORM: u8 = 0;

    /// Writes the state as it is published.
    ///
    /// # Errors
    /// When it cannot be written; its key then stays as it was.
    fn write(&self, into: &mut Vec<u8>) -> Result<(), Poison>;

    /// Writes the state as it is kept in memory and on the disk.
    ///
    /// # Errors
    /// When it cannot be written; its key then stays as it was.
    fn pack(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        self.write(into)
    }

    /// Reads what this version or an earlier one wrote or packed. After a restore states lie there
    /// as they were published.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(bytes: &[u8]) -> Result<Self, Poison>;
}

impl<T: Serialize + DeserializeOwned + Default + Send + 'static> State for T {
    fn write(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        serde_json::to_writer(into, self).map_err(Poison::malformed)
    }

    fn read(bytes: &[u8]) -> Result<Self, Poison> {
        serde_json::from_slice(bytes).map_err(Poison::malformed)
    }
}

/// What a fold may look at besides state and record.
#[derive(Debug)]
pub struct Around<'a, T> {
    /// The key; none where the record has none.
    pub key: Option<&'a [u8]>,
    /// Where the record lies. For a key that is woken: the record that is folded next.
    pub place: Place,
    /// The greatest time seen in this partition, this record's included, ms.
    pub stream_time_ms: u64,
    /// The wall clock, ms. For stamps alone: a state that depends on it is not rebuilt alike.
    pub now_ms: u64,
    /// The tables.
    pub tables: &'a T,
}
