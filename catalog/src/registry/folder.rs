//! Schemas in a folder: `<folder>/<event type>/<version>.json`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Fetched, Refusal, SchemaSource, SchemaText, SourceError};
use crate::schema::{Formats, compile};

/// Largest schema that is read.
pub(super) const SCHEMA_BYTES_MAX: u64 = 1 << 20;

/// A folder of schemas, `<event type>/<version>.json`. Other files are left alone; names that begin
/// with a dot as well. A schema stands for itself: what it shares with others is in its own `$defs`.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Names the folder; it is read on each fetch.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl SchemaSource for Folder {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        let entries = list(&self.0).map_err(|error| SourceError {
            source_name: self.0.display().to_string(),
            problem: error.to_string(),
        })?;
        let mut fetched = Fetched::default();
        for path in entries {
            let name = file_name(&path);
            if path.is_dir() {
                read_kind(&path, &name, &mut fetched);
            } else if is_json(&path) {
                fetched.refused.push(refusal(&path, "lies outside a folder for its event type"));
            }
        }
        Ok(fetched)
    }
}

/// Reads and compiles the schema that a contract names.
pub(crate) fn check_schema_file(path: &Path) -> Result<(), String> {
    let text = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = SchemaText {
        kind: "value".to_owned(),
        version: 1,
        origin: path.display().to_string(),
        text: text.into(),
        ..SchemaText::default()
    };
    compile(&text, Formats::default()).map(drop).map_err(|refusal| refusal.to_string())
}

fn read_kind(folder: &Path, kind: &str, fetched: &mut Fetched) {
    if !is_event_type(kind) {
        let rule = "is not named after an event type: lower-case letters, digits and underscores, \
                    a letter first, at most 64";
        fetched.refused.push(refusal(folder, rule));
        return;
    }
    let files = match list(folder) {
        Ok(files) => files,
        Err(error) => {
            fetched.refused.push(refusal(folder, &format!("cannot be read: {error}")));
            return;
        }
    };
    for path in files.into_iter().filter(|path| is_json(path)) {
        let Some(version) = version(&path) else {
            let rule = "must be named after its version: a number from 1, without zeros before it";
            fetched.refused.push(refusal(&path, rule));
            continue;
        };
        match read(&path) {
            Ok(text) => fetched.schemas.push(SchemaText {
                kind: kind.to_owned(),
                version,
                origin: path.display().to_string(),
                text: text.into(),
                ..SchemaText::default()
            }),
            Err(error) => fetched.refused.push(Refusal {
                schema: Some((kind.to_owned(), version)),
                ..refusal(&path, &format!("cannot be read: {error}"))
            }),
        }
    }
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .filter(|path| !path.as_ref().is_ok_and(|path| file_name(path).starts_with('.')))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(SCHEMA_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > SCHEMA_BYTES_MAX {
        let problem = format!("it is larger than {SCHEMA_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

fn refusal(path: &Path, problem: &str) -> Refusal {
    Refusal { origin: path.display().to_string(), problem: problem.to_owned(), schema: None }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

fn version(path: &Path) -> Option<u32> {
    let stem = path.file_stem()?.to_str()?;
    let plain = !stem.starts_with('0') && stem.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| stem.parse().ok()).flatten()
}

pub(super) fn is_event_type(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn a_folder_is_read_by_its_names() {
        let scratch = Scratch::new();
        for file in ["wish/1.json", "wish/2.json", "wish/notes.txt", ".hidden/1.json", "README.md"]
        {
            scratch.write(file, "{}");
        }
        let fetched = Folder::new(scratch.path()).fetch().unwrap();
        let found: Vec<_> = fetched.schemas.iter().map(|s| (s.kind.as_str(), s.version)).collect();
        assert_eq!(found, [("wish", 1), ("wish", 2)]);
        assert_eq!(fetched.refused, []);
    }

    #[test]
    fn a_wrong_name_is_refused_by_name_and_the_others_go_on() {
        let scratch = Scratch::new();
        for file in ["loose.json", "Wish/1.json", "wish/latest.json", "wish/01.json", "wish/3.json"]
        {
            scratch.write(file, "{}");
        }
        let fetched = Folder::new(scratch.path()).fetch().unwrap();
        assert_eq!(fetched.schemas.len(), 1);
        let refused: Vec<String> = fetched.refused.iter().map(Refusal::to_string).collect();
        for name in ["loose.json", "Wish", "latest.json", "01.json"] {
            assert!(refused.iter().any(|refusal| refusal.contains(name)), "{name}: {refused:?}");
        }
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn a_schema_too_large_is_refused() {
        let scratch = Scratch::new();
        scratch.write("wish/1.json", &" ".repeat(2 << 20));
        let fetched = Folder::new(scratch.path()).fetch().unwrap();
        assert_eq!(fetched.refused[0].schema, Some(("wish".to_owned(), 1)));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let error = Folder::new("/no/such/folder").fetch().unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
