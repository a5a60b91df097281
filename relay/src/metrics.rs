//! Every metric of the relay: name, help, unit and labels. All labels are bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickmill_kafka::Statistics;
use clickmill_sdk_core::wire::{HintKind, RuleName, Slot};
use clickmill_server::metrics::{
    Counter, Counters, Entry, Gauge, Gauges, Histogram, Histograms, LATENCY_SECONDS, Metrics,
};
use clickmill_streams::Meters;

use crate::hints::admit::Refused;
use crate::hints::hub::Opening;
use crate::promotions::decide::Outcome;

/// Buckets from 5 microseconds to 10 milliseconds, in seconds.
const DECIDE_SECONDS: &[f64] =
    &[0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.01];

const RECORDS: Counters<1> = Counters::new(
    "clickmill_relay_records_total",
    "Raw clicks read, by how: folded, poisoned (cannot be read, or its output is never taken).",
    ["how"],
);
const DUPLICATES: Counters<0> = Counters::new(
    "clickmill_relay_duplicates_total",
    "Clicks that were folded before, found by their queue and number.",
    [],
);
const POISON: Counters<2> = Counters::new(
    "clickmill_relay_poison_total",
    "Records passed over, by source (clicks, products, promotions, stock) and reason.",
    ["source", "reason"],
);
const OUTPUTS: Counters<0> = Counters::new(
    "clickmill_relay_outputs_total",
    "Records that were committed: enriched clicks, their open copies, decisions on promotions.",
    [],
);
const COMMITS: Counters<0> =
    Counters::new("clickmill_relay_commits_total", "Transactions committed.", []);
const RESTARTS: Counters<0> = Counters::new(
    "clickmill_relay_view_restarts_total",
    "Times that the visitor view began anew from what was committed, after a failure.",
    [],
);
const RESTORED: Counters<0> = Counters::new(
    "clickmill_relay_restored_records_total",
    "Records read from the changelog to restore visitors' states.",
    [],
);
const MISFITS: Counters<0> = Counters::new(
    "clickmill_relay_misfits_total",
    "Times that a partition of raw clicks did not fit what was read of it (made anew, cut, or gone \
     before it was read) and was read from its beginning.",
    [],
);
const PARTITIONS: Gauges<0> =
    Gauges::new("clickmill_relay_partitions", "Partitions of raw clicks that are ours.", []);
const KEYS: Gauges<0> =
    Gauges::new("clickmill_relay_visitors_known", "Visitors whose state is in memory.", []);
const STATE_BYTES: Gauges<0> = Gauges::new(
    "clickmill_relay_state_bytes",
    "What the visitors in memory are reckoned to take.",
    [],
);
const LAG: Gauges<0> = Gauges::new(
    "clickmill_relay_lag_records",
    "Raw clicks in our partitions that were not read yet.",
    [],
);
const HINTS: Counters<2> = Counters::new(
    "clickmill_relay_hints_total",
    "Hints decided, by kind and by the place on the page (empty for the whole page).",
    ["kind", "slot"],
);
const CLICK_TO_HINT: Histograms<1> = Histograms::new(
    "clickmill_relay_click_to_hint_seconds",
    "Time from the moment of a click, as the SDK stamped it, until the hint that answers it is handed \
     to an open stream, by kind.",
    ["kind"],
    LATENCY_SECONDS,
);
const CLICK_TO_EXPOSURE: Histograms<1> = Histograms::new(
    "clickmill_relay_click_to_exposure_seconds",
    "Time from the moment of a click until the hint that answers it was seen, as the SDK stamped both \
     (event `exposure`), by kind.",
    ["kind"],
    LATENCY_SECONDS,
);
const QUANTILES: Gauges<2> = Gauges::new(
    "clickmill_relay_click_to_hint_quantile_seconds",
    "Quantiles of the time from a click to the hint, over the last hints of a kind.",
    ["kind", "quantile"],
);
const VIOLATIONS: Counters<0> = Counters::new(
    "clickmill_relay_violations_total",
    "Hints that were seen more than a second after they were taken back (event `exposure`).",
    [],
);
const SILENT: Counters<1> = Counters::new(
    "clickmill_relay_silent_total",
    "Clicks that ask for a hint and get none: consent (not given), late (the hint would have \
     expired), nothing (nothing fits), stale (what fits has a stock level whose source was not \
     heard for too long).",
    ["why"],
);
const WITHHELD: Counters<0> = Counters::new(
    "clickmill_relay_withheld_total",
    "Products that would have been suggested but for a stock level whose source was not heard for \
     too long.",
    [],
);
const STOCK_AGE: Gauges<0> = Gauges::new(
    "clickmill_relay_stock_age_seconds",
    "How long ago the source of stock levels was heard, in one partition, that was heard longest ago.",
    [],
);
const STOCK_STALE: Gauges<0> = Gauges::new(
    "clickmill_relay_stock_stale_tenants",
    "Tenants with a source of stock levels that was not heard for too long.",
    [],
);
const CLICK_TO_DECISION: Histograms<0> = Histograms::new(
    "clickmill_relay_click_to_decision_seconds",
    "Time from the collector's receipt of a click to the decision it caused, by both machines' \
     clocks.",
    [],
    LATENCY_SECONDS,
);
const DECIDE: Histograms<0> = Histograms::new(
    "clickmill_relay_decide_seconds",
    "Time that making and saying the hints of one click takes.",
    [],
    DECIDE_SECONDS,
);
const STREAMS: Gauges<0> = Gauges::new("clickmill_relay_streams_open", "Open hint streams.", []);
const OPENED: Counters<1> = Counters::new(
    "clickmill_relay_streams_total",
    "Hint streams opened, by how: fresh, resumed (where it broke off), reset (with a snapshot).",
    ["opening"],
);
const REFUSED: Counters<1> = Counters::new(
    "clickmill_relay_streams_refused_total",
    "Requests for a stream that were refused, by reason.",
    ["reason"],
);
const HANDED: Counters<0> = Counters::new(
    "clickmill_relay_hints_handed_total",
    "Hints handed to streams, one for each stream.",
    [],
);
const CONFLATED: Counters<0> = Counters::new(
    "clickmill_relay_hints_conflated_total",
    "Hints dropped before a slow stream took them, since a newer one of the slot came.",
    [],
);
const RESETS: Counters<0> = Counters::new(
    "clickmill_relay_resets_total",
    "Open streams that got a snapshot in place of what waited for them.",
    [],
);

const FORWARDED: Gauges<0> = Gauges::new(
    "clickmill_relay_streams_forwarded",
    "Open hint streams whose visitor another instance decides for, which it fills through this one.",
    [],
);
const UNREACHED: Counters<0> = Counters::new(
    "clickmill_relay_streams_unreached_total",
    "Times that an instance did not answer when it was to fill a stream; it is tried again.",
    [],
);

const FEEDS: Gauges<0> = Gauges::new(
    "clickmill_relay_feeds_open",
    "Servers that are told what is said to visitors, and instances that pass it on to servers.",
    [],
);
const FEED_HINTS: Counters<0> = Counters::new(
    "clickmill_relay_feed_hints_total",
    "Hints told to servers and to instances that pass them on, one for each.",
    [],
);
const FEED_MISSED: Counters<0> = Counters::new(
    "clickmill_relay_feed_missed_total",
    "Hints dropped before a slow server took them, which was told so.",
    [],
);

const ASKED: Counters<1> = Counters::new(
    "clickmill_relay_visitors_asked_total",
    "Visitors that servers asked for, by how: here (remembered in this process), forwarded (to the \
     instance that owns them), unreached (that did not answer in time).",
    ["how"],
);

const PAGES: Counters<1> = Counters::new(
    "clickmill_relay_pages_decided_total",
    "Pages that servers had decided for while they rendered them, by how: here, forwarded (to the \
     instance that owns the visitor), unreached (that did not answer in time).",
    ["how"],
);

const PROMOTIONS: Counters<2> = Counters::new(
    "clickmill_relay_promotions_total",
    "Promotions whose rule applied to an event or a page, by rule and by what came of it: shown, \
     held_out, holds (is shown already), outranked (by another one in its slot), capped, cooling, \
     spent_out (the cap in total), sold_out (its products), failed (its condition).",
    ["rule", "outcome"],
);
const PROMOTION_RULES: Gauges<1> = Gauges::new(
    "clickmill_relay_promotion_rules",
    "Rules of promotions, by state: in_force, refused.",
    ["state"],
);
const PROMOTION_REFUSALS: Counters<1> = Counters::new(
    "clickmill_relay_promotion_refusals_total",
    "Rules of promotions refused, by the part that was wrong. Their names are in the log and at \
     `/promotions` of the admin port.",
    ["part"],
);

/// The table of this service's metrics.
pub const TABLE: &[Entry] = &[
    RECORDS.entry(),
    DUPLICATES.entry(),
    POISON.entry(),
    OUTPUTS.entry(),
    COMMITS.entry(),
    PARTITIONS.entry(),
    KEYS.entry(),
    STATE_BYTES.entry(),
    RESTARTS.entry(),
    MISFITS.entry(),
    RESTORED.entry(),
    LAG.entry(),
    HINTS.entry(),
    CLICK_TO_HINT.entry(),
    CLICK_TO_EXPOSURE.entry(),
    QUANTILES.entry(),
    VIOLATIONS.entry(),
    SILENT.entry(),
    WITHHELD.entry(),
    STOCK_AGE.entry(),
    STOCK_STALE.entry(),
    CLICK_TO_DECISION.entry(),
    DECIDE.entry(),
    STREAMS.entry(),
    OPENED.entry(),
    REFUSED.entry(),
    HANDED.entry(),
    CONFLATED.entry(),
    RESETS.entry(),
    FORWARDED.entry(),
    UNREACHED.entry(),
    FEEDS.entry(),
    FEED_HINTS.entry(),
    FEED_MISSED.entry(),
    ASKED.entry(),
    PAGES.entry(),
    PROMOTIONS.entry(),
    PROMOTION_RULES.entry(),
    PROMOTION_REFUSALS.entry(),
];

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
    Meters {
        restored: metrics.counter(&RESTORED, []),
        misfits: metrics.counter(&MISFITS, []),
        folded: metrics.counter(&RECORDS, ["folded"]),
        poisoned: metrics.counter(&RECORDS, ["poisoned"]),
        outputs: metrics.counter(&OUTPUTS, []),
        commits: metrics.counter(&COMMITS, []),
        restarts: metrics.counter(&RESTARTS, []),
        partitions: metrics.gauge(&PARTITIONS, []),
        keys: metrics.gauge(&KEYS, []),
        bytes: metrics.gauge(&STATE_BYTES, []),
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
        Self {
            hint: metrics.histogram(&CLICK_TO_HINT, [kind]),
            exposure: metrics.histogram(&CLICK_TO_EXPOSURE, [kind]),
            recent: Arc::default(),
            p50: metrics.gauge(&QUANTILES, [kind, "0.5"]),
            p99: metrics.gauge(&QUANTILES, [kind, "0.99"]),
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
mod tests {
    use super::*;

    #[test]
    fn the_table_keeps_the_rules_and_shows_every_metric() {
        let metrics = Metrics::new(TABLE).unwrap();
        let _ = view_meters(&metrics);
        let (react, hub) = (ReactMeters::new(&metrics), HubMeters::new(&metrics));
        react.decided(12, Duration::from_micros(30));
        react.poisoned("clicks", "malformed");
        let slot = Slot::parse("suggested").unwrap();
        hub.hint(HintKind::Suggest, Some(&slot));
        for ms in 1..=100 {
            hub.heard(HintKind::Suggest, ms);
        }
        hub.seen(HintKind::Suggest, 30);
        hub.show_quantiles();
        RefusedMeters::new(&metrics).count(Refused::TokenMissing);
        AskMeters::new(&metrics).here.increment(1);
        AskMeters::of_pages(&metrics).here.increment(1);
        FeedMeters::new(&metrics).told.increment(1);
        let promotions = PromotionMeters::new(&metrics);
        promotions.verdict(&RuleName::parse("r").unwrap(), Outcome::Shown);
        promotions.rules(1, 1);
        promotions.refused("schedule.zone");
        lag(&metrics)(&Statistics::default());
        let text = metrics.render();
        for entry in TABLE {
            assert!(text.contains(entry.name()), "{} is not shown", entry.name());
        }
        assert!(
            text.contains("clickmill_relay_hints_total{kind=\"suggest\",slot=\"suggested\"} 1"),
            "{text}"
        );
        for (quantile, seconds) in [("0.5", "0.05"), ("0.99", "0.099")] {
            let name = "clickmill_relay_click_to_hint_quantile_seconds";
            let line = format!("{name}{{kind=\"suggest\",quantile=\"{quantile}\"}} {seconds}");
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
}
