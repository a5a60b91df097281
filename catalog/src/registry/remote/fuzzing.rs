//! A registry for the fuzz target in `tests/fuzz`: it says what it is told to.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::client::{Failure, Question, opened};
use super::fetch::{Answers, Fetch};
use super::snapshot::{Known, Snapshot};
use crate::Fetched;

/// What a registry holds that answers like this, or why it cannot be read: the first line is its list
/// of subjects, the second every subject's list of versions, and those that follow are the versions,
/// taken by their number in turn.
///
/// # Errors
/// In a sentence, where the fetch as a whole fails.
pub fn held(answers: &[u8]) -> Result<Fetched, String> {
    let script = Script(answers.split(|byte| *byte == b'\n').collect());
    let fetch = Fetch::new(&script, Duration::from_secs(600));
    let (snapshot, mut refused) = fetch.read(&Snapshot::default(), &mut Known::new())?;
    let (schemas, unfit) = snapshot.schemas();
    refused.extend(unfit);
    Ok(Fetched { schemas, refused })
}

/// What is answered, a line each.
struct Script<'a>(Vec<&'a [u8]>);

impl Script<'_> {
    fn line(&self, path: &str) -> &[u8] {
        let at = match path.strip_prefix("/subjects/").and_then(|rest| rest.rsplit('/').next()) {
            None => 0,
            Some("versions") => 1,
            Some(version) => {
                let version: usize = version.parse().unwrap_or_default();
                2 + version % self.0.len().saturating_sub(2).max(1)
            }
        };
        self.0.get(at).copied().unwrap_or_default()
    }
}

impl Answers for Script<'_> {
    fn name(&self) -> &str {
        "the script"
    }

    fn ask<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T, Failure> {
        opened(self.name(), self.line(question.path))
    }
}
