//! Events as Rust: a struct for each, and an enum told apart by `type`.

use std::fmt::Write as _;

use super::model::{Event, Object, Shape};
use super::names::{free, pascal, snake};

const HEAD: &str = "\
//! Typed events, written by `clickmill-catalog codegen rust`; a change here is lost.
//!
//! Bounds and patterns stand in the comments: the collector holds events to them, types do not.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};
";

/// Words that no field may be called by.
const KEYWORDS: &str = " abstract as async await become box break const continue crate do dyn else enum \
    extern false final fn for gen if impl in let loop macro match mod move mut override priv pub ref \
    return self static struct super trait true try type typeof unsafe unsized use virtual where while \
    yield ";

pub(super) fn write(events: &[Event]) -> String {
    let mut out = HEAD.to_owned();
    for event in events {
        let schema = format!("Schema `{}/{}`.", event.kind, event.version);
        object(&event.props, &[schema], &mut out);
    }
    out.push_str(
        "\n/// An event, told apart by its `type`.\n\
         #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n\
         #[serde(tag = \"type\", content = \"props\")]\n\
         pub enum TypedEvent {\n",
    );
    for Event { kind, props, .. } in events {
        line(&mut out, format_args!("    #[serde(rename = \"{kind}\")]"));
        line(&mut out, format_args!("    {0}({0}),", props.name));
    }
    out.push_str("}\n");
    out
}

/// Writes an object's struct, and before it whatever has a name inside.
fn object(of: &Object, more: &[String], out: &mut String) {
    of.fields.iter().for_each(|field| named_in(&field.shape, out));
    out.push('\n');
    comment("", of.about.iter().chain(more), out);
    let default = if has_default(of) { ", Default" } else { "" };
    line(out, format_args!("#[derive(Clone, Debug{default}, PartialEq, Serialize, Deserialize)]"));
    if !of.is_open {
        out.push_str("#[serde(deny_unknown_fields)]\n");
    }
    line(out, format_args!("pub struct {} {{", of.name));
    let mut taken = vec!["more".to_owned()];
    for field in &of.fields {
        comment("    ", &field.about, out);
        let (name, mut marks) = (free(snake(&field.name), &mut taken), Vec::new());
        if name != field.name {
            marks.push(format!("rename = {:?}", field.name));
        }
        let inner = shape(&field.shape);
        let written = match (field.is_required, &field.shape) {
            (true, _) => inner,
            (false, Shape::Nullable(_)) => {
                marks.push("default, skip_serializing_if = \"Option::is_none\"".to_owned());
                inner
            }
            (false, _) => {
                marks.push("default, skip_serializing_if = \"Option::is_none\"".to_owned());
                format!("Option<{inner}>")
            }
        };
        if !marks.is_empty() {
            line(out, format_args!("    #[serde({})]", marks.join(", ")));
        }
        let raw = if KEYWORDS.contains(&format!(" {name} ")) { "r#" } else { "" };
        line(out, format_args!("    pub {raw}{name}: {written},"));
    }
    if of.is_open {
        out.push_str("    /// Further properties.\n    #[serde(flatten)]\n");
        out.push_str("    pub more: serde_json::Map<String, serde_json::Value>,\n");
    }
    out.push_str("}\n");
}

fn named_in(shape: &Shape, out: &mut String) {
    match shape {
        Shape::Object(inner) => object(inner, &[], out),
        Shape::List(inner) | Shape::Map(inner) | Shape::Nullable(inner) => named_in(inner, out),
        Shape::Choice { name, about, texts } => choice(name, about, texts, out),
        _ => {}
    }
}

fn choice(name: &str, about: &[String], texts: &[String], out: &mut String) {
    out.push('\n');
    comment("", about, out);
    out.push_str("#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]\n");
    line(out, format_args!("pub enum {name} {{"));
    let mut taken = Vec::new();
    for text in texts {
        line(out, format_args!("    #[serde(rename = {text:?})]"));
        line(out, format_args!("    {},", free(pascal(text), &mut taken)));
    }
    out.push_str("}\n");
}

fn shape(of: &Shape) -> String {
    match of {
        Shape::Any => "serde_json::Value".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Null => "()".to_owned(),
        Shape::Number => "f64".to_owned(),
        Shape::Integer { is_positive: true } => "u64".to_owned(),
        Shape::Integer { is_positive: false } => "i64".to_owned(),
        Shape::Text => "String".to_owned(),
        Shape::Choice { name, .. } => name.clone(),
        Shape::Object(object) => object.name.clone(),
        Shape::List(items) => format!("Vec<{}>", shape(items)),
        Shape::Map(values) => {
            format!("std::collections::BTreeMap<String, {}>", shape(values))
        }
        Shape::Nullable(inner) => format!("Option<{}>", shape(inner)),
    }
}

/// Whether an empty one can be made: a choice that must be there has none.
fn is_default(of: &Shape) -> bool {
    match of {
        Shape::Choice { .. } => false,
        Shape::Object(object) => has_default(object),
        _ => true,
    }
}

fn has_default(of: &Object) -> bool {
    of.fields.iter().all(|field| !field.is_required || is_default(&field.shape))
}

fn comment<'a>(indent: &str, about: impl IntoIterator<Item = &'a String>, out: &mut String) {
    for text in about {
        line(out, format_args!("{indent}/// {}", text.replace(['\r', '\n'], " ")));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
