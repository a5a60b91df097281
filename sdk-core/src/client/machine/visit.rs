//! The running visit and what it has seen last.

use super::random::Random;
use super::recent::Recent;
use super::since;
use super::text::{FIELD, cut, cut_number, is_plain};
use crate::wire::Put;
use crate::wire::{Millis, SessionRule};

/// Events whose times are kept, to tell the latency of hints.
const RECENT_MAX: usize = 24;
/// Hints whose ids are kept, to tell a replay.
const HINTS_MAX: usize = 48;
/// A visit's last event is told to storage when it is newer by this, ms.
const LAST_STEP_MS: u64 = 5_000;

/// The visit of a visitor who may be remembered.
#[derive(Debug)]
pub(super) struct Visit {
    /// Its id; empty before its first event.
    pub(super) session: Vec<u8>,
    started: u64,
    last: u64,
    /// The marks of the campaign it came by, as a field of circumstances.
    campaign: Vec<u8>,
    /// Its last event as storage knows it.
    stored_last: u64,
    /// The last events, with their times.
    recent: Recent,
    /// The last hints.
    hints: Recent,
}

impl Visit {
    /// The visit that storage knows, or none yet.
    #[inline(never)]
    pub(super) fn recall(mut stored: &[u8]) -> Self {
        let rest = &mut stored;
        let mut session = cut(rest, FIELD);
        if !is_plain(session) {
            (session, *rest) = (&[], &[]);
        }
        let mut visit = Self {
            session: session.to_vec(),
            started: cut_number(rest, FIELD).unwrap_or_default(),
            last: cut_number(rest, FIELD).unwrap_or_default(),
            campaign: cut(rest, FIELD).to_vec(),
            stored_last: 0,
            recent: Recent::default(),
            hints: Recent::default(),
        };
        visit.stored_last = visit.last;
        while !rest.is_empty() {
            let id = cut(rest, FIELD);
            match cut_number(rest, FIELD) {
                Some(0) | None => visit.note_hint(id),
                Some(at) => visit.recent.note(id, at, RECENT_MAX),
            }
        }
        visit
    }

    /// Whether storage should hear of it now: a new visit, or one that goes on.
    pub(super) fn is_news(&self) -> bool {
        since(self.last, self.stored_last) >= LAST_STEP_MS
    }

    /// What storage keeps.
    pub(super) fn store(&mut self, text: &mut Vec<u8>) {
        self.stored_last = self.last;
        text.put(&self.session).put(&[FIELD]).put_number(self.started);
        text.put(&[FIELD]).put_number(self.last).put(&[FIELD]).put(&self.campaign);
        self.recent.write(text);
        self.hints.write(text);
    }

    /// Takes an event that happened `at`, by the campaign of its page (empty where there is none),
    /// and begins a new visit if need be.
    pub(super) fn enter(
        &mut self,
        (id, at): (&[u8], u64),
        campaign: &[u8],
        rule: &SessionRule,
        random: &mut Random,
    ) {
        self.recent.note(id, at, RECENT_MAX);
        let new = (!campaign.is_empty()).then_some(campaign);
        let span = (Millis(self.started), Millis(self.last));
        let end = rule.end(span, Millis(at), (Some(self.campaign.as_slice()), new));
        if self.session.is_empty() || end.is_some() {
            (self.session, self.started, self.last) = (random.name(), at, at);
            self.campaign = campaign.to_vec();
        }
        self.last = self.last.max(at);
    }

    /// When the event of that id was tracked, if it is one of the last.
    pub(super) fn tracked_at(&self, id: &[u8]) -> Option<u64> {
        self.recent.find(id)
    }

    /// Whether a hint was delivered before, on this page or an earlier one.
    pub(super) fn knows_hint(&self, id: &[u8]) -> bool {
        self.hints.find(id).is_some()
    }

    /// Notes a delivered hint.
    pub(super) fn note_hint(&mut self, id: &[u8]) {
        self.hints.note(id, 0, HINTS_MAX);
    }
}
