//! Two readings of one clock: what the browser says, and a time that never runs backwards.

use crate::wire::Millis;

/// The moment of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What the platform's clock says: for everything that is written down or compared with a
    /// server's time.
    pub(super) wall: Millis,
    /// The same clock with its jumps backwards taken out: for waits.
    pub(super) steady: Millis,
}

/// Takes the backward jumps out of a clock. A jump forward ends waits early, which costs a request
/// at the most; a jump backward would stretch them by hours.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Millis,
    behind_ms: u64,
}

impl Clock {
    /// Reads the clock.
    pub(super) fn read(&mut self, wall: Millis) -> Now {
        let mut steady = wall + self.behind_ms;
        self.behind_ms += self.last.since(steady);
        steady = steady.max(self.last);
        self.last = steady;
        Now { wall, steady }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_survives_a_clock_set_back_by_an_hour() {
        let mut clock = Clock::default();
        let hour = 3_600_000;
        let before = clock.read(Millis(5 * hour)).steady;
        assert_eq!(clock.read(Millis(4 * hour)).steady, before);
        assert_eq!(clock.read(Millis(4 * hour + 250)).steady, before + 250);
        assert_eq!(clock.read(Millis(4 * hour + 250)).wall, Millis(4 * hour + 250));
    }
}
