//! Which of two events has the last word.
//!
//! Events may come late. Within one of the SDK's queues their numbers tell which happened first;
//! between two queues there is only when they say they happened. What an event says that happened
//! before the one by which something is known changes nothing; of two that cannot be told apart the one
//! that came last counts.

use clickmill_sdk_core::wire::{BasketWord, Sku, Word};

use super::click::Click;

/// The word that an event has.
pub(super) fn word(click: &Click) -> Word {
    Word { at: click.time, queue: mark(click.queue.as_str()), seq: click.seq }
}

/// Whether one surely happened before another: they stood in one queue.
pub(super) fn surely_precedes(one: &Word, other: &Word) -> bool {
    one.queue == other.queue && one.seq < other.seq
}

/// Whether one happened before another.
pub(super) fn precedes(one: &Word, other: &Word) -> bool {
    if one.queue == other.queue { one.seq < other.seq } else { one.at < other.at }
}

/// Takes note of what an event says about a product, unless a later one has said something about it. So
/// many are remembered.
pub(super) fn is_last(words: &mut Vec<BasketWord>, (sku, word): (&Sku, &Word), max: usize) -> bool {
    let known = words.iter().position(|known| known.sku == *sku);
    if let Some(at) = known {
        if precedes(word, &words[at].word) {
            return false;
        }
        words.remove(at);
    }
    words.push(BasketWord { sku: sku.clone(), word: *word });
    let spare = words.len().saturating_sub(max);
    words.drain(..spare);
    true
}

/// A queue's name as a number (FNV-1a): of a visitor's few queues hardly two have the same.
fn mark(queue: &str) -> u32 {
    queue.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
