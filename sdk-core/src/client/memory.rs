//! What storage kept from earlier pages.

use std::ops::Range;

use super::queue;

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
        queue::places(queue)
    }
}
