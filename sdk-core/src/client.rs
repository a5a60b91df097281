//! The SDK without its platform: a state machine that queues, packs, delivers, identifies and
//! listens.
//!
//! The platform (a page, a native program) tells it what happens and carries out what it says, in
//! its order. It does no input or output, knows no clock and no randomness of its own, and may be
//! dropped at any moment: what went to storage is enough for the next one to lose nothing. The books
//! hold after every step: created = settled + dropped + queued.
//!
//! The [`Machine`] hears and says plain texts, which a page's script takes apart at no cost; nothing
//! else goes into a browser. [`Client`] is the same with types, for programs and tests.

mod effect;
mod facts;
mod input;
mod machine;
mod memory;
mod options;

pub use effect::{Delivered, Effect, Item, Novelty, RequestId, Send, Settled, State, Transport};
pub use facts::Facts;
pub use input::{Input, Reply, StreamEvent, Track};
pub use machine::{Machine, text, told};
pub use memory::Remembered;
pub use options::{Backoff, ClientOptions, QueueBounds, Storage};

use self::input::Told;
use crate::wire::{Books, Consent, EventId, Millis, sha256};

/// One SDK in a program.
pub struct Client {
    machine: Machine,
    /// What the visitor said; none leaves it to the site.
    consent: Option<Consent>,
    /// Whether the machine has heard that.
    is_told: bool,
    page: Facts,
    /// The page view's id, as a field of circumstances.
    page_view: Facts,
    seed: [u8; 32],
    minted: u64,
}

impl Client {
    /// A client that takes up what storage kept. `seed` must be random and used once.
    pub fn new(options: ClientOptions, remembered: &Remembered, seed: [u8; 32]) -> Self {
        Self {
            consent: options.consent.clone(),
            machine: Machine::new(options, seed, remembered.told().as_bytes()),
            is_told: false,
            page: Facts::default(),
            page_view: Facts::default(),
            seed,
            minted: 0,
        }
    }

    /// Takes one input at the time `now` (the platform's wall clock) and returns what is to be
    /// done.
    pub fn step(&mut self, now: Millis, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        for Told { what, number, text } in self.told(now, input) {
            effects.extend(effect::read(self.machine.step(now.0, what, number, text.as_bytes())));
        }
        effects
    }

    /// The books of the queue.
    pub fn books(&self) -> Books {
        self.machine.books()
    }

    /// Events that wait.
    pub fn queued(&self) -> usize {
        self.machine.queued()
    }

    /// What the machine is told of an input.
    fn told(&mut self, now: Millis, input: Input) -> Vec<Told> {
        let mut told = Vec::new();
        if let Some(consent) = self.consent.as_ref().filter(|_| !self.is_told) {
            told.push(Told::consent(consent));
        }
        self.is_told = true;
        match input {
            Input::Page(facts) => {
                self.page = facts;
                told.push(self.page());
            }
            Input::Track(track) => {
                let id = track.id.unwrap_or_else(|| self.mint(track.at.unwrap_or(now)));
                // The id of a page view is that of the event which reports it.
                if track.kind.as_str() == "page_view" {
                    self.page_view = Facts::read(&format!(r#"{{"page_view":"{id}"}}"#));
                    told.push(self.page());
                }
                told.push(Told::track(&track, id, now));
            }
            Input::ConsentSet(consent) => {
                told.push(Told::consent(&consent));
                self.consent = Some(consent);
            }
            other => told.extend(Told::of(&other, self.consent.is_some(), now)),
        }
        told
    }

    fn page(&self) -> Told {
        Told { what: told::PAGE, number: 0, text: self.page.with(&self.page_view).into_text() }
    }

    fn mint(&mut self, at: Millis) -> EventId {
        self.minted += 1;
        let hash = sha256(&[&self.seed, b"event", &self.minted.to_le_bytes()]);
        let mut random = [0; 10];
        random.copy_from_slice(&hash[..10]);
        EventId::mint(at, &random)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("machine", &self.machine).finish_non_exhaustive()
    }
}
