//! The numbers themselves: what handles count into, and their text form.
//!
//! A histogram counts a sample into its bucket at once. Recorders that keep samples until somebody
//! reads them hold megabytes of a busy service's memory.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, HistogramFn};

use super::describe::{Entry, Kind};

/// All series of one service.
#[derive(Debug, Default)]
pub(super) struct Store {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

/// The series of one name, by their label values.
#[derive(Debug)]
struct Family {
    /// None for one that is not in the table.
    help: Option<&'static str>,
    labels: Vec<&'static str>,
    series: BTreeMap<Vec<String>, Series>,
}

#[derive(Clone, Debug)]
enum Series {
    Counter(Arc<AtomicU64>),
    /// The bits of a float, as the handles of the `metrics` crate keep it.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Spread>),
}

/// Which series is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which<'a> {
    pub(super) name: &'static str,
    pub(super) labels: &'a [&'static str],
    pub(super) values: &'a [&'a str],
}

impl Store {
    /// Takes a line of the table in.
    pub(super) fn describe(&self, entry: &Entry) {
        let labels = entry.labels();
        self.family(entry.name(), labels, |family| family.help = Some(entry.help()));
        // One without labels exists from the start; of one with labels nobody knows the values yet.
        if labels.is_empty() {
            let which = Which { name: entry.name(), labels, values: &[] };
            match entry.kind() {
                Kind::Counter => drop(self.counter(which)),
                Kind::Gauge => drop(self.gauge(which)),
                Kind::Histogram(bounds) => drop(self.histogram(which, bounds)),
            }
        }
    }

    pub(super) fn counter(&self, which: Which<'_>) -> Counter {
        match self.series(which, || Series::Counter(Arc::default())) {
            Series::Counter(count) => Counter::from_arc(count),
            Series::Gauge(_) | Series::Histogram(_) => Counter::noop(),
        }
    }

    pub(super) fn gauge(&self, which: Which<'_>) -> Gauge {
        match self.series(which, || Series::Gauge(Arc::default())) {
            Series::Gauge(bits) => Gauge::from_arc(bits),
            Series::Counter(_) | Series::Histogram(_) => Gauge::noop(),
        }
    }

    pub(super) fn histogram(&self, which: Which<'_>, bounds: &'static [f64]) -> Histogram {
        match self.series(which, || Series::Histogram(Arc::new(Spread::new(bounds)))) {
            Series::Histogram(spread) => Histogram::from_arc(spread),
            Series::Counter(_) | Series::Gauge(_) => Histogram::noop(),
        }
    }

    /// All of them as Prometheus reads them.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in &*self.lock() {
            // Writing to a text always succeeds.
            let _ = family.write(name, &mut text);
        }
        text
    }

    fn series(&self, which: Which<'_>, new: impl FnOnce() -> Series) -> Series {
        let values = which.values.iter().map(|value| (*value).to_owned()).collect();
        self.family(which.name, which.labels, |family| {
            family.series.entry(values).or_insert_with(new).clone()
        })
    }

    fn family<T>(
        &self,
        name: &'static str,
        labels: &[&'static str],
        then: impl FnOnce(&mut Family) -> T,
    ) -> T {
        let mut families = self.lock();
        let new = || Family { help: None, labels: labels.to_vec(), series: BTreeMap::new() };
        then(families.entry(name).or_insert_with(new))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        // What is inside is whole after each step.
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Family {
    fn write(&self, name: &str, text: &mut String) -> fmt::Result {
        let Some(first) = self.series.values().next() else { return Ok(()) };
        if let Some(help) = self.help {
            writeln!(text, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"))?;
        }
        writeln!(text, "# TYPE {name} {}", first.kind())?;
        for (values, series) in &self.series {
            let labels = Labels { names: &self.labels, values };
            series.write(name, labels, text)?;
        }
        Ok(())
    }
}

impl Series {
    fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    fn write(&self, name: &str, labels: Labels<'_>, text: &mut String) -> fmt::Result {
        match self {
            Self::Counter(count) => {
                writeln!(text, "{name}{} {}", labels.braced(None), count.load(Ordering::Relaxed))
            }
            Self::Gauge(bits) => {
                let value = f64::from_bits(bits.load(Ordering::Relaxed));
                writeln!(text, "{name}{} {}", labels.braced(None), Number(value))
            }
            Self::Histogram(spread) => spread.write(name, labels, text),
        }
    }
}

/// The labels of one series.
#[derive(Clone, Copy)]
struct Labels<'a> {
    names: &'a [&'static str],
    values: &'a [String],
}

impl Labels<'_> {
    /// In braces, with a histogram's bound; nothing where there is none.
    fn braced(self, bound: Option<f64>) -> String {
        let own = self.names.iter().copied().zip(self.values.iter().map(|value| escaped(value)));
        let bound = bound.map(|bound| ("le", Number(bound).to_string()));
        let all: Vec<String> =
            own.chain(bound).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A float as Prometheus writes it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

/// How values are spread over buckets.
#[derive(Debug)]
struct Spread {
    /// The upper bounds, ascending.
    bounds: &'static [f64],
    /// What lies in each bucket alone, and last what lies above all bounds.
    counts: Vec<AtomicU64>,
    /// The bits of a float.
    sum: AtomicU64,
}

impl Spread {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1);
        Self { bounds, counts: counts.collect(), sum: AtomicU64::new(0.0_f64.to_bits()) }
    }

    fn write(&self, name: &str, labels: Labels<'_>, text: &mut String) -> fmt::Result {
        let mut count = 0;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, alone) in bounds.zip(&self.counts) {
            count += alone.load(Ordering::Relaxed);
            writeln!(text, "{name}_bucket{} {count}", labels.braced(Some(bound)))?;
        }
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        let labels = labels.braced(None);
        writeln!(text, "{name}_sum{labels} {}", Number(sum))?;
        writeln!(text, "{name}_count{labels} {count}")
    }
}

impl HistogramFn for Spread {
    fn record(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        // It always adds.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lies_in_the_first_bucket_that_holds_it() {
        let spread = Spread::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 2.5] {
            spread.record(value);
        }
        let counts: Vec<u64> =
            spread.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [2, 2, 1]);
    }

    #[test]
    fn texts_of_strangers_stay_inside_their_quotes() {
        let store = Store::default();
        let which = Which { name: "t_total", labels: &["key"], values: &["a\"b\\c\nd"] };
        store.counter(which).increment(1);
        assert_eq!(store.render(), "# TYPE t_total counter\nt_total{key=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn two_handles_count_into_one_series() {
        let store = Store::default();
        let which = Which { name: "t_seconds", labels: &[], values: &[] };
        store.histogram(which, &[1.0]).record(0.25);
        store.histogram(which, &[1.0]).record(4.0);
        let text = store.render();
        for line in [
            "t_seconds_bucket{le=\"1\"} 1",
            "t_seconds_bucket{le=\"+Inf\"} 2",
            "t_seconds_sum 4.25",
            "t_seconds_count 2",
        ] {
            assert!(text.lines().any(|have| have == line), "no {line} in\n{text}");
        }
    }
}
