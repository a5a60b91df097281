//! A schema as far as types can say it.

use serde_json::{Map, Value};

use super::names::pascal;
use crate::SchemaText;

/// How deep references and objects are followed; beyond it there is no type.
const DEPTH_MAX: usize = 16;

/// An event type.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: String,
    pub(super) version: u32,
    pub(super) props: Object,
}

/// An object with a name of its own.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) about: Vec<String>,
    pub(super) fields: Vec<Field>,
    /// Whether there may be further properties.
    pub(super) is_open: bool,
}

/// A property.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) about: Vec<String>,
    pub(super) is_required: bool,
    pub(super) shape: Shape,
}

/// What a value looks like.
#[derive(Debug)]
pub(super) enum Shape {
    /// Nothing is known that a type can say.
    Any,
    Boolean,
    Null,
    Number,
    Integer {
        is_positive: bool,
    },
    Text,
    /// One of these texts; the name is for languages whose choices are named.
    Choice {
        name: String,
        about: Vec<String>,
        texts: Vec<String>,
    },
    List(Box<Shape>),
    Object(Object),
    /// Any name, each with a value like this.
    Map(Box<Shape>),
    /// It may also be null.
    Nullable(Box<Shape>),
}

impl Event {
    /// Reads a schema that compiles.
    pub(super) fn read(text: &SchemaText) -> Self {
        let schema: Value = serde_json::from_str(&text.text).unwrap_or_default();
        let reader = Reader { root: &schema };
        let name = pascal(&text.kind);
        let shape = reader.shape(&schema, &name, 0);
        let props = match shape {
            Shape::Object(object) => object,
            _ => Object { name, about: reader.about(&schema), fields: Vec::new(), is_open: true },
        };
        Self { kind: text.kind.clone(), version: text.version, props }
    }
}

struct Reader<'a> {
    root: &'a Value,
}

impl<'a> Reader<'a> {
    fn shape(&self, schema: &'a Value, name: &str, depth: usize) -> Shape {
        let schema = self.follow(schema);
        if depth > DEPTH_MAX {
            return Shape::Any;
        }
        if let Some(choice) = self.choice(schema, name) {
            return choice;
        }
        match &schema["type"] {
            Value::String(kind) => self.of_kind(kind, schema, name, depth),
            // A type or null is as much of a list of types as types can say.
            Value::Array(kinds) => {
                let is_null = |kind: &&Value| kind.as_str() == Some("null");
                let others: Vec<_> = kinds.iter().filter(|kind| !is_null(kind)).collect();
                match others[..] {
                    [Value::String(kind)] if others.len() < kinds.len() => {
                        Shape::Nullable(Box::new(self.of_kind(kind, schema, name, depth)))
                    }
                    [Value::String(kind)] => self.of_kind(kind, schema, name, depth),
                    _ => Shape::Any,
                }
            }
            _ if schema.get("properties").is_some() => self.of_kind("object", schema, name, depth),
            _ => Shape::Any,
        }
    }

    fn of_kind(&self, kind: &str, schema: &'a Value, name: &str, depth: usize) -> Shape {
        match kind {
            "boolean" => Shape::Boolean,
            "null" => Shape::Null,
            "number" => Shape::Number,
            "integer" => Shape::Integer {
                is_positive: schema["minimum"].as_f64().is_some_and(|least| least >= 0.0),
            },
            "string" => Shape::Text,
            "array" => match schema.get("items") {
                Some(items) => Shape::List(Box::new(self.shape(items, name, depth + 1))),
                None => Shape::List(Box::new(Shape::Any)),
            },
            "object" => self.object(schema, name, depth),
            _ => Shape::Any,
        }
    }

    fn object(&self, schema: &'a Value, name: &str, depth: usize) -> Shape {
        let properties = schema["properties"].as_object();
        let more = &schema["additionalProperties"];
        if properties.is_none_or(Map::is_empty) && more.is_object() {
            return Shape::Map(Box::new(self.shape(more, name, depth + 1)));
        }
        let required: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let field = |(property, schema): (&String, &'a Value)| Field {
            name: property.clone(),
            about: self.about(schema),
            is_required: required.contains(&property.as_str()),
            shape: self.shape(schema, &format!("{name}{}", pascal(property)), depth + 1),
        };
        let fields = properties.into_iter().flatten().map(field).collect();
        let is_open = more != &Value::Bool(false);
        Shape::Object(Object { name: name.to_owned(), about: self.about(schema), fields, is_open })
    }

    /// A choice among texts.
    fn choice(&self, schema: &'a Value, name: &str) -> Option<Shape> {
        let one = schema.get("const").map(std::slice::from_ref);
        let values = one.or_else(|| schema.get("enum")?.as_array().map(Vec::as_slice))?;
        let texts: Option<Vec<_>> =
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        Some(match texts {
            Some(texts) => {
                Shape::Choice { name: name.to_owned(), about: self.about(schema), texts }
            }
            None => Shape::Any,
        })
    }

    /// Where a reference inside the schema leads.
    fn follow(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..DEPTH_MAX {
            let target = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
            match target.and_then(|pointer| self.root.pointer(pointer)) {
                Some(next) => schema = next,
                None => return schema,
            }
        }
        schema
    }

    /// What stands over a type or property: its description, what types cannot say, and a mark on
    /// what is personal.
    fn about(&self, schema: &'a Value) -> Vec<String> {
        let own = schema["description"].as_str();
        let schema = self.follow(schema);
        let described = own.or_else(|| schema["description"].as_str());
        let mut about: Vec<String> = described.into_iter().map(str::to_owned).collect();
        let bounds = bounds(schema);
        if !bounds.is_empty() {
            about.push(format!("Must have {}.", bounds.join(", ")));
        }
        if schema["x-pii"] == true {
            about.push("Personal: taken out where the visitor has not consented.".to_owned());
        }
        about
    }
}

/// What a schema asks of a value beyond its type, in its own words.
fn bounds(schema: &Value) -> Vec<String> {
    const WORDS: [&str; 12] = [
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "exclusiveMinimum",
        "maximum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "uniqueItems",
    ];
    let bound = |word: &&str| Some(format!("{word} `{}`", plain(schema.get(*word)?)));
    WORDS.iter().filter_map(bound).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
