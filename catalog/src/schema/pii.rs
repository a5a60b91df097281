//! Finds what a schema marks as personal: `"x-pii": true` on a property.

use std::collections::BTreeSet;
use std::ptr;

use jsonschema::{Draft, Registry};
use referencing::{Resolver, ResourceRef};
use serde_json::{Map, Value};

use super::documents::Documents;

/// The keyword.
const MARK: &str = "x-pii";

/// How many places of a schema are looked at; references multiply them.
const PLACES_MAX: usize = 20_000;

/// Where a schema lies that says nothing of it.
const ROOT: &str = "json-schema:///";

/// The marked properties, as JSON pointers into an instance, in order. The segment `*` stands for
/// every element of an array, or every key of an object that is not named.
///
/// What is marked must be known for certain, so a schema with marks is refused where they cannot be
/// listed: behind a reference to itself, or one that depends on where it is followed from.
pub(super) fn pointers(schema: &Value, documents: &Documents) -> Result<Vec<String>, String> {
    if !has_mark(schema) && !documents.values().any(has_mark) {
        return Ok(Vec::new());
    }
    let unresolved = |error| format!("has marks {MARK} and a reference that is no good: {error}");
    let draft = Draft::default().detect(schema);
    let registry = Registry::new()
        .retriever(documents.clone())
        .add(ROOT, ResourceRef::new(schema, draft))
        .and_then(|registry| registry.prepare())
        .map_err(unresolved)?;
    let root = jsonschema::uri::from_str(ROOT).map_err(unresolved)?;
    let scope = Scope { resolver: registry.resolver(root), draft };
    let mut walk = Walk { found: BTreeSet::new(), open: Vec::new(), places: 0 };
    walk.schema(schema, "", &scope)?;
    Ok(walk.found.into_iter().collect())
}

fn has_mark(value: &Value) -> bool {
    match value {
        Value::Object(keys) => keys.contains_key(MARK) || keys.values().any(has_mark),
        Value::Array(items) => items.iter().any(has_mark),
        _ => false,
    }
}

/// Where references are followed from.
#[derive(Clone)]
struct Scope<'a> {
    resolver: Resolver<'a>,
    draft: Draft,
}

struct Walk<'a> {
    found: BTreeSet<String>,
    /// The schemas that references are being followed to.
    open: Vec<&'a Value>,
    places: usize,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value, at: &str, scope: &Scope<'a>) -> Result<(), String> {
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
        let resolver = scope.resolver.in_subresource(ResourceRef::new(schema, scope.draft));
        let resolver = resolver.map_err(|error| format!("has a bad $id: {error}"))?;
        let scope = Scope { resolver, draft: scope.draft };
        self.in_place(keywords, at, &scope)?;
        self.below(keywords, at, &scope)?;
        self.reference(keywords, at, &scope)
    }

    /// Keywords whose schemas apply to the same value.
    fn in_place(
        &mut self,
        keywords: &'a Map<String, Value>,
        at: &str,
        scope: &Scope<'a>,
    ) -> Result<(), String> {
        for keyword in ["if", "then", "else", "not"] {
            if let Some(schema) = keywords.get(keyword) {
                self.schema(schema, at, scope)?;
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for schema in list(keywords, keyword) {
                self.schema(schema, at, scope)?;
            }
        }
        for (_, schema) in map(keywords, "dependentSchemas") {
            self.schema(schema, at, scope)?;
        }
        Ok(())
    }

    /// Keywords whose schemas apply to parts of the value.
    fn below(
        &mut self,
        keywords: &'a Map<String, Value>,
        at: &str,
        scope: &Scope<'a>,
    ) -> Result<(), String> {
        for (name, schema) in map(keywords, "properties") {
            self.schema(schema, &child(at, name), scope)?;
        }
        for (place, schema) in list(keywords, "prefixItems").enumerate() {
            self.schema(schema, &child(at, &place.to_string()), scope)?;
        }
        for keyword in [
            "items",
            "contains",
            "additionalProperties",
            "unevaluatedItems",
            "unevaluatedProperties",
        ] {
            if let Some(schema) = keywords.get(keyword) {
                self.schema(schema, &child(at, "*"), scope)?;
            }
        }
        // Before draft 2020-12 a list under `items` is what `prefixItems` is now.
        for (place, schema) in list(keywords, "items").enumerate() {
            self.schema(schema, &child(at, &place.to_string()), scope)?;
        }
        for (_, schema) in map(keywords, "patternProperties") {
            self.schema(schema, &child(at, "*"), scope)?;
        }
        Ok(())
    }

    fn reference(
        &mut self,
        keywords: &'a Map<String, Value>,
        at: &str,
        scope: &Scope<'a>,
    ) -> Result<(), String> {
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if keywords.contains_key(keyword) {
                return Err(format!("has marks {MARK} and {keyword}, which do not go together"));
            }
        }
        let Some(reference) = keywords.get("$ref").and_then(Value::as_str) else { return Ok(()) };
        let found = scope.resolver.lookup(reference);
        let found = found.map_err(|error| format!("has a reference {reference}: {error}"))?;
        let (target, resolver, draft) = found.into_inner();
        if self.open.iter().any(|open| ptr::eq(*open, target)) {
            return Err(format!("has marks {MARK}, so {reference} must not refer to itself"));
        }
        self.open.push(target);
        self.schema(target, at, &Scope { resolver, draft })?;
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
    use crate::Document;

    fn marks(schema: &Value) -> Result<Vec<String>, String> {
        pointers(schema, &Documents::default())
    }

    #[test]
    fn marks_are_found_in_other_documents() {
        let document = |uri: &str, schema: Value| Document {
            uri: uri.to_owned(),
            text: schema.to_string().into(),
        };
        let documents = Documents::parse(&[
            document(
                "json-schema:///order.json",
                json!({"$id": "https://shop.example/order.json",
                    "properties": {"buyer": {"$ref": "buyer.json#/definitions/buyer"}}}),
            ),
            document(
                "https://shop.example/buyer.json",
                json!({"definitions": {"buyer": {"properties": {"name": {"x-pii": true}}}}}),
            ),
        ]);
        let schema = json!({"properties": {"last": {"$ref": "order.json"}}});
        let found = pointers(&schema, &documents.unwrap());
        assert_eq!(found.unwrap(), ["/last/buyer/name"]);
    }

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
        let found = marks(&schema).unwrap();
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
        assert!(marks(&json!({"properties": {"a": {"x-pii": 1}}})).unwrap_err().contains("/a"));
    }

    #[test]
    fn marks_that_cannot_be_listed_are_refused() {
        let tree = |mark: bool| {
            json!({"$ref": "#/$defs/node", "$defs": {"node": {"properties": {
                "name": {"x-pii": mark, "type": "string"},
                "left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}}})
        };
        assert!(marks(&tree(true)).unwrap_err().contains("#/$defs/node"));
        let anchored = json!({"properties": {"a": {"$ref": "#a"}, "b": {"x-pii": true}},
            "$defs": {"a": {"$anchor": "a"}}});
        assert_eq!(marks(&anchored).unwrap(), ["/b"]);
        let wrong = json!({"properties": {"a": {"$ref": "#none"}, "b": {"x-pii": true}}});
        assert!(marks(&wrong).unwrap_err().contains("none"));
        let dynamic = json!({"properties": {"a": {"$dynamicRef": "#a"}, "b": {"x-pii": true}}});
        assert!(marks(&dynamic).unwrap_err().contains("$dynamicRef"));
        // Each definition names the next one twice: 2^40 places.
        let mut defs = Map::new();
        for at in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            defs.insert(format!("d{at}"), json!({"properties": {"a": next, "b": next}}));
        }
        defs.insert("d40".to_owned(), json!({"x-pii": true}));
        let many = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(marks(&many).unwrap_err().contains("more than"));
    }

    #[test]
    fn a_schema_without_marks_may_refer_to_itself() {
        let tree = json!({"properties": {"next": {"$ref": "#"}}});
        assert_eq!(marks(&tree), Ok(Vec::new()));
    }
}
