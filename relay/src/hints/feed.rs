//! Feeds: what is said to many visitors, told to one of their shop's servers.
//!
//! `GET /v1/hints` with `Authorization: Bearer <key>` opens one. It tells every hint that is said to
//! a visitor of the key's tenant from then on, by whichever relay, or those of a [`Choice`]. Each is
//! an event as a page gets it, but for its data: `{"visitor": id, "hint": {…}}`. Whoever has the key
//! may also ask for the visitor's whole state, so the id is not masked: a feed is personal data.
//!
//! - Once `: open` was written, nothing is missed without an event `gap`: `{"missed": n}` where this
//!   server was too slow for n events, `{}` where a relay went away or came, or the connection was
//!   opened anew, so that nobody can tell how many.
//! - What another epoch said to a visitor is void once a hint of a newer epoch comes, or a `reset`
//!   for that visitor.

mod choice;
mod queue;
mod register;
mod serving;

pub use choice::{Choice, Marks, NoChoice, Segment};
pub use queue::{Event, Queue};
pub use register::{Entry, Register};
pub use serving::{Feed, Wish};
