//! Events as TypeScript: an interface for each, and a union told apart by `type`.

use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Event, Object, Shape};

const HEAD: &str = "\
// Typed events, written by `clickmill-catalog codegen typescript`; a change here is lost.
// Bounds and patterns stand in the comments: the collector holds events to them, the compiler does not.
";

pub(super) fn write(events: &[Event]) -> String {
    let mut out = HEAD.to_owned();
    for event in events {
        let schema = format!("Schema `{}/{}`.", event.kind, event.version);
        object(&event.props, &[schema], &mut out);
    }
    out.push_str("\n/** The properties of each event type. */\nexport interface EventProps {\n");
    for event in events {
        line(&mut out, format_args!("  {}: {};", event.kind, event.props.name));
    }
    out.push_str("}\n\n/** An event, told apart by its `type`. */\nexport type TypedEvent =");
    for event in events {
        let Event { kind, props, .. } = event;
        // Writing to a string does not fail.
        let _ = write!(out, "\n  | {{ type: \"{kind}\"; props: {} }}", props.name);
    }
    if events.is_empty() {
        out.push_str(" never");
    }
    out.push_str(";\n");
    out
}

/// Writes an object's interface, and those of the objects in it before it.
fn object(of: &Object, more: &[String], out: &mut String) {
    of.fields.iter().for_each(|field| objects_in(&field.shape, out));
    out.push('\n');
    let about: Vec<_> = of.about.iter().chain(more).cloned().collect();
    comment("", &about, out);
    line(out, format_args!("export interface {} {{", of.name));
    for field in &of.fields {
        comment("  ", &field.about, out);
        let mark = if field.is_required { "" } else { "?" };
        line(out, format_args!("  {}{mark}: {};", key(&field.name), shape(&field.shape)));
    }
    if of.is_open {
        out.push_str("  [more: string]: unknown;\n");
    }
    out.push_str("}\n");
}

fn objects_in(shape: &Shape, out: &mut String) {
    match shape {
        Shape::Object(inner) => object(inner, &[], out),
        Shape::List(inner) | Shape::Map(inner) | Shape::Nullable(inner) => objects_in(inner, out),
        _ => {}
    }
}

fn shape(of: &Shape) -> String {
    match of {
        Shape::Any => "unknown".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::Null => "null".to_owned(),
        Shape::Number | Shape::Integer { .. } => "number".to_owned(),
        Shape::Text => "string".to_owned(),
        Shape::Choice { texts, .. } => {
            let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
            texts.join(" | ")
        }
        Shape::List(items) => format!("Array<{}>", shape(items)),
        Shape::Object(object) => object.name.clone(),
        Shape::Map(values) => format!("Record<string, {}>", shape(values)),
        Shape::Nullable(inner) => format!("{} | null", shape(inner)),
    }
}

fn key(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    if is_plain { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    // A JSON string is one of TypeScript's, too.
    Value::from(text).to_string()
}

fn comment(indent: &str, about: &[String], out: &mut String) {
    // What a schema says must not end the comment.
    let safe = |text: &String| text.replace("*/", "*\\/").replace(['\r', '\n'], " ");
    match &about.iter().map(safe).collect::<Vec<_>>()[..] {
        [] => {}
        [one] => line(out, format_args!("{indent}/** {one} */")),
        [first, rest @ ..] => {
            line(out, format_args!("{indent}/** {first}"));
            rest.iter().for_each(|text| line(out, format_args!("{indent} *  {text}")));
            line(out, format_args!("{indent} */"));
        }
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
