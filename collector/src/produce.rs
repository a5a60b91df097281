//! Produce: makes each event durable, or its dead letter, and says what became of it.
//!
//! **One flight a batch.** The records and dead letters of a batch are handed over together, in
//! their order, and an [`Escort`] sees them through. The request carries it along; when its client
//! goes away or its deadline passes, a task takes over, so every outcome is learnt and the window of
//! copies never guesses. A request waits for its own flight, and for the flights of the copies it
//! met.
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

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clickmill_kafka::{Class, Position};
use clickmill_sdk_core::wire::{Outcome, Rejection};
use clickmill_server::clock::SharedClock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::dedup::{AllLanded, Claim, Dedup, Flight, Key, Ticket};
use crate::memory::Share;
use crate::metrics::CollectorMetrics;
use crate::sink::{Delivered, Kept, Message, Sink};
use crate::validate::Judged;

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

/// The way out with all that belongs to it.
#[derive(Debug)]
pub(crate) struct Producing {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) dedup: Dedup,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<CollectorMetrics>,
    /// How long a request waits for its flight.
    pub(crate) ack_timeout: Duration,
}

/// The judged events of one delivery.
#[derive(Debug)]
pub(crate) struct Load {
    /// Stands for the tenant.
    pub(crate) tenant_number: u32,
    pub(crate) judged: Vec<Judged>,
    /// The memory that they take. The flight holds on to it until it has landed, even when the
    /// request is long gone.
    pub(crate) memory: Share,
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
pub(crate) async fn produce(producing: &Arc<Producing>, load: Load) -> Vec<Landed> {
    let deadline = Instant::now() + producing.ack_timeout;
    let flight = Flight::new();
    let plans = plan(producing, &load, &flight);
    let escort = depart(producing, load, &plans, Departure { flight, deadline });

    let own = timeout_at(deadline, escort.see_through()).await.ok();
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
fn plan(producing: &Producing, load: &Load, flight: &Flight) -> Vec<Plan> {
    let tenant = load.tenant_number;
    let fit = load.judged.iter().enumerate().filter(|(_, judged)| judged.verdict.is_ok());
    let keys: Vec<(usize, Key)> =
        fit.filter_map(|(number, judged)| Some((number, Key { tenant, id: judged.id? }))).collect();
    let claims = producing.dedup.claim(&keys, flight, producing.clock.now_ms());
    let mut plans: Vec<Plan> = load.judged.iter().map(|_| Plan::Aboard).collect();
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
        // Somebody must mend a topic or a permission first. None is ever too large here: whoever
        // judges an event refuses it if its record would be.
        Class::Refused | Class::TooLarge => 10_000,
    };
    Outcome::Retry { after_ms }
}

/// A flight, and when its request stops waiting.
#[derive(Debug)]
struct Departure {
    flight: Flight,
    deadline: Instant,
}

/// One event aboard.
#[derive(Debug)]
struct Passenger {
    /// Its place in the batch.
    number: usize,
    /// What it claimed in the window of copies; nothing if it was refused.
    claim: Option<Key>,
    verdict: Result<(), Rejection>,
}

/// Hands the messages over, before anything can interrupt.
fn depart(producing: &Arc<Producing>, load: Load, plans: &[Plan], departure: Departure) -> Escort {
    let Load { tenant_number, judged, memory } = load;
    let mut passengers = Vec::with_capacity(plans.len());
    let mut messages: Vec<Message> = Vec::with_capacity(plans.len());
    for (number, (judged, plan)) in judged.into_iter().zip(plans).enumerate() {
        if matches!(plan, Plan::Aboard) {
            let claim = judged.id.filter(|_| judged.verdict.is_ok());
            let claim = claim.map(|id| Key { tenant: tenant_number, id });
            passengers.push(Passenger { number, claim, verdict: judged.verdict });
            messages.push(judged.message);
        }
    }
    let handed = if messages.is_empty() {
        std::future::ready(Vec::new()).boxed()
    } else {
        producing.sink.hand_over(messages)
    };
    let (producing, count) = (Arc::clone(producing), plans.len());
    let aboard = Aboard { producing, passengers, count, handed, departure, _memory: memory };
    Escort { aboard: Some(aboard) }
}

/// Sees a flight through, even when nobody asks for it any more: dropped before it has landed, it
/// goes on in a task that no client can end. That is bounded by the sink's own time limit; at a drain
/// the producer is flushed, which brings every outcome about, so nobody needs to wait for the task.
#[derive(Debug)]
struct Escort {
    /// None once it has landed.
    aboard: Option<Aboard>,
}

impl Escort {
    async fn see_through(mut self) -> AllLanded {
        let delivered = match &mut self.aboard {
            Some(aboard) => aboard.handed.as_mut().await,
            None => Vec::new(),
        };
        self.aboard.take().map_or_else(AllLanded::default, |aboard| aboard.land(&delivered))
    }
}

impl Drop for Escort {
    fn drop(&mut self) {
        let Some(aboard) = self.aboard.take() else { return };
        // Without a runtime everything ends anyway; one that is ending drops the task at once.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(aboard.see_through());
        }
    }
}

/// What a flight has aboard, and what is to be done about it when it lands.
struct Aboard {
    producing: Arc<Producing>,
    passengers: Vec<Passenger>,
    /// How many events the batch has.
    count: usize,
    handed: BoxFuture<'static, Vec<Delivered>>,
    departure: Departure,
    /// Given back when all have landed.
    _memory: Share,
}

impl fmt::Debug for Aboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aboard").field("passengers", &self.passengers).finish_non_exhaustive()
    }
}

impl Aboard {
    /// The rest of the way, when nobody asks for it any more.
    async fn see_through(mut self) {
        let delivered = self.handed.as_mut().await;
        drop(self.land(&delivered));
    }

    /// Takes note of every outcome and tells the window of copies: what is durable is remembered,
    /// everything else that was claimed may come again.
    fn land(self, delivered: &[Delivered]) -> AllLanded {
        let Self { producing, passengers, departure, .. } = self;
        let mut landed: Vec<Option<Landed>> = vec![None; self.count];
        let (mut durable, mut open) = (Vec::with_capacity(passengers.len()), Vec::new());
        for (at, passenger) in passengers.into_iter().enumerate() {
            let delivered = delivered.get(at).copied().unwrap_or(Err(Class::Retriable));
            if let Some(key) = passenger.claim {
                if delivered.is_ok() { durable.push(key) } else { open.push(key) }
            }
            if let Some(slot) = landed.get_mut(passenger.number) {
                *slot = Some(fate(passenger.verdict, delivered));
            }
        }
        if Instant::now() > departure.deadline {
            producing.metrics.late.increment(durable.len() as u64);
        }
        producing.dedup.settle(&durable, &open, producing.clock.now_ms());
        let landed = AllLanded::from(landed);
        departure.flight.land(Arc::clone(&landed));
        landed
    }
}

fn fate(verdict: Result<(), Rejection>, delivered: Delivered) -> Landed {
    match (verdict, delivered) {
        (Ok(()), Ok(Kept::InKafka(place))) => {
            Landed { outcome: Outcome::Accepted, place: Some(place) }
        }
        (Ok(()), Ok(Kept::InSpool)) => Landed::of(Outcome::Accepted),
        // A refusal is final only once its dead letter is durable.
        (Err(rejection), Ok(_)) => Landed::of(Outcome::Rejected(rejection)),
        (Ok(()) | Err(_), Err(class)) => Landed::of(again(class)),
    }
}
