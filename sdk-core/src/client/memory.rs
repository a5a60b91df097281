//! What storage kept from earlier pages.

use std::ops::Range;

use super::machine::text::{FIELD, PART};

/// The texts that `Store` effects gave to storage, as far as it still has them. Texts that cannot
/// be read count as absent.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The text of `Item::Me`.
    pub me: Option<String>,
    /// The text of `Item::Visit`.
    pub visit: Option<String>,
    /// The text of `Item::Queue`.
    pub queue: Option<String>,
    /// The texts of `Item::Event` with their places, in ascending order.
    pub events: Vec<(u64, String)>,
}

impl Remembered {
    /// The places at which a queue's events may lie, told by the text of its `Item::Queue`.
    pub fn places(queue: &str) -> Range<u64> {
        let mut fields = queue.split(char::from(FIELD)).skip(1).map(str::parse);
        match [(); 2].map(|()| fields.next()) {
            [Some(Ok(first)), Some(Ok(next))] => first..next,
            _ => 0..0,
        }
    }

    /// These texts as the machine takes them.
    pub(super) fn told(&self) -> String {
        let heads =
            [&self.me, &self.visit, &self.queue].map(|text| text.clone().unwrap_or_default());
        let mut told = heads.join(&char::from(PART).to_string());
        for (place, text) in &self.events {
            let mark = char::from(PART);
            told.push_str(&format!("{mark}{place}{mark}{text}"));
        }
        told
    }
}
