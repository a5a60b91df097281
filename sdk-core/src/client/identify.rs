//! Who the visitor is: the secret and its id, the visit, and the key to the hint stream.

use std::rc::Rc;

use super::clock::Now;
use super::random::Random;
use crate::wire::json::{ToJson, Value, Writer};
use crate::wire::{Campaign, EventId, Identity, Millis, Proof, SessionRule, VisitorId};

/// Events whose times are kept, to tell the latency of hints.
const RECENT_MAX: usize = 24;
/// Hints whose ids are kept, to tell a replay.
const HINTS_MAX: usize = 48;
/// A token is renewed this long before it ends, ms.
const RENEW_AHEAD_MS: u64 = 60_000;
/// A token is asked for again after this long without getting one, ms.
const ASK_AGAIN_MS: u64 = 10_000;
/// After refusals in a row the wait doubles from refusal to refusal, up to this long, ms.
const ASK_AGAIN_MS_MAX: u64 = 600_000;
/// A wanted token waits this long for events to travel with, ms.
const ASK_GRACE_MS: u64 = 200;

/// A session's last event is told to storage when it is newer by this, ms.
const LAST_STEP_MS: u64 = 5_000;

/// The visitor as this browser knows them. Exists only with consent.
#[derive(Debug)]
pub(super) struct Person {
    proof: Proof,
    visitor: VisitorId,
    token: Option<Token>,
    /// When to ask for a token even if nothing else is to be sent; steady.
    ask_at: Millis,
    /// When one was last asked for; steady.
    asked: Option<Millis>,
    /// Receipts in a row that gave none.
    refusals: u32,
}

#[derive(Debug)]
struct Token {
    text: String,
    expires_at: Millis,
}

impl Person {
    /// The person that storage knows, or a new one.
    pub(super) fn recall(stored: Option<&str>, now: Now, random: &mut Random) -> Self {
        let mut person = stored.and_then(|stored| Self::read(stored, now)).unwrap_or_else(|| {
            let proof = Proof::mint(&random.block());
            let visitor = proof.visitor();
            Self { proof, visitor, token: None, ask_at: now.steady, asked: None, refusals: 0 }
        });
        person.ask_at = person.renewal(now).max(now.steady + ASK_GRACE_MS);
        person
    }

    fn read(stored: &str, now: Now) -> Option<Self> {
        let value = Value::read(stored).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::text);
        let proof = Proof::parse(text("proof")?).ok()?;
        let visitor = VisitorId::parse(text("visitor")?).ok()?;
        let token = text("token").zip(value.get("expires_at").and_then(Value::number));
        let token = token.map(|(text, at)| Token { text: text.to_owned(), expires_at: Millis(at) });
        let token = token.filter(|token| token.expires_at > now.wall);
        Some(Self { proof, visitor, token, ask_at: now.steady, asked: None, refusals: 0 })
    }

    /// What storage keeps. The visitor stands there in plain: a stub that is alone reads it.
    pub(super) fn stored(&self) -> String {
        let mut w = Writer::default();
        w.object(|w| {
            w.field("proof", Some(&self.proof));
            w.field("visitor", Some(&self.visitor));
            if let Some(token) = &self.token {
                w.text_field("token", &token.text);
                w.field("expires_at", Some(&token.expires_at));
            }
        });
        w.finish()
    }

    /// The id that new events carry.
    pub(super) fn visitor(&self) -> &VisitorId {
        &self.visitor
    }

    /// The key to the stream, if there is one.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.text.as_str())
    }

    /// When a batch should go to fetch a token even without events.
    pub(super) fn ask_at(&self) -> Millis {
        self.ask_at
    }

    /// The proof, if a batch that goes now should ask for a token with it.
    pub(super) fn proof_to_send(&self, now: Now) -> Option<&Proof> {
        let rested = self.asked.is_none_or(|asked| now.steady.since(asked) >= self.rest_ms());
        let wanted = self.token.is_none() || now.steady >= self.ask_at;
        (rested && wanted).then_some(&self.proof)
    }

    /// Notes that a token was asked for.
    pub(super) fn asked(&mut self, now: Now) {
        self.asked = Some(now.steady);
        self.ask_at = now.steady + self.rest_ms();
    }

    /// Takes what the collector says: its id for new events, and the token.
    pub(super) fn adopt(&mut self, identity: Identity, now: Now) {
        self.visitor = identity.visitor;
        self.token = Some(Token { text: identity.token, expires_at: identity.expires_at });
        self.asked = None;
        self.refusals = 0;
        self.ask_at = self.renewal(now);
    }

    /// The collector took the batch and gave no token for the proof in it. If the id is an older
    /// one, the cookie that vouched for it is gone: no proof of ours ever gets a token for it, so
    /// new events are our own again, and the stream of the older one ends.
    pub(super) fn refused(&mut self, now: Now) {
        let own = self.proof.visitor();
        if self.visitor != own {
            self.visitor = own;
            self.token = None;
        }
        self.refusals = self.refusals.saturating_add(1);
        self.ask_at = self.asked.unwrap_or(now.steady) + self.rest_ms();
    }

    /// Has the token replaced soon: the stream was refused with it.
    pub(super) fn doubt_token(&mut self, now: Now) {
        let rest = self.asked.map_or(now.steady, |asked| asked + self.rest_ms());
        self.ask_at = rest.max(now.steady + ASK_GRACE_MS);
    }

    /// How long to wait from one wish for a token to the next, ms.
    fn rest_ms(&self) -> u64 {
        let doublings = self.refusals.saturating_sub(1).min(16);
        (ASK_AGAIN_MS << doublings).min(ASK_AGAIN_MS_MAX)
    }

    /// When the token should be renewed. A browser whose clock is ahead sees every token as
    /// ended; it asks in a steady rhythm instead of at once.
    fn renewal(&self, now: Now) -> Millis {
        let Some(token) = &self.token else {
            return now.steady;
        };
        let left = token.expires_at.since(now.wall);
        now.steady + left.saturating_sub(RENEW_AHEAD_MS).max(left / 2).max(ASK_AGAIN_MS)
    }
}

/// The running visit and what it has seen last. Exists only with consent.
#[derive(Debug, Default)]
pub(super) struct Visit {
    session: Option<Session>,
    /// The session's last event as storage knows it.
    stored_last: Millis,
    recent: Vec<(EventId, Millis)>,
    hints: Vec<String>,
}

#[derive(Debug)]
struct Session {
    /// Its id as JSON text.
    id: Rc<str>,
    started: Millis,
    last: Millis,
    campaign: Option<Campaign>,
}

/// What the visit learns of an event.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) id: EventId,
    pub(super) at: Millis,
    /// The marks of a campaign, as JSON text.
    pub(super) campaign: Option<&'a str>,
}

impl Visit {
    /// The visit that storage knows, or none yet.
    pub(super) fn recall(stored: Option<&str>) -> Self {
        stored.and_then(Self::read).unwrap_or_default()
    }

    fn read(stored: &str) -> Option<Self> {
        let value = Value::read(stored).ok()?;
        let moment = |name: &str| value.get(name)?.number().map(Millis);
        let session = value.get("session").and_then(Value::text).and_then(|id| {
            let campaign = value.get("campaign").map(campaign);
            let id = id.to_json().into();
            Some(Session { id, started: moment("started")?, last: moment("last")?, campaign })
        });
        let pairs = value.get("recent").map(Value::list).unwrap_or_default();
        let recent = pairs.iter().filter_map(|pair| {
            let [id, at] = pair.list() else { return None };
            Some((EventId::parse(id.text()?).ok()?, Millis(at.number()?)))
        });
        let hints = value.get("hints").map(Value::list).unwrap_or_default();
        let hints = hints.iter().filter_map(Value::text).map(str::to_owned);
        let stored_last = moment("last").unwrap_or_default();
        Some(Self { session, stored_last, recent: recent.collect(), hints: hints.collect() })
    }

    /// Whether storage should hear of it now: a new session, or one that goes on.
    pub(super) fn is_news(&self) -> bool {
        let last = self.session.as_ref().map(|session| session.last);
        last.is_some_and(|last| last.since(self.stored_last) >= LAST_STEP_MS)
    }

    /// What storage keeps.
    pub(super) fn store(&mut self) -> String {
        let mut w = Writer::default();
        self.stored_last = self.session.as_ref().map(|session| session.last).unwrap_or_default();
        w.object(|w| {
            if let Some(session) = &self.session {
                w.key("session").raw(&session.id);
                w.field("started", Some(&session.started));
                w.field("last", Some(&session.last));
                w.field("campaign", session.campaign.as_ref());
            }
            w.key("recent").array(|w| {
                for (id, at) in &self.recent {
                    w.array(|w| {
                        id.write(w);
                        at.write(w);
                    });
                }
            });
            w.key("hints").array(|w| self.hints.iter().for_each(|id| id.write(w)));
        });
        w.finish()
    }

    /// The session an event belongs to, begun if need be; its id as JSON text.
    pub(super) fn enter(
        &mut self,
        seen: &Seen<'_>,
        rule: &SessionRule,
        random: &mut Random,
    ) -> Rc<str> {
        keep_last(&mut self.recent, (seen.id, seen.at), RECENT_MAX);
        let new = seen.campaign.and_then(|text| Value::read(text).ok()).as_ref().map(campaign);
        if let Some(session) = &mut self.session {
            let span = (session.started, session.last);
            let end = rule.end(span, seen.at, (session.campaign.as_ref(), new.as_ref()));
            if end.is_none() {
                session.last = session.last.max(seen.at);
                return session.id.clone();
            }
        }
        let id: Rc<str> = random.name(seen.at).to_json().into();
        let session = Session { id: id.clone(), started: seen.at, last: seen.at, campaign: new };
        self.session = Some(session);
        id
    }

    /// When the event of that id was tracked, if it is one of the last.
    pub(super) fn tracked_at(&self, id: EventId) -> Option<Millis> {
        self.recent.iter().rev().find(|(known, _)| *known == id).map(|(_, at)| *at)
    }

    /// Whether a hint was delivered before, on this page or an earlier one.
    pub(super) fn knows_hint(&self, id: &str) -> bool {
        self.hints.iter().any(|known| known == id)
    }

    /// Notes a delivered hint.
    pub(super) fn note_hint(&mut self, id: &str) {
        keep_last(&mut self.hints, id.to_owned(), HINTS_MAX);
    }
}

/// Appends, and forgets the oldest beyond `max`.
pub(super) fn keep_last<T>(list: &mut Vec<T>, item: T, max: usize) {
    if list.len() >= max {
        list.remove(0);
    }
    list.push(item);
}

/// Reads the marks of a campaign.
fn campaign(value: &Value) -> Campaign {
    let mark = |name: &str| value.get(name).and_then(Value::text).map(str::to_owned);
    Campaign {
        source: mark("source"),
        medium: mark("medium"),
        name: mark("name"),
        term: mark("term"),
        content: mark("content"),
    }
}
