//! Typed events, written by `clickmill-catalog codegen rust`; a change here is lost.
//!
//! Bounds and patterns stand in the comments: the collector holds events to them, types do not.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EverythingAddress {
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Further properties.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EverythingLinesColour {
    #[serde(rename = "red")]
    Red,
    #[serde(rename = "blue")]
    Blue,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EverythingLines {
    pub colour: EverythingLinesColour,
    /// A product's number.
    /// Must have minLength `1`.
    pub sku: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EverythingMode {
    #[serde(rename = "fast")]
    Fast,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EverythingState {
    #[serde(rename = "on sale")]
    OnSale,
    #[serde(rename = "sold-out")]
    SoldOut,
    #[serde(rename = "on_sale")]
    OnSale2,
}

/// One of each thing that a schema can say.
/// Schema `everything/2`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Everything {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<EverythingAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anything: Option<serde_json::Value>,
    /// When it was.
    /// Must have format `date-time`.
    pub at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<std::collections::BTreeMap<String, u64>>,
    /// Somebody's.
    /// Must have pattern `^[^@]+@[^@]+$`.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A name that no field has, and */ in its words.
    #[serde(rename = "is-new", default, skip_serializing_if = "Option::is_none")]
    pub is_new: Option<bool>,
    pub lines: Vec<EverythingLines>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixed: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<EverythingMode>,
    /// Must have maxLength `10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Must have minimum `0`, maximum `1000`.
    #[serde(rename = "priceCents", default, skip_serializing_if = "Option::is_none")]
    pub price_cents: Option<u64>,
    /// Must have exclusiveMinimum `0`.
    pub share: f64,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<EverythingState>,
    /// Must have minItems `1`, uniqueItems `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// A name that is a keyword.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}

/// Schema `nothing/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {
}

/// An event, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "props")]
pub enum TypedEvent {
    #[serde(rename = "everything")]
    Everything(Everything),
    #[serde(rename = "nothing")]
    Nothing(Nothing),
}
