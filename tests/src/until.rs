//! Waiting without sleeping blindly: ask again and again until it is so, or the deadline has come.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, interval};

/// How long a story waits for something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` every few milliseconds until it answers.
///
/// # Panics
/// When nothing was answered within [`PATIENCE`]; `what` says what was waited for.
pub async fn until<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
    }
}

/// Asks `probe` every few milliseconds until what it says is enough, and gives that back.
///
/// # Panics
/// When it was not within [`PATIENCE`]; the last answer is told.
pub async fn until_enough<T, F>(
    what: &str,
    mut probe: impl FnMut() -> F,
    is_enough: impl Fn(&T) -> bool,
) -> T
where
    T: std::fmt::Debug,
    F: Future<Output = T>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        let answer = probe().await;
        if is_enough(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}; last {answer:?}");
    }
}
