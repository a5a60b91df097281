//! The SDK without its platform: a state machine that queues, packs, delivers, identifies and
//! listens.
//!
//! The platform (a page, a native program) tells it what happens by [`Client::step`] and carries
//! out the effects it gets back, in their order. The client does no input or output, knows no
//! clock and no randomness of its own, and may be dropped at any moment: what `Store` effects gave
//! to storage is enough for the next one to lose nothing.
//!
//! The books hold after every step: created = settled + dropped + queued.

mod clock;
mod deliver;
mod effect;
mod facts;
mod hear;
mod identify;
mod input;
mod memory;
mod options;
mod pack;
mod queue;
mod random;
mod schedule;
mod settle;
mod store;
mod track;

pub use effect::{Delivered, Effect, Item, Novelty, RequestId, Send, Settled, State, Transport};
pub use facts::Facts;
pub use input::{Input, Reply, StreamEvent, Track};
pub use memory::Remembered;
pub use options::{Backoff, ClientOptions, QueueBounds, Storage};

use std::rc::Rc;

use self::clock::{Clock, Now};
use self::deliver::Delivery;
use self::hear::{Ear, Stream};
use self::identify::{Person, Visit};
use self::queue::Queue;
use self::random::Random;
use crate::wire::{Books, Consent, Millis, Purpose, Sdk, SiteConfig};

/// One SDK in one page or program.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    site: SiteConfig,
    random: Random,
    clock: Clock,
    /// What the visitor said; none leaves it to the site.
    consent: Option<Consent>,
    footing: Footing,
    presence: Presence,
    /// What storage kept, until it is known whether it may be used.
    remembered: Option<Remembered>,
    queue: Queue,
    /// Events before this place are to be sent without waiting for more.
    flush_to: u64,
    delivery: Delivery,
    /// How many events a batch may hold since one was refused as a whole.
    batch_events_max: u32,
    /// The share of visitors whose events the collector wants.
    sample: Option<f64>,
    requests: u32,
    person: Option<Person>,
    visit: Visit,
    page: Facts,
    page_view: Option<Rc<str>>,
    stream: Stream,
    ear: Ear,
    woken: Option<Millis>,
    told: (&'static str, &'static str),
}

/// Whether this browser may be remembered: consent to analytics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Footing {
    /// Neither the page nor the site has said yet.
    Unknown,
    Allowed,
    Refused,
}

/// Whether the page is there to see answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    Gone,
}

impl Client {
    /// A client that takes up what storage kept. `seed` must be random and used once.
    pub fn new(options: ClientOptions, remembered: Remembered, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        Self {
            queue: Queue::new(random.queue_id()),
            consent: options.consent.clone(),
            options,
            site: SiteConfig::default(),
            random,
            clock: Clock::default(),
            footing: Footing::Unknown,
            presence: Presence::Here,
            remembered: Some(remembered),
            flush_to: 0,
            delivery: Delivery::Idle,
            batch_events_max: u32::MAX,
            sample: None,
            requests: 0,
            person: None,
            visit: Visit::default(),
            page: Facts::default(),
            page_view: None,
            stream: Stream::Closed,
            ear: Ear::default(),
            woken: None,
            told: ("idle", "closed"),
        }
    }

    /// Replaces what storage kept, as long as none of it was taken up: another page has changed it
    /// since.
    pub fn remind(&mut self, remembered: Remembered) {
        if self.footing != Footing::Allowed {
            self.remembered = Some(remembered);
        }
    }

    /// Takes one input at the time `now` (the platform's wall clock) and returns what is to be
    /// done.
    pub fn step(&mut self, now: Millis, input: Input) -> Vec<Effect> {
        let now = self.clock.read(now);
        let mut out = Vec::new();
        self.settle_footing(now, &mut out);
        self.take(now, input, &mut out);
        self.settle_footing(now, &mut out);
        self.keep_bounds(now, &mut out);
        self.send_due(now, &mut out);
        self.keep_stream(now, &mut out);
        self.tell_state(&mut out);
        self.wake_in_time(now, &mut out);
        out
    }

    fn take(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::ConsentSet(consent) => self.consent = Some(consent),
            Input::Flush => self.flush_to = self.queue.next(),
            // A hidden page may never be shown again, and gets no chance to say so.
            Input::Hidden => {
                self.flush_to = self.queue.next();
                self.store_all(out);
            }
            Input::Page(facts) => self.page = facts,
            Input::PageGone => self.leave(now, out),
            Input::PageBack => self.presence = Presence::Here,
            Input::Reply(reply) => self.answered(now, &reply, out),
            Input::RequestFailed(request) => self.unanswered(now, request, out),
            Input::SiteConfigRead(site) => self.configure(site),
            Input::StreamEvent(event) => self.hear(now, event, out),
            Input::StreamFailed => self.lose_stream(now),
            Input::StreamOpened => {
                if let Stream::Open { failures } = &mut self.stream {
                    *failures = 0;
                }
            }
            Input::Tick => self.tick(now, out),
            Input::Track(track) => self.track(now, track, out),
        }
    }

    /// The books of the queue.
    pub fn books(&self) -> &Books {
        &self.queue.books
    }

    /// Events that wait.
    pub fn queued(&self) -> usize {
        self.queue.events().len()
    }

    fn configure(&mut self, site: SiteConfig) {
        if self.delivery == Delivery::Stopped && site.as_of > self.site.as_of {
            self.delivery = Delivery::Idle;
        }
        self.site = site;
    }

    /// What is granted, as far as anybody has said.
    fn granted(&self) -> Option<&Consent> {
        let of_site = (self.site.as_of > Millis::default()).then_some(&self.site.consent);
        self.consent.as_ref().or(of_site)
    }

    fn allows(&self, purpose: Purpose) -> bool {
        self.granted().is_some_and(|consent| consent.allows(purpose))
    }

    /// Hints are made from what this visitor did, and reach only who is known.
    fn allows_hints(&self) -> bool {
        self.footing == Footing::Allowed && self.allows(Purpose::Personalization)
    }

    fn sdk(&self) -> Sdk {
        Sdk {
            name: self.options.name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            books: Some(self.queue.books.clone()),
        }
    }
}
