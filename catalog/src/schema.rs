//! A compiled schema: what the properties of an event of one type and version must look like.

mod documents;
mod pii;
mod set;
mod store;
mod take_out;
mod tree;

use std::error::Error;
use std::fmt;

use clickmill_kafka::SchemaId;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::documents::Documents;
pub use self::set::{Resolved, SchemaSet};
pub use self::store::Schemas;
pub use self::take_out::take_out;
use self::tree::Borrowed;
pub use self::tree::Tree;
use crate::{Refusal, SchemaText};

/// Longest sentence of a violation, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// What the subjects of event types begin with.
pub(crate) const SUBJECT_PREFIX: &str = "web.clicks.";

/// The registry's subject for the schemas of an event type.
pub fn subject(kind: &str) -> String {
    format!("{SUBJECT_PREFIX}{kind}")
}

/// What the keyword `format` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formats {
    /// A string that is not of its format is a violation, in every draft. Whoever writes
    /// `"format": "email"` into the schema of an event expects that of it; since draft 2019-09 the
    /// standard leaves it to the validator.
    #[default]
    Assert,
    /// It only describes.
    Annotate,
}

/// One compiled schema.
pub struct SchemaRef {
    kind: String,
    version: u32,
    label: String,
    subject: String,
    id: SchemaId,
    validator: Validator<Borrowed>,
    pii_pointers: Vec<String>,
    digest: Digest32,
}

/// The first thing that is wrong with an event's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON pointer into the properties, empty for the whole.
    pub pointer: String,
    /// What: one short phrase, which never repeats the value that was sent.
    pub detail: String,
}

impl SchemaRef {
    /// The event type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The version, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Type and version as receipts and dead letters name them, such as `product_view/2`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The registry's subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The id for a record's header: the registry's, or else one that is the same wherever the
    /// schema's text is the same.
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// The properties that the schema marks as personal with `"x-pii": true`, as JSON pointers into
    /// the properties; the segment `*` stands for every element of an array or every other key of
    /// an object.
    pub fn pii_pointers(&self) -> &[String] {
        &self.pii_pointers
    }

    /// Checks an event's properties.
    ///
    /// # Errors
    /// The first violation.
    pub fn validate(&self, props: &Tree<'_>) -> Result<(), Violation> {
        // Most are valid, and that is quicker to see than where a fault is.
        if self.validator.is_valid(props) {
            return Ok(());
        }
        self.validator.validate(props).map_err(|error| violation(&error))
    }
}

impl fmt::Debug for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaRef({})", self.label)
    }
}

/// Compiles a schema. References go to the documents that come with it and nowhere else, and
/// patterns run in linear time: a schema that needs look-around or back-references is refused.
pub(crate) fn compile(source: &SchemaText, formats: Formats) -> Result<SchemaRef, Refusal> {
    let refuse = |problem: String| Refusal {
        origin: source.origin.clone(),
        problem,
        schema: Some((source.kind.clone(), source.version)),
    };
    let schema: Value = serde_json::from_str(&source.text)
        .map_err(|error| refuse(format!("is not JSON: {error}")))?;
    let documents = Documents::parse(&source.documents).map_err(refuse)?;
    let validator = jsonschema::options_for::<Borrowed>()
        .with_retriever(documents.clone())
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(formats == Formats::Assert)
        .build(&schema)
        .map_err(|error| refuse(build_problem(&error)))?;
    let pii_pointers = pii::pointers(&schema, &documents).map_err(refuse)?;
    let derived = || id_of(&source.kind, &source.text);
    Ok(SchemaRef {
        label: format!("{}/{}", source.kind, source.version),
        subject: subject(&source.kind),
        id: source.id.map_or_else(derived, SchemaId::Number),
        kind: source.kind.clone(),
        version: source.version,
        validator,
        pii_pointers,
        digest: digest(source),
    })
}

/// Tells a schema with all that belongs to it from another one.
type Digest32 = [u8; 32];

fn digest(source: &SchemaText) -> Digest32 {
    let mut hash = Sha256::new();
    hash.update(source.id.map_or([0; 5], |id| {
        let [a, b, c, d] = id.to_be_bytes();
        [1, a, b, c, d]
    }));
    let documents = source.documents.iter();
    let parts = documents.flat_map(|document| [document.uri.as_str(), &document.text]);
    for part in [source.kind.as_str(), &source.text].into_iter().chain(parts) {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.chain_update(source.version.to_be_bytes()).finalize().into()
}

fn build_problem(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    let place = if place.is_empty() { String::new() } else { format!(" at {place}") };
    match error.kind() {
        ValidationErrorKind::Referencing(reason) => {
            let cause = reason.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("has a reference that cannot be resolved{place}: {reason}{cause}")
        }
        _ => format!("is no valid JSON Schema{place}: {error}"),
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    let mut pointer = error.instance_path().as_str().to_owned();
    // The object is reported; what is wrong is the property in it that should not be there.
    if let ValidationErrorKind::AdditionalProperties { unexpected }
    | ValidationErrorKind::UnevaluatedProperties { unexpected } = error.kind()
        && let Some(name) = unexpected.first()
    {
        pointer.push('/');
        pointer.push_str(&cut(&name.replace('~', "~0").replace('/', "~1")));
    }
    Violation { pointer, detail: cut(&error.masked_with("the value").to_string()) }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A UUID (version 8) from the subject and the schema's text.
fn id_of(kind: &str, text: &str) -> SchemaId {
    let digest = Sha256::new().chain_update(subject(kind)).chain_update([0]).chain_update(text);
    let digest = digest.finalize();
    let mut guid = [0; 16];
    guid.copy_from_slice(&digest[..16]);
    guid[6] = (guid[6] & 0x0f) | 0x80;
    guid[8] = (guid[8] & 0x3f) | 0x80;
    SchemaId::Guid(guid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(schema: &Value) -> Result<SchemaRef, Refusal> {
        let text = SchemaText {
            kind: "wish".to_owned(),
            version: 2,
            origin: "wish/2.json".to_owned(),
            text: schema.to_string().into(),
            ..SchemaText::default()
        };
        compile(&text, Formats::default())
    }

    fn violated(schema: &Value, props: &Value) -> Violation {
        compiled(schema).unwrap().validate(&Tree::from(props)).unwrap_err()
    }

    #[test]
    fn a_violation_says_where_and_what_but_not_the_value() {
        let schema = json!({
            "type": "object",
            "properties": {
                "sku": {"type": "string", "maxLength": 3},
                "lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}}
            },
            "additionalProperties": false
        });
        let long = violated(&schema, &json!({"sku": "secret"}));
        assert_eq!(long.pointer, "/sku");
        assert!(long.detail.contains('3') && !long.detail.contains("secret"), "{}", long.detail);

        let missing = violated(&schema, &json!({"lines": [{"sku": 1}, {}]}));
        assert_eq!(missing.pointer, "/lines/1");
        assert!(missing.detail.contains("sku"), "{}", missing.detail);

        assert_eq!(violated(&schema, &json!({"a/b~": 1})).pointer, "/a~1b~0");
        assert_eq!(violated(&schema, &json!([])).pointer, "");
    }

    #[test]
    fn a_violation_is_short() {
        let long = "x".repeat(5_000);
        let violation = violated(&json!({"additionalProperties": false}), &json!({long: 1}));
        assert!(violation.pointer.chars().count() <= DETAIL_CHARS_MAX + 2);
        assert!(violation.detail.chars().count() <= DETAIL_CHARS_MAX + 1);
    }

    #[test]
    fn the_dialect_is_the_schemas_own() {
        // In draft 4 `exclusiveMinimum` is a boolean, in 2020-12 it is a number.
        let old = json!({"$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"n": {"minimum": 1, "exclusiveMinimum": true}}});
        assert_eq!(violated(&old, &json!({"n": 1})).pointer, "/n");
        let new = json!({"properties": {"n": {"minimum": 1, "exclusiveMinimum": true}}});
        assert!(compiled(&new).is_err());
    }

    #[test]
    fn a_bad_schema_is_refused_by_name() {
        for (schema, says) in [
            (json!({"type": "strong"}), "no valid JSON Schema"),
            (json!({"$ref": "https://example.com/other.json"}), "https://example.com/other.json"),
            (json!({"$ref": "https://example.com/other.json"}), "$defs"),
            (json!({"$ref": "other.json"}), "other.json"),
            (json!({"$ref": "#/$defs/none"}), "reference"),
            (json!({"$schema": "https://example.com/dialect"}), "https://example.com/dialect"),
            (json!({"pattern": "(?=look)"}), "pattern"),
            (json!({"properties": {"a": {"x-pii": "yes"}}}), "x-pii"),
        ] {
            let refusal = compiled(&schema).unwrap_err();
            assert_eq!(refusal.schema, Some(("wish".to_owned(), 2)));
            let text = refusal.to_string();
            assert!(text.starts_with("wish/2.json: ") && text.contains(says), "{text} / {says}");
        }
        let text = SchemaText {
            kind: "wish".to_owned(),
            version: 1,
            origin: "w".to_owned(),
            text: "{".into(),
            ..SchemaText::default()
        };
        assert!(
            compile(&text, Formats::default())
                .unwrap_err()
                .to_string()
                .starts_with("w: is not JSON")
        );
    }

    #[test]
    fn a_schema_is_named_for_receipts_registry_and_headers() {
        let schema = compiled(&json!({})).unwrap();
        assert_eq!((schema.label(), schema.subject()), ("wish/2", "web.clicks.wish"));
        assert_eq!(schema.id(), compiled(&json!({})).unwrap().id());
        assert_ne!(schema.id(), compiled(&json!({"type": "object"})).unwrap().id());
    }
}
