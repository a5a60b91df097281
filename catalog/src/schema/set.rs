//! All compiled schemas at one moment, by event type and version.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{SchemaRef, Tree, Violation};

/// All compiled schemas at one moment. Never changes; a reload makes a new one.
#[derive(Clone, Debug, Default)]
pub struct SchemaSet {
    kinds: HashMap<String, BTreeMap<u32, Arc<SchemaRef>>>,
}

/// What is known of an event's type and version.
#[derive(Clone, Copy, Debug)]
pub enum Resolved<'a> {
    /// This schema applies.
    Schema(&'a Arc<SchemaRef>),
    /// No schema of that type is known.
    UnknownType,
    /// The type is known, but not in that version.
    UnknownVersion,
}

impl SchemaSet {
    /// The schema of a type, in the version that is named or else the newest.
    pub fn resolve(&self, kind: &str, version: Option<u32>) -> Resolved<'_> {
        let Some(versions) = self.kinds.get(kind) else { return Resolved::UnknownType };
        let found = match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, newest)| newest),
        };
        found.map_or(Resolved::UnknownVersion, Resolved::Schema)
    }

    /// Checks an event's properties by a schema.
    ///
    /// # Errors
    /// The first violation.
    pub fn validate(&self, schema: &SchemaRef, props: &Tree<'_>) -> Result<(), Violation> {
        schema.validate(props)
    }

    /// Every schema, in no order.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<SchemaRef>> {
        self.kinds.values().flat_map(BTreeMap::values)
    }

    /// How many schemas there are.
    pub fn len(&self) -> usize {
        self.kinds.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(super) fn get(&self, kind: &str, version: u32) -> Option<&Arc<SchemaRef>> {
        self.kinds.get(kind)?.get(&version)
    }

    /// Adds a schema; one of the same type and version is replaced.
    pub(super) fn insert(&mut self, schema: Arc<SchemaRef>) {
        let versions = self.kinds.entry(schema.kind().to_owned()).or_default();
        versions.insert(schema.version(), schema);
    }
}
