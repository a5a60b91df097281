//! Whether a service should get traffic: a set of named checks, all of which must pass.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shutdown::Shutdown;

/// The checks of one service. Clones are the same set. A drain that has begun fails it for good.
#[derive(Clone, Debug)]
pub struct Readiness {
    shutdown: Shutdown,
    checks: Arc<Mutex<Vec<Arc<Watched>>>>,
}

impl Readiness {
    /// No checks yet; not ready once that shutdown has begun.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, checks: Arc::default() }
    }

    /// Adds a check, which fails until it is passed for the first time.
    pub fn check(&self, name: &'static str) -> Check {
        let state = Mutex::new(Err("not there yet".to_owned()));
        let watched = Arc::new(Watched { name, state });
        lock(&self.checks).push(Arc::clone(&watched));
        Check { watched, shutdown: self.shutdown.clone() }
    }

    /// How things stand.
    pub fn report(&self) -> Report {
        let drain = self.shutdown.has_begun().then(|| ("drain", Err("draining".to_owned())));
        let checks = lock(&self.checks);
        let stand = |watched: &Arc<Watched>| (watched.name, lock(&watched.state).clone());
        Report { lines: drain.into_iter().chain(checks.iter().map(stand)).collect() }
    }
}

/// One named condition, held by the part of the service that knows. It fails when dropped.
#[derive(Debug)]
#[must_use = "a dropped check has failed"]
pub struct Check {
    watched: Arc<Watched>,
    shutdown: Shutdown,
}

impl Check {
    /// The condition holds.
    pub fn pass(&self) {
        self.watched.set(Ok(None));
    }

    /// The condition holds, and there is something to know about it.
    pub fn pass_noting(&self, note: impl Into<String>) {
        self.watched.set(Ok(Some(note.into())));
    }

    /// The condition does not hold, and why.
    pub fn fail(&self, why: impl Into<String>) {
        self.watched.set(Err(why.into()));
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        let gone = Err("nobody watches it any more".to_owned());
        if self.shutdown.has_begun() {
            // Who winds down lets go of the checks: nothing that anybody should be told of.
            *lock(&self.watched.state) = gone;
        } else {
            self.watched.set(gone);
        }
    }
}

/// How things stand, one line for each check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    lines: Vec<(&'static str, State)>,
}

impl Report {
    /// Whether every check passes.
    pub fn is_ready(&self) -> bool {
        self.lines.iter().all(|(_, state)| state.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.is_ready() { "ready" } else { "not ready" })?;
        for (name, state) in &self.lines {
            match state {
                Ok(None) => writeln!(f, "{name}: ok")?,
                Ok(Some(note)) => writeln!(f, "{name}: ok, though {note}")?,
                Err(why) => writeln!(f, "{name}: {why}")?,
            }
        }
        Ok(())
    }
}

/// It holds, maybe with a note; or why it does not.
type State = Result<Option<String>, String>;

#[derive(Debug)]
struct Watched {
    name: &'static str,
    state: Mutex<State>,
}

impl Watched {
    fn set(&self, state: State) {
        let mut held = lock(&self.state);
        match (&*held, &state) {
            (Ok(_), Err(why)) => tracing::warn!(check = self.name, %why, "not ready"),
            (Err(_), Ok(_)) => tracing::info!(check = self.name, "ready"),
            (Ok(None), Ok(Some(note))) => tracing::warn!(check = self.name, %note, "ready, though"),
            (Ok(Some(_)), Ok(None)) => tracing::info!(check = self.name, "ready as ever"),
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => (),
        }
        *held = state;
    }
}

/// A panic elsewhere leaves these values whole, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn shows(readiness: &Readiness, expected: &str) {
        assert_eq!(readiness.report().to_string(), expected);
    }

    #[test]
    fn all_checks_must_pass() {
        let readiness = Readiness::new(Shutdown::new());
        shows(&readiness, "ready\n");
        let (kafka, schemas) = (readiness.check("kafka"), readiness.check("schemas"));
        kafka.pass();
        shows(&readiness, "not ready\nkafka: ok\nschemas: not there yet\n");
        schemas.pass();
        shows(&readiness, "ready\nkafka: ok\nschemas: ok\n");
        kafka.fail("no broker answers");
        shows(&readiness, "not ready\nkafka: no broker answers\nschemas: ok\n");
        kafka.pass_noting("no broker answers");
        shows(&readiness, "ready\nkafka: ok, though no broker answers\nschemas: ok\n");
        kafka.pass();
        drop(schemas);
        shows(&readiness, "not ready\nkafka: ok\nschemas: nobody watches it any more\n");
    }

    #[test]
    fn a_check_that_is_let_go_is_logged_only_before_a_drain() {
        // Whether a line is wanted is asked once, on the thread that comes to it first, which may
        // be another test's, where nobody listens. Where there are two that listen, both are asked.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        let lines = Lines::default();
        let into = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || into.clone());
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(shutdown.clone());
        tracing::subscriber::with_default(log.finish(), || {
            let [early, late] = ["early", "late"].map(|name| readiness.check(name));
            early.pass();
            late.pass();
            drop(early);
            shutdown.begin();
            drop(late);
        });
        let text = String::from_utf8(lock(&lines.0).clone()).unwrap();
        let warnings: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
        assert!(matches!(*warnings, [line] if line.contains("early")), "{text}");
        let left = "nobody watches it any more";
        shows(&readiness, &format!("not ready\ndrain: draining\nearly: {left}\nlate: {left}\n"));
    }

    /// What was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_drain_is_never_ready() {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(shutdown.clone());
        shutdown.begin();
        shows(&readiness, "not ready\ndrain: draining\n");
        assert!(!readiness.report().is_ready());
    }
}
