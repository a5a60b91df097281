//! The copy of a registry's schemas on disk, for a start while the registry is away.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::snapshot::{Name, Registered, Snapshot};

/// What a copy begins with; the sum of all behind the line follows.
const HEAD: &str = "clickmill-schemas 1 ";

/// Largest copy that is read.
const COPY_BYTES_MAX: u64 = 512 << 20;

/// One file for one registry.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    path: PathBuf,
}

/// One version in it.
#[derive(Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    name: Name,
    listed: bool,
    registered: Arc<Registered>,
}

impl Copy {
    /// The copy of the registry with this name in this folder. Another registry has another file.
    pub(super) fn new(folder: &Path, registry: &str) -> Self {
        let name = hex(&Sha256::digest(registry)[..6]);
        Self { path: folder.join(format!("schemas-{name}.json")) }
    }

    /// What it holds; nothing if there is none. Errors name the file and what is wrong with it.
    pub(super) fn load(&self) -> Result<Option<Snapshot>, String> {
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.problem("cannot be read", &error)),
        };
        let whole = text.strip_prefix(HEAD).and_then(|rest| rest.split_once('\n'));
        let Some((_, body)) = whole.filter(|(sum, body)| *sum == hex(&Sha256::digest(body))) else {
            return Err(self.problem("is left aside", &"it is damaged, its sum is not right"));
        };
        let entries: Vec<Entry> =
            serde_json::from_str(body).map_err(|error| self.problem("is left aside", &error))?;
        let mut snapshot = Snapshot::default();
        for entry in entries {
            if entry.listed {
                snapshot.listed.insert(entry.name.clone());
            }
            snapshot.known.insert(entry.name, entry.registered);
        }
        Ok(Some(snapshot))
    }

    /// Puts a new copy in the place of the old one: whoever reads it finds one or the other whole,
    /// also after the machine has lost its power.
    pub(super) fn save(&self, snapshot: &Snapshot) -> Result<(), String> {
        let entries: Vec<Entry> = snapshot
            .known
            .iter()
            .map(|(name, registered)| Entry {
                listed: snapshot.listed.contains(name),
                name: name.clone(),
                registered: Arc::clone(registered),
            })
            .collect();
        let body = serde_json::to_string(&entries)
            .map_err(|error| self.problem("cannot be written", &error))?;
        let text = format!("{HEAD}{}\n{body}", hex(&Sha256::digest(&body)));
        replace(&self.path, &text).map_err(|error| self.problem("cannot be written", &error))
    }

    fn problem(&self, what: &str, why: &dyn std::fmt::Display) -> String {
        format!("the copy of the registry in {} {what}: {why}", self.path.display())
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(COPY_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 > COPY_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    // What is no text fails the sum.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Collectors may share a folder.
    let fresh = path.with_extension(format!("{}.tmp", process::id()));
    let written = File::create(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Scratch;

    fn snapshot() -> Snapshot {
        let registered = |id: u32| -> Arc<Registered> {
            let references = json!([{"name": "a.json", "subject": "common", "version": 1}]);
            let answer = json!({"id": id, "schema": "{\"x\":\"é\\n\"}", "schemaType": "JSON",
                "references": references});
            Arc::new(serde_json::from_value(answer).unwrap())
        };
        let name = |subject: &str| Name { subject: subject.to_owned(), version: 1 };
        Snapshot {
            listed: [name("web.clicks.wish")].into(),
            known: [(name("web.clicks.wish"), registered(1)), (name("common"), registered(2))]
                .into(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let scratch = Scratch::new();
        let copy = Copy::new(&scratch.path().join("new/folder"), "http://registry");
        assert_eq!(copy.load(), Ok(None));
        copy.save(&snapshot()).unwrap();
        copy.save(&snapshot()).unwrap();
        assert_eq!(copy.load(), Ok(Some(snapshot())));
        let files = fs::read_dir(scratch.path().join("new/folder")).unwrap().count();
        assert_eq!(files, 1, "nothing is left behind");
        assert_eq!(Copy::new(scratch.path(), "http://another").load(), Ok(None));
    }

    #[test]
    fn a_damaged_copy_is_named_and_left_aside() {
        let scratch = Scratch::new();
        let copy = Copy::new(scratch.path(), "http://registry");
        copy.save(&snapshot()).unwrap();
        let good = fs::read(&copy.path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&copy.path, &bad).unwrap();
            let problem = copy.load().unwrap_err();
            assert!(problem.contains(&copy.path.display().to_string()), "{problem}");
        }
        for length in [0, 1, HEAD.len(), good.len() - 1] {
            fs::write(&copy.path, &good[..length]).unwrap();
            assert!(copy.load().unwrap_err().contains("damaged"), "{length}");
        }
    }

    #[test]
    fn a_copy_that_cannot_be_written_is_a_problem_and_no_more() {
        let scratch = Scratch::new();
        scratch.write("file", "");
        let copy = Copy::new(&scratch.path().join("file"), "http://registry");
        assert!(copy.save(&snapshot()).unwrap_err().contains("cannot be written"));
    }
}
