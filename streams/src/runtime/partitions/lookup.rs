//! Looks states up in a view while it runs.

use std::sync::{MutexGuard, PoisonError, TryLockError};

use tracing::warn;

use super::held::{Held, Phase};
use super::{Core, Partitions};
use crate::{Sink, Task, View};

/// Looks states up in a running view.
pub trait Lookup<T>: Send + Sync {
    /// Hands the state of a key of a partition to `look`, as folds have left it, whether committed
    /// or not.
    ///
    /// # Errors
    /// When this instance cannot tell, now or at all.
    fn look_up(
        &self,
        of: (u32, &[u8]),
        patience: Patience,
        look: &mut dyn FnMut(Seen<'_, T>),
    ) -> Result<(), NotHere>;

    /// The offset that a partition will fold next.
    ///
    /// # Errors
    /// When this instance does not have it, or cannot tell yet.
    fn next_offset(&self, partition: u32, patience: Patience) -> Result<u64, NotHere>;

    /// Whether a partition is this instance's, live or not. Waits for nobody.
    fn holds(&self, partition: u32) -> bool;
}

/// What a look-up does while somebody works on the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Comes back at once with [`NotHere::Busy`].
    No,
    /// Blocks its thread until it has its turn: for the microseconds that a record takes, mostly.
    Waits,
}

/// A state that was looked up.
#[derive(Debug)]
pub struct Seen<'a, T> {
    /// The state.
    pub state: &'a T,
    /// The offset that is folded next in its partition: everything before it is in the state.
    pub next: u64,
}

/// Why a state cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHere {
    /// Somebody works on the states: ask again with [`Patience::Waits`].
    Busy,
    /// The partition is not ours: another instance has it, or nobody.
    Elsewhere,
    /// The partition is being restored.
    Restoring,
    /// There is no state under that key.
    Unknown,
    /// There is one, and it cannot be read: the disk fails, or a newer version wrote it.
    Unreadable,
}

impl<V: View, S: Sink<V::Output>> Lookup<V::State> for Partitions<V, S> {
    fn look_up(
        &self,
        (partition, key): (u32, &[u8]),
        patience: Patience,
        look: &mut dyn FnMut(Seen<'_, V::State>),
    ) -> Result<(), NotHere> {
        let mut core = self.lock_with(patience)?;
        let task = live(&mut core, partition)?;
        let next = task.next_offset();
        match task.look(key) {
            Ok(Some(state)) => {
                look(Seen { state, next });
                Ok(())
            }
            Ok(None) => Err(NotHere::Unknown),
            Err(refused) => {
                warn!(partition, ?refused, "a state that is asked for cannot be read");
                Err(NotHere::Unreadable)
            }
        }
    }

    fn next_offset(&self, partition: u32, patience: Patience) -> Result<u64, NotHere> {
        let mut core = self.lock_with(patience)?;
        live(&mut core, partition).map(|task| task.next_offset())
    }

    fn holds(&self, partition: u32) -> bool {
        self.ours.read().unwrap_or_else(PoisonError::into_inner).contains(&partition)
    }
}

/// The task of a partition that is live, and was not given up: then its state holds what did not
/// happen.
fn live<V: View>(core: &mut Core<V>, partition: u32) -> Result<&mut Task<V>, NotHere> {
    let is_given_up = core.means.is_none();
    match core.held.get_mut(&partition) {
        Some(Held { task, phase: Phase::Live, .. }) if !is_given_up => Ok(task),
        Some(_) => Err(NotHere::Restoring),
        None => Err(NotHere::Elsewhere),
    }
}

impl<V: View, S> Partitions<V, S> {
    fn lock_with(&self, patience: Patience) -> Result<MutexGuard<'_, Core<V>>, NotHere> {
        if patience == Patience::Waits {
            return Ok(self.lock());
        }
        match self.core.try_lock() {
            Ok(core) => Ok(core),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(NotHere::Busy),
        }
    }
}
