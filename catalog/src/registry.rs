//! Where schemas come from: a port, the built-in ones, and a folder. A registry server comes later,
//! behind the same port.

mod builtin;
mod folder;

pub use self::builtin::Builtin;
pub use self::folder::Folder;
pub(crate) use self::folder::check_schema_file;

/// Where schemas come from.
pub trait SchemaSource: Send + Sync {
    /// Fetches all schemas there are. May block: call it away from async threads.
    ///
    /// # Errors
    /// When the source as a whole cannot be read. What is wrong with a single schema is in
    /// [`Fetched::refused`].
    fn fetch(&self) -> Result<Fetched, SourceError>;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaText {
    /// The event type it is for.
    pub kind: String,
    /// Its version, from 1.
    pub version: u32,
    /// What errors call it: a file's path, or whatever names it at its source.
    pub origin: String,
    /// The JSON Schema.
    pub text: String,
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
