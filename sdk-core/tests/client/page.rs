//! A page around the client: time, storage, network and stream as plain values. After every step
//! it checks the books.

use std::collections::BTreeMap;

use clickmill_sdk_core::client::{
    Client, ClientOptions, Delivered, Effect, Facts, Input, Item, Remembered, Reply, RequestId,
    Send, Settled, State, StreamEvent, Track,
};
use clickmill_sdk_core::wire::{Consent, EventType, Json, Limits, Millis, Purpose, SiteConfig};
use serde_json::Value;

pub(crate) const START: u64 = 1_795_476_000_000;

pub(crate) struct Page {
    pub(crate) client: Client,
    pub(crate) now: u64,
    pub(crate) storage: BTreeMap<Item, String>,
    /// The delivery that waits for its answer.
    pub(crate) sent: Option<Send>,
    sent_at: u64,
    /// How far the clock was set back altogether.
    behind: u64,
    /// All bodies that were ever sent.
    pub(crate) bodies: Vec<String>,
    pub(crate) copies: Vec<String>,
    /// Copies for the case that the page ends out of sight.
    pub(crate) unseen: Vec<String>,
    pub(crate) verdicts: Vec<Settled>,
    pub(crate) hints: Vec<Delivered>,
    pub(crate) states: Vec<State>,
    /// Token and last event id of the open stream.
    pub(crate) stream: Option<(String, Option<String>)>,
    pub(crate) wake_at: Option<u64>,
    /// What batches must keep to.
    limits: Limits,
    options: ClientOptions,
    loads: u8,
}

pub(crate) fn consent(purposes: &[Purpose]) -> Consent {
    Consent { granted: purposes.to_vec(), gpc: false }
}

pub(crate) fn all_granted() -> ClientOptions {
    ClientOptions { consent: Some(Consent::full()), ..ClientOptions::default() }
}

pub(crate) fn facts(url: &str) -> Facts {
    Facts::read(&format!(r#"{{"page":{{"url":"{url}","title":"Shop"}},"locale":"en-GB"}}"#))
}

impl Page {
    pub(crate) fn new() -> Self {
        Self::with(all_granted())
    }

    pub(crate) fn with(options: ClientOptions) -> Self {
        let mut page = Self {
            client: Client::new(options.clone(), &Remembered::default(), [1; 32]),
            now: START,
            storage: BTreeMap::new(),
            sent: None,
            sent_at: 0,
            behind: 0,
            bodies: Vec::new(),
            copies: Vec::new(),
            unseen: Vec::new(),
            verdicts: Vec::new(),
            hints: Vec::new(),
            states: Vec::new(),
            stream: None,
            wake_at: None,
            limits: Limits::default(),
            options,
            loads: 1,
        };
        page.step(Input::Page(facts("https://shop.example/")));
        page
    }

    /// The page ends without a word, and another one of the same site is loaded.
    pub(crate) fn reload(&mut self) {
        self.reload_with(self.options.clone());
    }

    pub(crate) fn reload_with(&mut self, options: ClientOptions) {
        self.loads += 1;
        self.client = Client::new(options, &self.remembered(), [self.loads; 32]);
        (self.sent, self.stream, self.wake_at) = (None, None, None);
        self.limits = Limits::default();
        self.step(Input::Page(facts("https://shop.example/next")));
    }

    pub(crate) fn remembered(&self) -> Remembered {
        let text = |item| self.storage.get(&item).cloned();
        let queue = text(Item::Queue);
        let places = queue.as_deref().map(Remembered::places).unwrap_or_default();
        let events = places.filter_map(|place| Some((place, text(Item::Event(place))?)));
        Remembered { me: text(Item::Me), visit: text(Item::Visit), events: events.collect(), queue }
    }

    pub(crate) fn step(&mut self, input: Input) {
        for effect in self.client.step(Millis(self.now), input) {
            self.carry_out(effect);
        }
        let books = self.client.books();
        assert_eq!(
            books.created,
            books.settled + books.dropped() + self.client.queued() as u64,
            "{books:?}",
        );
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(send) => {
                let given_up = self.now + self.behind >= self.sent_at + self.options.answer_ms_max;
                assert!(self.sent.is_none() || given_up, "two deliveries at a time");
                self.check_limits(&send.body);
                self.bodies.push(send.body.clone());
                self.sent = Some(send);
                self.sent_at = self.now + self.behind;
            }
            Effect::Copy { body, is_gone } => {
                self.check_limits(&body);
                let copies = if is_gone { &mut self.copies } else { &mut self.unseen };
                copies.push(body);
            }
            Effect::Store { item, text: Some(text) } => drop(self.storage.insert(item, text)),
            Effect::Store { item, text: None } => {
                self.storage.remove(&item);
                // A queue that is forgotten takes its events along.
                self.storage
                    .retain(|kept, _| item != Item::Queue || !matches!(kept, Item::Event(_)));
            }
            Effect::Wake { after_ms } => self.wake_at = Some(self.now + after_ms),
            Effect::OpenStream { token, last_event_id } => {
                assert!(self.stream.is_none(), "two streams at a time");
                self.stream = Some((token, last_event_id));
            }
            Effect::CloseStream => assert!(self.stream.take().is_some()),
            Effect::Deliver(hint) => self.hints.push(hint),
            Effect::Verdict(settled) => self.verdicts.push(settled),
            Effect::State(state) => self.states.push(state),
        }
    }

    fn check_limits(&self, body: &str) {
        assert!(body.len() as u64 <= self.limits.batch_bytes_max, "{} bytes", body.len());
        let batch: Value = serde_json::from_str(body).unwrap();
        assert!(events(&batch).len() <= self.limits.batch_events_max as usize);
    }

    pub(crate) fn track(&mut self, kind: &str) {
        self.track_props(kind, "{}");
    }

    pub(crate) fn track_props(&mut self, kind: &str, props: &str) {
        let kind = EventType::parse(kind).unwrap();
        self.step(Input::Track(Track::new(kind, Json::trusted(props.to_owned()))));
    }

    /// Somebody sets the clock back.
    pub(crate) fn set_back(&mut self, span_ms: u64) {
        self.now -= span_ms;
        self.behind += span_ms;
        self.wake_at = self.wake_at.map(|at| at - span_ms);
    }

    /// Lets time pass until the next delivery goes.
    pub(crate) fn wait_for_batch(&mut self) {
        self.sent = None;
        while self.sent.is_none() {
            self.now = self.now.max(self.wake_at.take().expect("no wake was asked for"));
            self.step(Input::Tick);
        }
    }

    /// Lets time pass, and the wakes come that fall into it.
    pub(crate) fn wait(&mut self, span_ms: u64) {
        let until = self.now + span_ms;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.wake_at = None;
            self.step(Input::Tick);
        }
        self.now = until;
    }

    /// The batch that waits for its answer.
    pub(crate) fn batch(&self) -> Value {
        serde_json::from_str(&self.sent.as_ref().expect("no batch was sent").body).unwrap()
    }

    /// Types of the events in the batch that waits for its answer.
    pub(crate) fn kinds(&self) -> Vec<String> {
        events(&self.batch()).iter().map(|event| text(event, "type")).collect()
    }

    pub(crate) fn request(&self) -> RequestId {
        self.sent.as_ref().expect("no batch was sent").request
    }

    pub(crate) fn reply(&mut self, status: u16, body: &str) {
        self.reply_after(status, body, None);
    }

    pub(crate) fn reply_after(&mut self, status: u16, body: &str, retry_after: Option<&str>) {
        let request = self.request();
        self.sent = None;
        self.step(Input::Reply(Reply {
            request,
            status,
            retry_after: retry_after.map(str::to_owned),
            body: body.to_owned(),
        }));
    }

    /// The collector takes the whole batch.
    pub(crate) fn accept(&mut self) {
        let body = format!(r#"{{"accepted":{}}}"#, events(&self.batch()).len());
        self.reply(200, &body);
    }

    /// The collector takes the whole batch and gives a token for `visitor`.
    pub(crate) fn accept_with_token(&mut self, visitor: &str, life_ms: u64) {
        let (count, until) = (events(&self.batch()).len(), self.now + life_ms);
        let identity =
            format!(r#"{{"visitor":"{visitor}","token":"t-{until}","expires_at":{until}}}"#);
        self.reply(200, &format!(r#"{{"accepted":{count},"identity":{identity}}}"#));
    }

    pub(crate) fn fail(&mut self) {
        let request = self.request();
        self.sent = None;
        self.step(Input::RequestFailed(request));
    }

    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut SiteConfig)) {
        let mut site = SiteConfig { as_of: Millis(self.now), ..SiteConfig::default() };
        change(&mut site);
        self.limits = site.limits;
        self.step(Input::SiteConfigRead(site));
    }

    pub(crate) fn stream_event(&mut self, id: &str, event: &str, data: &str) {
        self.step(Input::StreamEvent(StreamEvent {
            id: id.to_owned(),
            event: event.to_owned(),
            data: data.to_owned(),
        }));
    }
}

pub(crate) fn events(batch: &Value) -> &[Value] {
    batch["events"].as_array().unwrap()
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
