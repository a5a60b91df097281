//! The hub: what was said to whom, and who listens.
//!
//! Everything is bounded: streams in all and of one visitor, what waits for a stream, hints in a
//! ring, and visitors that are remembered without a stream. Visitors lie in shards, so that a
//! connect storm and the decisions do not wait for each other.

mod basket;
mod promotions;
mod shard;
mod visitor;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clickmill_sdk_core::wire::{Hint, HintId, Millis, Sku, Tenant, VisitorId};
use clickmill_streams::Place;

use tokio::sync::watch;

use self::shard::Shard;
use self::visitor::{Active, Handed, Told, Visitor};
use super::feed::{Marks, Register};
use super::frame::Frame;
use super::outbox::Outbox;
use super::stock::{BACK, Gone, Notice, withdrawal};
use crate::metrics::{FeedMeters, HubMeters};

pub use self::basket::Away;
pub use self::visitor::{Awaited, Interest, Opening};

const SHARDS: usize = 16;

/// A hint that is taken back may be on its way, or be seen just then, for so long.
const TAKEN_BACK_GRACE_MS: u64 = 1_000;

/// The hub's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open streams in all.
    pub streams_max: usize,
    /// Open streams of one visitor.
    pub visitor_streams_max: usize,
    /// Hints that wait for one stream.
    pub waiting_max: usize,
    /// Hints of one visitor that a stream can be resumed from.
    pub ring_max: usize,
    /// Visitors that are remembered without a stream.
    pub visitors_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Below the default bound on connections, so that one too many is told so.
            streams_max: 8_000,
            visitor_streams_max: 20,
            waiting_max: 16,
            ring_max: 8,
            visitors_max: 50_000,
        }
    }
}

/// Who hints are for: a visitor of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

impl Subject {
    /// A visitor of a tenant.
    pub fn new(tenant: &Tenant, visitor: &VisitorId) -> Self {
        Self(Arc::from(format!("{tenant}:{visitor}")))
    }

    /// The key of the visitor's records.
    pub fn key(&self) -> &str {
        &self.0
    }

    /// Whose visitor it is, and who.
    pub fn parts(&self) -> Option<(Tenant, VisitorId)> {
        let (tenant, visitor) = self.0.split_once(':')?;
        Some((Tenant::parse(tenant).ok()?, VisitorId::parse(visitor).ok()?))
    }

    /// Whether it is a visitor of that tenant.
    pub fn is_of(&self, tenant: &Tenant) -> bool {
        self.0.split_once(':').is_some_and(|(mine, _)| mine == tenant.as_str())
    }
}

/// A hint and the products it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The hint.
    pub hint: Hint,
    /// The products it shows: it is taken back when one of them is sold out.
    pub skus: Vec<Sku>,
    /// Whether it is said for the first time.
    pub telling: Telling,
    /// When the click happened that it answers.
    pub clicked_at: Option<Millis>,
}

/// Whether a hint is said for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is.
    First,
    /// It is, as far as is known here; whoever decided before may have said it under the same id,
    /// resting on older tables. No stream is resumed from it, either.
    Perhaps,
    /// A relay that ran before said it under the same id, resting on older tables. No stream is
    /// resumed from it: a page that has it may have missed what came in between.
    Again,
}

impl Telling {
    /// How a hint is said in an epoch that follows from what happened at a moment: an epoch is the
    /// moment when it began, and what happened before may have been answered in the one before.
    pub fn of(happened_at: Millis, epoch: u64) -> Self {
        if happened_at.0 < epoch { Self::Perhaps } else { Self::First }
    }

    /// Whether it is said for the first time as far as is known here.
    pub fn is_new(self) -> bool {
        self != Self::Again
    }
}

/// Why no stream can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The relay is going down.
    #[error("this relay is going down; another try will reach another one")]
    Draining,
    /// All streams are taken.
    #[error("this relay has as many streams open as it may")]
    Full,
    /// This visitor's streams are taken.
    #[error("this visitor has as many streams open as one may")]
    VisitorFull,
    /// The visitor is not decided here.
    #[error("this visitor is decided elsewhere")]
    Elsewhere,
}

/// Fans hints out to streams.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    meters: HubMeters,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    streams: AtomicUsize,
    is_draining: AtomicBool,
    /// The epoch of each partition that is decided here.
    epochs: Mutex<BTreeMap<u32, u64>>,
    /// Changes when it may have become known who decides a partition.
    news: watch::Sender<()>,
    /// The servers that are told what is said.
    feeds: Arc<Register>,
}

impl Hub {
    /// An empty hub.
    pub fn new(limits: Limits, meters: HubMeters) -> Arc<Self> {
        Self::with_feeds(limits, meters, Register::new(Vec::new(), 0, FeedMeters::noop()))
    }

    /// An empty hub whose hints servers hear, too.
    pub fn with_feeds(limits: Limits, meters: HubMeters, feeds: Arc<Register>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            meters,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            streams: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            epochs: Mutex::default(),
            news: watch::Sender::new(()),
            feeds,
        })
    }

    /// A partition is decided here from now on, in this epoch: greater than any before.
    pub fn open_partition(&self, partition: u32, epoch: u64) {
        self.epochs().insert(partition, epoch);
        self.tell_news();
    }

    /// It may have become known who decides a partition.
    pub fn tell_news(&self) {
        self.news.send_replace(());
    }

    /// Resolves with each change of what is known of who decides.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The servers that are told what is said.
    pub fn feeds(&self) -> &Arc<Register> {
        &self.feeds
    }

    /// What servers choose a visitor by from now on; `source` is the partition and epoch of the
    /// decider.
    pub fn mark(&self, (subject, source): (&Subject, (u32, u64)), (marks, now): (Marks, Millis)) {
        let mut shard = self.shard(subject);
        let before = shard.visitors.len();
        shard.mark((subject, source), marks);
        self.make_room_since(before, &mut shard, now);
    }

    /// Whether all that holds for a visitor was said in this epoch.
    pub fn is_whole(&self, subject: &Subject) -> bool {
        self.shard(subject).visitors.get(subject).is_some_and(|visitor| visitor.is_whole)
    }

    /// All that holds for a visitor was said, if there is anything to be remembered of it.
    pub fn note_whole(&self, subject: &Subject) {
        if let Some(visitor) = self.shard(subject).visitors.get_mut(subject) {
            visitor.is_whole = true;
        }
    }

    /// A partition is decided elsewhere from now on: what was said for it is forgotten, and its
    /// visitors' streams hear it, so that they find the new decider.
    pub fn close_partition(&self, partition: u32) {
        // First, so that no stream opens behind the look at its shard.
        self.epochs().remove(&partition);
        if self.is_draining.load(Ordering::SeqCst) {
            // All streams have ended, and what is remembered ends with the process.
            return;
        }
        for shard in &self.shards {
            lock(shard).close_partition(partition);
        }
    }

    /// The epoch of a partition; none where it is not decided here.
    pub fn epoch(&self, partition: u32) -> Option<u64> {
        self.epochs().get(&partition).copied()
    }

    fn epochs(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a hint to a visitor. `partition` is the one it was decided in.
    pub fn say(
        &self,
        subject: &Subject,
        said: Said,
        (partition, now): (u32, Millis),
    ) -> Arc<Frame> {
        let Said { hint, skus, telling, clicked_at } = said;
        let frame = Arc::new(Frame::showing(&hint, skus));
        self.meters.hint(frame.kind, frame.slot.as_ref());
        let source = (partition, hint.epoch);
        let mut shard = self.shard(subject);
        let marks = shard.marks(subject);
        let active = Active { frame: Arc::clone(&frame), telling, clicked_at, marks };
        if telling.is_new() {
            // Under the lock, so that servers hear it in its order.
            self.feeds.tell(subject, &frame, active.marks.as_deref());
        }
        let handed = shard.say(subject, &active, (source, self.limits.ring_max, now));
        shard.make_room(self.limits.visitors_max / SHARDS, now);
        drop(shard);
        self.count(handed);
        if let Some(clicked_at) = clicked_at.filter(|_| handed.streams > 0) {
            self.meters.heard(frame.kind, now.since(clicked_at));
        }
        frame
    }

    /// Forgets what was said to a visitor, takes it off the pages, and ends the streams: for one who
    /// allows no hints any more.
    pub fn forget(&self, subject: &Subject, now: Millis) {
        let mut shard = self.shard(subject);
        shard.hide_all(subject);
        shard.interest(subject, Interest::default());
        if let Some(visitor) = shard.visitors.get_mut(subject) {
            if visitor.has_said() {
                self.feeds.tell(subject, &Frame::reset(visitor.source(), now), None);
            }
            self.meters.resets.increment(visitor.forget(now));
            visitor.close_all();
        }
    }

    /// What was said to a visitor and holds.
    pub fn holding(&self, subject: &Subject, now: Millis) -> Vec<Arc<Frame>> {
        let shard = self.shard(subject);
        shard.visitors.get(subject).map(|visitor| visitor.holding(now)).unwrap_or_default()
    }

    /// A page says that a hint was seen at a moment.
    pub fn seen(&self, subject: &Subject, id: &HintId, at: Millis) {
        let shard = self.shard(subject);
        let Some(visitor) = shard.visitors.get(subject) else { return };
        match visitor.told(id) {
            Some(Told::Held(kind, Some(clicked_at))) => {
                self.meters.seen(kind, at.since(clicked_at));
            }
            Some(Told::TakenBack(gone)) if at.since(gone) > TAKEN_BACK_GRACE_MS => {
                self.meters.violations.increment(1);
            }
            Some(Told::Held(_, None) | Told::TakenBack(_)) | None => {}
        }
    }

    /// Shows how long hints took lately.
    pub fn show_quantiles(&self) {
        self.meters.show_quantiles();
    }

    /// Which products' stock matters to a visitor from now on. Gives back those that did before.
    pub fn interest(&self, subject: &Subject, interest: Interest, now: Millis) -> Interest {
        let mut shard = self.shard(subject);
        let before = shard.visitors.len();
        let past = shard.interest(subject, interest).unwrap_or_default();
        self.make_room_since(before, &mut shard, now);
        past
    }

    /// With a visitor that came, some are looked at that may go. Not otherwise: what was noted of a
    /// visitor is for the hint that comes next.
    fn make_room_since(&self, before: usize, shard: &mut Shard, now: Millis) {
        if shard.visitors.len() > before {
            shard.make_room(self.limits.visitors_max / SHARDS, now);
        }
    }

    /// The products that hints show.
    pub fn shown(&self) -> BTreeSet<Sku> {
        let of = |shard| lock(shard).showing.keys().cloned().collect::<Vec<_>>();
        self.shards.iter().flat_map(of).collect()
    }

    /// The products whose stock matters to somebody.
    pub fn wanted(&self) -> BTreeSet<Sku> {
        let of = |shard| lock(shard).wanted.keys().cloned().collect::<Vec<_>>();
        self.shards.iter().flat_map(of).collect()
    }

    /// The tenants of all visitors that are remembered. Looks at every one of them.
    pub fn tenants(&self) -> BTreeSet<Tenant> {
        let of = |shard| {
            let tenant = |subject: &Subject| subject.parts().map(|(tenant, _)| tenant);
            lock(shard).visitors.keys().filter_map(tenant).collect::<BTreeSet<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// A product of a tenant must not be shown any more, since something `happened_at` a moment: takes
    /// back every hint that shows it. How many there were.
    pub fn take_back(
        &self,
        (tenant, sku): (&Tenant, &Sku),
        gone: Gone,
        (happened_at, now): (Millis, Millis),
    ) -> u64 {
        let mut withdrawn = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            for subject in of_tenant(shard.showing.get(sku), tenant) {
                let Some(visitor) = shard.visitors.get(&subject) else { continue };
                let source = visitor.source();
                for (n, held) in visitor.showing(sku, now).iter().enumerate() {
                    let n = u32::try_from(n).unwrap_or(u32::MAX);
                    let hint = withdrawal(&held.frame, sku, (gone, source.1, n), now);
                    if let Some(visitor) = shard.visitors.get_mut(&subject) {
                        visitor.note_taken_back(&held.frame.id, now);
                        if held.frame.id.source == BACK {
                            visitor.wait_again(sku, since(gone, now));
                        }
                    }
                    // By what the hint was chosen by that it takes back.
                    let about = (Vec::new(), held.marks.clone());
                    let when = (Telling::of(happened_at, source.1), now);
                    self.tell(&mut shard, (&subject, source), (hint, about), when);
                    withdrawn += 1;
                }
            }
        }
        withdrawn
    }

    /// A product of a tenant can be had: tells those who wait for it, and where it is running low
    /// also those who look at it. How many were told.
    pub fn notice(
        &self,
        (tenant, sku): (&Tenant, &Sku),
        notice: &Notice<'_>,
        (happened_at, now): (Millis, Millis),
    ) -> u64 {
        let mut told = 0;
        let low = notice.is_low.then(|| notice.content("low"));
        for shard in &self.shards {
            let mut shard = lock(shard);
            for subject in of_tenant(shard.wanted.get(sku), tenant) {
                let Some(visitor) = shard.visitors.get_mut(&subject) else { continue };
                let Some(interest) = visitor.interest() else { continue };
                let source = interest.source;
                let awaited = visitor.stop_waiting(sku);
                // Sources repeat their levels: that as few are left as was said is no news.
                let is_news = low.as_ref().is_some_and(|low| !visitor.shows(low, now));
                if awaited.is_none() && !is_news {
                    continue;
                }
                let hint = notice.hint(awaited, source, now);
                let about = (vec![sku.clone()], shard.marks(&subject));
                let when = (Telling::of(happened_at, source.1), now);
                self.tell(&mut shard, (&subject, source), (hint, about), when);
                told += 1;
            }
        }
        told
    }

    /// Says what follows from something else than a click's decision.
    fn tell(
        &self,
        shard: &mut Shard,
        (subject, source): (&Subject, (u32, u64)),
        (hint, (skus, marks)): (Hint, (Vec<Sku>, Option<Arc<Marks>>)),
        (telling, now): (Telling, Millis),
    ) {
        self.meters.hint(hint.kind, hint.slot.as_ref());
        let frame = Arc::new(Frame::showing(&hint, skus));
        self.feeds.tell(subject, &frame, marks.as_deref());
        let said = Active { frame, telling, clicked_at: None, marks };
        let handed = shard.say(subject, &said, (source, self.limits.ring_max, now));
        self.count(handed);
    }

    /// Takes a place for a stream of this relay.
    ///
    /// # Errors
    /// When there is none, or the relay is going down.
    pub fn seat(self: &Arc<Self>) -> Result<Seat, Closed> {
        if self.is_draining() {
            return Err(Closed::Draining);
        }
        let taken = self.streams.fetch_add(1, Ordering::SeqCst);
        self.meters.streams.increment(1.0);
        let seat = Seat { hub: Arc::clone(self) };
        if taken >= self.limits.streams_max { Err(Closed::Full) } else { Ok(seat) }
    }

    /// An outbox for a stream.
    pub fn outbox(&self) -> Arc<Outbox> {
        Arc::new(Outbox::new(self.limits.waiting_max))
    }

    /// Fills a visitor's outbox from now on. `cursor` is the last hint that its page has.
    ///
    /// # Errors
    /// When the visitor's partition is not decided here, the visitor has too many streams, or the
    /// relay is going down.
    pub fn subscribe(
        self: &Arc<Self>,
        subject: &Subject,
        (outbox, cursor): (&Arc<Outbox>, Option<&HintId>),
        (partition, now): (u32, Millis),
    ) -> Result<Subscription, Closed> {
        let mut shard = self.shard(subject);
        // Both are looked at under the shard's lock, so that a drain or a partition's end that has
        // begun finds what gets in.
        if self.is_draining() {
            return Err(Closed::Draining);
        }
        let epoch = self.epoch(partition).ok_or(Closed::Elsewhere)?;
        let visitor = shard.visitor((subject, (partition, epoch)));
        if visitor.streams() >= self.limits.visitor_streams_max {
            return Err(Closed::VisitorFull);
        }
        let opening = visitor.open(Arc::clone(outbox), cursor, now);
        drop(shard);
        self.meters.opened(opening);
        Ok(Subscription {
            hub: Arc::clone(self),
            subject: subject.clone(),
            outbox: Arc::clone(outbox),
            opening,
        })
    }

    /// Puts a reset and what holds in place of all that waits for a stream, as far as it may go out:
    /// where what is left out had replaced something, the page would keep that.
    pub fn renew(
        &self,
        (subject, outbox): (&Subject, &Outbox),
        now: Millis,
        may_go_out: impl Fn(&Frame) -> bool,
    ) {
        let shard = self.shard(subject);
        let Some(visitor) = shard.visitors.get(subject) else { return };
        outbox.replace(visitor.snapshot(now).into_iter().filter(|frame| may_go_out(frame)));
        self.meters.resets.increment(1);
    }

    /// Whether the relay is going down.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Ends every stream after what waits for it, and opens no other.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        for shard in &self.shards {
            lock(shard).visitors.values().for_each(Visitor::close_all);
        }
        self.feeds.close();
        // Those whose visitor is decided elsewhere hear it this way.
        self.tell_news();
    }

    /// Whether a visitor has a stream open.
    pub fn listens(&self, subject: &Subject) -> bool {
        self.shard(subject).visitors.get(subject).is_some_and(|visitor| visitor.streams() > 0)
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }

    /// How many visitors are remembered.
    pub fn visitors(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).visitors.len()).sum()
    }

    fn count(&self, handed: Handed) {
        self.meters.handed.increment(handed.streams);
        self.meters.conflated.increment(handed.conflated);
        self.meters.resets.increment(handed.resets);
    }

    fn shard(&self, subject: &Subject) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(subject) as usize % SHARDS;
        lock(&self.shards[at])
    }
}

/// A place for one stream of this relay; it is free again when dropped.
#[derive(Debug)]
pub struct Seat {
    hub: Arc<Hub>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.streams.fetch_sub(1, Ordering::SeqCst);
        self.hub.meters.streams.decrement(1.0);
    }
}

/// That an outbox is filled; it ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    subject: Subject,
    outbox: Arc<Outbox>,
    opening: Opening,
}

impl Subscription {
    /// What is filled.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether the relay is going down.
    pub fn is_draining(&self) -> bool {
        self.hub.is_draining()
    }

    /// How it began.
    pub fn opening(&self) -> Opening {
        self.opening
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shard = self.hub.shard(&self.subject);
        let Some(visitor) = shard.visitors.get_mut(&self.subject) else { return };
        visitor.close(&self.outbox);
        if visitor.streams() == 0 && !visitor.is_known {
            // Nothing was ever said to it, so it stands in no order to be looked at.
            shard.remove(&self.subject);
        }
    }
}

fn of_tenant(subjects: Option<&HashSet<Subject>>, tenant: &Tenant) -> Vec<Subject> {
    subjects.into_iter().flatten().filter(|subject| subject.is_of(tenant)).cloned().collect()
}

/// By what a product is waited for from now on. Where no record says that it is gone, by the moment: the
/// notice that it is back is another one then than the one that was taken back.
fn since(gone: Gone, now: Millis) -> Place {
    match gone {
        Gone::SoldOut(place) => place,
        Gone::Stale(Place { partition, .. }) => Place { partition, offset: now.0 },
        Gone::ReadAnew(at, _) => Place { partition: 0, offset: at.0 },
    }
}

/// A panic elsewhere leaves a shard whole enough: at worst one visitor's index is behind.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
