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
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

use store::{Store, Which};

pub use describe::{
    BYTES, Counters, Entry, Gauges, Histograms, Kind, LATENCY_SECONDS, MetricsError,
};
pub use metrics::{Counter, Gauge, Histogram};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of one service. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    store: Arc<Store>,
}

impl Metrics {
    /// Takes the service's table and adds the lines of this crate's own metrics. Metrics without
    /// labels show up with zero from the start. Errors if a line breaks the naming rules or a name
    /// is given twice.
    pub fn new(table: &[Entry]) -> Result<Self, MetricsError> {
        let all: Vec<Entry> = crate::serve::METRICS.iter().chain(table).copied().collect();
        let mut names = BTreeSet::new();
        let store = Store::default();
        for entry in &all {
            entry.check()?;
            if !names.insert(entry.name()) {
                return Err(MetricsError::Twice { name: entry.name() });
            }
            store.describe(entry);
        }
        Ok(Self { store: Arc::new(store) })
    }

    /// The counter with these label values, in the order of the table's label names.
    pub fn counter<const N: usize>(&self, of: &Counters<N>, labels: [&str; N]) -> Counter {
        self.store.counter(Which { name: of.name(), labels: of.labels(), values: &labels })
    }

    /// The gauge with these label values, in the order of the table's label names.
    pub fn gauge<const N: usize>(&self, of: &Gauges<N>, labels: [&str; N]) -> Gauge {
        self.store.gauge(Which { name: of.name(), labels: of.labels(), values: &labels })
    }

    /// The histogram with these label values, in the order of the table's label names.
    pub fn histogram<const N: usize>(&self, of: &Histograms<N>, labels: [&str; N]) -> Histogram {
        let which = Which { name: of.name(), labels: of.labels(), values: &labels };
        self.store.histogram(which, of.buckets())
    }

    /// All numbers in Prometheus' text form, see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.store.render()
    }
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
