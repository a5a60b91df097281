//! What a client is told.

use super::effect::RequestId;
use super::{Facts, Remembered, told};
use crate::wire::json::{ToJson, Value, Writer};
use crate::wire::{
    BUCKETS, Consent, EventId, EventType, HintHead, HintKind, Json, Limits, Millis, Purpose,
    Receipt, Refusal, RefusalCode, SiteConfig,
};

/// One thing that happened around the client.
#[derive(Clone, Debug)]
pub enum Input {
    /// What the visitor allows has changed.
    ConsentSet(Consent),
    /// Everything that waits is to be sent now.
    Flush,
    /// The page went out of sight; it may never come back.
    Hidden,
    /// The page shows something else from here on: its circumstances.
    Page(Facts),
    /// The page goes away now.
    PageGone,
    /// The page is back from the back/forward cache.
    PageBack,
    /// Storage holds something else by now, since another page has changed it. It counts as long as
    /// none of it was taken up.
    Reminded(Remembered),
    /// The network is back, for want of which the last delivery had no answer: the next one does not
    /// wait. After a refusal it is not to be said.
    Online,
    /// Somebody else sits here from now on, as after a log-out: the next events are a new visitor's.
    Renewed,
    /// A delivery was answered.
    Reply(Reply),
    /// A delivery failed without an answer.
    RequestFailed(RequestId),
    /// The site's settings have arrived.
    SiteConfigRead(SiteConfig),
    /// An event came through the hint stream.
    StreamEvent(StreamEvent),
    /// The hint stream is closed for good: the browser will not try again by itself.
    StreamFailed,
    /// The hint stream is open.
    StreamOpened,
    /// The time of the last `Wake` has come.
    Tick,
    /// Something happened on the page.
    Track(Track),
}

/// An event as the page reports it.
#[derive(Clone, Debug)]
pub struct Track {
    /// What happened.
    pub kind: EventType,
    /// Its properties: one JSON object.
    pub props: Json,
    /// Its id, where it was minted when it was captured.
    pub id: Option<EventId>,
    /// When it happened, where that was before this step.
    pub at: Option<Millis>,
}

impl Track {
    /// An event that happens in this step.
    pub fn new(kind: EventType, props: Json) -> Self {
        Self { kind, props, id: None, at: None }
    }
}

/// The answer to a delivery.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Which delivery.
    pub request: RequestId,
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header, where it could be read.
    pub retry_after: Option<String>,
    /// The body.
    pub body: String,
}

/// A server-sent event.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// Its `id`.
    pub id: String,
    /// Its `event`: the kind of hint.
    pub event: String,
    /// Its `data`.
    pub data: String,
}

/// What the machine is told of an input: what a page's script tells it likewise.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) what: u32,
    pub(super) number: u64,
    pub(super) text: String,
}

impl Told {
    fn new(what: u32, number: u64, parts: &[&str]) -> Self {
        Self { what, number, text: parts.join("\u{1f}") }
    }

    pub(super) fn consent(consent: &Consent) -> Self {
        let bits = Purpose::ALL.into_iter().zip(0..);
        let bits = bits.filter(|(purpose, _)| consent.allows(*purpose)).map(|(_, at)| 1 << at);
        let field = format!("\"consent\":{}", consent.to_json());
        Self::new(told::CONSENT, bits.sum::<u64>() + told::SAID, &[&field])
    }

    pub(super) fn track(track: &Track, id: EventId, now: Millis) -> Self {
        let parts = [&id.to_string(), &track.kind.to_json(), track.props.as_str()];
        Self::new(told::TRACK, track.at.unwrap_or(now).0, &parts)
    }

    /// What is told of any input but a page, what happens on it and what is allowed. The site's consent counts where
    /// the visitor has said nothing.
    pub(super) fn of(input: &Input, visitor_has_said: bool, now: Millis) -> Vec<Self> {
        let plain = |what| vec![Self::new(what, 0, &[])];
        match input {
            Input::Flush => plain(told::FLUSH),
            Input::Hidden => plain(told::HIDDEN),
            Input::PageGone => plain(told::GONE),
            Input::PageBack => plain(told::BACK),
            Input::Reminded(kept) => vec![Self::new(told::REMIND, 0, &[&kept.told()])],
            Input::Online => plain(told::ONLINE),
            Input::Renewed => plain(told::RENEWED),
            Input::Reply(reply) => vec![reply.told(now)],
            Input::RequestFailed(request) => vec![Self::new(told::FAILED, request.0.into(), &[])],
            Input::SiteConfigRead(site) => {
                let mut all = vec![Self::site(site)];
                all.extend((!visitor_has_said).then(|| Self::consent(&site.consent)));
                all
            }
            Input::StreamEvent(event) => event.told().into_iter().collect(),
            Input::StreamFailed => plain(told::STREAM_FAILED),
            Input::StreamOpened => plain(told::STREAM_OPENED),
            Input::Tick => plain(told::TICK),
            Input::ConsentSet(_) | Input::Page(_) | Input::Track(_) => Vec::new(),
        }
    }

    fn site(site: &SiteConfig) -> Self {
        let mut urgent = Writer::default();
        urgent.array(|w| site.urgent.iter().for_each(|kind| kind.write(w)));
        let flush = &site.flush;
        let mut parts = vec![site.as_of.0.to_string(), urgent.finish(), flush.events.to_string()];
        parts.extend([flush.bytes.to_string(), flush.age_ms.to_string()]);
        parts.extend(limits(Some(&site.limits)));
        Self { what: told::SITE, number: 0, text: parts.join("\u{1f}") }
    }
}

fn limits(limits: Option<&Limits>) -> [String; 3] {
    let Some(limits) = limits else { return Default::default() };
    let Limits { batch_bytes_max, batch_events_max, event_bytes_max } = limits;
    [batch_bytes_max.to_string(), batch_events_max.to_string(), event_bytes_max.to_string()]
}

impl Reply {
    fn told(&self, now: Millis) -> Told {
        let request = self.request.0.into();
        if let (200..300, Ok(body)) = (self.status, Value::read(&self.body))
            && let Ok(receipt) = Receipt::from_value(&body)
        {
            let text = receipt_parts(&receipt, &body).join("\u{1f}");
            return Told { what: told::RECEIPT, number: request, text };
        }
        if matches!(self.status, 401 | 403) {
            return Told::new(told::STOPPED, request, &[]);
        }
        let refusal = Refusal::read(&self.body).ok();
        if let Some(reason) = self.never(refusal.as_ref()) {
            let verdict = format!(r#"{{"outcome":"rejected","reason":"{reason}"}}"#);
            return Told::new(told::SPOILED, request, &[&verdict]);
        }
        // A wait is told in the body or in the header: in whole seconds, or up to a date.
        let body = refusal.and_then(|refusal| refusal.retry_after_ms);
        let header = self.retry_after.as_deref().and_then(|wait| match wait.parse::<u64>() {
            Ok(seconds) => Some(seconds.saturating_mul(1000)),
            Err(_) => Some(Millis::of_http_date(wait)?.since(now)),
        });
        let wait = body.or(header);
        let wait = wait.filter(|wait| *wait > 0).map(|wait| wait.to_string()).unwrap_or_default();
        Told::new(told::FAILED, request, &[&wait])
    }

    /// Why a batch can never be taken, if that is so. Anything between here and the collector may
    /// answer 400 for reasons of its own, and a body that broke off says nothing about the events
    /// in it.
    fn never(&self, refusal: Option<&Refusal>) -> Option<&'static str> {
        match (self.status, refusal.map(|refusal| refusal.error)) {
            (400 | 413, Some(RefusalCode::Malformed)) => Some("malformed"),
            (400, Some(RefusalCode::BodyTooLarge)) | (413, _) => Some("too_large"),
            _ => None,
        }
    }
}

/// What is told of a receipt. Its verdicts are told as they came: a newer collector may say more in
/// them than is known here, and whatever is no `retry` is the last word.
fn receipt_parts(receipt: &Receipt, body: &Value) -> Vec<String> {
    let mut parts = limits(receipt.limits.as_ref()).to_vec();
    parts.extend(receipt.sample.map_or_else(Default::default, |share| {
        let mut json = Writer::default();
        json.share(share);
        [json.finish(), ((share * f64::from(BUCKETS)).ceil() as u64).to_string()]
    }));
    parts.extend(receipt.identity.as_ref().map_or_else(Default::default, |identity| {
        [identity.visitor.to_string(), identity.token.clone(), identity.expires_at.0.to_string()]
    }));
    for verdict in body.get("verdicts").map(Value::list).unwrap_or_default() {
        let number = |name| verdict.get(name).and_then(Value::number);
        let index = number("index").map(|index| index.to_string()).unwrap_or_default();
        let again = verdict.get("outcome").and_then(Value::text) == Some("retry");
        let wait = again.then(|| number("after_ms").unwrap_or_default().to_string());
        parts.extend([index, wait.unwrap_or_default(), verdict.to_json()]);
    }
    parts
}

impl StreamEvent {
    /// None for what is no hint that this SDK knows.
    fn told(&self) -> Option<Told> {
        HintKind::parse(&self.event)?;
        let head = HintHead::read(&self.data).ok()?;
        let cause = head.cause.map(|id| id.to_string()).unwrap_or_default();
        let parts = [&*self.id, &self.event, &head.epoch.to_string(), &cause, &self.data];
        Some(Told::new(told::EVENT, 0, &parts))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_answer_is_told_as_the_golden_table_says() {
        let table = include_str!("../../golden/answers.json");
        let table: Vec<Value> = serde_json::from_str(table).unwrap();
        for case in &table {
            let text = |name: &str| case[name].as_str().map(str::to_owned);
            let request = RequestId(7);
            let input = match case["status"].as_u64().unwrap() {
                0 => Input::RequestFailed(request),
                status => Input::Reply(Reply {
                    request,
                    status: status as u16,
                    retry_after: text("retry_after"),
                    body: text("body")
                        .unwrap_or_default()
                        .repeat(case["times"].as_u64().unwrap_or(1) as usize),
                }),
            };
            let now = Millis(case["now"].as_u64().unwrap_or_default());
            let told = Told::of(&input, true, now);
            let [Told { what, number: 7, text }] = &told[..] else { panic!("{told:?}") };
            assert_eq!(serde_json::json!([what, text]), case["told"], "{}", case["name"]);
        }
    }
}
