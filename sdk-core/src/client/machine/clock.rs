//! Readings of one clock: what the browser says, a time that never runs backwards, and for how long
//! nobody was there to read it.

/// The longest time between two steps that counts as waited, ms. Whoever waits is woken by the
/// minute. After much longer the device has slept or its clock was set, and nobody can tell which.
const WATCHED_MS_MAX: u64 = 60 * 60 * 1000;

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
    unwatched_ms: u64,
}

impl Clock {
    /// Reads the clock.
    pub(super) fn read(&mut self, wall: u64) -> Now {
        let steady = wall + self.behind_ms;
        self.behind_ms += super::since(self.last, steady);
        if self.last > 0 {
            self.unwatched_ms += super::since(steady, self.last + WATCHED_MS_MAX);
        }
        self.last = self.last.max(steady);
        Now { wall, steady: self.last }
    }

    /// The steady time less what went by unwatched since the first step, ms. By it events grow old: a
    /// clock that jumps forward makes nothing old. How old something was when it came here, nobody
    /// knows but the wall clock.
    pub(super) fn watched(&self) -> u64 {
        self.last - self.unwatched_ms
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

    #[test]
    fn of_what_nobody_watched_an_hour_counts() {
        let mut clock = Clock::default();
        for (at, watched) in
            [(100, 100), (160, 160), (100, 160), (220, 220), (280, 280), (5000, 340), (280, 340)]
        {
            clock.read(at * 60_000);
            assert_eq!(clock.watched(), watched * 60_000, "{at}");
        }
    }
}
