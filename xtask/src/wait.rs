//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

/// Between two looks.
const STEP: Duration = Duration::from_millis(25);

/// Looks until `look` has found something, at most for `patience`; `None` when it never did.
pub fn wait_until<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(STEP.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_comes_late() {
        let mut looks = 0;
        let found = wait_until(Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some("here")
        });
        assert_eq!(found, Some("here"));
    }

    #[test]
    fn gives_up_at_the_deadline_after_one_last_look() {
        let mut looks = 0;
        let found = wait_until(Duration::from_millis(1), || {
            looks += 1;
            None::<()>
        });
        assert_eq!(found, None);
        assert!(looks >= 2, "{looks} looks");
    }
}
