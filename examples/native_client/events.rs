//! Typed events, written by `clickmill-catalog codegen rust`; a change here is lost.
//!
//! Bounds and patterns stand in the comments: the collector holds events to them, types do not.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};

/// Two ids are one customer's: this one, and the customer in the event's context.
/// Schema `alias/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The id that was used before.
    /// Must have minLength `1`, maxLength `256`.
    /// Personal: taken out where the visitor has not consented.
    pub previous: String,
}

/// The visitor asks to be told once a product that is sold out can be had again.
/// Schema `back_in_stock_wanted/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackInStockWanted {
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
}

/// A product was put into the basket.
/// Schema `basket_add/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketAdd {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Name of the list or row the product was shown in.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its place in that list, counted from 0.
    /// Must have minimum `0`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Price of one piece, in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cents: Option<u64>,
    /// Pieces; 1 where it is missing.
    /// Must have minimum `1`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
}

/// A product was taken out of the basket.
/// Schema `basket_remove/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketRemove {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Price of one piece, in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cents: Option<u64>,
    /// Pieces; 1 where it is missing.
    /// Must have minimum `1`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketViewLines {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Price of one piece, in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cents: Option<u64>,
    /// Pieces; 1 where it is missing.
    /// Must have minimum `1`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
}

/// The basket was looked at.
/// Schema `basket_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketView {
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What lies in it.
    /// Must have maxItems `500`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<BasketViewLines>>,
    /// Sum in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cents: Option<u64>,
}

/// A step of the checkout was reached.
/// Schema `checkout_step/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckoutStep {
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Pieces in the basket.
    /// Must have minimum `0`, maximum `100000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// The step's name.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The step's number, counted from 1.
    /// Must have minimum `1`, maximum `50`.
    pub step: u64,
    /// Sum in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cents: Option<u64>,
}

/// A link or button was clicked that has no event type of its own.
/// Schema `click/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Click {
    /// The element's name, such as a or button.
    /// Must have minLength `1`, maxLength `32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where the link leads.
    /// Must have maxLength `2048`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
    /// The element's id attribute.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its visible text, cut to this length.
    /// Must have maxLength `200`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConsentGranted {
    #[serde(rename = "advertising")]
    Advertising,
    #[serde(rename = "analytics")]
    Analytics,
    #[serde(rename = "experiments")]
    Experiments,
    #[serde(rename = "personalization")]
    Personalization,
}

/// Where it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConsentSource {
    #[serde(rename = "banner")]
    Banner,
    #[serde(rename = "settings")]
    Settings,
    #[serde(rename = "browser")]
    Browser,
}

/// The visitor decided what may be done with their data.
/// Schema `consent/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Purposes that are allowed; what is not named is refused.
    /// Must have maxItems `4`, uniqueItems `true`.
    pub granted: Vec<ConsentGranted>,
    /// Where it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ConsentSource>,
}

/// What looks as if it did something was clicked, and nothing happened.
/// Schema `dead_click/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadClick {
    /// The element's name, such as a or button.
    /// Must have minLength `1`, maxLength `32`.
    pub element: String,
    /// The element's id attribute.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A marked element was in view: half of it, for a second at least.
/// Schema `element_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementView {
    /// How long it was in view, milliseconds.
    /// Must have minimum `0`.
    pub dwell_ms: u64,
    /// Its name, from its data-cm-view.
    /// Must have minLength `1`, maxLength `128`.
    pub element: String,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Name of the list or row the product was shown in.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its place in that list, counted from 0.
    /// Must have minimum `0`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
}

/// Somebody was busy with a page; told when it goes out of sight or is left.
/// Schema `engagement/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engagement {
    /// How long since this was last told, pauses of more than ten seconds left out, milliseconds.
    /// Must have minimum `0`.
    pub engaged_ms: u64,
    /// How much of the page was ever above the window's lower edge, percent.
    /// Must have minimum `0`, maximum `100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scroll_percent: Option<u64>,
}

/// A visitor met an arm of an experiment; once for each page view.
/// Schema `experiment_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentView {
    /// The arm, counted from 0, the control.
    /// Must have minimum `0`, maximum `100`.
    pub arm: u64,
    /// The experiment's key.
    /// Must have minLength `1`, maxLength `64`.
    pub experiment: String,
}

/// A hint became visible to the visitor.
/// Schema `exposure/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    pub hint: String,
    /// Its place in that list, counted from 0.
    /// Must have minimum `0`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Name of the place on the page that the hint filled.
    /// Must have maxLength `64`, pattern `^[a-z][a-z0-9-]*$`.
    pub slot: String,
}

/// A link to a file was followed.
/// Schema `file_download/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDownload {
    /// The file's address, without query and fragment.
    /// Must have minLength `1`, maxLength `2048`.
    pub href: String,
    /// The file's name.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A form was begun, and its page left before it was sent off.
/// Schema `form_abandon/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormAbandon {
    /// From the first change to the end of the page, milliseconds.
    /// Must have minimum `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// The last field's id or name.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The form's id or name.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

/// Somebody began to fill in a form.
/// Schema `form_start/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormStart {
    /// The first field's id or name.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The form's id or name.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

/// A form was sent off.
/// Schema `form_submit/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormSubmit {
    /// The form's id or name.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

/// What is known of them, by whatever names the site uses.
/// Personal: taken out where the visitor has not consented.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupTraits {
    /// Further properties.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// The customer belongs to a group, such as a company.
/// Schema `group/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The site's id of the group.
    /// Must have minLength `1`, maxLength `256`.
    pub group: String,
    /// What is known of them, by whatever names the site uses.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<GroupTraits>,
}

/// What is known of them, by whatever names the site uses.
/// Personal: taken out where the visitor has not consented.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentifyTraits {
    /// Further properties.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// Who the visitor is was learned. The customer stands in the event's context.
/// Schema `identify/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identify {
    /// The customer, where the sender says it here, too.
    /// Must have minLength `1`, maxLength `128`.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// What the site's server says of that, for whoever is to believe it: a signature of the customer's id.
    /// Must have minLength `1`, maxLength `512`.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What is known of them, by whatever names the site uses.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<IdentifyTraits>,
}

/// Whether it was thrown, or a promise that nobody heard was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JsErrorKind {
    #[serde(rename = "error")]
    Error,
    #[serde(rename = "rejection")]
    Rejection,
}

/// A script of the page failed.
/// Schema `js_error/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsError {
    /// Column in it.
    /// Must have minimum `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Whether further ones of this page are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_last: Option<bool>,
    /// Whether it was thrown, or a promise that nobody heard was refused.
    pub kind: JsErrorKind,
    /// Line in it.
    /// Must have minimum `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What it says; scripts also say names and addresses.
    /// Must have minLength `1`, maxLength `256`.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The error's name, such as TypeError.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The script's address, without query and fragment.
    /// Must have minLength `1`, maxLength `2048`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it came from, addresses without their queries.
    /// Must have minLength `1`, maxLength `1024`.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// A list of products was shown, within a page or without a page view of its own.
/// Schema `list_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListView {
    /// The category that the list shows.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Name of the list or row.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The products in it, in their order.
    /// Must have maxItems `500`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skus: Option<Vec<String>>,
}

/// The visitor logged in. Who it is stands in the event's context.
/// Schema `login/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// How, such as password or link.
    /// Must have minLength `1`, maxLength `32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// The visitor logged out. What comes after it in this browser is another visitor's.
/// Schema `logout/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logout {
}

/// Begun, a mark passed, ended, or left before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaAction {
    #[serde(rename = "start")]
    Start,
    #[serde(rename = "progress")]
    Progress,
    #[serde(rename = "end")]
    End,
    #[serde(rename = "leave")]
    Leave,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaKind {
    #[serde(rename = "audio")]
    Audio,
    #[serde(rename = "video")]
    Video,
}

/// What became of a film or a sound.
/// Schema `media/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Begun, a mark passed, ended, or left before that.
    pub action: MediaAction,
    /// How long it is, milliseconds.
    /// Must have minimum `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What it is.
    pub kind: MediaKind,
    /// Its name: data-cm-media, or the element's id.
    /// Must have minLength `1`, maxLength `128`.
    pub media: String,
    /// The mark that was passed.
    /// Must have minimum `0`, maximum `100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    /// How long it was really played, milliseconds.
    /// Must have minimum `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub played_ms: Option<u64>,
    /// Where it stands, milliseconds.
    /// Must have minimum `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderLines {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Price of one piece, in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000`.
    pub price_cents: u64,
    /// Pieces; 1 where it is missing.
    /// Must have minimum `1`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
}

/// An order was placed.
/// Schema `order/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Code of a voucher that was used.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    pub currency: String,
    /// Address of the customer, where the site chooses to send it.
    /// Must have minLength `3`, maxLength `254`, pattern `^[^@\s]+@[^@\s]+$`.
    /// Personal: taken out where the visitor has not consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What was ordered.
    /// Must have minItems `1`, maxItems `500`.
    pub lines: Vec<OrderLines>,
    /// The site's number of the order.
    /// Must have minLength `1`, maxLength `64`.
    pub order: String,
    /// Sum in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000000`.
    pub total_cents: u64,
}

/// A link was followed that leads to another site.
/// Schema `outbound_click/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundClick {
    /// The other site's host.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where it leads, without query and fragment.
    /// Must have minLength `1`, maxLength `2048`.
    pub href: String,
}

/// What sort of page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PageViewKind {
    #[serde(rename = "home")]
    Home,
    #[serde(rename = "category")]
    Category,
    #[serde(rename = "product")]
    Product,
    #[serde(rename = "basket")]
    Basket,
    #[serde(rename = "checkout")]
    Checkout,
    #[serde(rename = "search")]
    Search,
    #[serde(rename = "other")]
    Other,
}

/// How it came up: loaded, by a route change inside the page, or restored from the browser's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PageViewNavigation {
    #[serde(rename = "load")]
    Load,
    #[serde(rename = "route")]
    Route,
    #[serde(rename = "restore")]
    Restore,
}

/// A page was shown. Address and title are in the event's context.
/// Schema `page_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageView {
    /// The site's name of the sort of page it is.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What sort of page it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PageViewKind>,
    /// The site's name of the page.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it came up: loaded, by a route change inside the page, or restored from the browser's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub navigation: Option<PageViewNavigation>,
}

/// A product was clicked in a list, a row or a hint.
/// Schema `product_click/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductClick {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Name of the list or row the product was shown in.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its place in that list, counted from 0.
    /// Must have minimum `0`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Price of one piece, in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cents: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
    /// Name of the place on the page that the hint filled.
    /// Must have maxLength `64`, pattern `^[a-z][a-z0-9-]*$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}

/// A product's page or details were looked at.
/// Schema `product_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductView {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// ISO 4217 code.
    /// Must have pattern `^[A-Z]{3}$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Id of the hint that led here.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Name of the list or row the product was shown in.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its place in that list, counted from 0.
    /// Must have minimum `0`, maximum `10000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Price of one piece, in hundredths of the currency.
    /// Must have minimum `0`, maximum `1000000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cents: Option<u64>,
    /// The site's number of the product.
    /// Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
    pub sku: String,
}

/// The same place was clicked again and again.
/// Schema `rage_click/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RageClick {
    /// How often.
    /// Must have minimum `2`, maximum `1000`.
    pub clicks: u64,
    /// The element's name, such as a or button.
    /// Must have minLength `1`, maxLength `32`.
    pub element: String,
    /// The element's id attribute.
    /// Must have minLength `1`, maxLength `128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A screen of an app was shown.
/// Schema `screen_view/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenView {
    /// The site's name of the sort of screen it is.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The site's name of the screen.
    /// Must have minLength `1`, maxLength `256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The site's search was used.
/// Schema `search/1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The product's category.
    /// Must have minLength `1`, maxLength `64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What was typed; people also type names and addresses.
    /// Must have maxLength `256`.
    /// Personal: taken out where the visitor has not consented.
    pub query: String,
    /// How many products were found.
    /// Must have minimum `0`, maximum `10000000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<u64>,
}

/// Time to first byte, largest paint, slowest interaction (ms each) or layout shift (a score).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WebVitalMetric {
    #[serde(rename = "ttfb")]
    Ttfb,
    #[serde(rename = "lcp")]
    Lcp,
    #[serde(rename = "inp")]
    Inp,
    #[serde(rename = "cls")]
    Cls,
}

/// By the bounds that browsers' makers publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WebVitalRating {
    #[serde(rename = "good")]
    Good,
    #[serde(rename = "fair")]
    Fair,
    #[serde(rename = "poor")]
    Poor,
}

/// How a page felt; of one metric and page view the last one counts.
/// Schema `web_vital/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebVital {
    /// Time to first byte, largest paint, slowest interaction (ms each) or layout shift (a score).
    pub metric: WebVitalMetric,
    /// By the bounds that browsers' makers publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<WebVitalRating>,
    /// Milliseconds, or the score.
    /// Must have minimum `0`.
    pub value: f64,
}

/// An event, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "props")]
pub enum TypedEvent {
    #[serde(rename = "alias")]
    Alias(Alias),
    #[serde(rename = "back_in_stock_wanted")]
    BackInStockWanted(BackInStockWanted),
    #[serde(rename = "basket_add")]
    BasketAdd(BasketAdd),
    #[serde(rename = "basket_remove")]
    BasketRemove(BasketRemove),
    #[serde(rename = "basket_view")]
    BasketView(BasketView),
    #[serde(rename = "checkout_step")]
    CheckoutStep(CheckoutStep),
    #[serde(rename = "click")]
    Click(Click),
    #[serde(rename = "consent")]
    Consent(Consent),
    #[serde(rename = "dead_click")]
    DeadClick(DeadClick),
    #[serde(rename = "element_view")]
    ElementView(ElementView),
    #[serde(rename = "engagement")]
    Engagement(Engagement),
    #[serde(rename = "experiment_view")]
    ExperimentView(ExperimentView),
    #[serde(rename = "exposure")]
    Exposure(Exposure),
    #[serde(rename = "file_download")]
    FileDownload(FileDownload),
    #[serde(rename = "form_abandon")]
    FormAbandon(FormAbandon),
    #[serde(rename = "form_start")]
    FormStart(FormStart),
    #[serde(rename = "form_submit")]
    FormSubmit(FormSubmit),
    #[serde(rename = "group")]
    Group(Group),
    #[serde(rename = "identify")]
    Identify(Identify),
    #[serde(rename = "js_error")]
    JsError(JsError),
    #[serde(rename = "list_view")]
    ListView(ListView),
    #[serde(rename = "login")]
    Login(Login),
    #[serde(rename = "logout")]
    Logout(Logout),
    #[serde(rename = "media")]
    Media(Media),
    #[serde(rename = "order")]
    Order(Order),
    #[serde(rename = "outbound_click")]
    OutboundClick(OutboundClick),
    #[serde(rename = "page_view")]
    PageView(PageView),
    #[serde(rename = "product_click")]
    ProductClick(ProductClick),
    #[serde(rename = "product_view")]
    ProductView(ProductView),
    #[serde(rename = "rage_click")]
    RageClick(RageClick),
    #[serde(rename = "screen_view")]
    ScreenView(ScreenView),
    #[serde(rename = "search")]
    Search(Search),
    #[serde(rename = "web_vital")]
    WebVital(WebVital),
}
