//! A visitor's page without a browser: it makes events as the SDK does and shows what came back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clickmill_sdk_core::wire::{
    Batch, Consent, Context, Event, EventId, EventType, Json, Millis, Page as WirePage, Proof,
    QueueId, Receipt, SessionId, ToJson, VisitorId,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::http::{Answer, Ask, Http, HttpError};
use crate::stream::{Frame, Stream};

/// The wall clock.
///
/// # Panics
/// When the machine's clock stands before 1970.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Millis(since.as_millis() as u64)
}

/// A random proof of a new visitor.
pub fn new_proof() -> Proof {
    let (a, b) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
    let mut random = [0; 32];
    random[..16].copy_from_slice(&a);
    random[16..].copy_from_slice(&b);
    Proof::mint(&random)
}

/// One visitor with one queue.
#[derive(Debug)]
pub struct Page {
    http: Http,
    collector: String,
    relay: String,
    /// The secret behind the visitor id.
    pub proof: Proof,
    /// The circumstances its batches share.
    pub context: Context,
    queue: QueueId,
    next_seq: AtomicU64,
}

impl Page {
    /// A new visitor that has consented to everything, on the page of a collector and a relay
    /// (addresses without a path), with a write key.
    ///
    /// # Panics
    /// Never: the ids it makes are valid.
    pub fn new((collector, relay): (&str, &str), write_key: &str) -> Self {
        let proof = new_proof();
        let context = Context {
            visitor: Some(proof.visitor()),
            session: SessionId::parse(Uuid::now_v7().simple().to_string()).ok(),
            page: Some(WirePage { url: "https://shop.test/".into(), title: None }),
            consent: Some(Consent::full()),
            ..Context::default()
        };
        Self {
            http: Http::default(),
            collector: format!("{collector}/v1/events?k={write_key}"),
            relay: format!("{relay}/v1/hints"),
            queue: QueueId::parse(format!("q-{}", proof.visitor())).expect("a valid queue id"),
            next_seq: AtomicU64::new(0),
            proof,
            context,
        }
    }

    /// Who.
    pub fn visitor(&self) -> VisitorId {
        self.proof.visitor()
    }

    /// Makes an event; `props` is a JSON object.
    ///
    /// # Panics
    /// When `kind` is no event type.
    pub fn event(&self, kind: &str, props: &str) -> Event {
        Event {
            id: EventId::from_uuid(Uuid::now_v7()),
            queue: self.queue.clone(),
            seq: self.next_seq.fetch_add(1, Ordering::Relaxed),
            kind: EventType::parse(kind).expect("an event type"),
            version: None,
            at: now(),
            props: Json::trusted(props.to_owned()),
            context: Context::default(),
            sample: None,
        }
    }

    /// A view of a product.
    pub fn views(&self, sku: &str) -> Event {
        self.event("product_view", &format!(r#"{{"sku":"{sku}"}}"#))
    }

    /// Puts events into a batch.
    pub fn batch<E>(&self, events: Vec<E>) -> Batch<E> {
        let context = self.context.clone();
        Batch { sent_at: now(), attempt: 0, proof: None, renewed: false, context, events }
    }

    /// Sends a batch and gives back whatever was answered.
    pub async fn post(&self, body: impl Into<bytes::Bytes>) -> Result<Answer, HttpError> {
        self.http.ask(Ask::post(&self.collector, body)).await
    }

    /// Sends events and reads the receipt.
    ///
    /// # Panics
    /// When the answer is no receipt.
    pub async fn send(&self, events: Vec<Event>) -> Receipt {
        self.deliver(&self.batch(events)).await
    }

    /// Sends a batch and reads the receipt.
    ///
    /// # Panics
    /// When the answer is no receipt.
    pub async fn deliver<E: ToJson>(&self, batch: &Batch<E>) -> Receipt {
        let answer = self.post(batch.to_json()).await.expect("an answer of the collector");
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("a receipt")
    }

    /// Asks the collector for a token of the hint stream.
    ///
    /// # Panics
    /// When it gives none.
    pub async fn token(&self) -> String {
        let batch = Batch { proof: Some(self.proof.clone()), ..self.batch::<Event>(Vec::new()) };
        let identity = self.deliver(&batch).await.identity.expect("an identity in the receipt");
        assert_eq!(identity.visitor, self.visitor());
        identity.token
    }

    /// The status with which the relay answers this token; a stream that opens is left at once.
    ///
    /// # Panics
    /// When the relay does not answer.
    pub async fn peek(&self, token: &str) -> u16 {
        let response = self.http.open(self.asking(token, None)).await.expect("the relay's answer");
        response.status().as_u16()
    }

    /// Opens the hint stream.
    ///
    /// # Panics
    /// When the relay refuses.
    pub async fn listen(&self) -> Stream {
        self.resume(None).await
    }

    /// Opens the hint stream as one that saw the hint `last` before.
    ///
    /// # Panics
    /// When the relay refuses.
    pub async fn resume(&self, last: Option<&str>) -> Stream {
        let token = self.token().await;
        let response = self.http.open(self.asking(&token, last)).await.expect("the relay's answer");
        assert_eq!(response.status(), 200);
        Stream::new(response.into_body())
    }

    /// Opens the hint stream at a relay with a token, as one that saw the hint `last` before; none
    /// while that relay does not open it.
    pub async fn try_open(
        &self,
        (relay, token): (&str, &str),
        last: Option<&str>,
    ) -> Option<Stream> {
        let ask = Ask::get(format!("{relay}/v1/hints?token={token}"));
        let ask = last.into_iter().fold(ask, |ask, last| ask.header("last-event-id", last));
        let response = self.http.open(ask).await.ok()?;
        (response.status() == 200).then(|| Stream::new(response.into_body()))
    }

    /// Keeps a stream open, one after another, at the next of these relays where one does not answer.
    /// A stream that is silent for `silence_max` is left. What comes is heard; none stands for a
    /// stream that has opened.
    pub async fn keep_open(
        &self,
        relays: &[String],
        first: usize,
        silence_max: Duration,
        mut hear: impl FnMut(Option<Frame>),
    ) {
        let (token, mut last, mut at) = (self.token().await, None::<String>, first);
        loop {
            let relay = relays[at % relays.len()].as_str();
            let Some(mut stream) = self.try_open((relay, &token), last.as_deref()).await else {
                at += 1;
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            hear(None);
            while let Some(frame) = stream.next(silence_max).await {
                hear(Some(frame));
                last = stream.last_event_id.clone().or(last);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn asking(&self, token: &str, last: Option<&str>) -> Ask {
        let ask = Ask::get(format!("{}?token={token}", self.relay));
        match last {
            Some(last) => ask.header("last-event-id", last),
            None => ask,
        }
    }
}
