//! Promotions: rules that show a visitor something at the right moment.
//!
//! A rule says when it applies (a condition in CEL over what is known of visitor, visit, event and
//! product), to whom, during which hours, where on the page, how often, and to how many. [`rule`]
//! reads and checks it, [`decide`] applies all rules to one event and is pure; [`promoter`] holds the
//! rules that are in force. The visitor view decides within its fold, so what was shown is part of
//! the visitor's state.
//!
//! - A rule that is no good is refused by its name, the field and the reason; the others go on. The
//!   version before does not stay: what lies in the file or topic now is what holds, at every relay
//!   and also after a restart.
//! - Of the rules that apply in one slot the one with the highest priority is shown; of equals, the
//!   one that is shown already, then the one whose name comes first. A promotion holds its slot until
//!   it ends, and no suggestion takes it meanwhile.
//! - Who is held out is decided by a hash of visitor and salt, goes by the same caps, and is recorded;
//!   the next rule applies as if the held-out one were not there.
//! - Caps in total are granted to relays in leases ([`leases`]) and never exceeded.

pub mod config;
pub mod decide;
pub mod expression;
pub mod grants;
pub mod history;
pub mod leases;
pub mod promoter;
pub mod report;
pub mod rule;
pub mod rules;
pub mod scene;
pub mod schedule;
pub mod simulate;
pub mod watch;
