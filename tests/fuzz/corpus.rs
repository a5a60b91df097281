//! The corpus of a target: inputs that are kept with the source, one a file.

use std::fs;
use std::path::PathBuf;

/// So many inputs that were found are kept; more would be a burden on everybody's checkout.
const FILES_MAX: usize = 300;

/// The longest input that is kept for its behaviour alone, in bytes.
const KEPT_BYTES_MAX: usize = 2_048;

#[derive(Debug)]
pub(crate) struct Corpus {
    folder: PathBuf,
}

impl Corpus {
    pub(crate) fn of(target: &str) -> Self {
        Self { folder: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target) }
    }

    /// All inputs with the names of their files, what once broke a promise first.
    pub(crate) fn load(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let mut inputs: Vec<(String, Vec<u8>)> = entries
            .map(|entry| entry.expect("an entry of the corpus"))
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
            .map(|(name, path)| (name, fs::read(path).expect("an input of the corpus")))
            .collect();
        inputs.sort_by_key(|(name, _)| (!name.starts_with("broke-"), name.clone()));
        inputs
    }

    /// Keeps what showed a new behaviour.
    pub(crate) fn keep(&self, input: &[u8]) {
        let room = fs::read_dir(&self.folder).map_or(true, |files| files.count() < FILES_MAX);
        if room && input.len() <= KEPT_BYTES_MAX {
            self.write("found", input);
        }
    }

    /// Keeps what broke a promise; yields its file.
    pub(crate) fn keep_broken(&self, input: &[u8]) -> PathBuf {
        self.write("broke", input)
    }

    fn write(&self, why: &str, input: &[u8]) -> PathBuf {
        let path = self.folder.join(format!("{why}-{:08x}", crc32fast::hash(input)));
        fs::create_dir_all(&self.folder).expect("a folder for the corpus");
        fs::write(&path, input).expect("a file for the corpus");
        path
    }
}
