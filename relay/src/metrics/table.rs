//! The table of this service's metrics: names, units, what they say, and labels.

use clickmill_server::metrics::{Counters, Entry, Gauges, Histograms, LATENCY_SECONDS};

/// Buckets from 5 microseconds to 10 milliseconds, in seconds.
const DECIDE_SECONDS: &[f64] =
    &[0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.01];

pub(super) const RECORDS: Counters<1> = Counters::new(
    "clickmill_relay_records_total",
    "Raw clicks read, by how: folded, poisoned (cannot be read, or its output is never taken).",
    ["how"],
);

pub(super) const DUPLICATES: Counters<0> = Counters::new(
    "clickmill_relay_duplicates_total",
    "Clicks that were folded before, found by their queue and number.",
    [],
);

pub(super) const POISON: Counters<2> = Counters::new(
    "clickmill_relay_poison_total",
    "Records passed over, by source (clicks, products, promotions, stock) and reason.",
    ["source", "reason"],
);

pub(super) const OUTPUTS: Counters<0> = Counters::new(
    "clickmill_relay_outputs_total",
    "Records that were committed: enriched clicks, their open copies, decisions on promotions.",
    [],
);

pub(super) const COMMITS: Counters<0> =
    Counters::new("clickmill_relay_commits_total", "Transactions committed.", []);

pub(super) const STEPS: Histograms<1> = Histograms::new(
    "clickmill_relay_commit_seconds",
    "Time that a step of a commit takes: hand_over (records to the producer), offsets (to the group's \
     coordinator), settle (from then on until all records are acknowledged), end.",
    ["step"],
    LATENCY_SECONDS,
);

pub(super) const RESTARTS: Counters<0> = Counters::new(
    "clickmill_relay_view_restarts_total",
    "Times that the visitor view began anew from what was committed, after a failure.",
    [],
);

pub(super) const RESTORED: Counters<0> = Counters::new(
    "clickmill_relay_restored_records_total",
    "Records read from the changelog to restore visitors' states.",
    [],
);

pub(super) const MISFITS: Counters<0> = Counters::new(
    "clickmill_relay_misfits_total",
    "Times that a partition of raw clicks did not fit what was read of it (made anew, cut, or gone \
     before it was read) and was read from its beginning.",
    [],
);

pub(super) const STALLS: Counters<0> = Counters::new(
    "clickmill_relay_stalls_total",
    "Times that a partition of raw clicks was paused while it was restored, since more had come than is \
     read ahead.",
    [],
);

pub(super) const PARTITIONS: Gauges<0> =
    Gauges::new("clickmill_relay_partitions", "Partitions of raw clicks that are ours.", []);

pub(super) const KEYS: Gauges<0> =
    Gauges::new("clickmill_relay_visitors_known", "Visitors whose state is in memory.", []);

pub(super) const STATE_BYTES: Gauges<0> = Gauges::new(
    "clickmill_relay_state_bytes",
    "What the visitors in memory are reckoned to take.",
    [],
);

pub(super) const LAG: Gauges<0> = Gauges::new(
    "clickmill_relay_lag_records",
    "Raw clicks in our partitions that were not read yet.",
    [],
);

pub(super) const HINTS: Counters<2> = Counters::new(
    "clickmill_relay_hints_total",
    "Hints decided, by kind and by the place on the page (empty for the whole page).",
    ["kind", "slot"],
);

pub(super) const CLICK_TO_HINT: Histograms<1> = Histograms::new(
    "clickmill_relay_click_to_hint_seconds",
    "Time from the moment of a click, as the SDK stamped it, until the hint that answers it is handed \
     to an open stream, by kind.",
    ["kind"],
    LATENCY_SECONDS,
);

pub(super) const CLICK_TO_EXPOSURE: Histograms<1> = Histograms::new(
    "clickmill_relay_click_to_exposure_seconds",
    "Time from the moment of a click until the hint that answers it was seen, as the SDK stamped both \
     (event `exposure`), by kind.",
    ["kind"],
    LATENCY_SECONDS,
);

pub(super) const QUANTILES: Gauges<2> = Gauges::new(
    "clickmill_relay_click_to_hint_quantile_seconds",
    "Quantiles of the time from a click to the hint, over the last hints of a kind.",
    ["kind", "quantile"],
);

pub(super) const VIOLATIONS: Counters<0> = Counters::new(
    "clickmill_relay_violations_total",
    "Hints that were seen more than a second after they were taken back (event `exposure`).",
    [],
);

pub(super) const SILENT: Counters<1> = Counters::new(
    "clickmill_relay_silent_total",
    "Clicks that ask for a hint and get none: consent (not given), late (the hint would have \
     expired), nothing (nothing fits), stale (what fits has a stock level whose source was not \
     heard for too long).",
    ["why"],
);

pub(super) const WITHHELD: Counters<0> = Counters::new(
    "clickmill_relay_withheld_total",
    "Products that would have been suggested but for a stock level whose source was not heard for \
     too long.",
    [],
);

pub(super) const STOCK_AGE: Gauges<0> = Gauges::new(
    "clickmill_relay_stock_age_seconds",
    "How long ago the source of stock levels was heard, in one partition, that was heard longest ago.",
    [],
);

pub(super) const STOCK_STALE: Gauges<0> = Gauges::new(
    "clickmill_relay_stock_stale_tenants",
    "Tenants with a source of stock levels that was not heard for too long.",
    [],
);

pub(super) const CLICK_TO_DECISION: Histograms<0> = Histograms::new(
    "clickmill_relay_click_to_decision_seconds",
    "Time from the collector's receipt of a click to the decision it caused, by both machines' \
     clocks.",
    [],
    LATENCY_SECONDS,
);

pub(super) const DECIDE: Histograms<0> = Histograms::new(
    "clickmill_relay_decide_seconds",
    "Time that making and saying the hints of one click takes.",
    [],
    DECIDE_SECONDS,
);

pub(super) const STREAMS: Gauges<0> =
    Gauges::new("clickmill_relay_streams_open", "Open hint streams.", []);

pub(super) const OPENED: Counters<1> = Counters::new(
    "clickmill_relay_streams_total",
    "Hint streams opened, by how: fresh, resumed (where it broke off), reset (with a snapshot).",
    ["opening"],
);

pub(super) const REFUSED: Counters<1> = Counters::new(
    "clickmill_relay_streams_refused_total",
    "Requests for a stream that were refused, by reason.",
    ["reason"],
);

pub(super) const HANDED: Counters<0> = Counters::new(
    "clickmill_relay_hints_handed_total",
    "Hints handed to streams, one for each stream.",
    [],
);

pub(super) const CONFLATED: Counters<0> = Counters::new(
    "clickmill_relay_hints_conflated_total",
    "Hints dropped before a slow stream took them, since a newer one of the slot came.",
    [],
);

pub(super) const RESETS: Counters<0> = Counters::new(
    "clickmill_relay_resets_total",
    "Open streams that got a snapshot in place of what waited for them.",
    [],
);

pub(super) const FORWARDED: Gauges<0> = Gauges::new(
    "clickmill_relay_streams_forwarded",
    "Open hint streams whose visitor another instance decides for, which it fills through this one.",
    [],
);

pub(super) const UNREACHED: Counters<0> = Counters::new(
    "clickmill_relay_streams_unreached_total",
    "Times that an instance did not answer when it was to fill a stream; it is tried again.",
    [],
);

pub(super) const FEEDS: Gauges<0> = Gauges::new(
    "clickmill_relay_feeds_open",
    "Servers that are told what is said to visitors, and instances that pass it on to servers.",
    [],
);

pub(super) const FEED_HINTS: Counters<0> = Counters::new(
    "clickmill_relay_feed_hints_total",
    "Hints told to servers and to instances that pass them on, one for each.",
    [],
);

pub(super) const FEED_MISSED: Counters<0> = Counters::new(
    "clickmill_relay_feed_missed_total",
    "Hints dropped before a slow server took them, which was told so.",
    [],
);

pub(super) const ASKED: Counters<1> = Counters::new(
    "clickmill_relay_visitors_asked_total",
    "Visitors that servers asked for, by how: here (remembered in this process), forwarded (to the \
     instance that owns them), unreached (that did not answer in time).",
    ["how"],
);

pub(super) const PAGES: Counters<1> = Counters::new(
    "clickmill_relay_pages_decided_total",
    "Pages that servers had decided for while they rendered them, by how: here, forwarded (to the \
     instance that owns the visitor), unreached (that did not answer in time).",
    ["how"],
);

pub(super) const PROMOTIONS: Counters<2> = Counters::new(
    "clickmill_relay_promotions_total",
    "Promotions whose rule applied to an event or a page, by rule and by what came of it: shown, \
     held_out, holds (is shown already), outranked (by another one in its slot), capped, cooling, \
     spent_out (the cap in total), sold_out (its products), failed (its condition).",
    ["rule", "outcome"],
);

pub(super) const PROMOTIONS_FORGOTTEN: Counters<0> = Counters::new(
    "clickmill_relay_promotions_forgotten_total",
    "Promotions on pages that servers rendered which were forgotten before an event of the visitor came: \
     too many visitors get pages and send nothing. They may be shown once more.",
    [],
);

pub(super) const PROMOTION_RULES: Gauges<1> = Gauges::new(
    "clickmill_relay_promotion_rules",
    "Rules of promotions, by state: in_force, refused.",
    ["state"],
);

pub(super) const PROMOTION_REFUSALS: Counters<1> = Counters::new(
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
    STEPS.entry(),
    PARTITIONS.entry(),
    KEYS.entry(),
    STATE_BYTES.entry(),
    RESTARTS.entry(),
    MISFITS.entry(),
    STALLS.entry(),
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
    PROMOTIONS_FORGOTTEN.entry(),
    PROMOTION_RULES.entry(),
    PROMOTION_REFUSALS.entry(),
];
