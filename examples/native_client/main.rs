//! A native program as a client: the state machine that runs in browsers, with typed events, retries and
//! a customer who is proven. Beside the demo: `cargo run -p clickmill-collector --example native_client --
//! --collector 127.0.0.1:8081 --write-key <a site's>`, and `--customer ada --proof-key <id>:<secret>`.

#[rustfmt::skip]
mod events;

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use clap::Parser;
use clickmill_sdk_core::client::{
    Backoff, Client, ClientOptions, Effect, Facts, Input, Item, Remembered, Reply, Send, Settled,
    Track, text,
};
use clickmill_sdk_core::wire::{Consent, EventType, Json, Millis, Outcome};
use events::{BasketAdd, Identify, ProductView, Search, TypedEvent};
use hmac::{Hmac, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

type Failure = Box<dyn Error + std::marker::Send + Sync>;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// A native client that sends a few events and tells what became of each.
#[derive(Debug, Parser)]
struct Arguments {
    /// The collector's public address, host and port.
    #[arg(long)]
    collector: String,
    /// The write key of a site.
    #[arg(long)]
    write_key: String,
    /// The site's tenant.
    #[arg(long, default_value = "shop")]
    tenant: String,
    /// The customer who has logged in.
    #[arg(long)]
    customer: Option<String>,
    /// A key of the site's `proofs`, `id:secret`. A real program leaves signing to its server.
    #[arg(long)]
    proof_key: Option<String>,
}

/// The client with what a platform does for it: time, network, and storage as far as it is needed.
struct Shell {
    client: Client,
    to: Arguments,
    /// What is still to be done.
    effects: VecDeque<Effect>,
    wake_at: Option<Instant>,
    /// The visitor's id, as storage knows it.
    visitor: String,
    /// The fates of events, in the order in which they were found.
    settled: Vec<Settled>,
}

impl Shell {
    fn new(to: Arguments) -> Self {
        let options = ClientOptions {
            name: "native-example",
            consent: Some(Consent::full()),
            backoff: Backoff { first_ms: 250, ms_max: 5_000 },
            ..ClientOptions::default()
        };
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        // A program that goes on after a restart gives back what it was told to store.
        let client = Client::new(options, &Remembered::default(), seed);
        let (effects, settled) = (VecDeque::new(), Vec::new());
        Self { client, to, effects, wake_at: None, visitor: String::new(), settled }
    }

    fn step(&mut self, input: Input) {
        self.effects.extend(self.client.step(now(), input));
    }

    /// What the events that follow have in common.
    fn show(&mut self, screen: &str) {
        let mut facts =
            json!({ "page": { "url": format!("app://shop/{screen}") }, "locale": "en-GB" });
        if let Some(customer) = &self.to.customer {
            facts["customer"] = json!(customer);
        }
        self.step(Input::Page(Facts::read(&facts.to_string())));
    }

    fn track(&mut self, event: &TypedEvent) -> Result<(), Failure> {
        let event = serde_json::to_value(event)?;
        let kind = EventType::parse(event["type"].as_str().unwrap_or_default())?;
        self.step(Input::Track(Track::new(kind, Json::trusted(event["props"].to_string()))));
        Ok(())
    }

    /// Carries out what the client says until every event has found its fate.
    async fn run(&mut self) -> Result<(), Failure> {
        loop {
            while let Some(effect) = self.effects.pop_front() {
                self.carry_out(effect).await;
            }
            if self.client.queued() == 0 {
                return Ok(());
            }
            let wake_at = self.wake_at.take().ok_or("events wait, and nothing is to be done")?;
            sleep_until(wake_at).await;
            self.step(Input::Tick);
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(send) => {
                let request = send.request;
                match timeout(ANSWER_TIME_MAX, post(&self.to, send)).await {
                    Ok(Ok(reply)) => self.step(Input::Reply(reply)),
                    failed => {
                        let why = failed.map_or("no answer in time".to_owned(), |failed| {
                            failed.map_or_else(|error| error.to_string(), |_| String::new())
                        });
                        println!("not delivered, tried again later: {why}");
                        self.step(Input::RequestFailed(request));
                    }
                }
            }
            Effect::Wake { after_ms } => {
                self.wake_at = Some(Instant::now() + Duration::from_millis(after_ms));
            }
            // The visitor stands first in what is to be kept.
            Effect::Store { item: Item::Me, text: Some(kept) } => {
                let id = kept.split(char::from(text::FIELD)).next();
                self.visitor = id.unwrap_or_default().to_owned();
            }
            Effect::Verdict(settled) => {
                let Settled { id, kind, outcome, .. } = &settled;
                let said = outcome
                    .as_ref()
                    .map_or("settled by a word of a newer collector", Outcome::as_str);
                println!("{id} {kind} {said}");
                if let Some(Outcome::Rejected(why)) = outcome {
                    println!("  {}: {}", why.reason.as_str(), why.detail.as_deref().unwrap_or("-"));
                }
                self.settled.push(settled);
            }
            // Without a page there is nothing to be copied in a hurry, and this program shows no hints: a
            // stream would be `GET /v1/hints?token=...` of the relay.
            Effect::Store { .. }
            | Effect::Copy { .. }
            | Effect::OpenStream { .. }
            | Effect::CloseStream
            | Effect::Deliver(_)
            | Effect::State(_) => {}
        }
    }

    /// What the site's server would say of the customer and this visitor.
    fn proof(&self, customer: &str) -> Option<String> {
        let (key, secret) = self.to.proof_key.as_deref()?.split_once(':')?;
        let (tenant, visitor, until) = (&self.to.tenant, &self.visitor, now().0 / 1_000 + 300);
        let said = format!("clickmill proof\n1\n{key}\n{tenant}\n{customer}\n{visitor}\n{until}");
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?.chain_update(said);
        let mac = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Some(format!("1.{key}.{until}.{mac}"))
    }
}

/// Posts a batch. A real program keeps the connection open, and speaks TLS.
async fn post(to: &Arguments, send: Send) -> Result<Reply, Failure> {
    let stream = TcpStream::connect(&to.collector).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post(format!("/v1/events?k={}", to.write_key))
        .header(HOST, &to.collector)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(send.body)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|wait| Some(wait.to_str().ok()?.to_owned()));
    let body = answer.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Reply { request: send.request, status, retry_after, body })
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut shell = Shell::new(Arguments::parse());
    shell.show("kettles");
    shell.track(&TypedEvent::Search(Search { query: "kettle".to_owned(), ..Search::default() }))?;
    // What is stored by now tells who the visitor is.
    shell.run().await?;
    if let Some(customer) = shell.to.customer.clone() {
        let proof = shell.proof(&customer);
        let customer = Some(customer);
        shell.track(&TypedEvent::Identify(Identify { customer, proof, ..Identify::default() }))?;
    }
    let sku = || "KET-1".to_owned();
    shell.track(&TypedEvent::ProductView(ProductView { sku: sku(), ..ProductView::default() }))?;
    shell.track(&TypedEvent::BasketAdd(BasketAdd { sku: sku(), ..BasketAdd::default() }))?;
    shell.step(Input::Flush);
    shell.run().await?;
    let books = shell.client.books();
    println!("visitor {}: {} events made, {} settled", shell.visitor, books.created, books.settled);
    Ok(())
}
