//! A registry server with Confluent's REST API: what is new in it is fetched, what was there stays
//! while it is away.

mod client;
mod copy;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::client::{Client, Failure, Question, segment};
use self::copy::Copy;
use self::snapshot::{Known, Name, Registered, Snapshot, kind, refusal};
use super::folder::SCHEMA_BYTES_MAX;
use super::{Fetched, Refusal, SchemaSource, SourceError};
use crate::schema::SUBJECT_PREFIX;

pub use self::client::{Credentials, RegistryOptions};

/// Longest list of subjects or versions, in bytes.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// Longest answer with a schema in it, in bytes: a schema is a string there, with escapes.
const ANSWER_BYTES_MAX: u64 = 4 * SCHEMA_BYTES_MAX;

/// Most versions that are held, references included.
const VERSIONS_MAX: usize = 50_000;

/// Most text that is held, in bytes.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// A registry server. While it is away, what it held last stands, from memory or else from the copy
/// on disk: a fetch never fails for that; [`Registry::standing`] tells.
///
/// The subject of an event type is [`subject`](crate::subject) of it, and other subjects are left
/// alone. A version is asked for once, since a registry never changes one; one that was deleted for
/// good and registered anew is seen once a fetch has missed it, or after a new start.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    fetch_timeout: Duration,
    copy: Option<Copy>,
    state: Mutex<State>,
}

/// How a registry stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether there is a set of it, fresh or old.
    pub held: bool,
    /// Why the last fetch failed; none if it went well.
    pub away: Option<String>,
    /// What is wrong with the copy on disk.
    pub copy_problem: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    /// What stands.
    snapshot: Snapshot,
    /// All that this process was answered and may need again.
    answered: Known,
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
        let state = Mutex::default();
        Ok(Self { client, fetch_timeout: options.fetch_timeout, copy, state })
    }

    /// How it stood at the last fetch.
    pub fn standing(&self) -> Standing {
        self.lock().standing.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SchemaSource for Registry {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        let mut state = self.lock();
        let fetch = Fetch {
            client: &self.client,
            deadline: Instant::now() + self.fetch_timeout,
            refused: Vec::new(),
        };
        let State { snapshot, answered, .. } = &mut *state;
        let mut refused = match fetch.read(snapshot, answered) {
            Ok((snapshot, refused)) => {
                state.stand(snapshot, self.copy.as_ref());
                refused
            }
            Err(problem) => {
                state.fall_back(problem, self.copy.as_ref());
                Vec::new()
            }
        };
        let (schemas, unfit) = state.snapshot.schemas();
        refused.extend(unfit);
        Ok(Fetched { schemas, refused })
    }
}

impl State {
    /// A fetch went well: what it brought stands and is copied.
    fn stand(&mut self, snapshot: Snapshot, copy: Option<&Copy>) {
        self.answered.clone_from(&snapshot.known);
        self.saved &= self.snapshot == snapshot;
        self.snapshot = snapshot;
        self.standing.held = true;
        self.standing.away = None;
        if let Some(copy) = copy.filter(|_| !self.saved) {
            self.standing.copy_problem = copy.save(&self.snapshot).err();
            self.saved = self.standing.copy_problem.is_none();
        }
    }

    /// A fetch failed: what stood stands, at the start the copy.
    fn fall_back(&mut self, problem: String, copy: Option<&Copy>) {
        self.standing.away = Some(problem);
        let Some(copy) = copy.filter(|_| !self.standing.held) else { return };
        match copy.load() {
            Ok(Some(snapshot)) => {
                self.snapshot = snapshot;
                self.standing.held = true;
            }
            Ok(None) => {}
            Err(problem) => self.standing.copy_problem = Some(problem),
        }
    }
}

/// One fetch: all questions until its deadline.
struct Fetch<'a> {
    client: &'a Client,
    deadline: Instant,
    refused: Vec<Refusal>,
}

impl Fetch<'_> {
    /// Asks for all lists, and for every version that was not answered before. What was answered is
    /// kept even if the rest fails, so that the next fetch goes on from there.
    fn read(
        mut self,
        before: &Snapshot,
        answered: &mut Known,
    ) -> Result<(Snapshot, Vec<Refusal>), String> {
        let subjects = self.subjects().map_err(|failure| failure.to_string())?;
        if subjects.is_empty() && !before.listed.is_empty() {
            // Deleting everything on purpose is rare, a registry that lost its data is not.
            return Err(format!(
                "{} holds no schema of ours any more; the last ones stay",
                self.client.name()
            ));
        }
        let mut listed = BTreeSet::new();
        for subject in subjects {
            self.versions(&subject, before, &mut listed)?;
        }
        self.answers(&listed, answered)?;
        Ok((Snapshot::of(listed, answered), self.refused))
    }

    /// The subjects of event types.
    fn subjects(&self) -> Result<Vec<String>, Failure> {
        // Not every registry minds the prefix.
        let path = format!("/subjects?subjectPrefix={SUBJECT_PREFIX}");
        let subjects: Vec<String> = self.ask(&path, LIST_BYTES_MAX)?;
        Ok(subjects.into_iter().filter(|subject| kind(subject).is_some()).collect())
    }

    /// Lists the versions of a subject; those from before where it says no.
    fn versions(
        &mut self,
        subject: &str,
        before: &Snapshot,
        listed: &mut BTreeSet<Name>,
    ) -> Result<(), String> {
        let path = format!("/subjects/{}/versions", segment(subject));
        match self.ask::<Vec<u32>>(&path, LIST_BYTES_MAX) {
            Ok(versions) => {
                let name = |version| Name { subject: subject.to_owned(), version };
                listed.extend(versions.into_iter().map(name));
            }
            Err(failure) if failure.is_not_there() => {}
            Err(failure @ Failure::Away { .. }) => return Err(failure.to_string()),
            Err(failure) => {
                let old = before.listed.iter().filter(|name| name.subject == subject);
                listed.extend(old.cloned());
                let origin = format!("the registry's {subject}");
                let problem = format!("cannot be listed: {failure}");
                self.refused.push(Refusal { origin, problem, schema: None });
            }
        }
        if listed.len() > VERSIONS_MAX {
            return Err(format!("{} holds more than {VERSIONS_MAX} versions", self.client.name()));
        }
        Ok(())
    }

    /// Asks for what is listed, then for what that refers to, and so on.
    fn answers(&mut self, listed: &BTreeSet<Name>, answered: &mut Known) -> Result<(), String> {
        let mut seen = listed.clone();
        let mut open: Vec<Name> = listed.iter().cloned().collect();
        let mut bytes = 0;
        while let Some(name) = open.pop() {
            let found = match answered.get(&name) {
                Some(found) => Some(Arc::clone(found)),
                None => self.answer(&name)?,
            };
            let Some(found) = found else { continue };
            bytes += found.bytes();
            let new = found.references.iter().map(|reference| &reference.to);
            open.extend(new.filter(|name| seen.insert((*name).clone())).cloned());
            answered.insert(name, found);
            if seen.len() > VERSIONS_MAX || bytes > TEXT_BYTES_MAX {
                return Err(format!(
                    "{} holds more than {VERSIONS_MAX} versions or {TEXT_BYTES_MAX} bytes",
                    self.client.name()
                ));
            }
        }
        Ok(())
    }

    /// Asks for one version; none if the registry has no good one.
    fn answer(&mut self, name: &Name) -> Result<Option<Arc<Registered>>, String> {
        let path = format!("/subjects/{}/versions/{}", segment(&name.subject), name.version);
        let problem = match self.ask::<Registered>(&path, ANSWER_BYTES_MAX) {
            Ok(found) if found.bytes() as u64 <= SCHEMA_BYTES_MAX => {
                return Ok(Some(Arc::new(found)));
            }
            Ok(_) => format!("is larger than {SCHEMA_BYTES_MAX} bytes"),
            // Deleted since it was listed. What refers to it says so.
            Err(failure) if failure.is_not_there() => return Ok(None),
            Err(failure @ Failure::Away { .. }) => return Err(failure.to_string()),
            Err(failure) => format!("cannot be read: {failure}"),
        };
        self.refused.push(refusal(name, problem));
        Ok(None)
    }

    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        bytes_max: u64,
    ) -> Result<T, Failure> {
        self.client.ask(&Question { path, bytes_max, deadline: self.deadline })
    }
}

#[cfg(test)]
mod tests;
