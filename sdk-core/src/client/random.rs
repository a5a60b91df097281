//! Randomness from one seed: SHA-256 over seed and counter, so that a test sees the same twice.

use sha2::{Digest, Sha256};

use crate::wire::{EventId, Millis, QueueId, ToJson};

/// A stream of random bytes.
pub(super) struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    /// A stream that `seed` alone decides.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next 32 bytes.
    pub(super) fn block(&mut self) -> [u8; 32] {
        self.counter += 1;
        let block = Sha256::new().chain_update(self.seed).chain_update(self.counter.to_le_bytes());
        block.finalize().into()
    }

    /// A number from 0 to `max`, both included. The bias of the remainder is below `max / 2^64`.
    pub(super) fn up_to(&mut self, max: u64) -> u64 {
        let mut low = [0; 8];
        low.copy_from_slice(&self.block()[..8]);
        u64::from_le_bytes(low) % max.saturating_add(1)
    }

    /// The id of an event that happened at `at`.
    pub(super) fn event_id(&mut self, at: Millis) -> EventId {
        let mut random = [0; 10];
        random.copy_from_slice(&self.block()[..10]);
        EventId::mint(at, &random)
    }

    /// A fresh id for a queue.
    pub(super) fn queue_id(&mut self) -> QueueId {
        loop {
            // A UUID's text is a valid id, so the first one is taken.
            if let Ok(id) = QueueId::parse(self.name(Millis::default())) {
                return id;
            }
        }
    }

    /// A fresh name: a version 7 UUID as text.
    pub(super) fn name(&mut self, at: Millis) -> String {
        let quoted = self.event_id(at).to_json();
        quoted.get(1..37).unwrap_or_default().to_owned()
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(…)")
    }
}
