//! Looks states up in a view while it runs.

use std::sync::{MutexGuard, TryLockError};

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
        partition: u32,
        key: &[u8],
        look: &mut dyn FnMut(Seen<'_, T>),
    ) -> Result<(), NotHere>;

    /// The offset that a partition will fold next.
    ///
    /// # Errors
    /// When this instance does not have it, or is busy.
    fn next_offset(&self, partition: u32) -> Result<u64, NotHere>;
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
    /// The thread that folds is closing a transaction: ask again in a moment.
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
        partition: u32,
        key: &[u8],
        look: &mut dyn FnMut(Seen<'_, V::State>),
    ) -> Result<(), NotHere> {
        let mut core = self.try_lock()?;
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

    fn next_offset(&self, partition: u32) -> Result<u64, NotHere> {
        let mut core = self.try_lock()?;
        live(&mut core, partition).map(|task| task.next_offset())
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
    fn try_lock(&self) -> Result<MutexGuard<'_, Core<V>>, NotHere> {
        match self.core.try_lock() {
            Ok(core) => Ok(core),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(NotHere::Busy),
        }
    }
}
