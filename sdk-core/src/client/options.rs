//! What a client is set up with.

use crate::wire::{Consent, SessionRule};

/// The settings of a client that its page or program decides; the site's own ([`SiteConfig`])
/// come later, over the network.
///
/// [`SiteConfig`]: crate::wire::SiteConfig
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The SDK's name in the context: `web`, or what a native client calls itself.
    pub name: &'static str,
    /// What the page says is granted from the start; none leaves it to the site's configuration.
    pub consent: Option<Consent>,
    /// Whether what is stored outlives the page.
    pub storage: Storage,
    /// When a visit ends.
    pub session: SessionRule,
    /// The queue's bounds.
    pub queue: QueueBounds,
    /// Waits between failed deliveries and streams.
    pub backoff: Backoff,
    /// A delivery without an answer counts as failed after this long, ms.
    pub answer_ms_max: u64,
}

/// What becomes of the store effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// They are carried out and outlive the page.
    Kept,
    /// Storage is denied: what is unsent when the page goes away is gone, but for a copy.
    Denied,
}

/// The queue's bounds; beyond them events are dropped and counted.
#[derive(Clone, Copy, Debug)]
pub struct QueueBounds {
    /// Events that wait at the most.
    pub events_max: usize,
    /// Bytes of their texts together.
    pub bytes_max: usize,
    /// Age at which an event is given up, ms. Of a time in which the page slept or its clock was set an
    /// hour counts.
    pub age_ms_max: u64,
}

/// Exponential waits with full jitter: the n-th wait is anything from zero to
/// `first_ms * 2^(n-1)`, that capped at `ms_max`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Longest first wait, ms.
    pub first_ms: u64,
    /// Longest wait at all, ms.
    pub ms_max: u64,
}

impl Backoff {
    /// The longest wait after so many failures in a row, from 1.
    pub fn ceiling(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        // A wait that long is no wait; it only must not run over.
        (self.first_ms.min(1 << 30) << doublings).min(self.ms_max)
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            name: "web",
            consent: None,
            storage: Storage::Kept,
            session: SessionRule::default(),
            queue: QueueBounds::default(),
            backoff: Backoff { first_ms: 1000, ms_max: 60_000 },
            answer_ms_max: 30_000,
        }
    }
}

impl Default for QueueBounds {
    /// Half a megabyte (a browser gives an origin some five) and a day.
    fn default() -> Self {
        Self { events_max: 1000, bytes_max: 512 * 1024, age_ms_max: 24 * 60 * 60 * 1000 }
    }
}
