//! A JSON writer without allocation per field, and a small reader for a program's client.
//!
//! Servers read with serde; both readers are held together by the golden files. A browser's core
//! loads neither: a page's script knows JSON already.

mod read;
mod write;

use std::fmt;

pub use read::{NotJson, Value};
pub use write::{ToJson, Writer};

/// A JSON text that is carried along unopened, such as an event's properties.
///
/// Whoever makes one vouches that it is one valid JSON value; servers get theirs from serde, which
/// has checked it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(String);

impl Json {
    /// An empty object.
    pub fn empty() -> Self {
        Self("{}".to_owned())
    }

    /// Takes a text that is known to be one JSON value (the browser's `JSON.stringify` made it).
    pub fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(raw))))
    }
}

impl ToJson for Json {
    fn write(&self, w: &mut Writer) {
        w.raw(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut w = Writer::default();
        w.object(|w| {
            w.number_field("a", 0);
            w.key("b").array(|w| {
                w.text("x\n\"\u{1}");
                w.object(|_| {});
                w.signed(-7);
                w.signed(7);
                w.boolean(true);
            });
            w.key("c").share(0.25);
            w.key("d").share(1.0);
        });
        let text = w.finish();
        assert_eq!(text, r#"{"a":0,"b":["x\n\"\u0001",{},-7,7,true],"c":0.25,"d":1}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "-",
            "1e",
            "e1",
            ".",
            "{",
            "[1,]",
            "{\"a\"}",
            "tru",
            "\"\\ud800\"",
            "1 2",
            "\"\u{1}\"",
            "nul",
        ] {
            assert_eq!(Value::read(text), Err(NotJson), "{text}");
        }
        assert_eq!(Value::read("1e999"), Ok(Value::Number(f64::INFINITY)));
        assert_eq!(Value::read("0e999"), Ok(Value::Number(0.0)));
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(Value::read(&deep), Err(NotJson));
    }

    proptest! {
        #[test]
        fn any_text_survives_writer_and_both_readers(text in ".*") {
            let written = text.to_json();
            let by_serde: String = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&by_serde, &text);
            prop_assert_eq!(Value::read(&written), Ok(Value::Text(text)));
        }

        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(
            whole in 0_u64..=1 << 53,
            digits in 0_u64..1_000_000_000_000_000,
            power in 0_usize..=15,
        ) {
            let mut texts = vec![whole.to_string(), format!("-{whole}"), format!("{digits}e-{power}")];
            let decimal = format!("{digits:016}");
            let (front, back) = decimal.split_at(16 - power.max(1));
            texts.push(format!("{}.{back}", front.trim_start_matches('0')).replace("..", "."));
            for text in texts.iter().filter(|text| !text.starts_with('.')) {
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(Value::read(text), Ok(Value::Number(expected)), "{}", text);
            }
        }

        #[test]
        fn the_reader_never_panics(text in "[\\[\\]{}:,\"\\\\u0-9a-ftrulse. -]*") {
            let _ = Value::read(&text);
        }
    }
}
