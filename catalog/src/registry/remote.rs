//! A registry server with Confluent's REST API: what is new in it is fetched, what was there stays
//! while it is away.

mod client;
mod copy;
mod fetch;
mod fuzzing;
mod many;
mod snapshot;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::client::Client;
use self::copy::Copy;
use self::fetch::{Answers as _, Fetch};
use self::snapshot::{Known, Snapshot};
use super::{Fetched, Refusal, SchemaSource, SourceError};

pub use self::client::{Credentials, RegistryOptions};
pub use self::fuzzing::held;

/// A registry server. While it is away, what it held last stands, from memory or else from the copy
/// on disk; [`Registry::standing`] tells.
///
/// [`Registry::refresh`] asks it; as a source of schemas it yields what stands, and never waits.
///
/// The subject of an event type is [`subject`](crate::subject) of it, and other subjects are left
/// alone. A version is asked for once, since a registry never changes one; one that was deleted for
/// good and registered anew is seen once a refresh has missed it, or after a new start.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    fetch_timeout: Duration,
    copy: Option<Copy>,
    /// All that this process was answered and may need again. Held while the registry is asked.
    answered: Mutex<Known>,
    /// What stands. Not held while the registry is asked.
    state: Mutex<State>,
}

/// How a registry stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether there is a set of it, fresh or old.
    pub held: bool,
    /// Why it could not be asked the last time; none if that went well.
    pub away: Option<String>,
    /// What is wrong with the copy on disk.
    pub copy_problem: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    snapshot: Snapshot,
    /// What of the registry's could not be taken into the snapshot.
    refused: Vec<Refusal>,
    /// Whether the copy on disk is what stands.
    saved: bool,
    standing: Standing,
}

impl Registry {
    /// A registry that was not asked yet.
    ///
    /// # Errors
    /// When an address, the file of authorities or the credentials are no good.
    pub fn new(options: &RegistryOptions) -> Result<Self, SourceError> {
        let client = Client::new(options)?;
        let copy = options.cache_dir.as_ref().map(|folder| Copy::new(folder, client.name()));
        Ok(Self {
            client,
            fetch_timeout: options.fetch_timeout,
            copy,
            answered: Mutex::default(),
            state: Mutex::default(),
        })
    }

    /// Takes the copy on disk for what stands, where nothing does yet: a start need not wait for a
    /// registry. Reads a file.
    pub fn recall(&self) {
        let mut state = lock(&self.state);
        let Some(copy) = self.copy.as_ref().filter(|_| !state.standing.held) else { return };
        match copy.load() {
            Ok(Some(snapshot)) => {
                state.snapshot = snapshot;
                state.standing.held = true;
            }
            Ok(None) => {}
            Err(problem) => state.standing.copy_problem = Some(problem),
        }
    }

    /// Asks for what is new, which stands then, and is copied. Blocks, for as long as the options
    /// allow: call it away from async threads.
    pub fn refresh(&self) {
        let mut answered = lock(&self.answered);
        let before = lock(&self.state).snapshot.clone();
        match Fetch::new(&self.client, self.fetch_timeout).read(&before, &mut answered) {
            Ok((snapshot, refused)) => {
                answered.clone_from(&snapshot.known);
                lock(&self.state).stand(snapshot, refused, self.copy.as_ref());
            }
            Err(problem) => {
                self.recall();
                lock(&self.state).standing.away = Some(problem);
            }
        }
    }

    /// How it stood after the last refresh.
    pub fn standing(&self) -> Standing {
        lock(&self.state).standing.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SchemaSource for Registry {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        let state = lock(&self.state);
        let (schemas, unfit) = state.snapshot.schemas();
        let refused = state.refused.iter().cloned().chain(unfit).collect();
        Ok(Fetched { schemas, refused })
    }
}

impl State {
    /// A refresh went well: what it brought stands and is copied.
    fn stand(&mut self, snapshot: Snapshot, refused: Vec<Refusal>, copy: Option<&Copy>) {
        self.saved &= self.snapshot == snapshot;
        (self.snapshot, self.refused) = (snapshot, refused);
        self.standing.held = true;
        self.standing.away = None;
        if let Some(copy) = copy.filter(|_| !self.saved) {
            self.standing.copy_problem = copy.save(&self.snapshot).err();
            self.saved = self.standing.copy_problem.is_none();
        }
    }
}

#[cfg(test)]
mod tests;
