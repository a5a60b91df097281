//! Circumstances as the machine carries them: each field as the JSON text that it has on the wire.
//!
//! Why not `wire::Context` here: a thousand queued events share these texts by reference, storage
//! gives them back without a parser per field, and the browser core stays small. The integration
//! tests hold what a batch shares to `wire::Context`.

use super::machine::text::FIELD;
use crate::wire::{Context, ToJson};

/// The fields of `wire::Context`, in its order.
const NAMES: [&str; 13] = [
    "visitor",
    "session",
    "page_view",
    "customer",
    "page",
    "referrer",
    "campaign",
    "screen",
    "locale",
    "time_zone",
    "consent",
    "sdk",
    "custom",
];

/// Circumstances of an event: some of the fields of a `wire::Context`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(String);

impl Facts {
    /// Takes the fields of a JSON object that are a context's; others are passed over. The text
    /// must be valid JSON (`JSON.stringify` or this client made it); of anything else only the
    /// fields before the fault are taken.
    pub fn read(json: &str) -> Self {
        let known = fields(json).filter(|(name, _)| NAMES.contains(name));
        let fields: Vec<String> =
            known.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        Self(fields.join(&char::from(FIELD).to_string()))
    }

    /// These, and others that are in none of them.
    pub(super) fn with(&self, others: &Self) -> Self {
        let both: Vec<&str> = [self, others].map(|facts| facts.0.as_str()).into();
        let both: Vec<&str> = both.into_iter().filter(|fields| !fields.is_empty()).collect();
        Self(both.join(&char::from(FIELD).to_string()))
    }

    /// The fields, with [`FIELD`] between them.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl From<&Context> for Facts {
    fn from(context: &Context) -> Self {
        Self::read(&context.to_json())
    }
}

/// The fields of a JSON object, each value as its unopened text.
fn fields(object: &str) -> Fields<'_> {
    Fields { text: object, at: 0 }
}

/// Walks over the top level of a JSON object.
struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        // Before each key stands the object's brace or a comma.
        let name = self.until(b':')?;
        let name = name.trim_ascii_start();
        let name = name.strip_prefix('{').or(name.strip_prefix(',')).unwrap_or(name).trim_ascii();
        let name = name.strip_prefix('"')?.strip_suffix('"')?;
        self.at += 1;
        Some((name, self.until(b',')?.trim_ascii()))
    }
}

impl<'a> Fields<'a> {
    /// The text up to `end` at this level, or up to the object's own closing brace.
    fn until(&mut self, end: u8) -> Option<&'a str> {
        let from = self.at;
        let bytes = self.text.as_bytes();
        // The object's own brace is opened within the first key.
        let mut depth = if from == 0 { 0 } else { 1 };
        loop {
            match *bytes.get(self.at)? {
                b'"' => self.at = string_end(bytes, self.at)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return self.text.get(from..self.at),
                b'}' | b']' => depth -= 1,
                byte if byte == end && depth == 1 => return self.text.get(from..self.at),
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// Where the string that starts at `from` has its closing quote.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collect(text: &str) -> Vec<(&str, &str)> {
        fields(text).collect()
    }

    #[test]
    fn fields_come_apart_at_the_top_level_only() {
        let text = r#"{"a":1, "b" : {"a":[1,{"c":"}\","}]} ,"c":"x,\"y\":{","d":[],"e":null}"#;
        let expected = [
            ("a", "1"),
            ("b", r#"{"a":[1,{"c":"}\","}]}"#),
            ("c", r#""x,\"y\":{""#),
            ("d", "[]"),
            ("e", "null"),
        ];
        assert_eq!(collect(text), expected);
        for none in ["", "{}", "{ }", "null", "[1,2]", "{\"a\"", "{\"a\":", "{\"a\":\"x", "}"] {
            assert_eq!(collect(none), [], "{none}");
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let facts = Facts::read(r#"{"locale":"de-AT","new":{"visitor":1},"page":{"url":"/"}}"#);
        assert_eq!(facts.into_text(), "\"locale\":\"de-AT\"\u{1d}\"page\":{\"url\":\"/\"}");
    }

    proptest! {
        #[test]
        fn the_walk_never_panics_and_always_ends(text in "[\\[\\]{}:,\"\\\\a-c ä]*") {
            let _ = fields(&text).take(text.len() + 1).count();
        }
    }
}
