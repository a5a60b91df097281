//! Finds what is remembered of a visitor, in the view that runs in this process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clickmill_kafka::partition_of;
use clickmill_streams::{Looking, NotHere, Patience};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use crate::views::visitor::Visitor;

/// Between two looks while the view is being restored, or has not come far enough.
const LOOK_EVERY: Duration = Duration::from_millis(1);

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
        self.shared.view.get().is_none_or(|view| view.holds(partition))
    }

    /// The state under a record's key, once this process can tell.
    ///
    /// # Errors
    /// Why it cannot be told by the deadline; [`NotHere::Unknown`] and [`NotHere::Elsewhere`] at
    /// once.
    pub async fn find(&self, key: &str, deadline: Instant) -> Result<Found, NotHere> {
        let (visitors, key) = (self.clone(), key.to_owned());
        patiently(deadline, move |patience| {
            let partition = visitors.partition_of(&key)?;
            let view = visitors.shared.view.get().ok_or(NotHere::Restoring)?;
            let mut found = None;
            view.look_up((partition, key.as_bytes()), patience, &mut |seen| {
                found = Some(Found { visitor: seen.state.clone(), partition, next: seen.next });
            })?;
            found.ok_or(NotHere::Unknown).map(Some)
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
        let visitors = self.clone();
        patiently(deadline, move |patience| {
            let view = visitors.shared.view.get().ok_or(NotHere::Restoring)?;
            Ok((view.next_offset(partition, patience)? > offset).then_some(()))
        })
        .await
    }
}

/// Looks again and again until the deadline while there is nothing to be told yet. Whoever folds has
/// the states for microseconds at a time, but what is blocked meanwhile must be no thread that others'
/// answers need.
async fn patiently<T: Send + 'static>(
    deadline: Instant,
    look: impl Fn(Patience) -> Result<Option<T>, NotHere> + Send + Sync + 'static,
) -> Result<T, NotHere> {
    let look = Arc::new(look);
    loop {
        let told = match look(Patience::No) {
            Err(NotHere::Busy) => {
                let look = Arc::clone(&look);
                let waiting = spawn_blocking(move || look(Patience::Waits));
                timeout_at(deadline, waiting).await.ok().and_then(Result::ok)
            }
            told => Some(told),
        };
        let is_late = Instant::now() >= deadline;
        match told {
            Some(Ok(Some(told))) => return Ok(told),
            Some(Err(why)) if is_late || why != NotHere::Restoring => return Err(why),
            _ if is_late => return Err(NotHere::Busy),
            _ => sleep(LOOK_EVERY).await,
        }
    }
}

impl std::fmt::Debug for Visitors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visitors").field("running", &self.shared.view.get().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use clickmill_streams::{Lookup, Seen};

    use super::*;

    /// A view that somebody works on whenever it is looked at, until he is done.
    struct Worked(Mutex<Receiver<()>>);

    impl Worked {
        fn wait(&self, patience: Patience) -> Result<(), NotHere> {
            if patience == Patience::No {
                return Err(NotHere::Busy);
            }
            // Its end is as good.
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }

    impl Lookup<Visitor> for Worked {
        fn look_up(
            &self,
            _: (u32, &[u8]),
            patience: Patience,
            look: &mut dyn FnMut(Seen<'_, Visitor>),
        ) -> Result<(), NotHere> {
            self.wait(patience)?;
            look(Seen { state: &Visitor::default(), next: 7 });
            Ok(())
        }

        fn next_offset(&self, _: u32, patience: Patience) -> Result<u64, NotHere> {
            self.wait(patience)?;
            Ok(7)
        }

        fn holds(&self, partition: u32) -> bool {
            partition == 0
        }
    }

    fn visitors() -> (Visitors, std::sync::mpsc::Sender<()>) {
        let (done, working) = channel();
        let visitors = Visitors::default();
        visitors.set(Arc::new(Worked(Mutex::new(working))));
        visitors.set_partitions(1);
        (visitors, done)
    }

    #[tokio::test]
    async fn who_asks_while_the_states_are_worked_on_waits_for_that_and_blocks_nobody() {
        let (visitors, done) = visitors();
        let deadline = Instant::now() + Duration::from_secs(10);
        // The only thread of this runtime goes on, or nobody would ever be done.
        let (found, ()) = tokio::join!(visitors.find("shop:v", deadline), async {
            assert!(visitors.holds(0) && !visitors.holds(1), "that waits for nobody");
            done.send(()).unwrap();
        });
        assert_eq!(found.unwrap().next, 7);
        drop(done);
        visitors.caught_up((0, 6), deadline).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_waits_beyond_the_deadline() {
        let (visitors, done) = visitors();
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(visitors.find("shop:v", soon).await, Err(NotHere::Busy));
        drop(done);
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(visitors.caught_up((0, 7), soon).await, Err(NotHere::Busy));
    }
}
