//! How records get into the partitions, and clocks with them: fold, say, fill the transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use clickmill_kafka::Message;

use super::held::{Held, Phase};
use super::{Core, OFFSETS_EVERY, Partitions};
use crate::task::Refused;
use crate::{At, Error, Place, Poison, Raw, Sink, View};

impl<V: View, S: Sink<V::Output>> Partitions<V, S> {
    /// Folds a record, and hands what was said to the sink and its records to the transaction.
    pub(in crate::runtime) fn feed(&self, raw: &Raw<'_>) -> Result<(), Error> {
        let mut core = self.lock();
        let Core { held, means, broken, outputs, cursed } = &mut *core;
        if let Some(error) = broken.take() {
            return Err(error);
        }
        let (Some(held), Some(means)) = (held.get_mut(&raw.place.partition), means.as_mut()) else {
            return Ok(());
        };
        if !matches!(held.phase, Phase::Live) {
            held.keep(raw, self.config.read_ahead_bytes_max);
            return Ok(());
        }
        if let (0, Some(until)) = (raw.source, &self.config.until)
            && until.get(&raw.place.partition).is_none_or(|until| raw.place.offset >= *until)
        {
            held.is_through = true;
            return Ok(());
        }
        match held.read_to.get_mut(raw.source) {
            Some(read_to) if raw.place.offset >= *read_to => *read_to = raw.place.offset + 1,
            Some(_) | None => return Ok(()),
        }
        let at = At { place: raw.place, now_ms: (self.now_ms)() };
        let transactions = &mut means.transactions;
        // Its state is a record, too.
        transactions.fill(1);
        let raw = &raw.not_from_the_future(at.now_ms, self.view.ahead_max_ms());
        let which = (raw.source, raw.place);
        let fold = || {
            if cursed.contains(&which) {
                return (Err(Refused::Poison(panicked())), Vec::new());
            }
            let mut produce = Vec::new();
            // Whom a record has woken has said something, even where the record itself is poison.
            let mut say = |said| produce.extend(self.sink.live(at, said));
            let fed = held.task.feed(&*self.view, raw, (&self.tables, at.now_ms), &mut say);
            (fed.map(|said| produce.extend(self.sink.live(at, said))), produce)
        };
        // What a panic left half done goes with the transaction: all is taken up again from what was
        // committed, and the record that it came at is poison then.
        let Ok((fed, produce)) = catch_unwind(AssertUnwindSafe(fold)) else {
            cursed.insert(which);
            return Err(Error::Panicked(raw.place));
        };
        *outputs += produce.len() as u64;
        transactions.fill(produce.len());
        held.outputs.extend(produce.into_iter().map(|record| (at, record)));
        match fed {
            Ok(()) => self.meters.folded.increment(1),
            Err(Refused::Poison(poison)) => {
                self.meters.poisoned.increment(1);
                let letter = self.sink.poisoned(at, Some(raw), &poison);
                held.outputs.extend(letter.map(|letter| (at, letter)));
            }
            Err(Refused::Disk(error)) => return Err(error),
        }
        self.tell_unwoken(held, at);
        Ok(())
    }

    /// Tells of keys that could not be woken; how many those were.
    fn tell_unwoken(&self, held: &mut Held<V>, at: At) -> usize {
        let unwoken = held.task.take_unwoken();
        for unwoken in &unwoken {
            self.meters.poisoned.increment(1);
            let letter = self.sink.unwoken(at, unwoken);
            held.outputs.extend(letter.map(|letter| (at, letter)));
        }
        unwoken.len()
    }

    /// Folds what was kept of a partition that is live now; returns where to read on if more came than
    /// was kept.
    pub(super) fn feed_kept(&self, number: u32) -> Result<Option<Vec<u64>>, Error> {
        let taken = self.lock().held.get_mut(&number).map(Held::take_kept);
        let Some((kept, has_slipped)) = taken else { return Ok(None) };
        for one in &kept {
            self.feed(&one.raw())?;
        }
        let mut core = self.lock();
        if let Some(means) = &mut core.means {
            // They have waited for the partition to move.
            means.transactions.hurry();
        }
        let read_to = core.held.get(&number).map(|held| held.read_to.clone());
        Ok(read_to.filter(|_| has_slipped))
    }

    /// A message as a record of its source.
    pub(in crate::runtime) fn raw<'a>(&self, message: &'a Message<'_>) -> Raw<'a> {
        let source = match self.sources.as_slice() {
            [_] => 0,
            sources => {
                // One of no topic of ours is passed over.
                let topic = message.topic();
                sources.iter().position(|source| source == topic).unwrap_or(usize::MAX)
            }
        };
        Raw { source, ..Raw::of(message) }
    }

    /// Wakes the keys of live partitions whom the wall clock says it is time for, and has offsets
    /// committed that were not for long.
    pub(super) fn keep_time(&self, core: &mut Core<V>) -> Result<(), Error> {
        let Core { held, means, outputs, .. } = core;
        let Some(means) = means.as_mut() else { return Ok(()) };
        let now_ms = (self.now_ms)();
        for (number, held) in held.iter_mut() {
            if !matches!(held.phase, Phase::Live) {
                continue;
            }
            if self.sources.len() > 1 && held.offsets_at.elapsed() > OFFSETS_EVERY {
                means.transactions.fill(1);
            }
            let place = Place { partition: *number, offset: held.task.next_offset() };
            let (at, mut produce) = (At { place, now_ms }, Vec::new());
            let (around, view) = ((*number, &self.tables, now_ms), &*self.view);
            let mut say = |said| produce.extend(self.sink.live(at, said));
            let woken = held.task.wake_by_the_clock(view, around, &mut say)?;
            let unwoken = self.tell_unwoken(held, at);
            *outputs += produce.len() as u64;
            // A state that was woken is a record, too, also where it had nothing to say.
            let records = woken + unwoken + produce.len();
            if records > 0 {
                means.transactions.fill(records);
            }
            held.outputs.extend(produce.into_iter().map(|record| (at, record)));
        }
        Ok(())
    }
}

fn panicked() -> Poison {
    Poison { reason: "fold_panicked", detail: "the fold panicked at this record".to_owned() }
}
