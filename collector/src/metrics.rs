//! Every metric of the collector: name, help, unit and labels. All labels are bounded.

use std::time::Duration;

use clickmill_kafka::Statistics;
use clickmill_sdk_core::wire::{Doubt, Outcome, Reason, RefusalCode};
use clickmill_server::metrics::{
    BYTES, Counter, Counters, Entry, Gauge, Gauges, Histogram, Histograms, LATENCY_SECONDS, Metrics,
};

use crate::books::Growth;
use crate::customer::Named;
use crate::spool::lanes::Stand;

const DELIVERIES: Counters<0> = Counters::new(
    "clickmill_collector_deliveries_total",
    "Events in batches that could be read, copies included; the sum of \
     clickmill_collector_events_total once their requests have been answered.",
    [],
);
const EVENTS: Counters<2> = Counters::new(
    "clickmill_collector_events_total",
    "Events by their outcome: accepted, duplicate, rejected (with the reason), retry.",
    ["outcome", "reason"],
);
const STRIPPED: Counters<0> = Counters::new(
    "clickmill_collector_stripped_events_total",
    "Events that personal properties were taken out of, since their visitor had not consented.",
    [],
);
const LATE: Counters<0> = Counters::new(
    "clickmill_collector_late_events_total",
    "Events that became durable only after their sender was told to try again.",
    [],
);
const REFUSALS: Counters<1> = Counters::new(
    "clickmill_collector_refusals_total",
    "Requests that were refused as a whole, by code.",
    ["code"],
);
const SPANS_LEFT_OUT: Counters<0> = Counters::new(
    "clickmill_collector_spans_left_out_total",
    "Requests that were to have a span and got none, since there were more than \
     traces.spans_per_s_max.",
    [],
);
const REQUEST_SECONDS: Histograms<1> = Histograms::new(
    "clickmill_collector_request_seconds",
    "Time from a request's head to its answer.",
    ["route"],
    LATENCY_SECONDS,
);
const BODY_BYTES: Histograms<0> = Histograms::new(
    "clickmill_collector_body_bytes",
    "Length of bodies as they come from the wire.",
    [],
    BYTES,
);
const MEMORY_BYTES: Gauges<0> = Gauges::new(
    "clickmill_collector_memory_bytes",
    "Memory that the deliveries inside may need at the most, of limits.memory_bytes_max.",
    [],
);
const NO_ROOM: Counters<0> = Counters::new(
    "clickmill_collector_memory_refusals_total",
    "Deliveries that were refused because others held all of limits.memory_bytes_max.",
    [],
);
const IDENTITIES: Counters<1> = Counters::new(
    "clickmill_collector_identities_total",
    "Tokens for the hint stream, by what they rest on: cookie, link, proof.",
    ["by"],
);
const IDENTIFIES: Counters<1> = Counters::new(
    "clickmill_collector_identifies_total",
    "Events that say which customer their visitor is: proven, or why that is a claim.",
    ["standing"],
);
const SCHEMAS: Gauges<0> =
    Gauges::new("clickmill_collector_schemas", "Schemas in force, each version counted.", []);
const SCHEMAS_REFUSED: Gauges<0> = Gauges::new(
    "clickmill_collector_schemas_refused",
    "Schemas that the last refresh found and could not use; the log names them.",
    [],
);
const REGISTRY_REFRESHES: Counters<1> = Counters::new(
    "clickmill_collector_registry_refreshes_total",
    "Times that the registry was asked for what is new, by result: fresh, or failed, where the last \
     schemas stay in force.",
    ["result"],
);
const REGISTRY_LAST_SUCCESS_SECONDS: Gauges<0> = Gauges::new(
    "clickmill_collector_registry_last_success_seconds",
    "When the registry last told what is new, seconds since 1970; 0 before the first time.",
    [],
);
const WITHDRAWN: Counters<0> = Counters::new(
    "clickmill_collector_withdrawals_total",
    "Cookies that were taken away since their visitor withdrew consent.",
    [],
);
const REMEMBERED: Gauges<0> = Gauges::new(
    "clickmill_collector_dedup_remembered",
    "Ids in the window of copies that are durable.",
    [],
);
const PENDING: Gauges<0> = Gauges::new(
    "clickmill_collector_dedup_pending",
    "Ids in the window of copies that are on their way to Kafka.",
    [],
);
const SDK_EVENTS: Counters<1> = Counters::new(
    "clickmill_collector_sdk_events_total",
    "Events by the SDKs' own books: created, settled, and dropped by reason.",
    ["fate"],
);
const KAFKA_QUEUE_RECORDS: Gauges<0> = Gauges::new(
    "clickmill_collector_kafka_queue_records",
    "Records that the producer holds, queued or in flight.",
    [],
);
const KAFKA_QUEUE_BYTES: Gauges<0> = Gauges::new(
    "clickmill_collector_kafka_queue_bytes",
    "Bytes of the records that the producer holds.",
    [],
);
const KAFKA_BROKERS_UP: Gauges<0> =
    Gauges::new("clickmill_collector_kafka_brokers_up", "Brokers that are connected.", []);
const KAFKA_REQUEST_PROBLEMS: Gauges<1> = Gauges::new(
    "clickmill_collector_kafka_request_problems",
    "Requests to brokers since this producer was made that had an error, a retry or a timeout.",
    ["problem"],
);
const KAFKA_ROUND_TRIP_SECONDS: Gauges<1> = Gauges::new(
    "clickmill_collector_kafka_round_trip_seconds",
    "The slowest broker's round trip over the last statistics interval.",
    ["quantile"],
);

const SPOOL_BYTES: Gauges<0> = Gauges::new(
    "clickmill_collector_spool_bytes",
    "What the spool's segments take on the disk.",
    [],
);
const SPOOL_RECORDS: Gauges<0> = Gauges::new(
    "clickmill_collector_spool_records",
    "Records in the spool that Kafka does not have yet.",
    [],
);
const SPOOL_OLDEST_SECONDS: Gauges<0> = Gauges::new(
    "clickmill_collector_spool_oldest_seconds",
    "How long the oldest record has been in the spool.",
    [],
);
const SPOOL_LANES_CLOSED: Gauges<0> = Gauges::new(
    "clickmill_collector_spool_lanes_closed",
    "Lanes, of 17, whose records go to the disk first.",
    [],
);
const SPOOL_FULL: Gauges<0> = Gauges::new(
    "clickmill_collector_spool_full",
    "1 while the spool takes nothing more: no bytes left, too old, or the disk fails.",
    [],
);
const SPOOL_APPENDED: Counters<0> = Counters::new(
    "clickmill_collector_spool_appended_total",
    "Records that became durable in the spool.",
    [],
);
const SPOOL_DRAINED: Counters<0> = Counters::new(
    "clickmill_collector_spool_drained_total",
    "Records that went from the spool to Kafka.",
    [],
);
const SPOOL_DAMAGES: Counters<0> = Counters::new(
    "clickmill_collector_spool_damages_total",
    "Stretches of the spool that could not be read; the log names each.",
    [],
);
const SPOOL_LOST: Counters<0> = Counters::new(
    "clickmill_collector_spool_lost_total",
    "Records that were durable in the spool and cannot be read again, at the most.",
    [],
);
const SPOOL_FAILED_READS: Counters<0> = Counters::new(
    "clickmill_collector_spool_failed_reads_total",
    "Times that the disk did not give what lies in the spool; after a few it is read around.",
    [],
);
const SPOOL_ASIDE: Gauges<0> = Gauges::new(
    "clickmill_collector_spool_aside_segments",
    "Segments of the spool that are kept aside, *.damaged, since not all of them could be read.",
    [],
);
const SPOOL_SYNC_SECONDS: Histograms<0> = Histograms::new(
    "clickmill_collector_spool_sync_seconds",
    "Time to write and sync what came together.",
    [],
    LATENCY_SECONDS,
);

const INSPECT_READERS: Gauges<0> = Gauges::new(
    "clickmill_collector_inspect_readers",
    "Readers that look at events as they come.",
    [],
);
const INSPECT_LOST: Counters<0> = Counters::new(
    "clickmill_collector_inspect_lost_lines_total",
    "Lines that passed before a reader had read them; it was told how many.",
    [],
);

/// The table of all of them.
pub(crate) const TABLE: &[Entry] = &[
    DELIVERIES.entry(),
    EVENTS.entry(),
    STRIPPED.entry(),
    LATE.entry(),
    REFUSALS.entry(),
    SPANS_LEFT_OUT.entry(),
    REQUEST_SECONDS.entry(),
    BODY_BYTES.entry(),
    MEMORY_BYTES.entry(),
    NO_ROOM.entry(),
    IDENTITIES.entry(),
    IDENTIFIES.entry(),
    SCHEMAS.entry(),
    SCHEMAS_REFUSED.entry(),
    REGISTRY_REFRESHES.entry(),
    REGISTRY_LAST_SUCCESS_SECONDS.entry(),
    WITHDRAWN.entry(),
    REMEMBERED.entry(),
    PENDING.entry(),
    SDK_EVENTS.entry(),
    KAFKA_QUEUE_RECORDS.entry(),
    KAFKA_QUEUE_BYTES.entry(),
    KAFKA_BROKERS_UP.entry(),
    KAFKA_REQUEST_PROBLEMS.entry(),
    KAFKA_ROUND_TRIP_SECONDS.entry(),
    SPOOL_BYTES.entry(),
    SPOOL_RECORDS.entry(),
    SPOOL_OLDEST_SECONDS.entry(),
    SPOOL_LANES_CLOSED.entry(),
    SPOOL_FULL.entry(),
    SPOOL_APPENDED.entry(),
    SPOOL_DRAINED.entry(),
    SPOOL_DAMAGES.entry(),
    SPOOL_LOST.entry(),
    SPOOL_FAILED_READS.entry(),
    SPOOL_ASIDE.entry(),
    SPOOL_SYNC_SECONDS.entry(),
    INSPECT_READERS.entry(),
    INSPECT_LOST.entry(),
];

/// The handles of everything but Kafka.
#[derive(Debug)]
pub(crate) struct CollectorMetrics {
    pub(crate) deliveries: Counter,
    accepted: Counter,
    duplicate: Counter,
    retry: Counter,
    rejected: Vec<(Reason, Counter)>,
    pub(crate) stripped: Counter,
    pub(crate) late: Counter,
    refusals: Vec<(RefusalCode, Counter)>,
    pub(crate) spans_left_out: Counter,
    pub(crate) events_seconds: Histogram,
    pub(crate) config_seconds: Histogram,
    pub(crate) link_seconds: Histogram,
    pub(crate) body_bytes: Histogram,
    pub(crate) memory_bytes: Gauge,
    pub(crate) no_room: Counter,
    pub(crate) by_cookie: Counter,
    pub(crate) by_link: Counter,
    pub(crate) by_proof: Counter,
    proven: Counter,
    claims: Vec<(Doubt, Counter)>,
    pub(crate) schemas: Gauge,
    pub(crate) withdrawn: Counter,
    pub(crate) remembered: Gauge,
    pub(crate) pending: Gauge,
    sdk: SdkCounters,
}

#[derive(Debug)]
struct SdkCounters {
    created: Counter,
    settled: Counter,
    dropped_full: Counter,
    dropped_old: Counter,
    dropped_large: Counter,
    dropped_consent: Counter,
}

impl CollectorMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let outcome = |outcome| metrics.counter(&EVENTS, [outcome, ""]);
        let rejected =
            |reason: &Reason| (*reason, metrics.counter(&EVENTS, ["rejected", reason.as_str()]));
        let refused = |code: &RefusalCode| (*code, metrics.counter(&REFUSALS, [code.as_str()]));
        let claim = |why: &Doubt| (*why, metrics.counter(&IDENTIFIES, [why.as_str()]));
        let sdk = |fate| metrics.counter(&SDK_EVENTS, [fate]);
        Self {
            deliveries: metrics.counter(&DELIVERIES, []),
            accepted: outcome("accepted"),
            duplicate: outcome("duplicate"),
            retry: outcome("retry"),
            rejected: Reason::ALL.iter().map(rejected).collect(),
            stripped: metrics.counter(&STRIPPED, []),
            late: metrics.counter(&LATE, []),
            refusals: RefusalCode::ALL.iter().map(refused).collect(),
            spans_left_out: metrics.counter(&SPANS_LEFT_OUT, []),
            events_seconds: metrics.histogram(&REQUEST_SECONDS, ["events"]),
            config_seconds: metrics.histogram(&REQUEST_SECONDS, ["config"]),
            link_seconds: metrics.histogram(&REQUEST_SECONDS, ["link"]),
            body_bytes: metrics.histogram(&BODY_BYTES, []),
            memory_bytes: metrics.gauge(&MEMORY_BYTES, []),
            no_room: metrics.counter(&NO_ROOM, []),
            by_cookie: metrics.counter(&IDENTITIES, ["cookie"]),
            by_link: metrics.counter(&IDENTITIES, ["link"]),
            by_proof: metrics.counter(&IDENTITIES, ["proof"]),
            proven: metrics.counter(&IDENTIFIES, ["proven"]),
            claims: Doubt::ALL.iter().map(claim).collect(),
            schemas: metrics.gauge(&SCHEMAS, []),
            withdrawn: metrics.counter(&WITHDRAWN, []),
            remembered: metrics.gauge(&REMEMBERED, []),
            pending: metrics.gauge(&PENDING, []),
            sdk: SdkCounters {
                created: sdk("created"),
                settled: sdk("settled"),
                dropped_full: sdk("dropped_full"),
                dropped_old: sdk("dropped_old"),
                dropped_large: sdk("dropped_large"),
                dropped_consent: sdk("dropped_consent"),
            },
        }
    }

    /// Counts an event that says which customer its visitor is.
    pub(crate) fn named(&self, named: &Named) {
        match named {
            Ok(_) => self.proven.increment(1),
            Err(why) => {
                let counter = self.claims.iter().find(|(known, _)| known == why);
                if let Some((_, counter)) = counter {
                    counter.increment(1);
                }
            }
        }
    }

    /// Counts the fates of a batch's events; most are alike.
    pub(crate) fn count_all<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome>) {
        let mut accepted = 0;
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted => accepted += 1,
                other => self.count(other),
            }
        }
        self.accepted.increment(accepted);
    }

    /// Counts the fate of one event.
    pub(crate) fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted.increment(1),
            Outcome::Duplicate => self.duplicate.increment(1),
            Outcome::Retry { .. } => self.retry.increment(1),
            Outcome::Rejected(rejection) => {
                let counter = self.rejected.iter().find(|(code, _)| *code == rejection.reason);
                if let Some((_, counter)) = counter {
                    counter.increment(1);
                }
            }
        }
    }

    /// Counts a request that was refused as a whole.
    pub(crate) fn refuse(&self, code: RefusalCode) {
        if let Some((_, counter)) = self.refusals.iter().find(|(have, _)| *have == code) {
            counter.increment(1);
        }
    }

    /// Counts what an SDK's books have grown by.
    pub(crate) fn grow(&self, growth: &Growth) {
        self.sdk.created.increment(growth.created);
        self.sdk.settled.increment(growth.settled);
        self.sdk.dropped_full.increment(growth.dropped_full);
        self.sdk.dropped_old.increment(growth.dropped_old);
        self.sdk.dropped_large.increment(growth.dropped_large);
        self.sdk.dropped_consent.increment(growth.dropped_consent);
    }
}

/// The handles of a registry's refreshes.
#[derive(Debug)]
pub(crate) struct RegistryMetrics {
    pub(crate) fresh: Counter,
    pub(crate) failed: Counter,
    pub(crate) refused: Gauge,
    pub(crate) last_success_seconds: Gauge,
}

impl RegistryMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            fresh: metrics.counter(&REGISTRY_REFRESHES, ["fresh"]),
            failed: metrics.counter(&REGISTRY_REFRESHES, ["failed"]),
            refused: metrics.gauge(&SCHEMAS_REFUSED, []),
            last_success_seconds: metrics.gauge(&REGISTRY_LAST_SUCCESS_SECONDS, []),
        }
    }
}

/// The handles of what librdkafka reports.
#[derive(Debug)]
pub(crate) struct KafkaMetrics {
    queue_records: Gauge,
    queue_bytes: Gauge,
    brokers_up: Gauge,
    errors: Gauge,
    retries: Gauge,
    timeouts: Gauge,
    round_trip_p50: Gauge,
    round_trip_p99: Gauge,
}

impl KafkaMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let problem = |problem| metrics.gauge(&KAFKA_REQUEST_PROBLEMS, [problem]);
        let round_trip = |quantile| metrics.gauge(&KAFKA_ROUND_TRIP_SECONDS, [quantile]);
        Self {
            queue_records: metrics.gauge(&KAFKA_QUEUE_RECORDS, []),
            queue_bytes: metrics.gauge(&KAFKA_QUEUE_BYTES, []),
            brokers_up: metrics.gauge(&KAFKA_BROKERS_UP, []),
            errors: problem("error"),
            retries: problem("retry"),
            timeouts: problem("timeout"),
            round_trip_p50: round_trip("0.5"),
            round_trip_p99: round_trip("0.99"),
        }
    }

    /// Shows one report.
    pub(crate) fn show(&self, statistics: &Statistics) {
        // Numbers of this size keep their value in an f64.
        let number = |count: u64| count as f64;
        let seconds = |us| Duration::from_micros(us).as_secs_f64();
        self.queue_records.set(number(statistics.queue_records));
        self.queue_bytes.set(number(statistics.queue_bytes));
        self.brokers_up.set(f64::from(statistics.brokers_up));
        self.errors.set(number(statistics.request_errors));
        self.retries.set(number(statistics.request_retries));
        self.timeouts.set(number(statistics.request_timeouts));
        self.round_trip_p50.set(seconds(statistics.round_trip_p50_us));
        self.round_trip_p99.set(seconds(statistics.round_trip_p99_us));
    }
}

/// The handles of the inspector.
#[derive(Debug)]
pub(crate) struct InspectMetrics {
    pub(crate) readers: Gauge,
    pub(crate) lost: Counter,
}

impl InspectMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            readers: metrics.gauge(&INSPECT_READERS, []),
            lost: metrics.counter(&INSPECT_LOST, []),
        }
    }
}

/// The handles of the spool.
#[derive(Debug)]
pub(crate) struct SpoolMetrics {
    bytes: Gauge,
    records: Gauge,
    oldest_seconds: Gauge,
    lanes_closed: Gauge,
    full: Gauge,
    appended: Counter,
    drained: Counter,
    lost: Counter,
    aside: Gauge,
    pub(crate) damages: Counter,
    pub(crate) failed_reads: Counter,
    pub(crate) sync_seconds: Histogram,
}

impl SpoolMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            bytes: metrics.gauge(&SPOOL_BYTES, []),
            records: metrics.gauge(&SPOOL_RECORDS, []),
            oldest_seconds: metrics.gauge(&SPOOL_OLDEST_SECONDS, []),
            lanes_closed: metrics.gauge(&SPOOL_LANES_CLOSED, []),
            full: metrics.gauge(&SPOOL_FULL, []),
            appended: metrics.counter(&SPOOL_APPENDED, []),
            drained: metrics.counter(&SPOOL_DRAINED, []),
            lost: metrics.counter(&SPOOL_LOST, []),
            aside: metrics.gauge(&SPOOL_ASIDE, []),
            damages: metrics.counter(&SPOOL_DAMAGES, []),
            failed_reads: metrics.counter(&SPOOL_FAILED_READS, []),
            sync_seconds: metrics.histogram(&SPOOL_SYNC_SECONDS, []),
        }
    }

    /// Shows how the spool stands.
    pub(crate) fn show(&self, stand: &Stand, now_ms: u64) {
        let age_ms = stand.oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms));
        self.bytes.set(stand.bytes as f64);
        self.records.set(stand.records as f64);
        self.oldest_seconds.set(Duration::from_millis(age_ms).as_secs_f64());
        self.lanes_closed.set(stand.closed as f64);
        self.full.set(f64::from(u8::from(stand.no_room.is_some())));
        self.appended.absolute(stand.appended);
        self.drained.absolute(stand.drained);
        self.lost.absolute(stand.lost);
        self.aside.set(stand.aside as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_lawful_and_every_handle_has_a_line() {
        let metrics = Metrics::new(TABLE).unwrap();
        let collector = CollectorMetrics::new(&metrics);
        RegistryMetrics::new(&metrics).fresh.increment(1);
        KafkaMetrics::new(&metrics).show(&Statistics::default());
        collector.count(&Outcome::Accepted);
        let text = metrics.render();
        let families = text.lines().filter(|line| line.starts_with("# HELP clickmill_")).count();
        assert_eq!(families, TABLE.len());
        assert!(text.contains("events_total{outcome=\"accepted\",reason=\"\"} 1"), "{text}");
    }
}
