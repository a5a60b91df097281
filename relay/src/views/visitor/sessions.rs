//! The visits of one visitor.
//!
//! 1. An event that names its session belongs to it. The SDK applied the rule where it happened.
//! 2. A session that was not known begins a visit; if the event is older than the running visit,
//!    it is remembered as the one before, and the running one goes on.
//! 3. An event without a session belongs to the running visit, unless the rule says that this has
//!    ended; then a visit begins whose id is made of its start and the visitor. An event from
//!    before the running visit never ends it.

use std::borrow::Cow;
use std::collections::HashMap;

use clickmill_sdk_core::wire::{Json, Millis, Record, SessionId, SessionRule, Visit, VisitorId};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The visits that events may still belong to, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// The running visit, then the one before it.
    pub(super) known: Vec<Visit>,
    pub(super) visits: u32,
}

/// The running visit and the one before it.
const KNOWN_MAX: usize = 2;

/// Searches of one visit that are kept.
const SEARCHES_MAX: usize = 5;

/// The longest search and referrer that are kept, bytes.
const TEXT_BYTES_MAX: usize = 256;

impl Sessions {
    /// Takes note of an event, and returns the visit it belongs to.
    pub fn take(&mut self, record: &Record, visitor: &VisitorId, rule: &SessionRule) -> &mut Visit {
        let at = match self.find(record, rule) {
            Some(at) => at,
            None => self.begin(record, visitor),
        };
        let visit = &mut self.known[at];
        add(visit, record);
        visit
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
        let referrer = record.context.referrer.as_deref().map(shortened);
        let (number, time) = (self.visits, record.time);
        let visit = Visit { id, number, started: time, last: time, referrer, ..Visit::default() };
        self.known.insert(at, visit);
        self.known.truncate(KNOWN_MAX);
        at
    }
}

fn add(visit: &mut Visit, record: &Record) {
    visit.started = visit.started.min(record.time);
    visit.last = visit.last.max(record.time);
    visit.events = visit.events.saturating_add(1);
    match record.kind.as_str() {
        "page_view" => visit.pages = visit.pages.saturating_add(1),
        "engagement" => {
            let engaged_ms = property(&record.props, "engaged_ms").unwrap_or_default();
            visit.engaged_ms = visit.engaged_ms.saturating_add(engaged_ms);
        }
        "search" => {
            if let Some(query) = property::<String>(&record.props, "query") {
                let query = shortened(&query);
                visit.searches.retain(|other| *other != query);
                visit.searches.insert(0, query);
                visit.searches.truncate(SEARCHES_MAX);
            }
        }
        _ => {}
    }
    if record.context.campaign.is_some() {
        visit.campaign.clone_from(&record.context.campaign);
    }
}

/// One of the properties, if it is what is asked for.
fn property<T: DeserializeOwned>(props: &Json, name: &str) -> Option<T> {
    let props: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(props.as_str()).ok()?;
    serde_json::from_str(props.get(name)?.get()).ok()
}

fn shortened(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

/// The id of a visit that the SDK did not name: the same whenever the same events are folded.
fn assigned(visitor: &VisitorId, started: Millis) -> Option<SessionId> {
    // An id has 64 bytes at the most, as a visitor's has; the hash that our SDK makes has 32.
    let visitor: String = visitor.as_str().chars().take(48).collect();
    SessionId::parse(format!("r-{:x}-{visitor}", started.0)).ok()
}
