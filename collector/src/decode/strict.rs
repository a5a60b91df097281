//! Builds a JSON tree in one pass that refuses a key that stands twice and nesting past a bound.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use clickmill_catalog::Tree;
use clickmill_sdk_core::wire::Reason;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Up to so many keys are compared one by one; more are looked up.
const FEW_KEYS: usize = 16;

/// Most objects have no more keys than that.
const USUAL_KEYS: usize = 8;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The stable code.
    pub(crate) reason: Reason,
    /// Where: a JSON pointer.
    pub(crate) pointer: String,
    /// One sentence without a full stop.
    pub(crate) detail: String,
}

/// The way back from a fault to the top of the text, laid only once there is a fault.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Reason and sentence, where this module found the fault.
    found: Option<(Reason, String)>,
    /// The steps to the fault, innermost first.
    steps: Vec<String>,
}

impl Trail {
    /// Notes a fault of ours and makes the error that ends the reading.
    pub(super) fn refuse<E: de::Error>(&mut self, reason: Reason, detail: String) -> E {
        let error = E::custom(&detail);
        self.found = Some((reason, detail));
        error
    }

    /// Adds the next step outwards.
    pub(super) fn step(&mut self, name: impl Into<String>) {
        self.steps.push(name.into());
    }

    /// The same with one more step outwards.
    pub(super) fn within(mut self, name: &str) -> Self {
        self.step(name);
        self
    }

    /// The fault at the end of the trail; `error` is what the reading ended with.
    pub(super) fn fault(self, error: &serde_json::Error) -> Fault {
        let (reason, detail) = self.found.unwrap_or_else(|| {
            let detail = plain(error);
            // serde's derived readers find this one by themselves and only say so in words.
            let twice = detail.starts_with("duplicate field");
            (if twice { Reason::DuplicateKey } else { Reason::Malformed }, detail)
        });
        let mut pointer = String::new();
        for step in self.steps.iter().rev() {
            pointer.push('/');
            pointer.push_str(&super::brief(step).replace('~', "~0").replace('/', "~1"));
        }
        Fault { reason, pointer, detail: super::brief(&detail) }
    }
}

/// The error without the line and column, which mean nothing inside one event.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Reads a text that must be one JSON object.
pub(super) fn object<'a>(
    text: &'a str,
    depth_max: u32,
    trail: &mut Trail,
) -> Result<Tree<'a>, serde_json::Error> {
    let mut source = serde_json::Deserializer::from_str(text);
    let tree = Strict { trail, depth_left: depth_max }.deserialize(&mut source)?;
    source.end()?;
    match tree {
        Tree::Object(_) => Ok(tree),
        _ => Err(trail.refuse(Reason::Malformed, "this must be a JSON object".to_owned())),
    }
}

/// A text that is borrowed where nothing in it is escaped.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: de::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        source.deserialize_str(Text)
    }
}

/// Reads one value.
struct Strict<'t> {
    trail: &'t mut Trail,
    /// How many more objects or arrays may open inside each other.
    depth_left: u32,
}

impl Strict<'_> {
    /// The reader for what lies inside, or the refusal to go there.
    fn deeper<E: de::Error>(&mut self) -> Result<Strict<'_>, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Strict { trail: &mut *self.trail, depth_left }),
            None => {
                let detail = "objects and arrays lie too deep inside each other".to_owned();
                Err(self.trail.refuse(Reason::TooDeep, detail))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Tree<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, source: D) -> Result<Tree<'de>, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree<'de>, E> {
        // serde_json refuses numbers past f64's range itself, so this is always finite.
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut source: A) -> Result<Tree<'de>, A::Error> {
        let mut items = Vec::new();
        loop {
            match source.next_element_seed(self.deeper()?) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Tree::List(items)),
                Err(error) => {
                    self.trail.step(items.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut source: A) -> Result<Tree<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Fields::default();
        while let Some(Name(key)) = source.next_key()? {
            if fields.has(&key) {
                let error = inner.trail.refuse(Reason::DuplicateKey, twice(&key));
                inner.trail.step(key);
                return Err(error);
            }
            let seed = Strict { trail: &mut *inner.trail, depth_left: inner.depth_left };
            match source.next_value_seed(seed) {
                Ok(value) => fields.push(key, value),
                Err(error) => {
                    inner.trail.step(key);
                    return Err(error);
                }
            }
        }
        Ok(Tree::Object(fields.all))
    }
}

/// The fields of an object that is being read.
#[derive(Default)]
struct Fields<'a> {
    all: Vec<(Cow<'a, str>, Tree<'a>)>,
    /// Their keys, once there are many.
    known: HashSet<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn has(&self, key: &str) -> bool {
        if self.known.is_empty() {
            self.all.iter().any(|(known, _)| known == key)
        } else {
            self.known.contains(key)
        }
    }

    fn push(&mut self, key: Cow<'a, str>, value: Tree<'a>) {
        if !self.known.is_empty() {
            self.known.insert(key.clone());
        } else if self.all.len() >= FEW_KEYS {
            self.known.extend(self.all.iter().map(|(known, _)| known.clone()));
            self.known.insert(key.clone());
        }
        if self.all.capacity() == 0 {
            self.all.reserve_exact(USUAL_KEYS);
        }
        self.all.push((key, value));
    }
}

/// The sentence about a key that stands twice.
pub(super) fn twice(key: &str) -> String {
    format!("the key {key:?} stands twice")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(text: &str, depth_max: u32) -> Result<Tree<'_>, Fault> {
        let mut trail = Trail::default();
        object(text, depth_max, &mut trail).map_err(|error| trail.fault(&error))
    }

    fn check(text: &str, reason: Reason, pointer: &str) {
        let fault = read(text, 3).unwrap_err();
        assert_eq!((fault.reason, fault.pointer.as_str()), (reason, pointer), "{text}: {fault:?}");
        assert!(!fault.detail.is_empty() && !fault.detail.contains("line"), "{fault:?}");
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        check(r#"{"a":1,"a":2}"#, Reason::DuplicateKey, "/a");
        check(r#"{"a":{"b":[{},{"c":1,"c":1}]}}"#, Reason::TooDeep, "/a/b/0");
        check(r#"{"a":[{"b/c":1,"b/c":1}]}"#, Reason::DuplicateKey, "/a/0/b~1c");
        check(r#"{"a":{"x~y":{"b":{}}}}"#, Reason::TooDeep, "/a/x~0y/b");
        check(r#"{"a":[[[]]]}"#, Reason::TooDeep, "/a/0/0");
        check(r#"{"a":[0,"\ud800"]}"#, Reason::Malformed, "/a/1");
        check(r#"{"a":1e999}"#, Reason::Malformed, "/a");
        check(r#"{"a\u0061":1,"aa":2}"#, Reason::DuplicateKey, "/aa");
        for other in ["[]", "1", "null", "\"{}\""] {
            check(other, Reason::Malformed, "");
        }
    }

    #[test]
    fn many_keys_are_told_apart_too() {
        let keys = |count: usize| (0..count).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>();
        for count in [1, FEW_KEYS, FEW_KEYS + 1, FEW_KEYS + 2, 200] {
            let keys = keys(count);
            let good = format!("{{{}}}", keys.join(","));
            assert!(read(&good, 1).is_ok(), "{count}");
            for again in [&keys[0], &keys[count - 1]] {
                let bad = format!("{{{},{again}}}", keys.join(","));
                assert_eq!(read(&bad, 1).unwrap_err().reason, Reason::DuplicateKey, "{count}");
            }
        }
    }

    #[test]
    fn the_depth_counts_from_the_object_itself() {
        assert!(read(r#"{"a":[{"b":1}]}"#, 3).is_ok());
        assert!(read(r#"{"a":[{"b":1}]}"#, 2).is_err());
        assert!(read("{}", 1).is_ok());
        assert!(read("{}", 0).is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_lawful_is_read_as_serde_reads_it(value in any_value()) {
            let text = serde_json::json!({ "v": value }).to_string();
            let plain: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(Value::from(&read(&text, 16).unwrap()), plain);
        }
    }
}
