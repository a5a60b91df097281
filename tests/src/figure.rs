//! How every benchmark prints: one JSON object a line, or a line for people.

use std::time::Duration;

use clickmill_sdk_core::wire::json::Writer;
use hdrhistogram::Histogram;

/// Whom the figures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One JSON object a line: `{"bench","name","value","unit"}`, and `"ceiling"` where there is one.
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
    /// What the machine can do at best, measured in the same run.
    pub ceiling: Option<f64>,
}

impl Figure<'_> {
    /// Prints it.
    pub fn print(&self, style: Style) {
        match style {
            Style::Json => println!("{}", self.json()),
            Style::Text => {
                let ceiling = self.ceiling.map(|c| format!("   (ceiling {})", rounded(c)));
                let (name, value) = (self.name, rounded(self.value));
                println!("{name:<28} {value:>12} {}{}", self.unit, ceiling.unwrap_or_default());
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
            if let Some(ceiling) = self.ceiling {
                w.key("ceiling").raw(&rounded(ceiling));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_json_object() {
        let figure = Figure {
            bench: "route",
            name: "p50_ms",
            value: 7.25,
            unit: "ms",
            ceiling: Some(123_456.7),
        };
        assert_eq!(
            figure.json(),
            r#"{"bench":"route","name":"p50_ms","value":7.250,"unit":"ms","ceiling":123457}"#
        );
    }

    #[test]
    fn the_kernel_counts_our_time() {
        assert!(cpu_seconds(std::process::id()) >= 0.0);
    }
}
