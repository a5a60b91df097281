//! Hints on their way to pages: admit a stream, remember what was said, fan out, write.
//!
//! What a page gets, as the `content` of each kind:
//!
//! - `suggest`: `{"title": text, "items": [product, …]}`, each product whole, as in the products
//!   table; it replaces what the slot showed;
//! - `promote`: what its rule says, and `"rule": name, "items": [product, …]`; likewise;
//! - `stock`: `{"state": "back" | "low", "available": pieces, "product": product}`: one that the
//!   visitor waits for can be had again, or one they look at is running out;
//! - `withdraw`: `{"hint": id, "sold_out": [sku]}`, or `"stale": [sku]` where nobody knows any more,
//!   or `"ended": rule` for a promotion whose rule holds no more: the slot's hint is no longer true;
//! - `reset`: `{}`: nothing that was shown before holds; what does hold follows.
//!
//! A stream that asks to go on from a hint gets what came after it, and a reset with a snapshot
//! where the relay cannot tell what that is.

pub mod admit;
pub mod delivery;
pub mod feed;
pub mod frame;
pub mod hub;
pub mod outbox;
pub mod stock;
pub mod stream;
