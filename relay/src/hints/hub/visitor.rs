//! What was said to one visitor: a short ring of hints, those that hold, and the open streams.

use std::collections::VecDeque;
use std::sync::Arc;

use clickmill_sdk_core::wire::{HintId, HintKind, Json, Millis, Sku};
use clickmill_streams::Place;

use super::Telling;
use crate::hints::feed::Marks;
use crate::hints::frame::Frame;
use crate::hints::outbox::{Outbox, Put};

/// Hints of one visitor that hold no more and are remembered, since a page may just have shown them.
const PAST_MAX: usize = 8;

/// One visitor.
#[derive(Debug)]
pub(super) struct Visitor {
    /// The partition and epoch of the decider.
    source: (u32, u64),
    /// The hints said last, oldest first.
    ring: VecDeque<Arc<Frame>>,
    /// What holds: the newest hint of each slot, in the order in which they were said.
    active: Vec<Active>,
    /// The hints that were taken back or replaced last, oldest first.
    past: VecDeque<(HintId, Told)>,
    outboxes: Vec<Arc<Outbox>>,
    /// The products whose stock matters to it.
    interest: Option<Box<Interest>>,
    /// What servers choose it by; none while no server did.
    pub(super) marks: Option<Arc<Marks>>,
    /// Whether it stands in the order in which visitors are looked at.
    pub(super) is_known: bool,
    /// Whether all that holds for it was said in this epoch.
    pub(super) is_whole: bool,
    /// Whether it was told something, or something new was noted, since it was last looked at.
    pub(super) is_fresh: bool,
}

/// The products whose stock matters to a visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// The partition and epoch of the decider.
    pub source: (u32, u64),
    /// Those it waits for: they are sold out.
    pub waits: Vec<Awaited>,
    /// Those it had waited for and was told of.
    pub back: Vec<Sku>,
    /// Those it looks at, or has in the basket.
    pub watches: Vec<Sku>,
}

/// A product that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The product.
    pub sku: Sku,
    /// Where the stock record lies that it is sold out by.
    pub place: Place,
}

impl Interest {
    /// All of them; one may be told more than once.
    pub(super) fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.waits.iter().map(|awaited| &awaited.sku).chain(&self.back).chain(&self.watches)
    }
}

/// A hint that holds.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) frame: Arc<Frame>,
    pub(super) telling: Telling,
    /// When the click happened that it answers.
    pub(super) clicked_at: Option<Millis>,
    /// What servers chose the visitor by when it was said.
    pub(super) marks: Option<Arc<Marks>>,
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It holds, or did until another one took its place; when the click happened that it answers.
    Held(HintKind, Option<Millis>),
    /// It was taken back at that moment.
    TakenBack(Millis),
}

/// How often things happened while a hint was handed to streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handed {
    pub(super) streams: u64,
    pub(super) conflated: u64,
    pub(super) resets: u64,
}

impl Visitor {
    /// One who was told nothing yet, decided in a partition and epoch.
    pub(super) fn new(source: (u32, u64)) -> Self {
        Self {
            source,
            ring: VecDeque::new(),
            active: Vec::new(),
            past: VecDeque::new(),
            outboxes: Vec::new(),
            interest: None,
            marks: None,
            is_known: false,
            is_whole: false,
            is_fresh: false,
        }
    }

    /// What became of a hint; none where that is forgotten.
    pub(super) fn told(&self, id: &HintId) -> Option<Told> {
        let active = self.active.iter().find(|active| active.frame.id == *id);
        let holds = active.map(|active| Told::Held(active.frame.kind, active.clicked_at));
        let past = self.past.iter().rfind(|(gone, _)| gone == id);
        holds.or_else(|| past.map(|(_, told)| *told))
    }

    pub(super) fn note_taken_back(&mut self, id: &HintId, now: Millis) {
        note_past(&mut self.past, (id, Told::TakenBack(now)));
    }

    /// Whether anything that was said is remembered.
    pub(super) fn has_said(&self) -> bool {
        !self.active.is_empty() || !self.ring.is_empty()
    }

    /// Says a hint: it counts from now on, and goes to every open stream.
    pub(super) fn say(
        &mut self,
        said: &Active,
        source: (u32, u64),
        (ring_max, now): (usize, Millis),
    ) -> Handed {
        let mut handed = Handed::default();
        if std::mem::replace(&mut self.source, source) != source {
            // What an older epoch said is nobody's word any more.
            self.ring.clear();
            self.active.clear();
            self.is_whole = false;
            handed.resets += self.outboxes.len() as u64;
            let snapshot = self.snapshot(now);
            self.outboxes.iter().for_each(|outbox| outbox.replace(snapshot.iter().cloned()));
        }
        self.remember(said, ring_max);
        for at in 0..self.outboxes.len() {
            handed.streams += 1;
            match self.outboxes[at].put(Arc::clone(&said.frame)) {
                Put::Queued => {}
                Put::Conflated => handed.conflated += 1,
                Put::Full | Put::Untrue => {
                    handed.resets += 1;
                    self.outboxes[at].replace(self.snapshot(now));
                }
            }
        }
        handed
    }

    fn remember(&mut self, said: &Active, ring_max: usize) {
        let frame = &said.frame;
        if said.telling == Telling::First {
            if self.ring.len() >= ring_max.max(1) {
                self.ring.pop_front();
            }
            self.ring.push_back(Arc::clone(frame));
        } else {
            // A page that stands before it would miss it: nothing older can be gone on with.
            self.ring.clear();
        }
        if frame.slot.is_some() {
            let is_of_slot = |active: &mut Active| active.frame.slot == frame.slot;
            for Active { frame: gone, clicked_at, .. } in self.active.extract_if(.., is_of_slot) {
                // What is taken back was noted so before.
                if self.past.iter().all(|(id, _)| *id != gone.id) {
                    note_past(&mut self.past, (&gone.id, Told::Held(gone.kind, clicked_at)));
                }
            }
        }
        if !matches!(frame.kind, HintKind::Withdraw | HintKind::Reset) {
            self.active.push(said.clone());
        }
    }

    /// Opens a stream: with what came after the cursor if that is in the ring; with a reset and
    /// what holds if it is not; with what holds if there is no cursor.
    pub(super) fn open(
        &mut self,
        outbox: Arc<Outbox>,
        cursor: Option<&HintId>,
        now: Millis,
    ) -> Opening {
        let found = cursor.map(|id| self.ring.iter().position(|frame| frame.id == *id));
        let opening = match found {
            None => {
                outbox.begin(self.holding(now));
                Opening::Fresh
            }
            Some(Some(at)) => {
                outbox.begin(self.ring.iter().skip(at + 1).cloned());
                Opening::Resumed
            }
            Some(None) => {
                outbox.begin(self.snapshot(now));
                Opening::Reset
            }
        };
        self.outboxes.push(outbox);
        opening
    }

    pub(super) fn close(&mut self, outbox: &Arc<Outbox>) {
        self.outboxes.retain(|held| !Arc::ptr_eq(held, outbox));
    }

    /// Ends all its streams.
    pub(super) fn close_all(&self) {
        self.outboxes.iter().for_each(|outbox| outbox.close());
    }

    /// Tells all its streams that it is decided elsewhere.
    pub(super) fn leave_all(&self) {
        self.outboxes.iter().for_each(|outbox| outbox.leave());
    }

    /// Forgets what was said, and tells so to every stream.
    pub(super) fn forget(&mut self, now: Millis) -> u64 {
        if self.active.is_empty() && self.ring.is_empty() {
            return 0;
        }
        self.ring.clear();
        self.active.clear();
        let snapshot = self.snapshot(now);
        self.outboxes.iter().for_each(|outbox| outbox.replace(snapshot.iter().cloned()));
        self.outboxes.len() as u64
    }

    /// The hints that hold and show a product.
    pub(super) fn showing(&self, sku: &Sku, now: Millis) -> Vec<Active> {
        let shows =
            |active: &&Active| active.frame.expires_at > now && active.frame.skus.contains(sku);
        self.active.iter().filter(shows).cloned().collect()
    }

    /// Whether a hint of stock with that content holds.
    pub(super) fn shows(&self, content: &Json, now: Millis) -> bool {
        let mut held = self.active.iter().map(|active| &active.frame);
        held.any(|frame| {
            let holds = frame.kind == HintKind::Stock && frame.expires_at > now;
            holds && frame.data().contains(content.as_str())
        })
    }

    /// The hints that hold and show any of these products.
    pub(super) fn showing_any(&self, skus: &[Sku], now: Millis) -> Vec<Active> {
        let shows = |active: &&Active| {
            active.frame.expires_at > now && active.frame.skus.iter().any(|sku| skus.contains(sku))
        };
        self.active.iter().filter(shows).cloned().collect()
    }

    /// The promotions that hold, or have held until a moment.
    pub(super) fn promotions(&self, since: Millis) -> impl Iterator<Item = &Active> {
        let holds =
            move |active: &&Active| active.frame.rule.is_some() && active.frame.expires_at > since;
        self.active.iter().filter(holds)
    }

    /// Which products' stock matters from now on; gives back what mattered before.
    pub(super) fn set_interest(&mut self, interest: Option<Interest>) -> Option<Interest> {
        std::mem::replace(&mut self.interest, interest.map(Box::new)).map(|before| *before)
    }

    pub(super) fn interest(&self) -> Option<&Interest> {
        self.interest.as_deref()
    }

    /// A product that it waits for can be had again, and it is told. Returns the stock
    /// record that it was sold out by; none where it is not waited for.
    pub(super) fn stop_waiting(&mut self, sku: &Sku) -> Option<Place> {
        let interest = self.interest.as_mut()?;
        let at = interest.waits.iter().position(|awaited| awaited.sku == *sku)?;
        let Awaited { sku, place } = interest.waits.remove(at);
        interest.back.push(sku);
        Some(place)
    }

    /// A product that it had waited for is sold out again, by that stock record.
    pub(super) fn wait_again(&mut self, sku: &Sku, place: Place) {
        let Some(interest) = &mut self.interest else { return };
        if let Some(at) = interest.back.iter().position(|told| told == sku) {
            let sku = interest.back.remove(at);
            interest.waits.push(Awaited { sku, place });
        }
    }

    /// The products whose stock matters.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Sku> {
        self.interest.iter().flat_map(|interest| interest.skus())
    }

    /// The products that hints show now.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Sku> {
        self.active.iter().flat_map(|active| &active.frame.skus)
    }

    pub(super) fn source(&self) -> (u32, u64) {
        self.source
    }

    pub(super) fn streams(&self) -> usize {
        self.outboxes.len()
    }

    /// Whether something it was told still holds.
    pub(super) fn is_told(&self, now: Millis) -> bool {
        self.ring.back().is_some_and(|frame| frame.expires_at > now)
            || self.active.iter().any(|active| active.frame.expires_at > now)
    }

    /// The hints that hold.
    pub(super) fn holding(&self, now: Millis) -> Vec<Arc<Frame>> {
        let holds = |active: &&Active| active.frame.expires_at > now;
        self.active.iter().filter(holds).map(|active| Arc::clone(&active.frame)).collect()
    }

    /// A reset and what holds.
    pub(super) fn snapshot(&self, now: Millis) -> Vec<Arc<Frame>> {
        let reset = Frame::reset(self.source, now);
        [Arc::new(reset)].into_iter().chain(self.holding(now)).collect()
    }
}

fn note_past(past: &mut VecDeque<(HintId, Told)>, (id, told): (&HintId, Told)) {
    if past.len() >= PAST_MAX {
        past.pop_front();
    }
    past.push_back((id.clone(), told));
}

/// How a stream began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Without a cursor.
    Fresh,
    /// With a cursor that is too old, or of another relay.
    Reset,
    /// Where it had broken off.
    Resumed,
}

impl Opening {
    /// The opening's name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Reset => "reset",
            Self::Resumed => "resumed",
        }
    }
}
