//! Ids that were met lately, each with a number.

use super::text::FIELD;
use crate::wire::Put;

/// The last so many ids.
#[derive(Debug, Default)]
pub(super) struct Recent(Vec<(Vec<u8>, u64)>);

impl Recent {
    /// Notes an id, and forgets the oldest beyond `max`.
    #[inline(never)]
    pub(super) fn note(&mut self, id: &[u8], number: u64, max: usize) {
        if self.0.len() >= max {
            self.0.remove(0);
        }
        self.0.push((id.to_vec(), number));
    }

    /// The number of an id, if it was met lately.
    #[inline(never)]
    pub(super) fn find(&self, id: &[u8]) -> Option<u64> {
        self.0.iter().rev().find(|(known, _)| known == id).map(|(_, number)| *number)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends ids and numbers as fields.
    #[inline(never)]
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        for (id, number) in &self.0 {
            text.put(&[FIELD]).put(id).put(&[FIELD]).put_number(*number);
        }
    }
}
