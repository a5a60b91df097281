//! The table of a service's metrics: what each counts, and under which labels.

/// Buckets from half a millisecond to ten seconds, in seconds.
pub const LATENCY_SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Buckets from 256 bytes to 4 MiB, in bytes.
pub const BYTES: &[f64] =
    &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// Counters of one name: how often something happened. The name ends in `_total`.
#[derive(Clone, Copy, Debug)]
pub struct Counters<const LABELS: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; LABELS],
}

/// Gauges of one name: how much there is now. The name ends in its unit where it has one.
#[derive(Clone, Copy, Debug)]
pub struct Gauges<const LABELS: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; LABELS],
}

/// Histograms of one name: how values are spread. The name ends in its unit, as in
/// `_seconds` or `_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Histograms<const LABELS: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; LABELS],
    buckets: &'static [f64],
}

impl<const LABELS: usize> Counters<LABELS> {
    /// Describes counters; label values are given when one is taken.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; LABELS],
    ) -> Self {
        Self { name, help, labels }
    }

    const fn kind(&self) -> Kind {
        Kind::Counter
    }
}

impl<const LABELS: usize> Gauges<LABELS> {
    /// Describes gauges; label values are given when one is taken.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; LABELS],
    ) -> Self {
        Self { name, help, labels }
    }

    const fn kind(&self) -> Kind {
        Kind::Gauge
    }
}

impl<const LABELS: usize> Histograms<LABELS> {
    /// Describes histograms; label values are given when one is taken. `buckets` are upper bounds
    /// in ascending order, in the unit that the name ends in.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; LABELS],
        buckets: &'static [f64],
    ) -> Self {
        Self { name, help, labels, buckets }
    }

    /// The upper bounds of the buckets.
    pub(super) const fn buckets(&self) -> &'static [f64] {
        self.buckets
    }

    const fn kind(&self) -> Kind {
        Kind::Histogram(self.buckets)
    }
}

/// The part that the three kinds share.
macro_rules! family {
    ($family:ident) => {
        impl<const LABELS: usize> $family<LABELS> {
            /// The name as Prometheus shows it.
            pub const fn name(&self) -> &'static str {
                self.name
            }

            /// The names of the labels.
            pub const fn labels(&self) -> &[&'static str; LABELS] {
                &self.labels
            }

            /// The line for the service's table.
            pub const fn entry(&'static self) -> Entry {
                Entry { name: self.name, help: self.help, labels: &self.labels, kind: self.kind() }
            }
        }
    };
}

family!(Counters);
family!(Gauges);
family!(Histograms);

/// One line of a service's table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    kind: Kind,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// How often.
    Counter,
    /// How much now.
    Gauge,
    /// How spread, with the upper bounds of the buckets.
    Histogram(&'static [f64]),
}

impl Entry {
    /// The name as Prometheus shows it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it says, as a sentence.
    pub const fn help(&self) -> &'static str {
        self.help
    }

    /// The names of its labels.
    pub const fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Holds the line to the rules: lower case with underscores, `_total` for counters alone,
    /// buckets in order.
    pub(super) fn check(&self) -> Result<(), MetricsError> {
        let name = self.name;
        let plain = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_lowercase())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if !plain(name) {
            return Err(MetricsError::Name { name, rule: "lower case with underscores" });
        }
        if name.ends_with("_total") != (self.kind == Kind::Counter) {
            return Err(MetricsError::Name { name, rule: "`_total` at the end of counters alone" });
        }
        if let Some(label) = self.labels.iter().find(|label| !plain(label)) {
            return Err(MetricsError::Label { name, label });
        }
        match self.kind {
            Kind::Histogram(buckets) if buckets.is_empty() || !buckets.is_sorted() => {
                Err(MetricsError::Buckets { name })
            }
            Kind::Counter | Kind::Gauge | Kind::Histogram(_) => Ok(()),
        }
    }
}

/// What is wrong with a table of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// Two lines have one name.
    #[error("metric {name} is listed twice")]
    Twice {
        /// The name.
        name: &'static str,
    },
    /// The name breaks a rule.
    #[error("metric {name} breaks a rule of names: {rule}")]
    Name {
        /// The name.
        name: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// A label's name breaks the rule.
    #[error("label {label} of metric {name} is not lower case with underscores")]
    Label {
        /// The metric's name.
        name: &'static str,
        /// The label's name.
        label: &'static str,
    },
    /// The buckets of a histogram are missing or out of order.
    #[error("the buckets of metric {name} must ascend and there must be one")]
    Buckets {
        /// The name.
        name: &'static str,
    },
}
