//! The one-way latch that starts a drain, and the signals that press it.
//!
//! A service holds more than one: the outer latch is pressed by a signal or a test and makes
//! readiness fail at once; the service then winds down in its own order and presses an inner latch
//! for each listener when that listener's turn has come.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// A latch that is pressed once and never released. Clones are the same latch.
#[derive(Clone, Debug)]
pub struct Shutdown {
    latch: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    /// A latch that nobody has pressed yet.
    pub fn new() -> Self {
        Self { latch: Arc::new(watch::Sender::new(false)) }
    }

    /// Presses the latch; pressing it again changes nothing.
    pub fn begin(&self) {
        self.latch.send_if_modified(|begun| !std::mem::replace(begun, true));
    }

    /// Whether the latch is pressed.
    pub fn has_begun(&self) -> bool {
        *self.latch.borrow()
    }

    /// Resolves once the latch is pressed, at once if it already is.
    pub fn triggered(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let latch = Arc::clone(&self.latch);
        async move {
            // It cannot fail: the sender lives in this future.
            let _ = latch.subscribe().wait_for(|begun| *begun).await;
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// SIGTERM and SIGINT, listened to from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen; the default action of both signals (to end the process) is gone then.
    /// Errors if the system refuses a handler. Needs a tokio runtime.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves with the name of the next signal.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// The first signal presses the latch; resolves at the second one, which asks to give up the
    /// drain. `main` races this against its service.
    pub async fn drive(mut self, shutdown: &Shutdown) {
        let first = self.next().await;
        tracing::info!(signal = first, "draining");
        shutdown.begin();
        let second = self.next().await;
        tracing::warn!(signal = second, "drain given up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_it_whether_early_or_late() {
        let shutdown = Shutdown::new();
        let early = tokio::spawn(shutdown.clone().triggered());
        tokio::task::yield_now().await;
        assert!(!shutdown.has_begun() && !early.is_finished());
        shutdown.begin();
        shutdown.begin();
        early.await.unwrap();
        shutdown.triggered().await;
        assert!(shutdown.has_begun());
    }

    #[tokio::test]
    async fn a_waiter_outlives_the_handle_it_came_from() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        let waiter = shutdown.triggered();
        drop(shutdown);
        other.begin();
        waiter.await;
    }
}
