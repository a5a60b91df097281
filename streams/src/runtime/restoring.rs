//! The threads that restore partitions while others are live.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::restore::{Restore, Restored};
use crate::store::Store;
use crate::{Error, View};

/// A partition to restore.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) partition: u32,
    pub(super) now_ms: u64,
    /// Set when nobody waits for it any more.
    pub(super) is_over: Arc<AtomicBool>,
}

/// Threads that restore.
pub(super) struct Restoring<V: View> {
    orders: Sender<Order>,
    done: Receiver<(Order, Result<Restored<V>, Error>)>,
}

impl<V: View> Restoring<V> {
    pub(super) fn start(
        restore: &Restore,
        (view, store): (&Arc<V>, Option<&Store>),
        threads: usize,
    ) -> Result<Self, Error> {
        let (orders, to_do) = channel::<Order>();
        let to_do = Arc::new(Mutex::new(to_do));
        let (tell, done) = channel();
        for n in 0..threads.max(1) {
            let (to_do, tell) = (Arc::clone(&to_do), tell.clone());
            let (restore, view, store) = (restore.clone(), Arc::clone(view), store.cloned());
            let name = format!("restore-{n}");
            std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || {
                    // Ahead of the first order, and one for all.
                    if n == 0 {
                        restore.connect();
                    }
                    loop {
                        // One waits inside, the others for the lock: each order goes to one.
                        let order = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(order) = order else { return };
                        let is_over = || order.is_over.load(Ordering::Acquire);
                        let what = (order.partition, order.now_ms);
                        let run = || restore.run(&*view, store.as_ref(), what, &is_over);
                        let run = unless_panics(order.partition, run);
                        if tell.send((order, run)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|source| Error::Thread { name, source })?;
        }
        Ok(Self { orders, done })
    }

    pub(super) fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).map_err(|_| Error::Broken("a restore".to_owned()))
    }

    /// One that is done; none for now. One that has panicked is a failure like any other: without a
    /// word of it the partition would be waited for for ever.
    pub(super) fn next(&self) -> Option<(Order, Result<Restored<V>, Error>)> {
        self.done.try_recv().ok()
    }
}

fn unless_panics<T>(
    partition: u32,
    restore: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(restore))
        .unwrap_or_else(|_| Err(Error::Broken(format!("the restore of partition {partition}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_panics_is_told_as_one_that_failed() {
        let told = unless_panics::<()>(3, || panic!("no view should do this"));
        assert_eq!(
            told.unwrap_err().to_string(),
            "the thread of the restore of partition 3 broke off"
        );
        assert!(matches!(unless_panics(3, || Ok(5)), Ok(5)));
    }
}
