//! The documents that the references of a schema may name; nothing is ever fetched for them.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use jsonschema::{Retrieve, Uri};
use serde_json::Value;

use crate::Document;

/// Documents by their absolute addresses. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents(Arc<HashMap<String, Value>>);

impl Documents {
    /// Reads them; says which one is no JSON.
    pub(super) fn parse(documents: &[Document]) -> Result<Self, String> {
        let read = |document: &Document| match serde_json::from_str(&document.text) {
            Ok(value) => Ok((document.uri.clone(), value)),
            Err(error) => Err(format!("refers to {}, which is not JSON: {error}", document.uri)),
        };
        documents.iter().map(read).collect::<Result<_, _>>().map(|all| Self(Arc::new(all)))
    }

    /// All of them, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.values()
    }
}

impl Retrieve for Documents {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        self.0.get(uri.as_str()).cloned().ok_or_else(|| {
            let rule = "put it into this schema's $defs, or in a registry among its references";
            format!("{uri} would have to be fetched; {rule}").into()
        })
    }
}
