//! Ctrl-C as a handle: asked for, waited for, handed on.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Tells whether the person at the terminal wants it to end (Ctrl-C, SIGTERM, SIGHUP).
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Interrupt {
    /// Listens to the signals of this process. The first one is for the holders of this handle to
    /// obey; at a second one the process ends at once, and its children with it.
    ///
    /// # Errors
    /// When somebody listens already.
    pub fn listen() -> Result<Self, ctrlc::Error> {
        let interrupt = Self::default();
        let handle = interrupt.clone();
        ctrlc::set_handler(move || {
            if handle.requested() {
                std::process::exit(130);
            }
            handle.raise();
        })?;
        Ok(interrupt)
    }

    /// Asks everyone who holds this handle to end.
    pub fn raise(&self) {
        let (raised, changed) = &*self.state;
        *raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        *self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the request, at most for `patience`; whether it came.
    pub fn wait(&self, patience: Duration) -> bool {
        let (raised, changed) = &*self.state;
        let raised = raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(raised, patience, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_holder_hears_it() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.requested());
        assert!(!interrupt.wait(Duration::ZERO));
        let other = interrupt.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        interrupt.raise();
        assert!(waiting.join().unwrap());
        assert!(interrupt.requested());
    }
}
