//! What visitors were shown just now: on pages that a server renders, which no state knows before the
//! visitor's next event, and by events, which a page that is rendered at that moment may not know yet.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clickmill_sdk_core::wire::{EventId, Millis, Slot, Tenant, VisitorId};

use super::history::{History, Showing};

/// Grants in all; beyond it the visitor's are forgotten that were looked at longest ago, and what such
/// a visitor was shown on pages may be shown once more.
const GRANTS_MAX: usize = 100_000;

/// Grants of one visitor; beyond it no page promotes anything new to them.
const GRANTS_OF_ONE_MAX: usize = 64;

/// For so long what a page was told waits for the visitor's next event, ms.
const GRANT_MS: u64 = 15 * 60_000;

/// For so long after an event has put it into the state, ms: the transaction of that event may fail,
/// and the state be that of before.
const NOTED_MS: u64 = 2 * 60_000;

/// Visitors that are looked at with each that is shown something.
const LOOKS: usize = 4;

/// Who was shown something.
pub type Who = (Tenant, VisitorId);

/// What a visitor was shown.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Rule, moment and product.
    pub showing: Showing,
    /// The rule's version.
    pub version: String,
    /// Where.
    pub slot: Slot,
    /// The event that it was decided with; none where a page was.
    pub event: Option<EventId>,
    /// When an event put it into the visitor's state.
    pub noted: Option<Millis>,
}

/// What visitors were shown just now.
#[derive(Debug, Default)]
pub struct Grants {
    /// Whether a page was ever decided for. Before that nobody needs to know.
    has_pages: AtomicBool,
    held: Mutex<Held>,
}

/// All grants, behind the lock.
#[derive(Debug, Default)]
pub struct Held {
    of: HashMap<Who, Vec<Grant>>,
    /// Each visitor once, in the order in which they are looked at.
    order: VecDeque<Who>,
    count: usize,
}

impl Grants {
    /// Takes hold of them for an event; none where no page was ever decided for.
    ///
    /// Whoever holds tables as well takes those first.
    pub fn for_event(&self) -> Option<MutexGuard<'_, Held>> {
        self.has_pages.load(Ordering::Acquire).then(|| self.lock())
    }

    /// Takes hold of them for a page.
    pub fn for_page(&self) -> MutexGuard<'_, Held> {
        self.has_pages.store(true, Ordering::Release);
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Puts what a visitor was shown into their state, and returns what was not in it. `event` is the
    /// one that is folded: what it was shown itself, in an attempt before, is decided anew.
    pub fn note(
        &mut self,
        who: &Who,
        history: &mut History,
        (event, now): (Option<EventId>, Millis),
    ) -> Vec<Grant> {
        let mut new = Vec::new();
        let Some(grants) = self.of.get_mut(who) else { return new };
        for grant in grants.iter_mut().filter(|grant| event.is_none() || grant.event != event) {
            if history.note(&grant.showing) {
                new.push(grant.clone());
            }
            if event.is_some() {
                grant.noted = Some(now);
            }
        }
        new
    }

    /// Whether a page may show one more.
    pub fn has_room(&mut self, who: &Who, now: Millis) -> bool {
        let Some(grants) = self.of.get_mut(who) else { return true };
        let before = grants.len();
        grants.retain(|grant| grant.matters(now));
        self.count -= before - grants.len();
        grants.len() < GRANTS_OF_ONE_MAX
    }

    /// A visitor was shown this. What an attempt before showed with the same event counts no more.
    /// Returns how many grants were forgotten for want of room.
    pub fn put(&mut self, who: Who, shown: Vec<Grant>, now: Millis) -> usize {
        let event = shown.iter().find_map(|grant| grant.event);
        if !shown.is_empty() {
            if !self.of.contains_key(&who) {
                self.order.push_back(who.clone());
            }
            let grants = self.of.entry(who).or_default();
            let before = grants.len();
            grants.retain(|grant| event.is_none() || grant.event != event);
            let room = GRANTS_OF_ONE_MAX.saturating_sub(grants.len());
            grants.extend(shown.into_iter().take(room));
            self.count = self.count + grants.len() - before;
        }
        self.make_room(now)
    }

    fn make_room(&mut self, now: Millis) -> usize {
        let mut lost = 0;
        for _ in 0..self.order.len().min(LOOKS) {
            let Some(who) = self.order.pop_front() else { break };
            let Some(grants) = self.of.get_mut(&who) else { continue };
            let before = grants.len();
            grants.retain(|grant| grant.matters(now));
            let left = grants.len();
            self.count -= before - left;
            if left > 0 && self.count <= GRANTS_MAX {
                self.order.push_back(who);
                continue;
            }
            self.of.remove(&who);
            self.count -= left;
            lost += left;
        }
        lost
    }
}

impl Grant {
    fn matters(&self, now: Millis) -> bool {
        let is_new = now.since(self.showing.at) < GRANT_MS;
        is_new && self.noted.is_none_or(|noted| now.since(noted) < NOTED_MS)
    }
}

#[cfg(test)]
mod tests {
    use clickmill_sdk_core::wire::RuleName;

    use super::*;

    fn who(n: usize) -> Who {
        (Tenant::parse("shop").unwrap(), VisitorId::parse(format!("v{n}")).unwrap())
    }

    fn grant(at: u64, event: Option<EventId>) -> Grant {
        let showing = Showing {
            rule: RuleName::parse("r").unwrap(),
            at: Millis(at),
            until: Millis(at + 1),
            day: 0,
            visit: 1,
            sku: None,
            held_out: false,
        };
        let slot = Slot::parse("a").unwrap();
        Grant { showing, version: "1".to_owned(), slot, event, noted: None }
    }

    #[test]
    fn nobody_looks_before_there_is_a_page() {
        let grants = Grants::default();
        assert!(grants.for_event().is_none());
        drop(grants.for_page());
        assert!(grants.for_event().is_some());
    }

    #[test]
    fn what_an_event_has_noted_is_kept_for_as_long_as_its_transaction_may_fail() {
        let (mut held, mut history) = (Held::default(), History::default());
        held.put(who(1), vec![grant(1_000, None)], Millis(1_000));
        let event = EventId::mint(Millis(2_000), &[1; 10]);
        let note = |held: &mut Held, history: &mut History, now| {
            held.note(&who(1), history, (Some(event), Millis(now))).len()
        };
        assert_eq!(note(&mut held, &mut history, 2_000), 1);
        assert_eq!(note(&mut held, &mut history, 2_000), 0);
        // The state is that of before: it is noted once more.
        assert_eq!(note(&mut held, &mut History::default(), 3_000), 1);
        held.put(who(2), vec![grant(3_000 + NOTED_MS, None)], Millis(3_000 + NOTED_MS));
        assert_eq!((held.count, held.of.len()), (1, 1));
    }

    #[test]
    fn what_an_event_was_shown_in_an_attempt_before_is_decided_anew() {
        let mut held = Held::default();
        let (event, other) =
            (EventId::mint(Millis(1), &[1; 10]), EventId::mint(Millis(2), &[2; 10]));
        held.put(who(1), vec![grant(1_000, Some(event))], Millis(1_000));
        let mut noted = |event| {
            let mut history = History::default();
            held.note(&who(1), &mut history, (event, Millis(1_500))).len()
        };
        assert_eq!([noted(Some(event)), noted(Some(other)), noted(None)], [0, 1, 1]);
        held.put(who(1), vec![grant(1_600, Some(event))], Millis(1_600));
        assert_eq!(held.count, 1);
    }

    #[test]
    fn grants_are_bounded_for_each_visitor_and_in_all() {
        let mut held = Held::default();
        let now = Millis(1_000);
        for n in 0..GRANTS_OF_ONE_MAX as u64 {
            assert!(held.has_room(&who(0), now));
            held.put(who(0), vec![grant(n, None)], now);
        }
        assert!(!held.has_room(&who(0), now));
        let later = Millis(GRANT_MS + 10);
        assert!(held.has_room(&who(0), later), "the first of them have waited long enough");
        let mut lost = 0;
        for n in 1..GRANTS_MAX + 500 {
            lost += held.put(who(n), vec![grant(later.0, None)], later);
        }
        assert!(held.count <= GRANTS_MAX, "{}", held.count);
        assert!(held.of.len() == held.order.len() && lost > 400, "{lost}");
        assert!(held.of.contains_key(&who(GRANTS_MAX + 499)));
    }
}
