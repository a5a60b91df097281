//! Finds what is remembered of a visitor, in the view that runs in this process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clickmill_streams::{Looking, NotHere};
use tokio::time::{Instant, sleep};

use crate::views::visitor::Visitor;

/// Between two looks while the view is busy or being restored.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The way to the visitor view; clones lead to the same. It leads nowhere until the view runs.
#[derive(Clone, Default)]
pub struct Visitors {
    view: Arc<OnceLock<Looking<Visitor>>>,
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
        let _ = self.view.set(view);
    }

    /// The state under a record's key, once this process can tell; [`NotHere::Unknown`] where it
    /// has none or another one has it.
    ///
    /// # Errors
    /// Why it cannot be told by the deadline.
    pub async fn find(&self, key: &str, deadline: Instant) -> Result<Found, NotHere> {
        loop {
            let why = match self.look(key) {
                Ok(found) => return Ok(found),
                Err(NotHere::Unknown) => return Err(NotHere::Unknown),
                Err(why @ (NotHere::Busy | NotHere::Restoring)) => why,
            };
            if Instant::now() >= deadline {
                return Err(why);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Resolves once a partition has folded everything up to an offset, for who wants to read what
    /// it has written.
    ///
    /// # Errors
    /// Why that is not so by the deadline.
    pub async fn caught_up(
        &self,
        (partition, offset): (u32, u64),
        deadline: Instant,
    ) -> Result<(), NotHere> {
        loop {
            let why = match self.view.get().map(|view| view.next_offset(partition)) {
                Some(Ok(next)) if next > offset => return Ok(()),
                Some(Err(NotHere::Unknown)) => return Err(NotHere::Unknown),
                Some(Ok(_)) => NotHere::Busy,
                Some(Err(why)) => why,
                None => NotHere::Restoring,
            };
            if Instant::now() >= deadline {
                return Err(why);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn look(&self, key: &str) -> Result<Found, NotHere> {
        let view = self.view.get().ok_or(NotHere::Restoring)?;
        let mut found = None;
        view.look_up(key.as_bytes(), &mut |seen| {
            let (visitor, partition, next) = (seen.state.clone(), seen.partition, seen.next);
            found = Some(Found { visitor, partition, next });
        })?;
        found.ok_or(NotHere::Unknown)
    }
}

impl std::fmt::Debug for Visitors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visitors").field("running", &self.view.get().is_some()).finish()
    }
}
