//! What this crate's tests share: a folder of their own, and a view that counts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Around, Place, Poison, Raw, View};

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("clickmill-streams-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that wrote nothing has none.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts the records of each key; a record is its time. Zero forgets the key.
pub(crate) struct Count;

impl View for Count {
    type Input = u64;
    type State = u64;
    type Tables = ();
    type Output = (Place, u64);

    fn decode(&self, raw: &Raw<'_>) -> Result<u64, Poison> {
        let text = std::str::from_utf8(raw.value.unwrap_or_default());
        text.map_err(Poison::malformed)?.parse().map_err(Poison::malformed)
    }

    fn time_ms(&self, input: &u64) -> u64 {
        *input
    }

    fn fold(&self, state: &mut u64, input: u64, around: &Around<'_, ()>) -> Vec<(Place, u64)> {
        *state = if input == 0 { 0 } else { *state + 1 };
        vec![(around.place, *state)]
    }

    fn is_over(&self, state: &u64) -> bool {
        *state == 0
    }
}
