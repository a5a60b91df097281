//! Durations in configuration: text with units, as in `"30s"`, `"250ms"` or `"1h 30m"`.
//!
//! For a field of type [`Duration`]: `#[serde(with = "clickmill_server::config::duration")]`, for
//! one of type `Option<Duration>`: `#[serde(default, with = "…::duration::optional")]`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserializer, Serializer};

/// Reads a duration with its unit.
pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    source.deserialize_str(Text)
}

/// Writes a duration as [`deserialize`] reads it.
pub fn serialize<S: Serializer>(duration: &Duration, target: S) -> Result<S::Ok, S::Error> {
    target.collect_str(&humantime::format_duration(*duration))
}

/// The same for a duration that may be left out.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Reads a duration with its unit, if there is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Given(#[serde(with = "super")] Duration);

        Ok(Option::<Given>::deserialize(source)?.map(|given| given.0))
    }

    /// Writes a duration as [`deserialize`] reads it, or nothing.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        target: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, target),
            None => target.serialize_none(),
        }
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit such as \"30s\" or \"250ms\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        // A bare number that went through the environment is text here, and has no unit either.
        humantime::parse_duration(text).map_err(|_| match text.parse() {
            Ok(number) => E::invalid_value(Unexpected::Unsigned(number), &self),
            Err(_) => E::invalid_value(Unexpected::Str(text), &self),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Waits {
        #[serde(with = "super")]
        one: Duration,
        #[serde(default, with = "super::optional")]
        two: Option<Duration>,
    }

    fn check(json: &str, one: Duration, two: Option<Duration>) {
        let waits: Waits = serde_json::from_str(json).unwrap();
        assert_eq!(waits, Waits { one, two });
        let again = serde_json::to_string(&waits).unwrap();
        assert_eq!(serde_json::from_str::<Waits>(&again).unwrap(), waits);
    }

    #[test]
    fn units_are_read_and_written() {
        check(r#"{"one":"30s"}"#, Duration::from_secs(30), None);
        check(
            r#"{"one":"250ms","two":"1h 30m"}"#,
            Duration::from_millis(250),
            Some(Duration::from_secs(5_400)),
        );
        check(r#"{"one":"0s","two":null}"#, Duration::ZERO, None);
    }

    #[test]
    fn a_number_without_unit_is_refused() {
        for json in [r#"{"one":30}"#, r#"{"one":"30"}"#, r#"{"one":"soon"}"#, r#"{"one":"-1s"}"#] {
            assert!(serde_json::from_str::<Waits>(json).is_err(), "{json}");
        }
    }
}
