//! Two readings of one clock: what the browser says, and a time that never runs backwards.

/// The moment of a step, ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What the platform's clock says: for everything that is written down or compared with a
    /// server's time.
    pub(super) wall: u64,
    /// The same clock with its jumps backwards taken out: for waits.
    pub(super) steady: u64,
}

/// Takes the backward jumps out of a clock. A jump forward ends waits early, which costs a request
/// at the most; a jump backward would stretch them by hours.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: u64,
    behind_ms: u64,
}

impl Clock {
    /// Reads the clock.
    pub(super) fn read(&mut self, wall: u64) -> Now {
        let steady = wall + self.behind_ms;
        self.behind_ms += super::since(self.last, steady);
        self.last = self.last.max(steady);
        Now { wall, steady: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_survives_a_clock_set_back_by_an_hour() {
        let mut clock = Clock::default();
        let hour = 3_600_000;
        let before = clock.read(5 * hour).steady;
        assert_eq!(clock.read(4 * hour).steady, before);
        assert_eq!(clock.read(4 * hour + 250).steady, before + 250);
        assert_eq!(clock.read(4 * hour + 250).wall, 4 * hour + 250);
    }
}
