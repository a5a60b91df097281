//! Reads dead letters and keeps the records of those that are good now.

use std::collections::HashSet;

use clickmill_kafka::{Message as Lying, names};
use clickmill_sdk_core::wire::{DeadLetter, Topic};

use super::judge::{Found, Judge, traceparent};
use super::options::ReplayOptions;
use super::tally::Tally;
use crate::sink::Message;

/// What all records that are kept for one run may take, in bytes.
const BYTES_MAX: usize = 256 << 20;

/// An event: its tenant and its id.
pub(super) type Id = (String, String);

/// The records of letters that are good now.
#[derive(Debug, Default)]
pub(super) struct Goods {
    messages: Vec<(Id, Message)>,
    ids: HashSet<Id>,
    bytes: usize,
    oldest_ms: Option<i64>,
}

impl Goods {
    pub(super) fn has(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }

    /// When the first of these letters was written: nothing of theirs was put through before.
    pub(super) fn oldest_ms(&self) -> i64 {
        self.oldest_ms.unwrap_or_default()
    }

    /// Where they go.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let mut topics: Vec<Topic> =
            self.messages.iter().map(|(_, message)| message.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// The records in their order, but for those.
    pub(super) fn without(self, there: &HashSet<Id>) -> Vec<Message> {
        let left = self.messages.into_iter().filter(|(id, _)| !there.contains(id));
        left.map(|(_, message)| message).collect()
    }

    fn is_full(&self, limit: usize) -> bool {
        self.messages.len() >= limit || self.bytes >= BYTES_MAX
    }
}

/// Takes one letter; whether there is room for another.
pub(super) fn collect(
    lying: &Lying<'_>,
    want: &ReplayOptions,
    judge: &Judge,
    (goods, tally): (&mut Goods, &mut Tally),
) -> bool {
    if goods.is_full(want.limit) {
        tally.more = true;
        return false;
    }
    let letter = lying.value().and_then(|value| serde_json::from_slice::<DeadLetter>(value).ok());
    let Some(letter) = letter else {
        tally.letters += 1;
        tally.not_replayable += 1;
        return true;
    };
    if !is_wanted(lying, &letter, want) {
        return true;
    }
    tally.letters += 1;
    match judge.again(&letter, traceparent(lying)) {
        Found::Good { id, tenant, message } => {
            let id = (tenant.to_string(), id.to_string());
            if !goods.ids.insert(id.clone()) {
                tally.copies += 1;
                return true;
            }
            goods.bytes += message.wire_bytes();
            let at = lying.timestamp_ms().unwrap_or_default();
            goods.oldest_ms = Some(goods.oldest_ms.map_or(at, |oldest| oldest.min(at)));
            goods.messages.push((id, *message));
        }
        Found::Bad(reason) => *tally.bad.entry(reason).or_default() += 1,
        Found::NoSite => tally.no_site += 1,
        Found::Nothing => tally.not_replayable += 1,
    }
    true
}

fn is_wanted(lying: &Lying<'_>, letter: &DeadLetter, want: &ReplayOptions) -> bool {
    let kind = || lying.header(names::CE_SUBJECT);
    want.reason.is_none_or(|reason| reason == letter.rejection.reason)
        && want.key.as_deref().is_none_or(|key| key == letter.arrival.write_key.as_str())
        && want.kind.as_deref().is_none_or(|wanted| kind() == Some(wanted.as_bytes()))
}

/// Whose record it is, by its headers: `ce_source` is `/<tenant>/<write key>`.
pub(super) fn id_of(lying: &Lying<'_>) -> Option<Id> {
    let text = |name| std::str::from_utf8(lying.header(name)?).ok();
    let tenant = text(names::CE_SOURCE)?.split('/').nth(1)?;
    Some((tenant.to_owned(), text(names::CE_ID)?.to_owned()))
}
