//! Where schemas come from: a port, the built-in ones, a folder, and a registry server.

mod builtin;
mod folder;
mod remote;

use std::sync::Arc;

pub use self::builtin::Builtin;
pub use self::folder::Folder;
pub(crate) use self::folder::check_schema_file;
pub use self::remote::{Credentials, Registry, RegistryOptions, Standing, held};

/// Where schemas come from.
pub trait SchemaSource: Send + Sync {
    /// Fetches all schemas there are. May block: call it away from async threads.
    ///
    /// # Errors
    /// When the source as a whole cannot be read. What is wrong with a single schema is in
    /// [`Fetched::refused`].
    fn fetch(&self) -> Result<Fetched, SourceError>;
}

impl<S: SchemaSource> SchemaSource for Arc<S> {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        (**self).fetch()
    }
}

/// What a source holds.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The schemas that could be read, not compiled yet.
    pub schemas: Vec<SchemaText>,
    /// Those that could not.
    pub refused: Vec<Refusal>,
}

/// A schema as its source holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    /// The event type it is for.
    pub kind: String,
    /// Its version, from 1.
    pub version: u32,
    /// What errors call it: a file's path, or whatever names it at its source.
    pub origin: String,
    /// The JSON Schema.
    pub text: Arc<str>,
    /// The registry's id of it. Where there is none, one is derived from the text.
    pub id: Option<u32>,
    /// What its references may name outside of it.
    pub documents: Vec<Document>,
}

/// A JSON Schema that references of another one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its absolute address there.
    pub uri: String,
    /// The JSON Schema.
    pub text: Arc<str>,
}

/// A schema that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct Refusal {
    /// The file, or whatever names the schema at its source.
    pub origin: String,
    /// What is wrong with it.
    pub problem: String,
    /// Event type and version, where they are known.
    pub schema: Option<(String, u32)>,
}

/// A source of schemas cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("schemas cannot be read from {source_name}: {problem}")]
pub struct SourceError {
    /// The folder or address.
    pub source_name: String,
    /// Why.
    pub problem: String,
}
