//! A JSON value that borrows its texts from where it was read, in the form that schemas judge.
//!
//! Building a `serde_json::Value` costs a copy of each text and a search tree for each object, most
//! of what judging an event costs. This one is made of slices and short lists.

use std::borrow::Cow;

use jsonschema::json::{Array, Json, Node, NodeIdentity, Object};
use jsonschema::types::JsonType;
use serde_json::{Number, Value};

/// A JSON value that borrows its texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// Any number.
    Number(Number),
    /// A text, borrowed where nothing in it was escaped.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Tree<'a>>),
    /// An object, in the order of its text. Whoever makes one sees to it that no key stands twice.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl Tree<'_> {
    /// The field `name` of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }
}

impl From<&Tree<'_>> for Value {
    fn from(tree: &Tree<'_>) -> Self {
        match tree {
            Tree::Null => Self::Null,
            Tree::Boolean(value) => Self::Bool(*value),
            Tree::Number(number) => Self::Number(number.clone()),
            Tree::Text(text) => Self::String(text.clone().into_owned()),
            Tree::List(items) => items.iter().map(Self::from).collect(),
            Tree::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect()
            }
        }
    }
}

impl<'a> From<&'a Value> for Tree<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.into()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let field = |(key, value): (&'a String, &'a Value)| (key.into(), Self::from(value));
                Self::Object(fields.iter().map(field).collect())
            }
        }
    }
}

/// How [`Tree`] is shown to the validator.
pub(super) struct Borrowed;

impl Json for Borrowed {
    type Node<'a> = &'a Tree<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    // A lookup compares keys one after the other.
    const KEYS_PER_LOOKUP: usize = 4;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        (): &mut (),
        string: &str,
        f: impl for<'x> FnOnce(&'x Tree<'x>) -> T,
    ) -> T {
        f(&Tree::Text(Cow::Borrowed(string)))
    }
}

impl<'a> Node<'a, Borrowed> for &'a Tree<'a> {
    type Object = &'a [(Cow<'a, str>, Tree<'a>)];
    type Array = &'a [Tree<'a>];
    type Number = &'a Number;

    fn as_object(&self) -> Option<Self::Object> {
        match self {
            Tree::Object(fields) => Some(fields),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Self::Array> {
        match self {
            Tree::List(items) => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Tree::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<&'a Number> {
        match self {
            Tree::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Tree::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Tree::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Tree::Null => JsonType::Null,
            Tree::Boolean(_) => JsonType::Boolean,
            Tree::Number(_) => JsonType::Number,
            Tree::Text(_) => JsonType::String,
            Tree::List(_) => JsonType::Array,
            Tree::Object(_) => JsonType::Object,
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Tree::Text(text) = self else { return None };
        // A code point takes one to four bytes: mostly the length in bytes decides.
        let bytes = text.len() as u64;
        let fewest = bytes.div_ceil(4);
        if bytes < min || fewest > max {
            return Some(false);
        }
        if min <= fewest && bytes <= max {
            return Some(true);
        }
        Some((min..=max).contains(&(text.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            // What enumerations are mostly made of; the rest compares as JSON Schema says.
            (Tree::Text(text), Value::String(expected)) => text == expected,
            (Tree::Text(_), _) | (_, Value::String(_)) => false,
            _ => jsonschema::json::cmp::equal(&self.to_value(), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::from(*self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Tree<'_>>(self) as usize))
    }
}

impl<'a> Object<'a, Borrowed> for &'a [(Cow<'a, str>, Tree<'a>)] {
    type Node = &'a Tree<'a>;
    type MemberName = &'a str;
    type MembersIter = std::iter::Map<
        std::slice::Iter<'a, (Cow<'a, str>, Tree<'a>)>,
        fn(&'a (Cow<'a, str>, Tree<'a>)) -> (&'a str, &'a Tree<'a>),
    >;

    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn get(&self, key: &Box<str>) -> Option<&'a Tree<'a>> {
        self.iter().find(|(name, _)| **name == **key).map(|(_, value)| value)
    }

    fn members(&self) -> Self::MembersIter {
        self.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

impl<'a> Array<'a, Borrowed> for &'a [Tree<'a>] {
    type Node = &'a Tree<'a>;
    type ElementsIter = std::slice::Iter<'a, Tree<'a>>;

    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, instance: &Value, valid: bool) {
        let validator = jsonschema::options_for::<Borrowed>().build(schema).unwrap();
        let tree = Tree::from(instance);
        assert_eq!(validator.is_valid(&tree), valid, "{schema} {instance}");
        assert_eq!(jsonschema::is_valid(schema, instance), valid, "{schema} {instance}");
        assert_eq!(&Value::from(&tree), instance);
    }

    #[test]
    fn a_tree_is_judged_as_a_value_is() {
        let one_of = json!({"enum": ["a", 1, null, [1, {"x": 2.0}]]});
        for (instance, valid) in [
            (json!("a"), true),
            (json!("b"), false),
            (json!(1.0), true),
            (json!(null), true),
            (json!([1, {"x": 2}]), true),
            (json!([1, {"x": 3}]), false),
            (json!(false), false),
        ] {
            check(&one_of, &instance, valid);
        }
        let lengths = json!({"minLength": 2, "maxLength": 3});
        for (text, valid) in [("é", false), ("éé", true), ("🦀🦀🦀", true), ("abcd", false)]
        {
            check(&lengths, &json!(text), valid);
        }
        let object = json!({
            "properties": {"n": {"type": "integer", "minimum": 1}, "l": {"uniqueItems": true}},
            "required": ["n"], "additionalProperties": false,
            "propertyNames": {"maxLength": 1}
        });
        for (instance, valid) in [
            (json!({"n": 2, "l": [1, 2, "x"]}), true),
            (json!({"n": 2.0}), true),
            (json!({"n": 2.5}), false),
            (json!({"l": []}), false),
            (json!({"n": 1, "m": 1}), false),
            (json!({"n": 1, "l": [1, 1.0]}), false),
            (json!({"n": 18_446_744_073_709_551_615_u64}), true),
        ] {
            check(&object, &instance, valid);
        }
    }
}
