//! The visits of one visitor.
//!
//! 1. An event that names its session belongs to it. The SDK applied the rule where it happened.
//! 2. A session that was not known begins a visit; if the event is older than the running visit,
//!    it is remembered as the one before, and the running one goes on.
//! 3. An event without a session belongs to the running visit, unless the rule says that this has
//!    ended; then a visit begins whose id is made of its start and the visitor. An event from
//!    before the running visit never ends it.

use clickmill_sdk_core::wire::{Millis, SessionId, SessionRule, Visit, VisitorId};

use super::click::{Click, Doing};

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

impl Sessions {
    /// Takes note of an event, and returns the visit it belongs to and how many there were.
    pub fn take(
        &mut self,
        click: &Click,
        visitor: &VisitorId,
        rule: &SessionRule,
    ) -> (&mut Visit, u32) {
        let at = match self.find(click, rule) {
            Some(at) => at,
            None => self.begin(click, visitor),
        };
        let visit = &mut self.known[at];
        add(visit, click);
        (visit, self.visits)
    }

    fn find(&self, click: &Click, rule: &SessionRule) -> Option<usize> {
        if let Some(id) = &click.session {
            return self.known.iter().position(|session| session.id.as_ref() == Some(id));
        }
        let running = self.known.first()?;
        let campaigns = (running.campaign.as_ref(), click.campaign.as_ref());
        let end = rule.end((running.started, running.last), click.time, campaigns);
        (end.is_none() || click.time < running.started).then_some(0)
    }

    fn begin(&mut self, click: &Click, visitor: &VisitorId) -> usize {
        self.visits = self.visits.saturating_add(1);
        let id = click.session.clone().or_else(|| assigned(visitor, click.time));
        let running = self.known.first();
        let at = usize::from(running.is_some_and(|running| click.time < running.started));
        let referrer = click.referrer.clone();
        let (number, time) = (self.visits, click.time);
        let visit = Visit { id, number, started: time, last: time, referrer, ..Visit::default() };
        self.known.insert(at, visit);
        self.known.truncate(KNOWN_MAX);
        at
    }
}

fn add(visit: &mut Visit, click: &Click) {
    visit.started = visit.started.min(click.time);
    visit.last = visit.last.max(click.time);
    visit.events = visit.events.saturating_add(1);
    match &click.doing {
        Doing::Reads(..) => visit.pages = visit.pages.saturating_add(1),
        Doing::Engages(engaged_ms) => {
            visit.engaged_ms = visit.engaged_ms.saturating_add(*engaged_ms);
        }
        Doing::Searches(query) => {
            visit.searches.retain(|other| other != query);
            visit.searches.insert(0, query.clone());
            visit.searches.truncate(SEARCHES_MAX);
        }
        _ => {}
    }
    if click.campaign.is_some() {
        visit.campaign.clone_from(&click.campaign);
    }
}

/// The id of a visit that the SDK did not name: the same whenever the same events are folded.
fn assigned(visitor: &VisitorId, started: Millis) -> Option<SessionId> {
    // An id has 64 bytes at the most, as a visitor's has; the hash that our SDK makes has 32.
    let visitor: String = visitor.as_str().chars().take(48).collect();
    SessionId::parse(format!("r-{:x}-{visitor}", started.0)).ok()
}
