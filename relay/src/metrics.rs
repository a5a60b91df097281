//! Every metric of the relay: name, help, unit and labels. All labels are bounded.

mod table;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickmill_kafka::Statistics;
use clickmill_sdk_core::wire::{HintKind, RuleName, Slot};
use clickmill_server::metrics::{Counter, Counters, Gauge, Histogram, Metrics};
use clickmill_streams::{Meters, StepMeters};

use crate::hints::admit::Refused;
use crate::hints::hub::Opening;
use crate::promotions::decide::Outcome;

pub use self::table::TABLE;
use self::table::{
    ASKED, CLICK_TO_DECISION, CLICK_TO_EXPOSURE, CLICK_TO_HINT, COMMITS, CONFLATED, DECIDE,
    DUPLICATES, FEED_HINTS, FEED_MISSED, FEEDS, FORWARDED, HANDED, HINTS, KEYS, LAG, MISFITS,
    OPENED, OUTPUTS, PAGES, PARTITIONS, POISON, PROMOTION_REFUSALS, PROMOTION_RULES, PROMOTIONS,
    PROMOTIONS_FORGOTTEN, QUANTILES, RECORDS, REFUSED, RESETS, RESTARTS, RESTORED, SILENT, STALLS,
    STATE_BYTES, STEPS, STOCK_AGE, STOCK_STALE, STREAMS, UNREACHED, VIOLATIONS, WITHHELD,
};

/// Counts promotions.
#[derive(Clone, Debug)]
pub struct PromotionMeters {
    metrics: Metrics,
    in_force: Gauge,
    refused: Gauge,
}

impl PromotionMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        let rules = |state| metrics.gauge(&PROMOTION_RULES, [state]);
        Self { metrics: metrics.clone(), in_force: rules("in_force"), refused: rules("refused") }
    }

    /// What became of a rule that applied. The names of rules are bounded by their number.
    pub(crate) fn verdict(&self, rule: &RuleName, outcome: Outcome) {
        self.metrics.counter(&PROMOTIONS, [rule.as_str(), outcome.as_str()]).increment(1);
    }

    /// Of so many showings it was forgotten, for want of room, before a state knew it.
    pub(crate) fn grants_lost(&self, lost: usize) {
        if lost > 0 {
            self.metrics.counter(&PROMOTIONS_FORGOTTEN, []).increment(lost as u64);
        }
    }

    /// So many rules are in force, so many were refused.
    pub(crate) fn rules(&self, in_force: usize, refused: usize) {
        self.in_force.set(in_force as f64);
        self.refused.set(refused as f64);
    }

    /// A rule was refused for a field.
    pub(crate) fn refused(&self, field: &str) {
        const PARTS: [&str; 13] = [
            "tenant",
            "name",
            "slot",
            "priority",
            "on",
            "when",
            "audience",
            "schedule",
            "caps",
            "cool_down",
            "holdout",
            "products",
            "content",
        ];
        let head = field.split(['.', '[']).next().unwrap_or_default();
        let part = PARTS.into_iter().find(|part| *part == head).unwrap_or("other");
        self.metrics.counter(&PROMOTION_REFUSALS, [part]).increment(1);
    }
}

/// Counts what servers ask.
#[derive(Clone, Debug)]
pub struct AskMeters {
    /// Visitors that are remembered here.
    pub here: Counter,
    /// Visitors that another instance was asked for.
    pub forwarded: Counter,
    /// Those of them for whom it did not answer.
    pub unreached: Counter,
}

impl AskMeters {
    /// Finds those of visitors that are asked for.
    pub fn new(metrics: &Metrics) -> Self {
        Self::under(metrics, &ASKED)
    }

    /// Finds those of pages that are decided for.
    pub fn of_pages(metrics: &Metrics) -> Self {
        Self::under(metrics, &PAGES)
    }

    fn under(metrics: &Metrics, entry: &'static Counters<1>) -> Self {
        let asked = |how| metrics.counter(entry, [how]);
        Self { here: asked("here"), forwarded: asked("forwarded"), unreached: asked("unreached") }
    }
}

/// What the view's runtime counts.
pub fn view_meters(metrics: &Metrics) -> Meters {
    let step = |name| metrics.histogram(&STEPS, [name]);
    Meters {
        restored: metrics.counter(&RESTORED, []),
        misfits: metrics.counter(&MISFITS, []),
        stalls: metrics.counter(&STALLS, []),
        folded: metrics.counter(&RECORDS, ["folded"]),
        poisoned: metrics.counter(&RECORDS, ["poisoned"]),
        outputs: metrics.counter(&OUTPUTS, []),
        commits: metrics.counter(&COMMITS, []),
        restarts: metrics.counter(&RESTARTS, []),
        partitions: metrics.gauge(&PARTITIONS, []),
        keys: metrics.gauge(&KEYS, []),
        bytes: metrics.gauge(&STATE_BYTES, []),
        steps: StepMeters {
            hand_over: step("hand_over"),
            offsets: step("offsets"),
            settle: step("settle"),
            end: step("end"),
        },
    }
}

/// Shows how far the consumer of raw clicks is behind.
pub fn lag(metrics: &Metrics) -> impl Fn(&Statistics) + Send + Sync + 'static {
    let gauge = metrics.gauge(&LAG, []);
    move |statistics: &Statistics| {
        gauge.set(statistics.lags.iter().map(|lag| lag.records).sum::<u64>() as f64);
    }
}

/// What is counted while clicks are answered.
#[derive(Clone, Debug)]
pub struct ReactMeters {
    metrics: Metrics,
    pub(crate) duplicates: Counter,
    click_to_decision: Histogram,
    decide: Histogram,
    silent_consent: Counter,
    silent_late: Counter,
    silent_nothing: Counter,
    silent_stale: Counter,
    pub(crate) withheld: Counter,
}

/// Why a click that asks for a hint gets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Personalization is not allowed.
    Consent,
    /// The hint would have expired.
    Late,
    /// Nothing fits.
    Nothing,
    /// What fits has a stock level that nobody vouches for.
    Stale,
}

impl ReactMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.clone(),
            duplicates: metrics.counter(&DUPLICATES, []),
            click_to_decision: metrics.histogram(&CLICK_TO_DECISION, []),
            decide: metrics.histogram(&DECIDE, []),
            silent_consent: metrics.counter(&SILENT, ["consent"]),
            silent_late: metrics.counter(&SILENT, ["late"]),
            silent_nothing: metrics.counter(&SILENT, ["nothing"]),
            silent_stale: metrics.counter(&SILENT, ["stale"]),
            withheld: metrics.counter(&WITHHELD, []),
        }
    }

    /// A decision was made so long after the click was received, ms.
    pub(crate) fn decided(&self, after_ms: u64, took: Duration) {
        self.click_to_decision.record(after_ms as f64 / 1000.0);
        self.decide.record(took.as_secs_f64());
    }

    pub(crate) fn silent(&self, why: Silence) {
        match why {
            Silence::Consent => self.silent_consent.increment(1),
            Silence::Late => self.silent_late.increment(1),
            Silence::Nothing => self.silent_nothing.increment(1),
            Silence::Stale => self.silent_stale.increment(1),
        }
    }

    /// A record was passed over. Rare, so the handle is looked up.
    pub(crate) fn poisoned(&self, source: &'static str, reason: &'static str) {
        self.metrics.counter(&POISON, [source, reason]).increment(1);
    }
}

/// What is told of stock's age.
#[derive(Clone, Debug)]
pub struct StockMeters {
    pub(crate) age: Gauge,
    pub(crate) stale_tenants: Gauge,
}

impl StockMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        Self { age: metrics.gauge(&STOCK_AGE, []), stale_tenants: metrics.gauge(&STOCK_STALE, []) }
    }
}

/// How many hints of a kind make its quantiles.
const RECENT_MAX: usize = 2_048;

/// How long the hints of one kind take.
#[derive(Clone, Debug)]
struct Latency {
    hint: Histogram,
    exposure: Histogram,
    /// The last ones, ms.
    recent: Arc<Mutex<VecDeque<u32>>>,
    p50: Gauge,
    p99: Gauge,
}

impl Latency {
    fn new(metrics: &Metrics, kind: HintKind) -> Self {
        let kind = kind.as_str();
        // Of no hints there is no quantile, which is another thing than a fast one.
        let quantile = |which| {
            let gauge = metrics.gauge(&QUANTILES, [kind, which]);
            gauge.set(f64::NAN);
            gauge
        };
        Self {
            hint: metrics.histogram(&CLICK_TO_HINT, [kind]),
            exposure: metrics.histogram(&CLICK_TO_EXPOSURE, [kind]),
            recent: Arc::default(),
            p50: quantile("0.5"),
            p99: quantile("0.99"),
        }
    }

    fn show(&self) {
        let mut recent: Vec<u32> =
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        recent.sort_unstable();
        let Some(last) = recent.len().checked_sub(1) else { return };
        for (gauge, percent) in [(&self.p50, 50), (&self.p99, 99)] {
            if let Some(ms) = recent.get(last * percent / 100) {
                gauge.set(f64::from(*ms) / 1000.0);
            }
        }
    }
}

/// What the hub counts.
#[derive(Clone, Debug)]
pub struct HubMeters {
    metrics: Metrics,
    latency: [Latency; HintKind::ALL.len()],
    pub(crate) violations: Counter,
    fresh: Counter,
    reset: Counter,
    resumed: Counter,
    pub(crate) streams: Gauge,
    pub(crate) handed: Counter,
    pub(crate) conflated: Counter,
    pub(crate) resets: Counter,
}

impl HubMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        let opened = |opening: Opening| metrics.counter(&OPENED, [opening.as_str()]);
        Self {
            metrics: metrics.clone(),
            latency: HintKind::ALL.map(|kind| Latency::new(metrics, kind)),
            violations: metrics.counter(&VIOLATIONS, []),
            fresh: opened(Opening::Fresh),
            reset: opened(Opening::Reset),
            resumed: opened(Opening::Resumed),
            streams: metrics.gauge(&STREAMS, []),
            handed: metrics.counter(&HANDED, []),
            conflated: metrics.counter(&CONFLATED, []),
            resets: metrics.counter(&RESETS, []),
        }
    }

    /// A hint was decided. Its slot is one of ours, so there are few.
    pub(crate) fn hint(&self, kind: HintKind, slot: Option<&Slot>) {
        let slot = slot.map_or("", Slot::as_str);
        self.metrics.counter(&HINTS, [kind.as_str(), slot]).increment(1);
    }

    /// A hint was handed to a stream so long after the click that it answers.
    pub(crate) fn heard(&self, kind: HintKind, after_ms: u64) {
        if let Some(latency) = self.latency(kind) {
            latency.hint.record(after_ms as f64 / 1000.0);
            let mut recent = latency.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() >= RECENT_MAX {
                recent.pop_front();
            }
            recent.push_back(u32::try_from(after_ms).unwrap_or(u32::MAX));
        }
    }

    /// A hint was seen so long after the click that it answers.
    pub(crate) fn seen(&self, kind: HintKind, after_ms: u64) {
        if let Some(latency) = self.latency(kind) {
            latency.exposure.record(after_ms as f64 / 1000.0);
        }
    }

    /// Shows the quantiles of the last hints of each kind.
    pub(crate) fn show_quantiles(&self) {
        self.latency.iter().for_each(Latency::show);
    }

    fn latency(&self, kind: HintKind) -> Option<&Latency> {
        let at = HintKind::ALL.iter().position(|known| *known == kind)?;
        self.latency.get(at)
    }

    pub(crate) fn opened(&self, opening: Opening) {
        match opening {
            Opening::Fresh => self.fresh.increment(1),
            Opening::Reset => self.reset.increment(1),
            Opening::Resumed => self.resumed.increment(1),
        }
    }
}

/// What is counted of feeds.
#[derive(Clone, Debug)]
pub struct FeedMeters {
    pub(crate) open: Gauge,
    pub(crate) told: Counter,
    pub(crate) missed: Counter,
}

impl FeedMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            open: metrics.gauge(&FEEDS, []),
            told: metrics.counter(&FEED_HINTS, []),
            missed: metrics.counter(&FEED_MISSED, []),
        }
    }

    /// Handles that count nowhere.
    pub fn noop() -> Self {
        Self { open: Gauge::noop(), told: Counter::noop(), missed: Counter::noop() }
    }
}

/// What delivery counts.
#[derive(Clone, Debug)]
pub struct DeliveryMeters {
    pub(crate) forwarded: Gauge,
    pub(crate) unreached: Counter,
}

impl DeliveryMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            forwarded: metrics.gauge(&FORWARDED, []),
            unreached: metrics.counter(&UNREACHED, []),
        }
    }
}

/// Requests for a stream that were refused.
#[derive(Clone, Debug)]
pub struct RefusedMeters(Vec<(&'static str, Counter)>);

impl RefusedMeters {
    /// The handles.
    pub fn new(metrics: &Metrics) -> Self {
        let handle = |reason: &'static str| (reason, metrics.counter(&REFUSED, [reason]));
        Self(Refused::REASONS.map(handle).to_vec())
    }

    pub(crate) fn count(&self, refused: Refused) {
        let reason = refused.reason();
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == reason) {
            counter.increment(1);
        }
    }
}

#[cfg(test)]
mod tests;
