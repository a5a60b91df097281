//! Produce: makes each event durable, or its dead letter, and says what became of it.
//!
//! **One flight a batch.** The records and dead letters of a batch are handed over together, in
//! their order, and a task of its own sees them through: it learns every outcome even after the
//! client has gone away or the request's deadline has passed, so the window of copies never guesses.
//! A request only waits for that flight, and for the flights of the copies it met.
//!
//! **Order.** Records of one visitor have one key and so one partition, where the idempotent
//! producer keeps the order of what it was given. Two things could still put a later record before
//! an earlier one. If the producer's queue fills up in the middle, the port refuses everything
//! behind that point, so nothing overtakes. And if an earlier record fails while a later one has
//! made it (its time ran out in the queue, say), the earlier one will come again behind the later
//! one. Nothing can undo that, but the sender keeps to one simple rule all the same: the receipt
//! says `retry` for the earlier event and for every later one of that visitor that is not rejected
//! (see `receipt`), while the window remembers the later one as durable. Sent again, the earlier
//! event is taken and the later one is `duplicate`: nothing is lost, nothing lies in Kafka twice,
//! and the relay orders by queue and place.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clickmill_kafka::{Class, CloudEvent, Headers, Position, names};
use clickmill_sdk_core::wire::{DeadLetter, Json, Outcome, Reason, Rejection, ToJson, Topic};
use clickmill_server::clock::SharedClock;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::dedup::{Claim, Dedup, Flight, Key, Ticket};
use crate::delivery::Delivery;
use crate::metrics::CollectorMetrics;
use crate::sink::{Delivered, Kept, Message, Sink};
use crate::validate::{Fit, Judged};

/// Longest text of a refused event in its dead letter, in bytes: the letter must always fit.
const ORIGINAL_BYTES_MAX: usize = 64 * 1024;

/// The type of a dead letter, as CloudEvents names it.
const DEAD_LETTER: &str = "clickmill.dead_letter";

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landed {
    pub(crate) outcome: Outcome,
    /// Where it lies, if it was accepted and is in Kafka.
    pub(crate) place: Option<Position>,
}

impl Landed {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, place: None }
    }
}

/// The way out with all that belongs to it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Producing {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) dedup: Dedup,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<CollectorMetrics>,
    /// How long a request waits for its flight.
    pub(crate) ack_timeout: Duration,
}

/// What is done about one event.
#[derive(Debug)]
enum Plan {
    /// It goes along with this flight.
    Aboard,
    /// It is durable already.
    Durable,
    /// A copy of it is on its way.
    Copy(Ticket),
}

/// Makes events durable and says what became of each, in their order. Needs a tokio runtime.
pub(crate) async fn produce(
    producing: &Producing,
    delivery: &Arc<Delivery>,
    judged: Vec<Judged>,
) -> Vec<Landed> {
    let deadline = Instant::now() + producing.ack_timeout;
    let flight = Flight::new();
    let landing = flight.landing();
    let plans = plan(producing, delivery, &judged, &flight);
    let numbered = judged.into_iter().zip(&plans).enumerate();
    let aboard = numbered.filter(|(_, (_, plan))| matches!(plan, Plan::Aboard));
    let passengers: Vec<Passenger> =
        aboard.map(|(number, (judged, _))| Passenger { number, judged }).collect();
    depart(producing, delivery, Departure { flight, passengers, count: plans.len(), deadline });

    let own = landing.at(deadline).await;
    let own = |number: usize| own.as_ref()?.get(number)?.clone();
    let mut landed = Vec::with_capacity(plans.len());
    for (number, plan) in plans.into_iter().enumerate() {
        landed.push(match plan {
            Plan::Aboard => own(number).unwrap_or_else(|| Landed::of(again(Class::TimedOut))),
            Plan::Durable => Landed::of(Outcome::Duplicate),
            // Its flight may be this one, which has landed by now, or another request's.
            Plan::Copy(ticket) => Landed::of(as_copy(ticket.landed(deadline).await)),
        });
    }
    landed
}

/// Claims the ids of the events that may be stored. Refused ones always go along: each copy of a
/// refused event is refused anew.
fn plan(
    producing: &Producing,
    delivery: &Delivery,
    judged: &[Judged],
    flight: &Flight,
) -> Vec<Plan> {
    let fit = judged.iter().enumerate().filter(|(_, judged)| judged.verdict.is_ok());
    let keys: Vec<(usize, Key)> =
        fit.filter_map(|(number, judged)| Some((number, key(delivery, judged)?))).collect();
    let claims = producing.dedup.claim(&keys, flight, producing.clock.now_ms());
    let mut plans: Vec<Plan> = judged.iter().map(|_| Plan::Aboard).collect();
    for ((number, _), claim) in keys.iter().zip(claims) {
        if let Some(plan) = plans.get_mut(*number) {
            *plan = match claim {
                Claim::First => Plan::Aboard,
                Claim::Durable => Plan::Durable,
                Claim::Pending(ticket) => Plan::Copy(ticket),
            };
        }
    }
    plans
}

fn key(delivery: &Delivery, judged: &Judged) -> Option<Key> {
    Some(Key { tenant: delivery.site.tenant_number, id: judged.id? })
}

/// A copy is a duplicate once the first one is durable; else it shares its fate.
fn as_copy(first: Option<Landed>) -> Outcome {
    match first.map(|first| first.outcome) {
        Some(Outcome::Accepted | Outcome::Duplicate) => Outcome::Duplicate,
        Some(rejected @ Outcome::Rejected(_)) => rejected,
        Some(retry @ Outcome::Retry { .. }) => retry,
        None => again(Class::TimedOut),
    }
}

/// What the sender is told when it did not work, and how long the cause is likely to last.
fn again(class: Class) -> Outcome {
    let after_ms = match class {
        Class::QueueFull => 500,
        Class::Retriable | Class::TimedOut | Class::Fatal => 1_000,
        // Somebody must mend a topic or a permission first.
        Class::Refused | Class::TooLarge => 10_000,
    };
    Outcome::Retry { after_ms }
}

/// One event aboard.
#[derive(Debug)]
struct Passenger {
    /// Its place in the batch.
    number: usize,
    judged: Judged,
}

/// A flight with its passengers.
#[derive(Debug)]
struct Departure {
    flight: Flight,
    passengers: Vec<Passenger>,
    /// How many events the batch has.
    count: usize,
    /// When the request stops waiting.
    deadline: Instant,
}

/// Hands the messages over, before anything can interrupt, and leaves the rest to a task that no
/// client can end. It is bounded by the sink's own time limit; at a drain the producer is flushed,
/// which brings every outcome about, so nobody needs to wait for the task itself.
fn depart(producing: &Producing, delivery: &Arc<Delivery>, departure: Departure) {
    if departure.passengers.is_empty() {
        return departure.flight.land(Vec::new());
    }
    let passengers = departure.passengers.iter();
    let messages = passengers.map(|passenger| message(delivery, passenger)).collect();
    let handed = producing.sink.hand_over(messages);
    let (producing, delivery) = (producing.clone(), Arc::clone(delivery));
    tokio::spawn(async move { see_through(&producing, &delivery, departure, handed).await });
}

/// Learns every outcome, tells the window of copies, and lands.
async fn see_through(
    producing: &Producing,
    delivery: &Delivery,
    departure: Departure,
    handed: BoxFuture<'static, Vec<Delivered>>,
) {
    let delivered = handed.await;
    let mut landed: Vec<Option<Landed>> = vec![None; departure.count];
    let mut too_large = Vec::new();
    for (at, passenger) in departure.passengers.iter().enumerate() {
        let delivered = delivered.get(at).copied().unwrap_or(Err(Class::Retriable));
        if delivered == Err(Class::TooLarge) && passenger.judged.verdict.is_ok() {
            too_large.push(passenger);
        } else if let Some(slot) = landed.get_mut(passenger.number) {
            *slot = Some(fate(&passenger.judged.verdict, delivered));
        }
    }
    bury(producing, delivery, &too_large, &mut landed).await;
    settle(producing, delivery, &departure, &landed);
    departure.flight.land(landed);
}

fn fate(verdict: &Result<Fit, Rejection>, delivered: Delivered) -> Landed {
    match (verdict, delivered) {
        (Ok(_), Ok(Kept::InKafka(place))) => {
            Landed { outcome: Outcome::Accepted, place: Some(place) }
        }
        (Ok(_), Ok(Kept::InSpool)) => Landed::of(Outcome::Accepted),
        // A refusal is final only once its dead letter is durable.
        (Err(rejection), Ok(_)) => Landed::of(Outcome::Rejected(rejection.clone())),
        (Ok(_) | Err(_), Err(class)) => Landed::of(again(class)),
    }
}

/// Records that Kafka finds too large will never fit: they become dead letters after all.
async fn bury(
    producing: &Producing,
    delivery: &Delivery,
    too_large: &[&Passenger],
    landed: &mut [Option<Landed>],
) {
    if too_large.is_empty() {
        return;
    }
    let rejection = Rejection {
        reason: Reason::TooLarge,
        schema: None,
        pointer: None,
        detail: Some("the event with its context is larger than a record may be".to_owned()),
    };
    let letters = too_large.iter();
    let letters = letters.map(|large| letter(delivery, large, &rejection)).collect();
    let delivered = producing.sink.hand_over(letters).await;
    let verdict = Err(rejection);
    for (at, large) in too_large.iter().enumerate() {
        let delivered = delivered.get(at).copied().unwrap_or(Err(Class::Retriable));
        if let Some(slot) = landed.get_mut(large.number) {
            *slot = Some(fate(&verdict, delivered));
        }
    }
}

/// What is durable is remembered; everything else that was claimed may come again.
fn settle(
    producing: &Producing,
    delivery: &Delivery,
    departure: &Departure,
    landed: &[Option<Landed>],
) {
    let (mut durable, mut open) = (Vec::new(), Vec::new());
    for passenger in &departure.passengers {
        let claimed = passenger.judged.verdict.is_ok();
        let Some(key) = key(delivery, &passenger.judged).filter(|_| claimed) else { continue };
        match landed.get(passenger.number) {
            Some(Some(Landed { outcome: Outcome::Accepted, .. })) => durable.push(key),
            Some(_) | None => open.push(key),
        }
    }
    if Instant::now() > departure.deadline {
        producing.metrics.late.increment(durable.len() as u64);
    }
    producing.dedup.remember(durable, producing.clock.now_ms());
    producing.dedup.forget(open);
}

/// The message of an event: its record, or its dead letter.
fn message(delivery: &Delivery, passenger: &Passenger) -> Message {
    let Fit { record, schema } = match &passenger.judged.verdict {
        Ok(fit) => fit,
        Err(rejection) => return letter(delivery, passenger, rejection),
    };
    let id = record.id.to_string();
    let event = Event { id: &id, kind: record.kind.as_str(), time_ms: record.time.0, delivery };
    let headers = event.headers();
    Message {
        topic: Topic::ClicksRaw,
        key: record.key(),
        value: record.to_json(),
        headers: match schema {
            Some(schema) => headers.with_schema(*schema),
            None => headers,
        },
    }
}

/// The dead letter of an event. It belongs to no order, so it has no key.
fn letter(delivery: &Delivery, passenger: &Passenger, rejection: &Rejection) -> Message {
    let mut context = delivery.shared.clone();
    delivery.enforce(&mut context);
    let judged = &passenger.judged;
    let letter = DeadLetter {
        id: judged.id,
        tenant: delivery.site.tenant.clone(),
        arrival: delivery.arrival.clone(),
        rejection: rejection.clone(),
        context,
        original: cut(&judged.original),
    };
    let received_ms = delivery.arrival.received_at.0;
    let id = match judged.id {
        Some(id) => id.to_string(),
        // A CloudEvent must have an id; this one tells two letters of a batch apart.
        None => format!("{}-{received_ms}-{}", delivery.site.write_key, passenger.number),
    };
    let event = Event { id: &id, kind: DEAD_LETTER, time_ms: received_ms, delivery };
    let headers = event.headers();
    Message { topic: Topic::ClicksRejected, key: None, value: letter.to_json(), headers }
}

fn cut(original: &Json) -> String {
    let text = original.as_str();
    text[..text.floor_char_boundary(ORIGINAL_BYTES_MAX)].to_owned()
}

/// What the headers of a message tell.
struct Event<'a> {
    id: &'a str,
    kind: &'a str,
    time_ms: u64,
    delivery: &'a Delivery,
}

impl Event<'_> {
    fn headers(&self) -> Headers {
        let Self { id, kind, time_ms, delivery } = *self;
        let source = format!("/{}/{}", delivery.site.tenant, delivery.site.write_key);
        let time = rfc3339(time_ms);
        let headers = Headers::with_capacity(320).with_event(&CloudEvent {
            id,
            source: &source,
            kind,
            time: time.as_deref(),
            content_type: Some("application/json"),
            ..CloudEvent::default()
        });
        match &delivery.traceparent {
            Some(trace) => headers.with(names::TRACEPARENT, trace),
            None => headers,
        }
    }
}

/// The moment in words; none past the year 9999, which the form cannot write.
fn rfc3339(time_ms: u64) -> Option<String> {
    const YEAR_10_000_MS: u64 = 253_402_300_800_000;
    let time = (time_ms < YEAR_10_000_MS).then(|| UNIX_EPOCH + Duration::from_millis(time_ms))?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}
