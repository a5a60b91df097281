//! The fields of a stranger's object: each is taken out once, and what is left stays as it came.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Json, Reason, Rejection, ToJson};
use serde::Deserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Longest sentence about a fault, in characters: it may repeat what was sent.
const DETAIL_CHARS_MAX: usize = 200;

/// The fields of one object, in the order of their text; their values are still closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'a> {
    /// Where the object lies: a JSON pointer.
    at: String,
    /// Names and JSON texts.
    list: Vec<(String, Cow<'a, str>)>,
}

impl<'a> Fields<'a> {
    /// Opens an object; one that has a key twice is refused. `null` is no value.
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        Self::open(text, String::new())
    }

    fn open(text: &'a str, at: String) -> Result<Self, Rejection> {
        let mut source = serde_json::Deserializer::from_str(text);
        let read = source.deserialize_map(Opener).and_then(|list| source.end().map(|()| list));
        let mut list = read.map_err(|error| malformed(&at, &error))?;
        let mut seen = HashSet::with_capacity(list.len());
        if let Some((key, _)) = list.iter().find(|(key, _)| !seen.insert(key.as_str())) {
            let detail = format!("the key {key:?} stands twice");
            let reason = Reason::DuplicateKey;
            return Err(Rejection { reason, ..malformed(&pointer(&at, key), &detail) });
        }
        list.retain(|(_, value)| value != "null");
        Ok(Self { at, list })
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let place = self.list.iter().position(|(name, _)| name == key)?;
        Some(self.list.remove(place).1)
    }

    /// Takes a field that must be of that type.
    pub(super) fn own<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, Rejection> {
        let Some(value) = self.take(key) else { return Ok(None) };
        serde_json::from_str(&value).map(Some).map_err(|error| self.wrong(key, error))
    }

    /// Takes a field that must be a text; a number counts as one, and an empty text as none.
    pub(super) fn label(&mut self, key: &str) -> Result<Option<String>, Rejection> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if is_number {
            return Ok(Some(value.into_owned()));
        }
        let text: String = serde_json::from_str(&value).map_err(|error| self.wrong(key, error))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// What a field holds, if it is of that type.
    pub(super) fn peek<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.text_of(key)?).ok()
    }

    /// The text that a field holds, or its number as one; it stays.
    pub(super) fn glance(&self, key: &str) -> Option<String> {
        let value = self.text_of(key)?;
        let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if is_number { Some(value.to_owned()) } else { serde_json::from_str(value).ok() }
    }

    /// The JSON text of a field; it stays.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.list.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// Takes a field if it is of that type; otherwise it stays where it is.
    pub(super) fn fit<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let fitting = self.peek(key)?;
        self.take(key);
        Some(fitting)
    }

    /// Takes a text into its slot, if it agrees with what is there; an empty one says nothing.
    pub(super) fn settle(&mut self, key: &str, slot: &mut Option<String>) {
        match self.peek::<String>(key) {
            Some(text) if text.is_empty() || slot.as_ref() == Some(&text) => drop(self.take(key)),
            Some(text) if slot.is_none() => {
                self.take(key);
                *slot = Some(text);
            }
            Some(_) | None => {}
        }
    }

    /// Adds those of `shared` that the object in a field does not have; without one, all of them. What
    /// is no object stays as it is.
    pub(super) fn share(&mut self, key: &str, shared: &Fields<'_>) {
        let Some(place) = self.list.iter().position(|(name, _)| name == key) else {
            return self.put(key, shared.to_json());
        };
        let Ok(mut inner) = Fields::open(&self.list[place].1, String::new()) else { return };
        let own: HashSet<&str> = inner.list.iter().map(|(name, _)| name.as_str()).collect();
        let missing = shared.list.iter().filter(|(name, _)| !own.contains(name.as_str()));
        let missing: Vec<_> = missing.cloned().collect();
        inner.list.extend(missing);
        let filled = inner.to_json();
        self.list[place].1 = Cow::Owned(filled);
    }

    /// Lets `taker` take from the object inside a field. What it leaves stays in its place, and so
    /// does what is no object.
    pub(super) fn within<T>(
        &mut self,
        key: &str,
        taker: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Option<T> {
        let place = self.list.iter().position(|(name, _)| name == key)?;
        let mut inner = Fields::open(&self.list[place].1, pointer(&self.at, key)).ok()?;
        let taken = taker(&mut inner);
        let left = (!inner.is_empty()).then(|| inner.to_json());
        match left {
            Some(left) => self.list[place].1 = Cow::Owned(left),
            None => drop(self.list.remove(place)),
        }
        Some(taken)
    }

    /// Puts a field of that JSON text in.
    pub(super) fn put(&mut self, key: &str, json: impl Into<Cow<'a, str>>) {
        self.list.push((key.to_owned(), json.into()));
    }

    /// What is left, as one object.
    pub(super) fn into_json(self) -> Json {
        Json::trusted(self.to_json())
    }

    /// The refusal of a field that is not what it must be.
    pub(super) fn wrong(&self, key: &str, detail: impl fmt::Display) -> Rejection {
        malformed(&pointer(&self.at, key), &detail)
    }
}

impl ToJson for Fields<'_> {
    fn write(&self, w: &mut Writer) {
        w.object(|w| self.list.iter().for_each(|(name, value)| w.any_key(name).raw(value)));
    }
}

/// A refusal of an event that breaks its own rules.
pub(super) fn malformed(pointer: &str, detail: &impl fmt::Display) -> Rejection {
    let detail = detail.to_string();
    // The place in the text means nothing inside one event.
    let plain = detail.rfind(" at line ").map_or(detail.as_str(), |end| &detail[..end]);
    let pointer = Some(pointer.to_owned());
    Rejection { reason: Reason::Malformed, schema: None, pointer, detail: Some(brief(plain)) }
}

/// The beginning of a text that may repeat what was sent.
pub(super) fn brief(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", brief(key).replace('~', "~0").replace('/', "~1"))
}

/// Reads an object without opening its values.
struct Opener;

impl<'de> Visitor<'de> for Opener {
    type Value = Vec<(String, Cow<'de, str>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some((key, value)) = source.next_entry::<String, &RawValue>()? {
            list.push((key, Cow::Borrowed(value.get())));
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields<'_> {
        Fields::read(text).unwrap()
    }

    #[test]
    fn what_is_not_taken_stays_as_it_came() {
        let mut some = fields(r#" {"a":1.50,"b":"x","c":null,"d":{"e":[1, 2],"f":"y"}} "#);
        assert_eq!(some.own::<String>("b"), Ok(Some("x".to_owned())));
        assert_eq!(some.take("c"), None);
        assert_eq!(some.within("d", |inner| inner.fit::<String>("f")), Some(Some("y".to_owned())));
        assert_eq!(some.to_json(), r#"{"a":1.50,"d":{"e":[1, 2]}}"#);
        some.within("d", |inner| inner.take("e").map(Cow::into_owned));
        assert_eq!(some.to_json(), r#"{"a":1.50}"#);
    }

    #[test]
    fn what_does_not_fit_stays_where_it_is() {
        let mut some = fields(r#"{"a":7,"b":[],"c":null}"#);
        assert_eq!(some.fit::<String>("a"), None);
        assert_eq!(some.fit::<String>("c"), None);
        assert_eq!(some.within("b", |_| ()), None);
        assert_eq!(some.within("z", |_| ()), None);
        assert_eq!(some.to_json(), r#"{"a":7,"b":[]}"#);
    }

    #[test]
    fn a_label_is_a_text_or_a_number() {
        let mut some = fields(r#"{"a":"x","b":12345678901234567890123,"c":"","d":{},"e":true}"#);
        assert_eq!(some.label("a"), Ok(Some("x".to_owned())));
        assert_eq!(some.label("b"), Ok(Some("12345678901234567890123".to_owned())));
        assert_eq!(some.label("c"), Ok(None));
        assert_eq!(some.label("z"), Ok(None));
        assert_eq!(some.label("d").unwrap_err().pointer.as_deref(), Some("/d"));
        assert_eq!(some.label("e").unwrap_err().reason, Reason::Malformed);
    }

    fn check(text: &str, reason: Reason, pointer: &str) {
        let rejection = Fields::read(text).unwrap_err();
        assert_eq!(rejection.reason, reason, "{text}: {rejection:?}");
        assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{text}: {rejection:?}");
        assert!(rejection.detail.is_some_and(|text| !text.is_empty() && !text.contains("line")));
    }

    #[test]
    fn what_is_no_lawful_object_is_refused() {
        check("7", Reason::Malformed, "");
        check("[]", Reason::Malformed, "");
        check(r#"{"a":1"#, Reason::Malformed, "");
        check(r#"{"a":1}x"#, Reason::Malformed, "");
        check(r#"{"a":null,"a":1}"#, Reason::DuplicateKey, "/a");
        check(r#"{"a/b":1,"a\/b":2}"#, Reason::DuplicateKey, "/a~1b");
    }
}
