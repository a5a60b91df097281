//! Every type that crosses a process, and the two rules both ends must apply alike: bucketing and
//! sessions.
//!
//! Each type is written by one hand-made writer ([`ToJson`]) on both sides, so browser and server
//! cannot drift; servers read with serde (feature `serde`), the browser reads the few types it
//! receives with the small reader in [`json`]. The files in `golden/` hold all three together.

mod batch;
mod bucket;
mod consent;
mod context;
mod hint;
mod id;
pub mod json;
mod receipt;
mod record;
mod session;
mod session_view;
mod site;
mod time;
mod topic;

pub use batch::{Batch, Event, RawBatch};
pub(crate) use batch::{OwnFields, sample};
pub use bucket::{BUCKETS, Experiment, Namespace, bucket};
pub use consent::{Consent, Purpose};
pub use context::{Books, Campaign, Context, Page, Screen, Sdk};
pub use hint::{Cause, Hint, HintHead, HintId, HintKind, TableVersion, Why};
pub use id::{
    CustomerId, EventId, EventType, IdError, PageViewId, Proof, QueueId, SessionId, Sku, Slot,
    Tenant, VisitorId, WriteKey,
};
pub use json::{Json, ToJson};
pub use receipt::{
    Identity, Limits, Outcome, Placed, Reason, Receipt, Refusal, RefusalCode, Rejection, Verdict,
};
pub use record::{
    Arrival, DeadLetter, Enrichment, EnrichmentParts, Poisoned, Product, Record, RecordView, Stock,
};
pub use session::{SessionEnd, SessionRule};
pub use session_view::{Asked, Gap, QueueMark, SessionView, SessionViewParts, Sight, Visit};
pub use site::{Flush, SiteConfig};
pub use time::Millis;
pub use topic::Topic;
