//! JSON Schemas of strangers: compiled or refused, and then judging whatever comes; and the answers
//! of a registry that holds some.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use clickmill_catalog::fuzzing;
use clickmill_catalog::{Fetched, SchemaSource, SchemaText, Schemas, SourceError, Tree};
use serde_json::json;

use crate::Target;

const TARGET: Target = Target {
    name: "schemas",
    words: &[
        br##""$ref":"#""##,
        br##"{"$ref":"#/$defs/a"}"##,
        br#""$defs":{"a":{}}"#,
        br#""$id":"https://x.example/a""#,
        br#""$ref":"https://x.example/b""#,
        br#""type":"object""#,
        br#""type":["string","null"]"#,
        br#""properties":{"sku":{}}"#,
        br#""required":["sku"]"#,
        br#""pattern":"^(a+)+$""#,
        br#""patternProperties":{"^s":{}}"#,
        br#""additionalProperties":false"#,
        br#""unevaluatedProperties":false"#,
        br#""format":"date-time""#,
        br#""multipleOf":0.01"#,
        br#""maximum":1e308"#,
        br#""maxLength":18446744073709551615"#,
        br#""enum":[]"#,
        br#""const":null"#,
        br#""items":{"#,
        br#""allOf":[{"#,
        br#""not":{}"#,
        br#""if":{},"then":false"#,
        br#""x-pii":true"#,
        b"true",
        b"false",
        b"{}",
    ],
    bytes_max: 4_096,
    packed: false,
};

/// A source of one schema.
#[derive(Clone, Default)]
struct One(Arc<Mutex<Arc<str>>>);

impl SchemaSource for One {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        let text = Arc::clone(&self.0.lock().expect("not poisoned"));
        let origin = "fuzz".to_owned();
        let kind = "thing".to_owned();
        let schema = SchemaText { kind, version: 1, origin, text, id: None, documents: Vec::new() };
        Ok(Fetched { schemas: vec![schema], refused: Vec::new() })
    }
}

#[test]
fn a_schema_is_compiled_or_refused_by_name_and_then_judges_anything() {
    let props = [
        json!({}),
        json!({"sku": "a", "quantity": 1, "price": 0.1, "tags": ["a", null, {"b": []}]}),
        json!({"sku": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "at": "2026-01-01T00:00:00Z"}),
        json!({"sku": {"sku": {"sku": {"sku": 1e300}}}}),
    ];
    TARGET.run(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return "no text".to_owned() };
        let source = One::default();
        *source.0.lock().expect("not poisoned") = text.into();
        let (schemas, refused) = Schemas::open(vec![Box::new(source)]).expect("a source");
        let set = schemas.load();
        assert_eq!(set.len() + refused.len(), 1, "neither used nor refused, or both");
        if let Some(refusal) = refused.first() {
            assert!(!refusal.problem.is_empty() && refusal.origin == "fuzz");
            let words = refusal.problem.split_whitespace().take(4);
            let plain = words.filter(|word| word.bytes().all(|b| b.is_ascii_alphabetic()));
            return plain.collect::<Vec<_>>().join(" ");
        }
        let schema = set.schemas().next().expect("one schema");
        let verdicts = props.each_ref().map(|props| match schema.validate(&Tree::from(props)) {
            Ok(()) => "+".to_owned(),
            Err(violation) => {
                assert!(violation.pointer.is_empty() || violation.pointer.starts_with('/'));
                format!("-{}", violation.pointer.len().min(9))
            }
        });
        verdicts.concat()
    });
}

const REGISTRY: Target = Target {
    name: "registry",
    words: &[
        br#"["web.clicks.wish"]"#,
        br#""web.clicks.wish_2","#,
        b"[1,2]",
        b"[1]",
        b"\n",
        br#""id":7"#,
        br#""schemaType":"JSON""#,
        br#""schemaType":"AVRO""#,
        br#""schema":"{}""#,
        br#""schema":"{\"$ref\":\"a.json\"}""#,
        br#""schema":"{\"$id\":\"https://x.example/a\"}""#,
        br#""references":[{"name":"a.json","subject":"web.clicks.wish","version":2}]"#,
        br#"{"name":"b.json","subject":"b","version":3},"#,
        br#""version":4294967295"#,
        b"null",
        b"{",
        b"4294967296",
    ],
    bytes_max: 4_096,
    packed: false,
};

/// What a registry held.
struct Said(Fetched);

impl SchemaSource for Said {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        Ok(self.0.clone())
    }
}

#[test]
fn whatever_a_registry_answers_is_schemas_and_refusals_or_one_complaint() {
    REGISTRY.run(|bytes| {
        let held = match fuzzing::held(bytes) {
            Ok(held) => held,
            Err(complaint) => {
                assert!(!complaint.is_empty() && complaint.len() <= 2_000, "{complaint}");
                return "a complaint".to_owned();
            }
        };
        let again = fuzzing::held(bytes).expect("the same as before");
        assert_eq!(format!("{held:?}"), format!("{again:?}"), "threads decide nothing");
        let mut seen = HashSet::new();
        for schema in &held.schemas {
            assert!(seen.insert((&schema.kind, schema.version)), "{schema:?}");
            assert!(schema.documents.iter().all(|document| !document.uri.contains('#')));
        }
        let all = held.schemas.len() + held.refused.len();
        assert!(held.refused.iter().all(|refusal| refusal.problem.len() <= 5_000));
        let counts = (held.schemas.len(), held.refused.len());
        let (schemas, refused) = Schemas::open(vec![Box::new(Said(held))]).expect("a source");
        assert_eq!(schemas.load().len() + refused.len(), all, "neither used nor refused, or both");
        format!("{} {} {}", counts.0.min(6), counts.1.min(6), refused.len().min(6))
    });
}
