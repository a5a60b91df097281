//! A parcel: what one request brought, in our own terms, whatever dialect it was written in.

use clickmill_sdk_core::wire::{Context, Millis, Proof};
use clickmill_server::trace::TraceParent;

use crate::decode::Unreadable;

/// What one request brought. It borrows from the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parcel<'a> {
    /// The sender's clock when sending; none where the dialect does not tell.
    pub(crate) sent_at: Option<Millis>,
    /// How often these events were tried before.
    pub(crate) attempt: u32,
    /// The secret behind the visitor id.
    pub(crate) proof: Option<Proof>,
    /// Whether that visitor took another's place in the browser, as after a log-out.
    pub(crate) renewed: bool,
    /// What the events share.
    pub(crate) context: Context,
    /// The events, oldest first.
    pub(crate) events: Vec<Sent<'a>>,
}

/// One event of a parcel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent<'a> {
    /// Its JSON as it came.
    pub(crate) original: &'a str,
    /// What it is in our own terms.
    pub(crate) form: Form,
    /// The trace that it belongs to, where that is another than the request's.
    pub(crate) traceparent: Option<TraceParent>,
}

impl<'a> Sent<'a> {
    /// An event that was written in our own terms.
    pub(crate) fn native(original: &'a str) -> Self {
        Self { original, form: Form::Native, traceparent: None }
    }
}

/// What an event is in our own terms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// It was written in them; nobody has opened it yet.
    Native,
    /// The JSON of a native event, as which a dialect's event is to be judged.
    Translated(String),
    /// It says nothing that could be put into them.
    Refused(Unreadable),
}
