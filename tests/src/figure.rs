//! How every benchmark prints: one JSON object a line, or a line for people.

use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::json::Writer;
use hdrhistogram::Histogram;

/// Whom the figures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One JSON object a line: `{"bench","name","value","unit"}`.
    Json,
    /// Aligned text.
    Text,
}

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure<'a> {
    /// Which benchmark.
    pub bench: &'a str,
    /// Which figure.
    pub name: &'a str,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: &'a str,
}

impl Figure<'_> {
    /// Prints it.
    pub fn print(&self, style: Style) {
        match style {
            Style::Json => println!("{}", self.json()),
            Style::Text => {
                let (name, value) = (self.name, rounded(self.value));
                println!("{name:<38} {value:>12} {}", self.unit);
            }
        }
    }

    fn json(&self) -> String {
        let mut w = Writer::default();
        w.object(|w| {
            w.text_field("bench", self.bench);
            w.text_field("name", self.name);
            w.key("value").raw(&rounded(self.value));
            w.text_field("unit", self.unit);
        });
        w.finish()
    }
}

/// Three decimals at the most; none where the number is large.
fn rounded(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Latencies, in microseconds inside and milliseconds outside.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    /// # Panics
    /// Never: the bounds are valid.
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).expect("valid bounds"))
    }
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// The latency that this share of all stays below, ms.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }

    /// Adds all of another's.
    ///
    /// # Panics
    /// Never: all have the same bounds.
    pub fn join(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

/// Processor seconds that a process has used so far, from the kernel's own account.
///
/// # Panics
/// When there is no such process.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a live process");
    // The name in the second field may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|f| f.parse::<f64>().ok());
    // Fields 14 and 15 of the whole line: user and system time in hundredths of a second.
    (ticks(12).unwrap_or_default() + ticks(13).unwrap_or_default()) / 100.0
}

/// A process's memory in MB (10^6 bytes) by the kernel's own account: `VmRSS` is what it holds now,
/// `VmHWM` the most that it ever held.
///
/// # Panics
/// When there is no such process.
pub fn memory_mb(process: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("a live process");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.expect("a field of the process's status") * 1024.0 / 1e6
}

/// What some processes used while something was done.
#[derive(Clone, Debug)]
pub struct Work {
    start: Instant,
    processes: Vec<u32>,
    cpu: Vec<f64>,
    seconds: f64,
    events: usize,
}

impl Work {
    /// Begins to watch these processes.
    pub fn begin(processes: impl IntoIterator<Item = u32>) -> Self {
        let processes: Vec<u32> = processes.into_iter().collect();
        let cpu = processes.iter().map(|process| cpu_seconds(*process)).collect();
        Self { start: Instant::now(), processes, cpu, seconds: 0.0, events: 0 }
    }

    /// Ends it: that many events were dealt with.
    #[must_use]
    pub fn done(mut self, events: usize) -> Self {
        self.seconds = self.start.elapsed().as_secs_f64();
        for (process, cpu) in self.processes.iter().zip(&mut self.cpu) {
            *cpu = cpu_seconds(*process) - *cpu;
        }
        Self { events, ..self }
    }

    /// Events a second.
    pub fn per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// Processor seconds that one of the processes, by its place, used for a million events.
    ///
    /// # Panics
    /// When there is none at that place.
    pub fn cpu_s_per_million(&self, process: usize) -> f64 {
        self.cpu[process] * 1e6 / self.events as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_json_object() {
        let figure = Figure { bench: "route", name: "p50_ms", value: 7.25, unit: "ms" };
        assert_eq!(figure.json(), r#"{"bench":"route","name":"p50_ms","value":7.250,"unit":"ms"}"#);
    }

    #[test]
    fn the_kernel_counts_our_time() {
        assert!(cpu_seconds(std::process::id()) >= 0.0);
    }

    #[test]
    fn the_kernel_counts_our_memory() {
        let (now, most) =
            (memory_mb(std::process::id(), "VmRSS"), memory_mb(std::process::id(), "VmHWM"));
        assert!(now > 0.1 && most >= now, "{now} {most}");
    }
}
