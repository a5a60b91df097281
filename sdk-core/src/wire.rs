//! Every type that crosses a process, and the two rules both ends must apply alike: bucketing and
//! sessions.
//!
//! Each type is written by one hand-made writer ([`ToJson`]). Servers read with serde (feature
//! `serde`), a program's client with the small reader in [`json`], a browser's script with its own.
//! The files in `golden/` hold them together.

mod audience;
mod batch;
mod bucket;
mod consent;
mod context;
mod customer;
mod hash;
mod hint;
mod id;
pub mod json;
mod page_kind;
mod promotion;
mod receipt;
mod record;
mod session;
mod session_view;
mod site;
mod text;
mod time;
mod topic;

pub use audience::{Audience, Width};
pub use batch::{Batch, Event, RawBatch};
pub use bucket::{BUCKETS, Experiment, Namespace, bucket};
pub use consent::{Consent, Purpose};
pub use context::{Books, Campaign, Context, Page, Screen, Sdk};
pub use customer::{Bought, Customer, Proven};
pub(crate) use hash::sha256;
pub use hint::{Cause, Hint, HintHead, HintId, HintKind, TableVersion, Why};
pub use id::{
    CustomerId, EventId, EventType, IdError, PageViewId, Proof, QueueId, RuleName, SessionId, Sku,
    Slot, StockSource, Tenant, VisitorId, WriteKey, hex,
};
pub(crate) use id::{digits, visitor_of};
pub use json::{Json, ToJson};
pub use page_kind::PageKind;
pub use promotion::{Lease, Promoted, PromotionMark};
pub use receipt::{
    Claim, Doubt, Identity, Limits, Outcome, Placed, Reason, Receipt, Refusal, RefusalCode,
    Rejection, Verdict,
};
pub use record::{
    Arrival, DeadLetter, Enrichment, EnrichmentParts, Poisoned, Product, Record, RecordView, Stock,
    StockBeat,
};
pub use session::{SessionEnd, SessionRule};
pub use session_view::{
    Asked, BasketWord, Gap, QueueMark, SessionView, SessionViewParts, Sight, Visit, Wait, Word,
};
pub(crate) use site::URGENT;
pub use site::{Flush, SiteConfig};
pub(crate) use text::Put;
pub use time::Millis;
pub use topic::Topic;
