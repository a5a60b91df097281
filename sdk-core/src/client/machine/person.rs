//! Who the visitor is: the secret and its id, and the key to the hint stream.

use super::clock::Now;
use super::random::Random;
use super::since;
use super::text::{FIELD, cut, cut_number, is_plain};
use crate::wire::Put;
use crate::wire::{digits, visitor_of};

/// A token is renewed this long before it ends, ms.
const RENEW_AHEAD_MS: u64 = 60_000;
/// A token is asked for again after this long without getting one, ms.
const ASK_AGAIN_MS: u64 = 10_000;
/// After refusals in a row the wait doubles from refusal to refusal, up to this long, ms.
const ASK_AGAIN_MS_MAX: u64 = 600_000;
/// A wanted token waits this long for events to travel with, ms.
const ASK_GRACE_MS: u64 = 200;

/// What storage would keep of somebody new in another's place.
pub(super) const HEIR: [u8; 5] = [FIELD; 5];

/// The visitor as this browser knows them. Exists only with consent.
pub(super) struct Person {
    /// The secret: 64 hexadecimal digits.
    pub(super) proof: Vec<u8>,
    /// The id that new events carry.
    pub(super) visitor: Vec<u8>,
    /// The key to the stream; empty where there is none.
    pub(super) token: Vec<u8>,
    token_ends: u64,
    /// Whether they took another's place, of which the collector has not heard yet.
    pub(super) is_renewed: bool,
    /// When a batch should go to fetch a token even without events; steady.
    pub(super) ask_at: u64,
    /// When one was last asked for; steady.
    asked: u64,
    /// Receipts in a row that gave none.
    refusals: u32,
}

impl Person {
    /// The person that storage knows, or a new one.
    pub(super) fn recall(mut stored: &[u8], now: Now, random: &mut Random) -> Self {
        let rest = &mut stored;
        let mut person = Self {
            visitor: cut(rest, FIELD).to_vec(),
            proof: cut(rest, FIELD).to_vec(),
            token: cut(rest, FIELD).to_vec(),
            token_ends: cut_number(rest, FIELD).unwrap_or_default(),
            is_renewed: !rest.is_empty(),
            ask_at: 0,
            asked: 0,
            refusals: 0,
        };
        if !is_plain(&person.visitor) || !is_plain(&person.proof) || person.proof.len() != 64 {
            person.proof = digits(&random.block());
            person.visitor = visitor_of(&person.proof);
            person.token_ends = 0;
        }
        if person.token_ends <= now.wall || !is_plain(&person.token) {
            person.token.clear();
        }
        person.ask_at = person.renewal(now).max(now.steady + ASK_GRACE_MS);
        person
    }

    /// What storage keeps. The visitor stands there first: a stub that is alone reads it.
    pub(super) fn store(&self, text: &mut Vec<u8>) {
        text.put(&self.visitor).put(&[FIELD]).put(&self.proof).put(&[FIELD]);
        text.put(&self.token).put(&[FIELD]).put_number(self.token_ends);
        if self.is_renewed {
            text.put(&[FIELD, FIELD]);
        }
    }

    /// Whether a batch that goes now should ask for a token with the proof.
    pub(super) fn asks(&self, now: Now) -> bool {
        now.steady >= self.rested_at() && (self.token.is_empty() || now.steady >= self.ask_at)
    }

    /// Notes that a token was asked for.
    pub(super) fn asked(&mut self, now: Now) {
        self.asked = now.steady;
        self.ask_at = self.rested_at();
    }

    /// Whether they may become a visitor that the collector names. Who took another's place does not
    /// go back to them, though the browser's cookie may know no other yet.
    pub(super) fn may_be(&self, visitor: &[u8]) -> bool {
        is_plain(visitor) && (!self.is_renewed || visitor == self.visitor)
    }

    /// Takes what the collector says: its id for new events, and the token.
    pub(super) fn adopt(&mut self, visitor: &[u8], token: &[u8], token_ends: u64, now: Now) {
        (self.visitor, self.token, self.token_ends) =
            (visitor.to_vec(), token.to_vec(), token_ends);
        (self.asked, self.refusals, self.is_renewed) = (0, 0, false);
        self.ask_at = self.renewal(now);
    }

    /// The collector took the batch and gave no token for the proof in it. If the id is an older
    /// one, the cookie that vouched for it is gone: no proof of ours ever gets a token for it, so
    /// new events are our own again, and the stream of the older one ends.
    pub(super) fn refused(&mut self) {
        let own = visitor_of(&self.proof);
        if self.visitor != own {
            self.visitor = own;
            self.token.clear();
        }
        self.refusals += 1;
        self.ask_at = self.rested_at();
    }

    /// Has the token replaced soon: the stream was refused with it.
    pub(super) fn doubt_token(&mut self, now: Now) {
        self.ask_at = self.rested_at().max(now.steady + ASK_GRACE_MS);
    }

    /// When one may be asked for again.
    fn rested_at(&self) -> u64 {
        let doublings = self.refusals.saturating_sub(1).min(16);
        self.asked + (ASK_AGAIN_MS << doublings).min(ASK_AGAIN_MS_MAX)
    }

    /// When the token should be renewed. A browser whose clock is ahead sees every token as
    /// ended; it asks in a steady rhythm instead of at once.
    fn renewal(&self, now: Now) -> u64 {
        if self.token.is_empty() {
            return now.steady;
        }
        let left = since(self.token_ends, now.wall);
        now.steady + since(left, RENEW_AHEAD_MS).max(left / 2).max(ASK_AGAIN_MS)
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person(…)")
    }
}
