//! Ingest: the way of one delivery from the request to the receipt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::{Arrival, Proof, RawBatch, ToJson};
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::query;
use clickmill_server::reply::{self, Body};
use hyper::header::{SET_COOKIE, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

use crate::address;
use crate::admit::admit;
use crate::collector::Collector;
use crate::decode::{Packing, decode};
use crate::delivery::{self, Delivery};
use crate::error::IngestError;
use crate::identity::{self, Evidence, Issued, Standing};
use crate::memory::{self, Share};
use crate::produce::produce;
use crate::receipt::{self, Account, Extras, Subject};
use crate::validate::{self, Judged, Rules};

/// Longest `User-Agent` that is kept, in bytes.
const USER_AGENT_BYTES_MAX: usize = 512;

/// How long the body of a request that was not admitted is listened to.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// Answers one delivery: admit, decode, validate, produce, receipt.
pub(crate) async fn ingest<B: hyper::body::Body<Data = Bytes> + Unpin>(
    collector: &Collector,
    request: Request<B>,
    peer: SocketAddr,
) -> Result<Response<Body>, IngestError> {
    let (head, body) = request.into_parts();
    let site = match admit(&head, peer.ip(), &collector.sites, &collector.addresses) {
        Ok(site) => site,
        Err(refused) => return Err(discard(body, refused).await),
    };
    let (batch, memory) = take_in(collector, body).await?;
    site.quota.charge(batch.events.len())?;
    let account = Account::open(&collector.metrics, batch.events.len());

    let arrival = Arrival {
        write_key: site.write_key.clone(),
        sent_at: batch.sent_at,
        received_at: collector.now(),
        attempt: batch.attempt,
        address: address::kept(peer.ip(), collector.config.privacy.address),
        user_agent: user_agent(&head),
    };
    let delivery = Arc::new(Delivery {
        site,
        arrival,
        shared: batch.context,
        gpc: delivery::gpc(&head.headers),
        traceparent: delivery::traceparent(&head.headers),
        memory,
    });
    let judged = validate::judge(
        batch.events,
        &delivery,
        &Rules {
            limits: &collector.decode_limits,
            event_age_max: collector.config.limits.event_age_max,
            schemas: &collector.schemas.load(),
            unknown_type: collector.config.schemas.unknown_type,
        },
    );
    count_books(collector, &delivery, &judged);
    let subjects: Vec<Subject> = judged.iter().map(Subject::from).collect();

    let mut landed = produce(&collector.producing, &delivery, judged).await;
    receipt::hold_order(&subjects, &mut landed);
    account.close(&landed);

    let (identity, set_cookie) = match recognise(collector, &head, &delivery, batch.proof.as_ref())
    {
        Some(Issued { identity, set_cookie }) => (Some(identity), set_cookie),
        None => (None, None),
    };
    let positions = query::find(&head.uri, "positions").is_some_and(|asked| asked == "1");
    let extras = Extras { positions, limits: collector.limits_told, identity };
    let receipt = receipt::assemble(&subjects, &landed, extras)?;
    let mut response = reply::json(StatusCode::OK, receipt.to_json());
    response.headers_mut().extend(set_cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// Reads and decodes a body; each step first gets its share of the memory.
async fn take_in<B: hyper::body::Body<Data = Bytes> + Unpin>(
    collector: &Collector,
    body: B,
) -> Result<(RawBatch, Share), IngestError> {
    let (memory, limits) = (&collector.memory, &collector.decode_limits);
    let announced = body.size_hint().exact();
    let reading = memory::for_reading(announced, collector.body_limits.bytes_max);
    let mut share = match memory.take(reading) {
        Ok(share) => share,
        Err(no_room) => return Err(discard(body, no_room.into()).await),
    };
    let body = body::read(body, collector.body_limits).await?;
    collector.metrics.body_bytes.record(body.len() as f64);
    let decoding = memory::for_decoding(body.len(), Packing::of(&body), limits.inflated_bytes_max);
    memory.resize(&mut share, decoding)?;
    let batch = decode(&body, limits)?;
    drop(body);
    memory.resize(&mut share, memory::for_events(&batch))?;
    Ok((batch, share))
}

/// Listens for a little to a body that nobody wants: a client that is still sending when the
/// connection closes may never read the refusal.
async fn discard<B: hyper::body::Body<Data = Bytes> + Unpin>(
    body: B,
    refused: IngestError,
) -> IngestError {
    // Any length is too long, and what is too long is read on for a bounded while.
    let _ = body::read(body, BodyLimits { bytes_max: 0, timeout: DISCARD_TIME_MAX }).await;
    refused
}

fn user_agent(head: &Parts) -> Option<String> {
    let text = head.headers.get(USER_AGENT)?.to_str().ok()?;
    // A header that is text is ASCII, so every place is a boundary.
    Some(text[..text.len().min(USER_AGENT_BYTES_MAX)].to_owned())
}

fn count_books(collector: &Collector, delivery: &Delivery, judged: &[Judged]) {
    let Some(books) = delivery.shared.sdk.as_ref().and_then(|sdk| sdk.books.as_ref()) else {
        return;
    };
    let queue = judged.iter().find_map(|judged| judged.verdict.as_ref().ok());
    if let Some(fit) = queue {
        collector.metrics.grow(&collector.books.growth(&fit.record.queue, books));
    }
}

/// The token and cookie for the visitor, if it is known who that is.
fn recognise(
    collector: &Collector,
    head: &Parts,
    delivery: &Delivery,
    proof: Option<&Proof>,
) -> Option<Issued> {
    let (tenant, now) = (&delivery.site.tenant, delivery.arrival.received_at);
    let cookie = collector.identities.read_cookie(&head.headers, tenant, now);
    let standing = identity::recognise(&Evidence {
        consented: delivery.may_recognise(&delivery.shared),
        claimed: delivery.shared.visitor.as_ref(),
        proof,
        cookie: cookie.as_ref(),
    });
    match &standing {
        Standing::ByCookie(_) => collector.metrics.by_cookie.increment(1),
        Standing::ByProof(_) => collector.metrics.by_proof.increment(1),
        Standing::Unknown => {}
    }
    collector.identities.issue(&standing, cookie.as_ref(), tenant, now)
}
