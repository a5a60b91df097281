//! Which visitor falls into which arm: a hash that browser, relay and any later analysis agree on.
//!
//! The rule is the published one of GrowthBook's SDKs (hash version 2, namespaces by version 1),
//! so that an experiment may move from there without moving a visitor.

use super::audience::Audience;
use super::json::{ToJson, Value, Writer};
use super::text::Put;

/// Buckets of an experiment.
pub const BUCKETS: u32 = 10_000;

/// FNV-1a, 32 bits, over the bytes of ASCII text.
fn fnv1a(parts: &[&[u8]]) -> u32 {
    let add = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    parts.iter().fold(0x811c_9dc5, |hash, part| part.iter().fold(hash, add))
}

/// The bucket of a value under a seed, 0 to 9,999: the hash of the decimal text of the hash of
/// `seed + value`.
pub fn bucket(seed: &[u8], value: &[u8]) -> u32 {
    let first = fnv1a(&[seed, value]);
    fnv1a(&[&digits(first)]) % BUCKETS
}

/// A number's decimal text.
fn digits(number: u32) -> Vec<u8> {
    let mut text = Vec::new();
    text.put_number(number.into());
    text
}

/// A share of a namespace: experiments in disjoint shares of one namespace never meet.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Namespace {
    /// The namespace's name.
    pub name: String,
    /// First thousandth that belongs to the experiment.
    pub from: u32,
    /// First thousandth that no longer belongs to it.
    pub to: u32,
}

impl Namespace {
    /// Whether the visitor is in this share.
    pub fn holds(&self, visitor: &str) -> bool {
        let thousandth = fnv1a(&[visitor.as_bytes(), b"__", self.name.as_bytes()]) % 1000;
        (self.from..self.to).contains(&thousandth)
    }
}

/// What the browser needs of an experiment to name a visitor's arm at once.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Experiment {
    /// The experiment's name.
    pub key: String,
    /// Seed of its hash; its own, so that arms of different experiments are independent.
    pub seed: String,
    /// Weight of each arm, in buckets; the first arm is the control. They add up to 10,000.
    pub weights: Vec<u32>,
    /// The share of each arm that takes part, in buckets of 10,000.
    pub coverage: u32,
    /// The share of a namespace it is confined to.
    #[cfg_attr(feature = "serde", serde(default))]
    pub namespace: Option<Namespace>,
    /// Whom it is for; everybody where that is left out.
    #[cfg_attr(feature = "serde", serde(default))]
    pub audience: Option<Audience>,
}

impl Experiment {
    /// The arm a visitor falls into who is one of its audience; none if the visitor does not take part.
    ///
    /// Coverage lies inside each arm's range, so raising it moves nobody between arms.
    pub fn arm(&self, visitor: &str) -> Option<usize> {
        if self.namespace.as_ref().is_some_and(|namespace| !namespace.holds(visitor)) {
            return None;
        }
        let bucket = u64::from(bucket(self.seed.as_bytes(), visitor.as_bytes()));
        let mut start = 0_u64;
        for (arm, weight) in self.weights.iter().enumerate() {
            let covered = u64::from(*weight) * u64::from(self.coverage) / u64::from(BUCKETS);
            if (start..start + covered).contains(&bucket) {
                return Some(arm);
            }
            start += u64::from(*weight);
        }
        None
    }

    /// Reads one from the browser's small reader.
    pub fn from_value(value: &Value) -> Option<Self> {
        let small = |value: &Value| value.number().and_then(|n| u32::try_from(n).ok());
        Some(Self {
            key: value.get("key")?.text()?.to_owned(),
            seed: value.get("seed")?.text()?.to_owned(),
            weights: value.get("weights")?.list().iter().map(small).collect::<Option<_>>()?,
            coverage: small(value.get("coverage")?)?,
            namespace: match value.get("namespace") {
                None | Some(Value::Null) => None,
                Some(namespace) => Some(Namespace {
                    name: namespace.get("name")?.text()?.to_owned(),
                    from: small(namespace.get("from")?)?,
                    to: small(namespace.get("to")?)?,
                }),
            },
            audience: match value.get("audience") {
                None | Some(Value::Null) => None,
                Some(audience) => Some(Audience::from_value(audience)?),
            },
        })
    }
}

impl ToJson for Experiment {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("key", &self.key);
            w.text_field("seed", &self.seed);
            w.list_field("weights", &self.weights);
            w.field("coverage", Some(&self.coverage));
            w.field("namespace", self.namespace.as_ref());
            w.field("audience", self.audience.as_ref());
        });
    }
}

impl ToJson for Namespace {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("name", &self.name);
            w.field("from", Some(&self.from));
            w.field("to", Some(&self.to));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors that the published rule's own SDKs are held to.
    #[test]
    fn the_published_vectors_hold() {
        for (seed, value, expected) in [
            ("seed", "a", 505),
            ("seed", "b", 2696),
            ("foo", "ab", 2575),
            ("foo", "def", 2019),
            ("89123klj", "8952klfjas09ujkasdf", 1240),
            ("90850943850283058242805", "123", 7516),
            ("()**(%$##$%#$#", "___)((*\":&", 128),
        ] {
            assert_eq!(bucket(seed.as_bytes(), value.as_bytes()), expected, "{seed} {value}");
        }
    }

    #[test]
    fn raising_coverage_moves_nobody_between_arms() {
        let at = |coverage| Experiment {
            key: "e".into(),
            seed: "e".into(),
            weights: vec![5000, 5000],
            coverage,
            namespace: None,
            audience: None,
        };
        let mut joined = 0;
        for visitor in 0..2000 {
            let visitor = visitor.to_string();
            let (some, all) = (at(3000).arm(&visitor), at(10_000).arm(&visitor));
            assert!(all.is_some());
            if some.is_some() {
                joined += 1;
                assert_eq!(some, all);
            }
        }
        assert!((500..700).contains(&joined), "{joined} of 2000 at 30 %");
    }

    #[test]
    fn disjoint_shares_of_a_namespace_never_meet() {
        let low = Namespace { name: "checkout".into(), from: 0, to: 400 };
        let high = Namespace { name: "checkout".into(), from: 400, to: 1000 };
        for visitor in 0..1000 {
            let visitor = visitor.to_string();
            assert_ne!(low.holds(&visitor), high.holds(&visitor));
        }
    }
}
