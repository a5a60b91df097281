//! Finds what a schema marks as personal: `"x-pii": true` on a property.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The keyword.
const MARK: &str = "x-pii";

/// How many places of a schema are looked at; references multiply them.
const PLACES_MAX: usize = 20_000;

/// The marked properties, as JSON pointers into an instance, in order. The segment `*` stands for
/// every element of an array, or every key of an object that is not named.
///
/// What is marked must be known for certain, so a schema with marks is refused where they cannot be
/// listed: behind a reference to itself, or one that is no JSON pointer into the same document.
pub(super) fn pointers(schema: &Value) -> Result<Vec<String>, String> {
    if !has_mark(schema) {
        return Ok(Vec::new());
    }
    let mut walk = Walk { root: schema, found: BTreeSet::new(), open: Vec::new(), places: 0 };
    walk.schema(schema, "")?;
    Ok(walk.found.into_iter().collect())
}

fn has_mark(value: &Value) -> bool {
    match value {
        Value::Object(keys) => keys.contains_key(MARK) || keys.values().any(has_mark),
        Value::Array(items) => items.iter().any(has_mark),
        _ => false,
    }
}

struct Walk<'a> {
    root: &'a Value,
    found: BTreeSet<String>,
    /// The references that are being followed.
    open: Vec<&'a str>,
    places: usize,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value, at: &str) -> Result<(), String> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        self.places += 1;
        if self.places > PLACES_MAX {
            return Err(format!("has more than {PLACES_MAX} places to look for {MARK} in"));
        }
        match keywords.get(MARK) {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => {
                self.found.insert(at.to_owned());
            }
            Some(_) => return Err(format!("has a mark {MARK} at {at:?} that is not true")),
        }
        self.in_place(keywords, at)?;
        self.below(keywords, at)?;
        self.reference(keywords, at)
    }

    /// Keywords whose schemas apply to the same value.
    fn in_place(&mut self, keywords: &'a Map<String, Value>, at: &str) -> Result<(), String> {
        for keyword in ["if", "then", "else", "not"] {
            if let Some(schema) = keywords.get(keyword) {
                self.schema(schema, at)?;
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for schema in list(keywords, keyword) {
                self.schema(schema, at)?;
            }
        }
        for (_, schema) in map(keywords, "dependentSchemas") {
            self.schema(schema, at)?;
        }
        Ok(())
    }

    /// Keywords whose schemas apply to parts of the value.
    fn below(&mut self, keywords: &'a Map<String, Value>, at: &str) -> Result<(), String> {
        for (name, schema) in map(keywords, "properties") {
            self.schema(schema, &child(at, name))?;
        }
        for (place, schema) in list(keywords, "prefixItems").enumerate() {
            self.schema(schema, &child(at, &place.to_string()))?;
        }
        for keyword in [
            "items",
            "contains",
            "additionalProperties",
            "unevaluatedItems",
            "unevaluatedProperties",
        ] {
            if let Some(schema) = keywords.get(keyword) {
                self.schema(schema, &child(at, "*"))?;
            }
        }
        // Before draft 2020-12 a list under `items` is what `prefixItems` is now.
        for (place, schema) in list(keywords, "items").enumerate() {
            self.schema(schema, &child(at, &place.to_string()))?;
        }
        for (_, schema) in map(keywords, "patternProperties") {
            self.schema(schema, &child(at, "*"))?;
        }
        Ok(())
    }

    fn reference(&mut self, keywords: &'a Map<String, Value>, at: &str) -> Result<(), String> {
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if keywords.contains_key(keyword) {
                return Err(format!("has marks {MARK} and {keyword}, which do not go together"));
            }
        }
        let Some(reference) = keywords.get("$ref").and_then(Value::as_str) else { return Ok(()) };
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target else {
            return Err(format!("has marks {MARK}, so {reference} must be a pointer into it"));
        };
        if self.open.contains(&reference) {
            return Err(format!("has marks {MARK}, so {reference} must not refer to itself"));
        }
        self.open.push(reference);
        self.schema(target, at)?;
        self.open.pop();
        Ok(())
    }
}

fn child(at: &str, segment: &str) -> String {
    format!("{at}/{}", segment.replace('~', "~0").replace('/', "~1"))
}

fn list<'a>(keywords: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'a Value> {
    keywords.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn map<'a>(
    keywords: &'a Map<String, Value>,
    keyword: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    keywords.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn marks_are_found_wherever_they_apply() {
        let schema = json!({
            "properties": {
                "email": {"type": "string", "x-pii": true},
                "plain": {"x-pii": false},
                "a/b": {"x-pii": true},
                "lines": {"items": {"properties": {"note": {"x-pii": true}}}},
                "pair": {"prefixItems": [{}, {"x-pii": true}]},
                "home": {"$ref": "#/$defs/address"},
                "work": {"$ref": "#/$defs/address"}
            },
            "additionalProperties": {"x-pii": true},
            "allOf": [{"properties": {"name": {"x-pii": true}}}],
            "$defs": {
                "address": {"properties": {"street": {"x-pii": true}}},
                "unused": {"x-pii": true}
            }
        });
        let found = pointers(&schema).unwrap();
        let expected = [
            "/*",
            "/a~1b",
            "/email",
            "/home/street",
            "/lines/*/note",
            "/name",
            "/pair/1",
            "/work/street",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_mark_that_is_neither_true_nor_false_is_refused() {
        assert!(pointers(&json!({"properties": {"a": {"x-pii": 1}}})).unwrap_err().contains("/a"));
    }

    #[test]
    fn marks_that_cannot_be_listed_are_refused() {
        let tree = |mark: bool| {
            json!({"$ref": "#/$defs/node", "$defs": {"node": {"properties": {
                "name": {"x-pii": mark, "type": "string"},
                "left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}}})
        };
        assert!(pointers(&tree(true)).unwrap_err().contains("#/$defs/node"));
        let anchored = json!({"properties": {"a": {"$ref": "#a"}, "b": {"x-pii": true}},
            "$defs": {"a": {"$anchor": "a"}}});
        assert!(pointers(&anchored).unwrap_err().contains("#a"));
        // Each definition names the next one twice: 2^40 places.
        let mut defs = Map::new();
        for at in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            defs.insert(format!("d{at}"), json!({"properties": {"a": next, "b": next}}));
        }
        defs.insert("d40".to_owned(), json!({"x-pii": true}));
        let many = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(pointers(&many).unwrap_err().contains("more than"));
    }

    #[test]
    fn a_schema_without_marks_may_refer_to_itself() {
        let tree = json!({"properties": {"next": {"$ref": "#"}}});
        assert_eq!(pointers(&tree), Ok(Vec::new()));
    }
}
