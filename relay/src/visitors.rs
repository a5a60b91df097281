//! Finds what is remembered of a visitor, in the view that runs in this process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clickmill_kafka::partition_of;
use clickmill_streams::{Looking, NotHere};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::views::visitor::Visitor;

/// Between two looks while the view is busy or being restored.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A view is busy for the microseconds that a record takes, or for the milliseconds that closing a
/// transaction may take. For so long it is looked at again as soon as other work has had its turn.
const SOON: Duration = Duration::from_micros(100);

/// The way to the visitor view; clones lead to the same. It leads nowhere until the view runs.
#[derive(Clone, Default)]
pub struct Visitors {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    view: OnceLock<Looking<Visitor>>,
    /// How many partitions the raw topic has; 0 while that is not known.
    partitions: AtomicU32,
}

/// A visitor's state, and up to where it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The state, whether committed or not.
    pub visitor: Visitor,
    /// The partition of the raw topic it lies in.
    pub partition: u32,
    /// The offset that comes next there: every event before it is in the state.
    pub next: u64,
}

impl Visitors {
    /// The view runs from now on. Once only.
    pub fn set(&self, view: Looking<Visitor>) {
        // There is one view in a process.
        let _ = self.shared.view.set(view);
    }

    /// The raw topic has so many partitions.
    pub fn set_partitions(&self, count: u32) {
        self.shared.partitions.store(count, Ordering::Release);
    }

    /// How many partitions the raw topic has; 0 while that is not known.
    pub fn partitions(&self) -> u32 {
        self.shared.partitions.load(Ordering::Acquire)
    }

    /// The partition that a record's key lies in.
    ///
    /// # Errors
    /// While it is not known how many there are.
    pub fn partition_of(&self, key: &str) -> Result<u32, NotHere> {
        match self.shared.partitions.load(Ordering::Acquire) {
            0 => Err(NotHere::Restoring),
            count => Ok(partition_of(key.as_bytes(), count)),
        }
    }

    /// Whether this process is to answer for a partition: it has it, or cannot tell yet.
    pub fn holds(&self, partition: u32) -> bool {
        let next = self.shared.view.get().map(|view| view.next_offset(partition));
        !matches!(next, Some(Err(NotHere::Elsewhere)))
    }

    /// The state under a record's key, once this process can tell.
    ///
    /// # Errors
    /// Why it cannot be told by the deadline; [`NotHere::Unknown`] and [`NotHere::Elsewhere`] at
    /// once.
    pub async fn find(&self, key: &str, deadline: Instant) -> Result<Found, NotHere> {
        patiently(deadline, || {
            let partition = self.partition_of(key)?;
            let view = self.shared.view.get().ok_or(NotHere::Restoring)?;
            let mut found = None;
            view.look_up(partition, key.as_bytes(), &mut |seen| {
                found = Some(Found { visitor: seen.state.clone(), partition, next: seen.next });
            })?;
            found.ok_or(NotHere::Unknown)
        })
        .await
    }

    /// Resolves once a partition has folded everything up to an offset, for who wants to read what
    /// it has written.
    ///
    /// # Errors
    /// Why that is not so by the deadline; [`NotHere::Elsewhere`] at once.
    pub async fn caught_up(
        &self,
        (partition, offset): (u32, u64),
        deadline: Instant,
    ) -> Result<(), NotHere> {
        patiently(deadline, || {
            let view = self.shared.view.get().ok_or(NotHere::Restoring)?;
            if view.next_offset(partition)? > offset { Ok(()) } else { Err(NotHere::Busy) }
        })
        .await
    }
}

/// Looks again and again until the deadline while what is looked at is busy or being restored.
async fn patiently<T>(
    deadline: Instant,
    look: impl Fn() -> Result<T, NotHere>,
) -> Result<T, NotHere> {
    let mut busy_since = None;
    loop {
        let told = look();
        let now = Instant::now();
        match told {
            Err(NotHere::Busy) if now - *busy_since.get_or_insert(now) < SOON => yield_now().await,
            Err(NotHere::Busy | NotHere::Restoring) if now < deadline => {
                busy_since = None;
                sleep(LOOK_EVERY).await;
            }
            told => return told,
        }
    }
}

impl std::fmt::Debug for Visitors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visitors").field("running", &self.shared.view.get().is_some()).finish()
    }
}
