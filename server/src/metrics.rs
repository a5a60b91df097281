//! Metrics of one service: a table that says what there is, and handles to count with.
//!
//! A service lists its metrics as constants in one file, with [`Entry`] lines for all of them, and
//! makes one [`Metrics`] from that list. There is no process-wide recorder, so several services
//! run side by side in a test without seeing each other's numbers.
//!
//! ```
//! use clickmill_server::metrics::{Counters, Entry, Histograms, Metrics, LATENCY_SECONDS};
//!
//! const EVENTS: Counters<1> =
//!     Counters::new("shop_events_total", "Events by outcome.", ["outcome"]);
//! const TOOK: Histograms<0> =
//!     Histograms::new("shop_took_seconds", "Time to a reply.", [], LATENCY_SECONDS);
//! const ALL: &[Entry] = &[EVENTS.entry(), TOOK.entry()];
//!
//! let metrics = Metrics::new(ALL).unwrap();
//! let accepted = metrics.counter(&EVENTS, ["accepted"]);
//! accepted.increment(3);
//! assert!(metrics.render().contains("shop_events_total{outcome=\"accepted\"} 3"));
//! ```

mod describe;

use std::collections::BTreeSet;
use std::sync::Arc;

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

pub use describe::{
    BYTES, Counters, Entry, Gauges, Histograms, Kind, LATENCY_SECONDS, MetricsError,
};
pub use metrics::{Counter, Gauge, Histogram};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The metrics of one service. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Takes the service's table and adds the lines of this crate's own metrics. Metrics without
    /// labels show up with zero from the start. Errors if a line breaks the naming rules or a name
    /// is given twice.
    pub fn new(table: &[Entry]) -> Result<Self, MetricsError> {
        let all: Vec<Entry> = crate::serve::METRICS.iter().chain(table).copied().collect();
        let mut names = BTreeSet::new();
        let mut builder = PrometheusBuilder::new();
        for entry in &all {
            entry.check()?;
            if !names.insert(entry.name()) {
                return Err(MetricsError::Twice { name: entry.name() });
            }
            if let Kind::Histogram(buckets) = entry.kind() {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(entry.name().to_owned()), buckets)
                    .map_err(|_| MetricsError::Buckets { name: entry.name() })?;
            }
        }
        let recorder = builder.build_recorder();
        let metrics = Self { handle: recorder.handle(), recorder: Arc::new(recorder) };
        for entry in &all {
            metrics.declare(entry);
        }
        Ok(metrics)
    }

    /// The counter with these label values, in the order of the table's label names.
    pub fn counter<const N: usize>(&self, of: &Counters<N>, labels: [&str; N]) -> Counter {
        self.recorder.register_counter(&key(of.name(), of.labels(), labels), &METADATA)
    }

    /// The gauge with these label values, in the order of the table's label names.
    pub fn gauge<const N: usize>(&self, of: &Gauges<N>, labels: [&str; N]) -> Gauge {
        self.recorder.register_gauge(&key(of.name(), of.labels(), labels), &METADATA)
    }

    /// The histogram with these label values, in the order of the table's label names.
    pub fn histogram<const N: usize>(&self, of: &Histograms<N>, labels: [&str; N]) -> Histogram {
        self.recorder.register_histogram(&key(of.name(), of.labels(), labels), &METADATA)
    }

    /// The recorder below, for a crate that registers metrics by the `metrics` crate's own trait.
    /// Its names need lines in the table all the same, or they have no help text.
    pub fn recorder(&self) -> Arc<dyn Recorder + Send + Sync> {
        Arc::clone(&self.recorder) as Arc<dyn Recorder + Send + Sync>
    }

    /// All numbers in Prometheus' text form, see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds the samples of histograms into their buckets. Samples wait in memory until this or
    /// [`render`](Self::render) runs, so it must run every few seconds; [`crate::admin::run`] sees
    /// to that.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn declare(&self, entry: &Entry) {
        let (name, help) = (entry.name(), entry.help());
        // One without labels exists from the start; of one with labels nobody knows the values yet.
        let only = entry.labels().is_empty().then(|| Key::from_static_name(name));
        match entry.kind() {
            Kind::Counter => {
                self.recorder.describe_counter(name.into(), None, help.into());
                if let Some(key) = only {
                    self.recorder.register_counter(&key, &METADATA).increment(0);
                }
            }
            Kind::Gauge => {
                self.recorder.describe_gauge(name.into(), None, help.into());
                if let Some(key) = only {
                    self.recorder.register_gauge(&key, &METADATA).set(0.0);
                }
            }
            Kind::Histogram(_) => {
                self.recorder.describe_histogram(name.into(), None, help.into());
                if let Some(key) = only {
                    drop(self.recorder.register_histogram(&key, &METADATA));
                }
            }
        }
    }
}

fn key<const N: usize>(name: &'static str, names: &[&'static str; N], values: [&str; N]) -> Key {
    let labels: Vec<Label> =
        names.iter().zip(values).map(|(name, value)| Label::new(*name, value.to_owned())).collect();
    Key::from_parts(name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: Counters<2> =
        Counters::new("t_events_total", "Events by outcome.", ["outcome", "reason"]);
    const OPEN: Gauges<0> = Gauges::new("t_open", "Open streams.", []);
    const TOOK: Histograms<1> =
        Histograms::new("t_took_seconds", "Time to a reply.", ["route"], &[0.1, 1.0]);
    const TABLE: &[Entry] = &[EVENTS.entry(), OPEN.entry(), TOOK.entry()];

    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|have| have == line), "no line {line:?} in\n{text}");
    }

    #[test]
    fn numbers_come_with_help_and_type() {
        let metrics = Metrics::new(TABLE).unwrap();
        metrics.counter(&EVENTS, ["rejected", "schema"]).increment(2);
        metrics.counter(&EVENTS, ["rejected", "schema"]).increment(1);
        metrics.gauge(&OPEN, []).increment(4.0);
        let took = metrics.histogram(&TOOK, ["events"]);
        took.record(0.05);
        took.record(0.5);
        metrics.upkeep();
        let text = metrics.render();
        for line in [
            "# HELP t_events_total Events by outcome.",
            "# TYPE t_events_total counter",
            "t_events_total{outcome=\"rejected\",reason=\"schema\"} 3",
            "# HELP t_open Open streams.",
            "# TYPE t_open gauge",
            "t_open 4",
            "# TYPE t_took_seconds histogram",
            "t_took_seconds_bucket{route=\"events\",le=\"0.1\"} 1",
            "t_took_seconds_bucket{route=\"events\",le=\"1\"} 2",
            "t_took_seconds_bucket{route=\"events\",le=\"+Inf\"} 2",
            "t_took_seconds_count{route=\"events\"} 2",
        ] {
            has(&text, line);
        }
    }

    #[test]
    fn two_services_do_not_see_each_other() {
        let (one, two) = (Metrics::new(TABLE).unwrap(), Metrics::new(TABLE).unwrap());
        one.gauge(&OPEN, []).set(7.0);
        has(&one.render(), "t_open 7");
        has(&two.render(), "t_open 0");
    }

    #[test]
    fn a_bad_table_is_refused() {
        const TWICE: &[Entry] = &[OPEN.entry(), OPEN.entry()];
        assert_eq!(Metrics::new(TWICE).unwrap_err().to_string(), "metric t_open is listed twice");
        const NO_TOTAL: Counters<0> = Counters::new("t_events", "Events.", []);
        assert!(matches!(
            Metrics::new(&[NO_TOTAL.entry()]),
            Err(MetricsError::Name { name: "t_events", .. })
        ));
    }
}
