//! A context as the client carries it: each field as the JSON text that it has on the wire.
//!
//! Why not `wire::Context` here: a thousand queued events share these texts by reference, storage
//! gives them back without a parser per field, and the browser core stays small. The integration
//! tests hold `shared` and `beyond` to those of `wire::Context`.

use std::rc::Rc;

use crate::wire::{Context, ToJson, json::Writer};

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

/// Names of the fields that the client itself sets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Visitor = 0,
    Session = 1,
    PageView = 2,
    Campaign = 6,
    Consent = 10,
    Sdk = 11,
}

/// Circumstances of an event: some of the fields of a `wire::Context`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts([Option<Rc<str>>; NAMES.len()]);

impl Facts {
    /// Takes the fields of a JSON object that are a context's; others are passed over. The text
    /// must be valid JSON (`JSON.stringify` or this client made it); of anything else only the
    /// fields before the fault are taken.
    pub fn read(json: &str) -> Self {
        let mut facts = Self::default();
        for (name, value) in fields(json) {
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                facts.0[at] = Some(value.into());
            }
        }
        facts
    }

    /// The JSON text of one field.
    pub(super) fn field(&self, field: Field) -> Option<&str> {
        self.0[field as usize].as_deref()
    }

    /// The JSON text of one field, to share.
    pub(super) fn shared_field(&self, field: Field) -> Option<Rc<str>> {
        self.0[field as usize].clone()
    }

    /// Sets one field.
    pub(super) fn set(&mut self, field: Field, value: impl ToJson) {
        self.share(field, value.to_json().into());
    }

    /// Sets one field to a text that others have, too.
    pub(super) fn share(&mut self, field: Field, value: Rc<str>) {
        self.0[field as usize] = Some(value);
    }

    /// What all of them agree on.
    pub(super) fn shared<'a>(mut all: impl Iterator<Item = &'a Self>) -> Self {
        let mut shared = all.next().cloned().unwrap_or_default();
        for other in all {
            shared.keep_where(other, Agreement::Same);
        }
        shared
    }

    /// What is left where `shared` stands behind.
    pub(super) fn beyond(&self, shared: &Self) -> Self {
        let mut rest = self.clone();
        rest.keep_where(shared, Agreement::Different);
        rest
    }

    /// Whether there is no field.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn keep_where(&mut self, other: &Self, agreement: Agreement) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            if (mine == theirs) != (agreement == Agreement::Same) {
                *mine = None;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Same,
    Different,
}

impl From<&Context> for Facts {
    fn from(context: &Context) -> Self {
        Self::read(&context.to_json())
    }
}

impl ToJson for Facts {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            for (name, value) in NAMES.iter().zip(&self.0) {
                if let Some(value) = value {
                    w.key(name).raw(value);
                }
            }
        });
    }
}

/// The fields of a JSON object, each value as its unopened text.
pub(super) fn fields(object: &str) -> Fields<'_> {
    Fields { text: object, at: 0 }
}

/// Walks over the top level of a JSON object.
pub(super) struct Fields<'a> {
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
        assert_eq!(facts.to_json(), r#"{"page":{"url":"/"},"locale":"de-AT"}"#);
    }

    proptest! {
        #[test]
        fn the_walk_never_panics_and_always_ends(text in "[\\[\\]{}:,\"\\\\a-c ä]*") {
            let _ = fields(&text).take(text.len() + 1).count();
        }
    }
}
