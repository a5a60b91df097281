//! Typed events: what the newest schema of each event type says, as TypeScript and as Rust.
//!
//! Types hold what types can hold: names, which properties must be there, numbers, texts, choices,
//! lists and objects. Bounds, patterns and formats stand in the comments, and so does what is
//! personal. The collector judges by the schema itself, whatever a type let through.

mod model;
mod names;
mod rust;
mod typescript;

use std::collections::BTreeMap;

use crate::schema::{Formats, compile};
use crate::{Refusal, SchemaSource, SchemaText, SourceError};

use model::Event;

/// What types are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// For pages and their tests.
    TypeScript,
    /// For native senders and consumers; it needs `serde` and, for what has no type, `serde_json`.
    Rust,
}

/// Why there are no types.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// A folder cannot be read.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// Schemas that are no good: types of the others would look whole.
    #[error("{}", .0.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Refusal>),
}

/// Writes the types of the events that these sources know; where two hold the same type and version,
/// the later one counts. The same schemas give the same text, byte for byte.
///
/// # Errors
/// When a source cannot be read or a schema is bad.
pub fn codegen(
    sources: &[Box<dyn SchemaSource>],
    language: Language,
) -> Result<String, CodegenError> {
    let events: Vec<Event> = newest(sources)?.iter().map(Event::read).collect();
    Ok(match language {
        Language::TypeScript => typescript::write(&events),
        Language::Rust => rust::write(&events),
    })
}

/// The newest version of each event type, by its name.
fn newest(sources: &[Box<dyn SchemaSource>]) -> Result<Vec<SchemaText>, CodegenError> {
    let mut found = BTreeMap::<(String, u32), SchemaText>::new();
    let mut refused = Vec::new();
    for source in sources {
        let fetched = source.fetch()?;
        refused.extend(fetched.refused);
        for text in fetched.schemas {
            match compile(&text, Formats::default()) {
                Ok(_) => drop(found.insert((text.kind.clone(), text.version), text)),
                Err(refusal) => refused.push(refusal),
            }
        }
    }
    if !refused.is_empty() {
        return Err(CodegenError::Refused(refused));
    }
    // Versions of a type come in their order, so the last one stays.
    let newest: BTreeMap<String, SchemaText> =
        found.into_iter().map(|((kind, _), text)| (kind, text)).collect();
    Ok(newest.into_values().collect())
}
