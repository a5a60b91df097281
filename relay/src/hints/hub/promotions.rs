//! Promotions that end: taken back by their rule.

use std::sync::Arc;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Hint, HintId, HintKind, Json, Millis, Tenant, Why};

use super::visitor::Active;
use super::{Hub, Subject, Telling, lock};
use crate::hints::frame::Frame;

/// What has expired within so long is taken back all the same, ms.
const JUST_NOW_MS: u64 = 2_000;

/// So long a stream that comes late is told that a promotion was taken back, ms.
const WITHDRAWAL_MS: u64 = 60_000;

impl Hub {
    /// The rules whose promotions a visitor is shown, by name and version.
    pub fn promoted(&self, subject: &Subject, now: Millis) -> Vec<Arc<str>> {
        self.holding(subject, now).iter().filter_map(|frame| frame.rule.clone()).collect()
    }

    /// Takes back the promotions whose rule holds no more, also those that have expired just now: with
    /// the hours of their rule. How many there were.
    pub fn end_promotions(&self, now: Millis, is_over: impl Fn(&Tenant, &str) -> bool) -> u64 {
        let mut ended = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut over: Vec<(Subject, Active)> = Vec::new();
            for (subject, visitor) in &shard.visitors {
                let mut held = visitor.promotions(now - JUST_NOW_MS).peekable();
                let Some((tenant, _)) = held.peek().and_then(|_| subject.parts()) else { continue };
                let gone = held.filter(|held| {
                    held.frame.rule.as_ref().is_some_and(|rule| is_over(&tenant, rule))
                });
                over.extend(gone.map(|held| (subject.clone(), held.clone())));
            }
            for (n, (subject, held)) in over.iter().enumerate() {
                let Some(visitor) = shard.visitors.get_mut(subject) else { continue };
                let source = visitor.source();
                visitor.note_taken_back(&held.frame.id, now);
                let hint = ended_by(&held.frame, (source.1, n as u32), now);
                // By what the hint was chosen by that it takes back.
                let about = (Vec::new(), held.marks.clone());
                self.tell(&mut shard, (subject, source), (hint, about), (Telling::First, now));
                ended += 1;
            }
        }
        ended
    }
}

/// Takes back a promotion whose rule holds no more.
fn ended_by(held: &Frame, (epoch, n): (u64, u32), now: Millis) -> Hint {
    let rule = held.rule.as_deref().unwrap_or_default();
    let mut content = Writer::with_capacity(64);
    content.object(|w| {
        w.text_field("hint", &held.id.to_string());
        w.text_field("ended", rule);
    });
    Hint {
        id: HintId { source: "rules".to_owned(), partition: 0, offset: now.0, n },
        kind: HintKind::Withdraw,
        epoch,
        slot: held.slot.clone(),
        content: Json::trusted(content.finish()),
        why: Why { model: "ended".to_owned(), inputs: vec![rule.to_owned()], ..Why::default() },
        expires_at: now + WITHDRAWAL_MS,
        stock_version: None,
        cause: None,
        decided_at: now,
    }
}
