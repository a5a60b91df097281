//! One fetch: what a registry lists, what of that was not answered before, and what it refers to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::client::{Failure, Question, segment};
use super::many::ask_all;
use super::snapshot::{Known, Name, Registered, Snapshot, kind, refusal};
use crate::Refusal;
use crate::registry::folder::SCHEMA_BYTES_MAX;
use crate::schema::SUBJECT_PREFIX;

/// Longest list of subjects or versions, in bytes.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// Longest answer with a schema in it, in bytes: a schema is a string there, with escapes.
const ANSWER_BYTES_MAX: u64 = 4 * SCHEMA_BYTES_MAX;

/// Most versions that are held, references included.
const VERSIONS_MAX: usize = 50_000;

/// Most text that is held, in bytes.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// Who answers for a registry.
pub(super) trait Answers: Sync {
    /// What errors call the registry.
    fn name(&self) -> &str;

    /// The answer to one question.
    fn ask<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T, Failure>;
}

/// One fetch: all questions until its deadline.
#[derive(Debug)]
pub(super) struct Fetch<'a, R> {
    registry: &'a R,
    deadline: Instant,
    /// The text of all that is held.
    bytes: AtomicUsize,
    refused: Vec<Refusal>,
}

impl<'a, R: Answers> Fetch<'a, R> {
    pub(super) fn new(registry: &'a R, timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout;
        Self { registry, deadline, bytes: AtomicUsize::new(0), refused: Vec::new() }
    }

    /// Asks for all lists, and for every version that was not answered before. What was answered is
    /// kept even if the rest fails, so that the next fetch goes on from there.
    pub(super) fn read(
        mut self,
        before: &Snapshot,
        answered: &mut Known,
    ) -> Result<(Snapshot, Vec<Refusal>), String> {
        let subjects = self.subjects().map_err(|failure| failure.to_string())?;
        if subjects.is_empty() && !before.listed.is_empty() {
            // Deleting everything on purpose is rare, a registry that lost its data is not.
            return Err(format!(
                "{} holds no schema of ours any more; the last ones stay",
                self.registry.name()
            ));
        }
        let listed = self.listed(&subjects, before)?;
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

    /// The versions of all these subjects; of one where it says no, those from before.
    fn listed(&mut self, subjects: &[String], before: &Snapshot) -> Result<BTreeSet<Name>, String> {
        let asked = ask_all(subjects, |subject| self.versions(subject));
        let mut listed = BTreeSet::new();
        for (at, versions) in asked.answers {
            let subject = &subjects[at];
            match versions {
                Ok(versions) => {
                    let name = |version| Name { subject: subject.clone(), version };
                    listed.extend(versions.into_iter().map(name));
                }
                Err(problem) => {
                    let old = before.listed.iter().filter(|name| name.subject == *subject);
                    listed.extend(old.cloned());
                    let origin = format!("the registry's {subject}");
                    self.refused.push(Refusal { origin, problem, schema: None });
                }
            }
            if listed.len() > VERSIONS_MAX {
                return Err(self.too_much());
            }
        }
        asked.failure.map_or(Ok(listed), Err)
    }

    /// The versions of a subject, or why that one cannot be listed. An error ends the fetch.
    fn versions(&self, subject: &str) -> Result<Result<Vec<u32>, String>, String> {
        let path = format!("/subjects/{}/versions", segment(subject));
        match self.ask::<Vec<u32>>(&path, LIST_BYTES_MAX) {
            Ok(versions) => Ok(Ok(versions)),
            Err(failure) if failure.is_not_there() => Ok(Ok(Vec::new())),
            Err(failure @ Failure::Away { .. }) => Err(failure.to_string()),
            Err(failure) => Ok(Err(format!("cannot be listed: {failure}"))),
        }
    }

    /// Asks for what is listed, then for what that refers to, and so on.
    fn answers(&mut self, listed: &BTreeSet<Name>, answered: &mut Known) -> Result<(), String> {
        let mut seen = listed.clone();
        let mut open: Vec<Name> = listed.iter().cloned().collect();
        while !open.is_empty() {
            let (known, unknown): (Vec<Name>, Vec<Name>) =
                open.into_iter().partition(|name| answered.contains_key(name));
            let known_bytes: usize =
                known.iter().filter_map(|name| answered.get(name)).map(|found| found.bytes()).sum();
            self.hold(known_bytes)?;
            let asked = ask_all(&unknown, |name| self.answer(name));
            for (at, answer) in asked.answers {
                match answer {
                    Answer::Found(found) => drop(answered.insert(unknown[at].clone(), found)),
                    Answer::Gone => {}
                    Answer::Bad(refusal) => self.refused.push(refusal),
                }
            }
            if let Some(problem) = asked.failure {
                return Err(problem);
            }
            let found = known.iter().chain(&unknown).filter_map(|name| answered.get(name));
            let references = found.flat_map(|found| &found.references);
            let new = references.map(|reference| &reference.to);
            open = new.filter(|name| seen.insert((*name).clone())).cloned().collect();
            if seen.len() > VERSIONS_MAX {
                return Err(self.too_much());
            }
        }
        Ok(())
    }

    /// Asks for one version. An error ends the fetch.
    fn answer(&self, name: &Name) -> Result<Answer, String> {
        let path = format!("/subjects/{}/versions/{}", segment(&name.subject), name.version);
        let problem = match self.ask::<Registered>(&path, ANSWER_BYTES_MAX) {
            Ok(found) if found.bytes() as u64 <= SCHEMA_BYTES_MAX => {
                self.hold(found.bytes())?;
                return Ok(Answer::Found(Arc::new(found)));
            }
            Ok(_) => format!("is larger than {SCHEMA_BYTES_MAX} bytes"),
            // Deleted since it was listed. What refers to it says so.
            Err(failure) if failure.is_not_there() => return Ok(Answer::Gone),
            Err(failure @ Failure::Away { .. }) => return Err(failure.to_string()),
            Err(failure) => format!("cannot be read: {failure}"),
        };
        Ok(Answer::Bad(refusal(name, &problem)))
    }

    /// Makes room for a text.
    fn hold(&self, bytes: usize) -> Result<(), String> {
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held > TEXT_BYTES_MAX { Err(self.too_much()) } else { Ok(()) }
    }

    fn too_much(&self) -> String {
        let name = self.registry.name();
        format!("{name} holds more than {VERSIONS_MAX} versions or {TEXT_BYTES_MAX} bytes")
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, bytes_max: u64) -> Result<T, Failure> {
        self.registry.ask(&Question { path, bytes_max, deadline: self.deadline })
    }
}

/// What a registry has of one version.
#[derive(Debug)]
enum Answer {
    Found(Arc<Registered>),
    /// Nothing any more.
    Gone,
    /// Nothing that could be used.
    Bad(Refusal),
}
