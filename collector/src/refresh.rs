//! Refresh: asks the schema registry now and then for what is new, while events are judged by what
//! was there.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::thread;
use std::time::Duration;

use clickmill_catalog::{Refusal, Registry, Schemas, SourceError, Standing};
use clickmill_server::admin::Check;
use clickmill_server::clock::SharedClock;
use clickmill_server::metrics::Metrics;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::metrics::RegistryMetrics;

/// After a failure it is asked again this soon; then twice as late each time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A start that has a copy of the schemas waits this long for newer ones; then the copy judges until
/// they are there.
pub(crate) const START_WAIT: Duration = Duration::from_secs(1);

/// What a read of the schemas gives.
type Read = Result<Vec<Refusal>, SourceError>;

/// A registry with all that a refresh of it touches.
#[derive(Debug)]
pub(crate) struct Refresh {
    registry: Arc<Registry>,
    schemas: Arc<Schemas>,
    every: Duration,
    clock: SharedClock,
    metrics: RegistryMetrics,
    /// The first time it is asked, while that goes on.
    first: Option<Aside<Read>>,
    /// What the log has told of already.
    told: BTreeSet<String>,
    failures: u32,
}

impl Refresh {
    /// Asks the registry for the first time. While it is away that is no error: then its copy stands,
    /// or it is not ready. With a copy the start goes on after `wait`, whatever the registry does;
    /// without one it waits for as long as a refresh may take.
    pub(crate) async fn start(
        registry: Registry,
        schemas: Arc<Schemas>,
        (every, wait): (Duration, Duration),
        (clock, metrics): (SharedClock, &Metrics),
    ) -> Self {
        let registry = Arc::new(registry);
        let (source, into) = (Arc::clone(&registry), Arc::clone(&schemas));
        let added = aside(move || {
            source.recall();
            into.add(Box::new(source))
        });
        let added = added.await;
        let metrics = RegistryMetrics::new(metrics);
        let told = BTreeSet::new();
        let mut refresh =
            Self { registry, schemas, every, clock, metrics, first: None, told, failures: 0 };
        if !matches!(added, Some(Ok(_))) {
            refresh.note(added);
        }
        let mut first = refresh.ask();
        let wait = if refresh.registry.standing().held { wait } else { Duration::MAX };
        match timeout(wait, &mut first).await {
            Ok(read) => refresh.note(read),
            Err(_) => {
                tracing::warn!(waited = ?wait, "the schema registry is slow; its copy judges meanwhile");
                refresh.first = Some(first);
            }
        }
        refresh
    }

    /// Keeps the schemas fresh and the check true, for ever. Ready is who has a set at all, fresh or
    /// old: a collector that took no traffic would help nobody while the registry is away.
    pub(crate) async fn run(mut self, check: Check) {
        loop {
            if self.registry.standing().held {
                check.pass();
            } else {
                check.fail("it was not reached yet, and there is no copy of its schemas");
            }
            let asked = match self.first.take() {
                Some(first) => first,
                None => {
                    sleep(wait(self.every, self.failures, chance())).await;
                    self.ask()
                }
            };
            let read = asked.await;
            self.note(read);
        }
    }

    /// Asks for what is new, and takes it into force.
    fn ask(&self) -> Aside<Read> {
        let (registry, schemas) = (Arc::clone(&self.registry), Arc::clone(&self.schemas));
        aside(move || {
            registry.refresh();
            schemas.reload()
        })
    }

    /// Counts and tells how a read went; what was told before is not told again.
    fn note(&mut self, read: Option<Read>) {
        let standing = self.registry.standing();
        let refused = match read {
            Some(Ok(refused)) => refused,
            Some(Err(error)) => return self.failed(&error.to_string()),
            None => return self.failed("the reader ended early"),
        };
        let Standing { held, away, copy_problem } = standing;
        let mut telling: BTreeSet<String> = refused.iter().map(Refusal::to_string).collect();
        self.metrics.refused.set(telling.len() as f64);
        telling.extend(copy_problem);
        for problem in telling.difference(&self.told) {
            tracing::warn!(problem, "a schema is not used as it is");
        }
        self.told = telling;
        if let Some(why) = away {
            return self.failed(&format!("{why} (schemas held: {held})"));
        }
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the schema registry answers again");
        }
        self.failures = 0;
        self.metrics.fresh.increment(1);
        let seconds = Duration::from_millis(self.clock.now_ms()).as_secs_f64();
        self.metrics.last_success_seconds.set(seconds);
    }

    fn failed(&mut self, why: &str) {
        if self.failures == 0 {
            tracing::warn!(why, "the schema registry cannot be read");
        }
        self.failures = self.failures.saturating_add(1);
        self.metrics.failed.increment(1);
    }
}

/// What runs on a thread of its own: its end, or none if it panicked.
#[derive(Debug)]
struct Aside<T>(Option<oneshot::Receiver<T>>);

/// Runs what blocks on a thread of its own. The runtime's own threads for such work hold up its end,
/// and a registry that says nothing must not hold up a drain.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    let (told, done) = oneshot::channel();
    let run = move || {
        // Nobody may be left to hear it.
        let _ = told.send(work());
    };
    let begun = thread::Builder::new().name("schemas".to_owned()).spawn(run);
    Aside(begun.is_ok().then_some(done))
}

impl<T> Future for Aside<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<T>> {
        match &mut self.0 {
            Some(done) => Pin::new(done).poll(context).map(Result::ok),
            None => Poll::Ready(None),
        }
    }
}

/// How long to wait: the usual time, or less after failures; a tenth more or less, so that many
/// collectors do not ask at once.
fn wait(every: Duration, failures: u32, chance: f64) -> Duration {
    let after = match failures.checked_sub(1) {
        Some(more) => RETRY_AFTER.saturating_mul(2_u32.saturating_pow(more)).min(every),
        None => every,
    };
    after.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

/// A number from 0 to 1: each state of the hasher begins with keys of its own.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn failures_make_it_ask_sooner_and_never_at_once(
            every_ms in 100_u64..86_400_000, failures in 0..u32::MAX, chance in 0.0..1.0_f64
        ) {
            let every = Duration::from_millis(every_ms);
            let waited = wait(every, failures, chance);
            prop_assert!(waited <= every.mul_f64(1.1));
            prop_assert!(waited >= every.min(RETRY_AFTER).mul_f64(0.9));
            prop_assert!(wait(every, failures.saturating_add(1), chance) >= wait(every, failures.max(1), chance));
        }
    }

    #[test]
    fn chance_differs_from_time_to_time() {
        let drawn: BTreeSet<u64> = (0..20).map(|_| chance().to_bits()).collect();
        assert!(drawn.len() > 10);
    }

    #[tokio::test]
    async fn a_reader_that_panics_is_no_answer() {
        assert_eq!(aside(|| 7).await, Some(7));
        let quiet = || -> u8 { std::panic::resume_unwind(Box::new(())) };
        assert_eq!(aside(quiet).await, None);
    }
}
