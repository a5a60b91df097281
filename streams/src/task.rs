//! One partition of one view: its states and how far it got.

use std::fmt;
use std::sync::Arc;

use crate::alarms::Alarms;
use crate::states::{Bounds, States, Trouble};
use crate::store::Shelf;
use crate::{Around, Due, Error, Place, Poison, Raw, View};

/// One partition of one view.
pub struct Task<V: View> {
    pub(crate) states: States<V::State>,
    alarms: Alarms,
    /// The offset that comes next from each source; what lies before it was folded.
    next: Vec<u64>,
    pub(crate) stream_time_ms: u64,
    unwoken: Vec<Unwoken>,
}

/// A key that could not be woken, and why. It is as it was, and has its turn again after its next
/// record, and once after each new beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwoken {
    /// The key.
    pub key: Arc<[u8]>,
    /// Why.
    pub poison: Poison,
}

/// Takes what keys say that are woken, one after the other. A panic counts as the wake's.
pub(crate) type Say<'a, O> = dyn FnMut(Vec<O>) + 'a;

/// Why a record was not folded.
#[derive(Debug)]
pub(crate) enum Refused {
    Poison(Poison),
    /// The disk failed: the task cannot go on.
    Disk(Error),
}

impl<V: View> Task<V> {
    /// A task that has seen nothing and keeps its states in memory alone.
    pub fn new(bounds: Bounds) -> Self {
        Self::on(bounds, None)
    }

    pub(crate) fn on(bounds: Bounds, shelf: Option<Shelf>) -> Self {
        let states = States::new(bounds, shelf);
        let (alarms, unwoken) = (Alarms::default(), Vec::new());
        Self { states, alarms, next: vec![0], stream_time_ms: 0, unwoken }
    }

    /// Goes on at these offsets, one for each source.
    pub(crate) fn go_on_at(&mut self, next: &[u64]) {
        self.next = next.to_vec();
    }

    /// Sets the alarms of all keys, from their states.
    pub(crate) fn set_alarms(&mut self, view: &V) -> Result<(), Error> {
        let Self { states, alarms, unwoken, .. } = self;
        states.each(|key, state| match caught(|| view.due(state)) {
            Ok(Some(due)) => alarms.set(key, due),
            Ok(None) => {}
            Err(poison) => unwoken.push(Unwoken { key: Arc::from(key), poison }),
        })
    }

    /// Folds one record, and first wakes whom it is time for. Returns what the fold says. A record
    /// that was folded before says nothing and changes nothing.
    pub(crate) fn feed(
        &mut self,
        view: &V,
        raw: &Raw<'_>,
        around: (&V::Tables, u64),
        say: &mut Say<'_, V::Output>,
    ) -> Result<Vec<V::Output>, Refused> {
        let (tables, now_ms) = around;
        match self.next.get_mut(raw.source) {
            Some(next) if raw.place.offset >= *next => *next = raw.place.offset + 1,
            Some(_) | None => return Ok(Vec::new()),
        }
        let input = view.decode(raw).map_err(Refused::Poison)?;
        let time_ms = view.time_ms(&input).min(raw.timestamp_ms);
        let stream_time_ms = self.stream_time_ms.max(time_ms);
        let Raw { key, place, .. } = *raw;
        let around = Around { key, place, stream_time_ms, now_ms, tables };
        let Some(key) = raw.key else {
            // It leaves no trace: stream time is what is known of the keys.
            return Ok(view.fold(&mut V::State::default(), input, &around));
        };
        if let Some(poison) = crate::changelog::refused(key) {
            return Err(Refused::Poison(poison));
        }
        if V::WAKES {
            self.wake(view, Due::Stream(stream_time_ms), &around, say).map_err(Refused::Disk)?;
        }
        let state = self.states.change(key, stream_time_ms)?;
        self.stream_time_ms = stream_time_ms;
        let said = view.fold(state, input, &around);
        let due = view.due(state);
        debug_assert!(
            V::WAKES || due.is_none(),
            "a view whose keys are due must say that it WAKES"
        );
        if let (true, Some(due)) = (V::WAKES, due) {
            self.alarms.set(key, due);
        }
        Ok(said)
    }

    /// Wakes everybody whom the wall clock says it is time for; returns how many keys' states may be
    /// others than before.
    pub(crate) fn wake_by_the_clock(
        &mut self,
        view: &V,
        (partition, tables, now_ms): (u32, &V::Tables, u64),
        say: &mut Say<'_, V::Output>,
    ) -> Result<usize, Error> {
        if !V::WAKES {
            return Ok(0);
        }
        let place = Place { partition, offset: self.next_offset() };
        let stream_time_ms = self.stream_time_ms;
        let around = Around { key: None, place, stream_time_ms, now_ms, tables };
        self.wake(view, Due::Wall(now_ms), &around, say)
    }

    fn wake(
        &mut self,
        view: &V,
        now: Due,
        around: &Around<'_, V::Tables>,
        say: &mut Say<'_, V::Output>,
    ) -> Result<usize, Error> {
        let mut woken = 0;
        while let Some((key, set_for)) = self.alarms.next(now) {
            match self.wake_key(view, (&key, set_for), around, say) {
                Ok(is_woken) => woken += usize::from(is_woken),
                Err(Trouble::Disk(error)) => return Err(error),
                Err(Trouble::Poison(poison)) => self.unwoken.push(Unwoken { key, poison }),
            }
        }
        Ok(woken)
    }

    /// Wakes a key, if it is time for it still; tells whether it was.
    fn wake_key(
        &mut self,
        view: &V,
        (key, set_for): (&[u8], Due),
        around: &Around<'_, V::Tables>,
        say: &mut Say<'_, V::Output>,
    ) -> Result<bool, Trouble> {
        let Some(state) = self.states.look(key)? else { return Ok(false) };
        let due = caught(|| view.due(state)).map_err(Trouble::Poison)?;
        let Some(due) = due else { return Ok(false) };
        if !due.is_by(set_for) {
            // It was put off since, and has its turn after whoever comes before it now.
            self.alarms.set(key, due);
            return Ok(false);
        }
        let Some((before, state)) = self.states.wake(key)? else { return Ok(false) };
        let Around { place, stream_time_ms, now_ms, tables, .. } = *around;
        let around = Around { key: Some(key), place, stream_time_ms, now_ms, tables };
        // No record is to blame that could be passed over, and whoever panics would do so again after
        // each new beginning. So this is undone here, and not with the transaction.
        let woken = caught(|| {
            let outputs = view.wake(state, &around);
            let next = view.due(state);
            if !outputs.is_empty() {
                say(outputs);
            }
            next
        });
        match woken {
            Ok(next) => {
                if let Some(next) = next.filter(|next| !next.is_by(due)) {
                    self.alarms.set(key, next);
                }
                Ok(true)
            }
            Err(mut poison) => {
                if let Err(why) = self.states.put_back(key, &before) {
                    poison.detail += &format!("; its state is as it was sealed last: {why}");
                }
                Err(Trouble::Poison(poison))
            }
        }
    }

    /// The keys that could not be woken, each told once.
    pub(crate) fn take_unwoken(&mut self) -> Vec<Unwoken> {
        std::mem::take(&mut self.unwoken)
    }

    /// The state of a key.
    pub(crate) fn look(&mut self, key: &[u8]) -> Result<Option<&V::State>, Refused> {
        Ok(self.states.look(key)?)
    }

    /// The offset that comes next from the topic that drives the view.
    pub(crate) fn next_offset(&self) -> u64 {
        self.next.first().copied().unwrap_or_default()
    }
}

/// Asks a view about a key that no record of its own is there for.
fn caught<T>(ask: impl FnOnce() -> T) -> Result<T, Poison> {
    let told = ("wake_panicked", "waking this key, or telling what came of it, panicked");
    Poison::unless_panics(told, ask)
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Poison(poison) => Self::Poison(poison),
            Trouble::Disk(error) => Self::Disk(error),
        }
    }
}

impl<V: View> fmt::Debug for Task<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("keys", &self.states.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
