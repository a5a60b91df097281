//! Whose turn it is: transactions deliver their records one after another, and end one after another.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Error;

/// How far transactions are, which are counted from 1.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    reached: Mutex<Reached>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// The newest whose records are all acknowledged.
    delivered: u64,
    /// The newest that was committed.
    ended: u64,
    is_over: bool,
}

impl Turns {
    /// The newest transaction whose records are all acknowledged.
    pub(crate) fn delivered(&self) -> u64 {
        self.lock().delivered
    }

    /// Waits until the one before has delivered.
    ///
    /// # Errors
    /// When one was given up.
    pub(crate) fn wait_to_deliver(&self, turn: u64) -> Result<(), Error> {
        self.wait_until(|reached| reached.delivered + 1 >= turn)
    }

    /// Waits until the one before was committed.
    ///
    /// # Errors
    /// When one was given up.
    pub(crate) fn wait_to_end(&self, turn: u64) -> Result<(), Error> {
        self.wait_until(|reached| reached.ended + 1 >= turn)
    }

    pub(crate) fn has_delivered(&self, turn: u64) {
        self.reach(|reached| reached.delivered = turn);
    }

    pub(crate) fn has_ended(&self, turn: u64) {
        self.reach(|reached| reached.ended = turn);
    }

    /// One has failed: those behind it must not go on.
    pub(crate) fn give_up(&self) {
        self.reach(|reached| reached.is_over = true);
    }

    fn reach(&self, change: impl FnOnce(&mut Reached)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_until(&self, has_come: impl Fn(&Reached) -> bool) -> Result<(), Error> {
        let still_waits = |reached: &mut Reached| !reached.is_over && !has_come(reached);
        let reached = self
            .changed
            .wait_while(self.lock(), still_waits)
            .unwrap_or_else(PoisonError::into_inner);
        // It may have come before another was given up; it must not go on all the same.
        if reached.is_over {
            Err(Error::Broken("the transaction before".to_owned()))
        } else {
            Ok(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc::channel};

    use super::*;

    #[test]
    fn one_ends_while_the_next_delivers_and_no_other_overtakes() {
        let turns = Arc::new(Turns::default());
        let (tell, told) = channel();
        // The later ones come first.
        let threads: Vec<_> = (1..=5_u64)
            .rev()
            .map(|turn| {
                let (turns, tell) = (Arc::clone(&turns), tell.clone());
                std::thread::spawn(move || {
                    turns.wait_to_deliver(turn).unwrap();
                    tell.send(("delivers", turn)).unwrap();
                    turns.has_delivered(turn);
                    turns.wait_to_end(turn).unwrap();
                    tell.send(("ends", turn)).unwrap();
                    turns.has_ended(turn);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let told: Vec<_> = told.try_iter().collect();
        for what in ["delivers", "ends"] {
            let order = told.iter().filter(|(did, _)| *did == what).map(|(_, turn)| *turn);
            assert_eq!(order.collect::<Vec<_>>(), [1, 2, 3, 4, 5], "{told:?}");
        }
    }

    #[test]
    fn nobody_goes_on_behind_one_that_failed() {
        let turns = Arc::new(Turns::default());
        turns.has_delivered(1);
        let waiting = {
            let turns = Arc::clone(&turns);
            std::thread::spawn(move || turns.wait_to_end(2))
        };
        turns.give_up();
        assert!(waiting.join().unwrap().is_err());
        assert!(turns.wait_to_deliver(2).is_err(), "though its turn has come");
    }
}
