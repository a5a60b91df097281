//! The state machine: it hears what happened as a number and a text, and says what is to be done as
//! one text. It knows no JSON, since both of its platforms do: a page's script, and [`Client`].
//!
//! [`Client`]: super::Client

mod clock;
mod deliver;
mod hear;
mod pack;
mod person;
mod queue;
mod random;
mod recent;
mod schedule;
mod settle;
mod site;
mod store;
pub mod text;
pub mod told;
mod track;
mod visit;

use std::rc::Rc;

use self::clock::{Clock, Now};
use self::deliver::Delivery;
use self::hear::{Ear, Stream};
use self::person::{HEIR, Person};
use self::queue::Queue;
use self::random::Random;
use self::site::{Sample, Site};
use self::text::{EFFECT, PART};
use self::visit::Visit;
use super::options::ClientOptions;
use crate::wire::Put;
use crate::wire::{Books, Millis};

/// No moment: what is due then never comes.
const NEVER: u64 = u64::MAX;

/// One SDK in one page or program. All moments are milliseconds since 1970.
#[derive(Debug)]
pub struct Machine {
    options: ClientOptions,
    site: Site,
    random: Random,
    clock: Clock,
    /// What is allowed, as bits of [`told`].
    granted: u64,
    /// That as a field of an event's circumstances; nothing while nobody has said.
    consent: Vec<u8>,
    footing: Footing,
    presence: Presence,
    /// What storage kept, until it is known whether it may be used.
    remembered: Vec<u8>,
    queue: Queue,
    /// Events before this place are to be sent without waiting for more.
    flush_to: u64,
    delivery: Delivery,
    /// How many events a batch may hold since one was refused as a whole.
    batch_events_max: u64,
    sample: Sample,
    requests: u64,
    person: Option<Person>,
    visit: Visit,
    /// Circumstances of what happens on this page: fields.
    page: Vec<u8>,
    stream: Stream,
    ear: Ear,
    /// When the platform sends the next tick.
    woken: u64,
    told: (&'static str, &'static str),
    /// What the last step said.
    said: Vec<u8>,
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

impl Machine {
    /// A machine that takes up what storage kept: the texts of visitor and visit, the queue's, then
    /// each event's after its place, with [`PART`] between them. `seed` must be random and used once.
    pub fn new(options: ClientOptions, seed: [u8; 32], remembered: &[u8]) -> Self {
        let mut random = Random::new(seed);
        Self {
            options,
            queue: Queue::new(random.name()),
            site: Site::default(),
            random,
            clock: Clock::default(),
            granted: 0,
            consent: Vec::new(),
            footing: Footing::Unknown,
            presence: Presence::Here,
            remembered: remembered.to_vec(),
            flush_to: 0,
            delivery: Delivery::Free { failures: 0, until: 0 },
            batch_events_max: text::NUMBER_MAX,
            sample: Sample::default(),
            requests: 0,
            person: None,
            visit: Visit::recall(&[]),
            page: Vec::new(),
            stream: Stream::Closed { failures: 0, until: 0 },
            ear: Ear::default(),
            woken: NEVER,
            told: ("idle", "closed"),
            said: Vec::new(),
        }
    }

    /// Hears what happened: one of [`told`], with its number and text, at the time `now` of the
    /// platform's clock. Returns what is to be done: effects, each begun by [`EFFECT`] and its
    /// number, with [`PART`] before each of its parts.
    pub fn step(&mut self, now: u64, what: u32, number: u64, text: &[u8]) -> &[u8] {
        let now = self.clock.read(now.min(text::NUMBER_MAX));
        self.said.clear();
        self.take(now, what, number.min(text::NUMBER_MAX), text);
        self.settle_footing(now);
        self.keep_bounds();
        self.send_due(now);
        if what == told::HIDDEN {
            self.copy(now, b"");
        }
        self.keep_stream(now);
        self.tell_state();
        self.wake_in_time(now);
        &self.said
    }

    /// What the last step said.
    pub fn said(&self) -> &[u8] {
        &self.said
    }

    fn take(&mut self, now: Now, what: u32, number: u64, text: &[u8]) {
        match what {
            told::REMIND if self.footing != Footing::Allowed => self.remembered = text.to_vec(),
            told::CONSENT => (self.granted, self.consent) = (number, text.to_vec()),
            told::FLUSH => self.flush_to = self.queue.next,
            told::ONLINE => {
                if let Delivery::Free { until, .. } = &mut self.delivery {
                    *until = 0;
                }
            }
            // A hidden page may never be shown again, and gets no chance to say so.
            told::HIDDEN => {
                self.flush_to = self.queue.next;
                self.store_all();
            }
            told::PAGE => self.page = text.to_vec(),
            told::GONE => self.leave(now),
            told::BACK => self.presence = Presence::Here,
            told::SITE => self.configure(text),
            told::STREAM_FAILED => self.lose_stream(now),
            told::STREAM_OPENED => {
                if let Stream::Open { failures } = &mut self.stream {
                    *failures = 0;
                }
            }
            told::TICK => self.tick(now),
            told::EVENT => self.hear(now, text),
            told::TRACK => self.track(now, number, text),
            told::RENEWED if self.footing == Footing::Allowed => {
                // Events that wait go out as what they are, the old visitor's.
                self.footing = Footing::Unknown;
                self.remembered = HEIR.into();
            }
            told::FAILED | told::RECEIPT | told::SPOILED | told::STOPPED => {
                self.answered(now, what, number, text);
            }
            _ => {}
        }
    }

    fn configure(&mut self, mut text: &[u8]) {
        let is_newer = self.site.configure(&mut text);
        if is_newer && self.delivery == Delivery::Stopped {
            self.delivery = Delivery::Free { failures: 0, until: 0 };
        }
    }

    /// The books of the queue.
    pub fn books(&self) -> Books {
        let [created, settled, dropped_full, dropped_old, dropped_large, dropped_consent, since] =
            self.queue.books;
        let since = Millis(since);
        Books { created, settled, dropped_full, dropped_old, dropped_large, dropped_consent, since }
    }

    /// Events that wait.
    pub fn queued(&self) -> usize {
        self.queue.events.len()
    }

    fn allows(&self, purpose: u64) -> bool {
        self.granted & purpose != 0
    }

    /// Hints are made from what this visitor did, and reach only who is known.
    fn allows_hints(&self) -> bool {
        self.footing == Footing::Allowed && self.allows(told::PERSONALIZATION)
    }

    /// Begins an effect.
    #[inline(never)]
    fn say(&mut self, effect: u8) {
        self.said.put(&[EFFECT, effect]);
    }

    /// Adds a part to the effect that was begun last.
    #[inline(never)]
    fn part(&mut self, part: &[u8]) {
        self.said.put(&[PART]).put(part);
    }

    /// Adds a number to it.
    #[inline(never)]
    fn part_number(&mut self, number: u64) {
        self.said.put(&[PART]).put_number(number);
    }
}

/// The circumstances of events: fields that many of them share.
type Facts = Rc<Vec<u8>>;

/// The span from `earlier` to `later`, zero if that comes first: clocks jump.
fn since(later: u64, earlier: u64) -> u64 {
    later.saturating_sub(earlier)
}
