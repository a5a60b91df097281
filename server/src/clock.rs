//! Wall time as a handle, so that a test can say what time it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the wall time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970, UTC. Not monotonic: a wall clock may be set back.
    fn now_ms(&self) -> u64;
}

/// The clock that a service passes around.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The clock of the machine as a handle to pass around.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        // A machine whose clock stands before 1970 gets 0; u64 milliseconds last 584 million years.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until a test moves it. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        Self { now_ms: Arc::new(AtomicU64::new(now_ms)) }
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, span_ms: u64) {
        self.now_ms.fetch_add(span_ms, Ordering::SeqCst);
    }

    /// Sets the clock, also backwards.
    pub fn set_ms(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// The same clock as a handle to pass around.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(1_000);
        let handle = clock.shared();
        clock.advance_ms(5);
        assert_eq!(handle.now_ms(), 1_005);
        clock.set_ms(10);
        assert_eq!(handle.now_ms(), 10);
    }

    #[test]
    fn the_system_clock_is_past_2024() {
        assert!(SystemClock::shared().now_ms() > 1_704_067_200_000);
    }
}
