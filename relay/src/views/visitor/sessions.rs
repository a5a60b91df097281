//! The visits of one visitor.
//!
//! 1. An event that names its session belongs to it. The SDK applied the rule where it happened.
//! 2. A session that was not known begins a visit; if the event is older than the running visit,
//!    it is remembered as the one before, and the running one goes on.
//! 3. An event without a session belongs to the running visit, unless the rule says that this has
//!    ended; then a visit begins whose id is made of its start and the visitor. An event from
//!    before the running visit never ends it.

use clickmill_sdk_core::wire::{Campaign, Millis, Record, SessionId, SessionRule, VisitorId};

/// One visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: Option<SessionId>,
    number: u32,
    started: Millis,
    last: Millis,
    campaign: Option<Campaign>,
    events: u32,
    pages: u32,
}

/// The visits that events may still belong to, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// The running visit, then the one before it.
    known: Vec<Session>,
    visits: u32,
}

/// The running visit and the one before it.
const KNOWN_MAX: usize = 2;

impl Sessions {
    /// Takes note of an event, and returns the visit it belongs to.
    pub fn take(&mut self, record: &Record, visitor: &VisitorId, rule: &SessionRule) -> &Session {
        let at = match self.find(record, rule) {
            Some(at) => at,
            None => self.begin(record, visitor),
        };
        let session = &mut self.known[at];
        session.add(record);
        session
    }

    /// How many visits there were.
    pub fn visits(&self) -> u32 {
        self.visits
    }

    fn find(&self, record: &Record, rule: &SessionRule) -> Option<usize> {
        if let Some(id) = &record.context.session {
            return self.known.iter().position(|session| session.id.as_ref() == Some(id));
        }
        let running = self.known.first()?;
        let campaigns = (running.campaign.as_ref(), record.context.campaign.as_ref());
        let end = rule.end((running.started, running.last), record.time, campaigns);
        (end.is_none() || record.time < running.started).then_some(0)
    }

    fn begin(&mut self, record: &Record, visitor: &VisitorId) -> usize {
        self.visits = self.visits.saturating_add(1);
        let id = record.context.session.clone().or_else(|| assigned(visitor, record.time));
        let running = self.known.first();
        let at = usize::from(running.is_some_and(|running| record.time < running.started));
        self.known.insert(at, Session::starting(id, self.visits, record.time));
        self.known.truncate(KNOWN_MAX);
        at
    }
}

impl Session {
    fn starting(id: Option<SessionId>, number: u32, time: Millis) -> Self {
        Self { id, number, started: time, last: time, campaign: None, events: 0, pages: 0 }
    }

    fn add(&mut self, record: &Record) {
        self.started = self.started.min(record.time);
        self.last = self.last.max(record.time);
        self.events = self.events.saturating_add(1);
        if record.kind.as_str() == "page_view" {
            self.pages = self.pages.saturating_add(1);
        }
        if record.context.campaign.is_some() {
            self.campaign.clone_from(&record.context.campaign);
        }
    }

    /// The SDK's id, or ours.
    pub fn id(&self) -> Option<&SessionId> {
        self.id.as_ref()
    }

    /// Which of the visitor's visits it is, counted from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its first event's time.
    pub fn started(&self) -> Millis {
        self.started
    }

    /// How many events it has.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// How many of them are page views.
    pub fn pages(&self) -> u32 {
        self.pages
    }
}

/// The id of a visit that the SDK did not name: the same whenever the same events are folded.
fn assigned(visitor: &VisitorId, started: Millis) -> Option<SessionId> {
    // An id has 64 bytes at the most, as a visitor's has; the hash that our SDK makes has 32.
    let visitor: String = visitor.as_str().chars().take(48).collect();
    SessionId::parse(format!("r-{:x}-{visitor}", started.0)).ok()
}
