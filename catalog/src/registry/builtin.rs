//! The schemas that Clickmill brings along.

use super::{Fetched, SchemaSource, SchemaText, SourceError};

/// The schemas of the event types that every shop has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

/// Each event type with its version and schema.
macro_rules! builtin {
    ($($kind:literal $version:literal),* $(,)?) => {
        &[$(($kind, $version, include_str!(concat!("../../schemas/", $kind, "/", $version, ".json")))),*]
    };
}

const SCHEMAS: &[(&str, u32, &str)] = builtin![
    "alias" 1,
    "back_in_stock_wanted" 1,
    "basket_add" 1,
    "basket_remove" 1,
    "basket_view" 1,
    "checkout_step" 1,
    "click" 1,
    "consent" 1,
    "dead_click" 1,
    "element_view" 1,
    "engagement" 1,
    "experiment_view" 1,
    "exposure" 1,
    "file_download" 1,
    "form_abandon" 1,
    "form_start" 1,
    "form_submit" 1,
    "group" 1,
    "identify" 1,
    "js_error" 1,
    "list_view" 1,
    "login" 1,
    "logout" 1,
    "media" 1,
    "order" 1,
    "outbound_click" 1,
    "page_view" 1,
    "product_click" 1,
    "product_view" 1,
    "rage_click" 1,
    "screen_view" 1,
    "search" 1,
    "web_vital" 1,
];

impl SchemaSource for Builtin {
    fn fetch(&self) -> Result<Fetched, SourceError> {
        let schemas = SCHEMAS.iter().map(|(kind, version, text)| SchemaText {
            kind: (*kind).to_owned(),
            version: *version,
            origin: format!("built-in {kind}/{version}.json"),
            text: (*text).into(),
            ..SchemaText::default()
        });
        Ok(Fetched { schemas: schemas.collect(), refused: Vec::new() })
    }
}
