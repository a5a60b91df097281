//! Randomness from one seed: SHA-256 over seed and counter, so that a test sees the same twice.

use crate::wire::{digits, sha256};

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
    #[inline(never)]
    pub(super) fn block(&mut self) -> [u8; 32] {
        self.counter += 1;
        sha256(&[&self.seed, &self.counter.to_le_bytes()])
    }

    /// A number from 0 to `max`, both included. The bias of the remainder is below `max / 2^64`.
    #[inline(never)]
    pub(super) fn up_to(&mut self, max: u64) -> u64 {
        self.block().iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte)) % (max + 1)
    }

    /// A fresh name: 128 random bits as hexadecimal digits.
    pub(super) fn name(&mut self) -> Vec<u8> {
        digits(&self.block()[..16])
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(…)")
    }
}
