//! Ingest: the way of one delivery from the request to the receipt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::{Arrival, Context, Identity, Proof};
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::query;
use clickmill_server::reply::{self, Body};
use hyper::header::{EXPECT, HeaderValue, SET_COOKIE, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

use crate::address;
use crate::admit::{admit, find_site};
use crate::collector::Collector;
use crate::decode::{self, Packing};
use crate::delivery::{self, Delivery};
use crate::dialect::{Asked, Dialect};
use crate::error::IngestError;
use crate::identity::{self, CookieRead, Evidence, Issued, Standing, Stranger};
use crate::memory::{self, Share};
use crate::parcel::Parcel;
use crate::produce::{Load, produce};
use crate::receipt::{self, Account, Extras, Subject};
use crate::site::Site;
use crate::trace::Trace;
use crate::validate::{self, Judged, Rules};

/// Longest `User-Agent` that is kept, in bytes.
const USER_AGENT_BYTES_MAX: usize = 512;

/// How long the body of a request that was not admitted is listened to.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// Who asks, and what is traced of it.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) trace: Trace,
}

/// Answers one delivery in whatever dialect: admit, decode, validate, produce, receipt.
pub(crate) async fn ingest<B: hyper::body::Body<Data = Bytes> + Unpin>(
    collector: &Collector,
    request: Request<B>,
    dialect: Dialect,
    caller: &mut Caller,
) -> Result<Response<Body>, IngestError> {
    let (head, body) = request.into_parts();
    let (sites, addresses) = (&collector.sites, &collector.addresses);
    let site = match admit(&head, dialect, caller.peer.ip(), sites, addresses) {
        Ok(site) => site,
        // Who asks first whether to send a body at all is told so at once.
        Err(refused) if head.headers.contains_key(EXPECT) => return Err(refused),
        Err(refused) => return Err(discard(body, refused).await),
    };
    let (body, memory) = take_in(collector, body).await?;
    let opened = open(collector, Taken { head: &head, dialect, caller, site, body, memory })?;
    let Opened { delivery, proof, renewed, cookie, load, left } = opened;
    let withdraws = load.judged.iter().any(|judged| judged.withdraws);

    let account = Account::open(&collector.metrics, load.judged.len());
    let subjects: Vec<Subject> = load.judged.iter().map(Subject::from).collect();
    let watch = collector.inspector.watch(&load.judged, &delivery);
    let mut landed = produce(&collector.producing, load).await;
    receipt::hold_order(&subjects, &mut landed);
    account.close(&landed);
    caller.trace.note(&delivery.site, &landed);
    if let Some(watch) = watch {
        watch.close(&landed);
    }

    let shown = Shown { proof: proof.as_ref(), renewed, cookie: cookie.as_ref(), withdraws };
    let (identity, set_cookie) = recognise(collector, &delivery, &shown);
    let positions = query::find(&head.uri, "positions").is_some_and(|asked| asked == "1");
    let (limits, sample) = (collector.limits_told, delivery.site.sample);
    let extras = Extras { positions, limits, sample, identity };
    let receipt = receipt::assemble(&subjects, &landed, extras)?;
    let mut response = reply::json(StatusCode::OK, dialect.reply(&receipt)?);
    response.headers_mut().extend(set_cookie.map(|cookie| (SET_COOKIE, cookie)));
    if let Some(left) = left {
        delivery.site.quota.tell(left, response.headers_mut());
    }
    Ok(response)
}

/// A request whose body is there.
struct Taken<'a> {
    head: &'a Parts,
    dialect: Dialect,
    caller: &'a Caller,
    /// None where the body tells.
    site: Option<Arc<Site>>,
    body: Bytes,
    memory: Share,
}

/// A request whose events are judged.
struct Opened {
    delivery: Delivery,
    proof: Option<Proof>,
    renewed: bool,
    cookie: Option<CookieRead>,
    load: Load,
    /// What is left of the key's quota.
    left: Option<u32>,
}

/// Reads a body; each step first gets its share of the memory.
async fn take_in<B: hyper::body::Body<Data = Bytes> + Unpin>(
    collector: &Collector,
    body: B,
) -> Result<(Bytes, Share), IngestError> {
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
    Ok((body, share))
}

/// Decodes and validates. Nothing in here waits, so all of it may borrow from the body.
fn open(collector: &Collector, taken: Taken<'_>) -> Result<Opened, IngestError> {
    let Taken { head, dialect, caller, site, body, mut memory } = taken;
    let peer = caller.peer;
    let (limits, received_at) = (&collector.decode_limits, collector.now());
    let text = dialect.text(head, &body, limits)?;
    let site = match site {
        Some(site) => site,
        None => find_site(head, &dialect.key_inside(&text)?, &collector.sites)?,
    };
    let asked = Asked::new(head, received_at, limits, &site.consent);
    let parcel = dialect.read(&text, &asked, &collector.config.dialects)?;
    let Parcel { sent_at, attempt, proof, renewed, context, events } = parcel;
    decode::check(&context, &events, limits)?;
    let left = site.quota.charge(events.len())?;

    let arrival = Arrival {
        write_key: site.write_key.clone(),
        sent_at: sent_at.unwrap_or(received_at),
        received_at,
        attempt,
        address: address::kept(peer.ip(), collector.config.privacy.address),
        user_agent: user_agent(head),
    };
    let identities = &collector.identities;
    let cookie = identities.read_cookie(&head.headers, &site.tenant, received_at);
    let of_today = site.cookieless.then(|| {
        let user_agent = arrival.user_agent.as_deref().unwrap_or_default();
        let stranger = Stranger { tenant: &site.tenant, address: peer.ip(), user_agent };
        identities.of_today(&stranger, received_at)
    });
    let delivery = Delivery {
        by_cookie: cookie.as_ref().map(|cookie| cookie.visitor().clone()),
        of_today,
        site,
        arrival,
        shared: context,
        gpc: delivery::gpc(&head.headers),
        traceparent: caller.trace.parent,
    };
    let common = delivery.common();
    let needed = memory::for_events(&events, common.circumstances.context.0.len());
    collector.memory.resize(&mut memory, needed)?;
    let rules = Rules {
        limits,
        record_bytes_max: collector.record_bytes_max,
        event_age_max: collector.config.limits.event_age_max,
        schemas: &collector.schemas.load(),
        visitors: &collector.visitors,
        unknown_type: collector.config.schemas.unknown_type,
        pii_without_consent: collector.config.privacy.pii_without_consent,
    };
    let judged = validate::judge(&events, &delivery, &common, &rules);
    count_books(collector, &judged, &delivery.shared);
    let stripped = judged.iter().filter(|judged| judged.stripped).count();
    collector.metrics.stripped.increment(stripped as u64);
    judged
        .iter()
        .filter_map(|judged| judged.named.as_ref())
        .for_each(|named| collector.metrics.named(named));
    let tenant_number = delivery.site.tenant_number;
    let load = Load { tenant_number, judged, memory };
    Ok(Opened { delivery, proof, renewed, cookie, load, left })
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

pub(crate) fn user_agent(head: &Parts) -> Option<String> {
    let text = head.headers.get(USER_AGENT)?.to_str().ok()?;
    // A header that is text is ASCII, so every place is a boundary.
    Some(text[..text.len().min(USER_AGENT_BYTES_MAX)].to_owned())
}

/// Counts by the SDK's own books; they are of the queue that the batch's events stood in.
fn count_books(collector: &Collector, judged: &[Judged], shared: &Context) {
    let Some(books) = shared.sdk.as_ref().and_then(|sdk| sdk.books.as_ref()) else { return };
    if let Some(queue) = judged.iter().find_map(|judged| judged.queue.as_ref()) {
        collector.metrics.grow(&collector.books.growth(queue, books));
    }
}

/// What a delivery shows of its visitor.
struct Shown<'a> {
    proof: Option<&'a Proof>,
    /// Whether that proof's visitor took the place of the cookie's.
    renewed: bool,
    cookie: Option<&'a CookieRead>,
    /// Whether consent was withdrawn in it.
    withdraws: bool,
}

/// The token for the visitor, if it is known who that is, and the cookie to set: to remember the
/// visitor, or to forget one who wants that.
fn recognise(
    collector: &Collector,
    delivery: &Delivery,
    shown: &Shown<'_>,
) -> (Option<Identity>, Option<HeaderValue>) {
    let (tenant, now) = (&delivery.site.tenant, delivery.arrival.received_at);
    let consented = delivery.may_recognise(&delivery.shared) && !shown.withdraws;
    let told = delivery.shared.consent.is_some() || shown.withdraws;
    if shown.cookie.is_some() && told && !consented {
        collector.metrics.withdrawn.increment(1);
        return (None, collector.identities.clear(tenant));
    }
    let cookie = shown.cookie.filter(|_| !(shown.renewed && shown.proof.is_some()));
    let standing = identity::recognise(&Evidence {
        consented,
        claimed: delivery.shared.visitor.as_ref(),
        proof: shown.proof,
        cookie,
    });
    match &standing {
        Standing::ByCookie(_) => collector.metrics.by_cookie.increment(1),
        Standing::ByProof(_) => collector.metrics.by_proof.increment(1),
        // No batch is from a link.
        Standing::ByLink(_) | Standing::Unknown => {}
    }
    match collector.identities.issue(&standing, cookie, tenant, now) {
        Some(Issued { identity, set_cookie }) => (Some(identity), set_cookie),
        None => (None, None),
    }
}
