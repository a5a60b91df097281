//! Plays a recording through a collector at a steady rate and keeps what each session is: one
//! visitor, one visit, its clicks in order.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clickmill_sdk_core::wire::{
    Batch, Context, Event, EventId, Millis, Outcome, QueueId, Receipt, ToJson, Topic,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use uuid::Uuid;

use crate::http::{Ask, Http, HttpError};
use crate::page::now;
use crate::recording::{Recording, visitor};
use crate::world::Edge;

/// Events travel in parcels of at most this many.
const BATCH_EVENTS_MAX: usize = 50;
/// Parcels under way at once; a visitor's always go the same way, so they keep their order.
const LANES: usize = 8;

/// Where and how fast to play.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The collector's intake with its write key.
    pub intake: String,
    /// Events per second.
    pub rate: u64,
    /// Tells this run's visitors and visits from other runs'.
    pub run: String,
}

/// What became of the events, by the collector's own verdicts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events handed over, each counted once.
    pub sent: AtomicU64,
    /// Accepted.
    pub accepted: AtomicU64,
    /// Known already: a delivery that had to be repeated had arrived.
    pub duplicate: AtomicU64,
    /// Refused for good.
    pub rejected: AtomicU64,
    /// Deliveries that had to be repeated.
    pub retried: AtomicU64,
}

impl Tally {
    /// Events with a final verdict.
    pub fn settled(&self) -> u64 {
        [&self.accepted, &self.duplicate, &self.rejected]
            .map(|n| n.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

impl Replay {
    /// Plays the whole recording and waits for the last verdict. Gives back the ids of all events.
    ///
    /// # Errors
    /// When the collector refuses a delivery for good, or a lane ends.
    pub async fn play(
        &self,
        recording: &Recording,
        tally: &Arc<Tally>,
    ) -> Result<HashSet<EventId>, HttpError> {
        let mut lanes = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..LANES {
            let (sender, receiver) = mpsc::channel(BATCH_EVENTS_MAX * 4);
            let lane = Lane {
                http: Http::default(),
                intake: self.intake.clone(),
                tally: Arc::clone(tally),
            };
            lanes.push(tokio::spawn(lane.run(receiver)));
            senders.push(sender);
        }
        let ids = self.feed(recording, &senders, tally).await?;
        drop(senders);
        for lane in lanes {
            lane.await??;
        }
        Ok(ids)
    }

    /// Hands the clicks to the lanes in the recording's order, at the wanted rate.
    async fn feed(
        &self,
        recording: &Recording,
        lanes: &[mpsc::Sender<Event>],
        tally: &Tally,
    ) -> Result<HashSet<EventId>, HttpError> {
        let mut ids = HashSet::with_capacity(recording.clicks.len());
        let mut sessions: Vec<Option<(Context, QueueId, u64)>> = vec![None; recording.sessions];
        let mut ticks = interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (start, mut fed) = (Instant::now(), 0_u64);
        for click in &recording.clicks {
            while fed as f64 >= start.elapsed().as_secs_f64() * self.rate as f64 {
                ticks.tick().await;
            }
            if sessions[click.session].is_none() {
                let context = visitor(&self.run, click.session).1;
                let queue = QueueId::parse(format!("{}-{}", self.run, click.session))?;
                sessions[click.session] = Some((context, queue, 0));
            }
            let Some((context, queue, seq)) = sessions[click.session].as_mut() else { continue };
            let event = Event {
                id: EventId::from_uuid(Uuid::now_v7()),
                queue: queue.clone(),
                seq: *seq,
                kind: click.kind.clone(),
                version: None,
                at: now(),
                props: click.props.clone(),
                context: context.clone(),
                sample: None,
            };
            *seq += 1;
            ids.insert(event.id);
            lanes[click.session % lanes.len()].send(event).await?;
            fed += 1;
            tally.sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(ids)
    }
}

/// One way to the collector: one delivery at a time.
struct Lane {
    http: Http,
    intake: String,
    tally: Arc<Tally>,
}

impl Lane {
    async fn run(self, mut events: mpsc::Receiver<Event>) -> Result<(), HttpError> {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() && events.recv_many(&mut waiting, BATCH_EVENTS_MAX).await == 0 {
                return Ok(());
            }
            let (left, pause) = self.deliver(std::mem::take(&mut waiting)).await?;
            waiting = left;
            if let Some(pause) = pause {
                sleep_until(Instant::now() + pause).await;
            }
        }
    }

    /// Delivers once; gives back what has to be tried again, and after which wait.
    async fn deliver(
        &self,
        events: Vec<Event>,
    ) -> Result<(Vec<Event>, Option<Duration>), HttpError> {
        let shared = Context::shared(events.iter().map(|event| &event.context));
        let slim = events.iter().map(|event| {
            let context = event.context.beyond(&shared);
            Event { context, ..event.clone() }
        });
        let batch = Batch {
            sent_at: now(),
            attempt: 0,
            proof: None,
            renewed: false,
            context: shared.clone(),
            events: slim.collect(),
        };
        let answer = match self.http.ask(Ask::post(&self.intake, batch.to_json())).await {
            Ok(answer) => answer,
            Err(_) => return Ok(self.again(events, Duration::from_millis(500))),
        };
        match answer.status.as_u16() {
            200 => Ok(self.settle(events, &serde_json::from_str(&answer.body)?)),
            429 | 503 => {
                let wait =
                    answer.headers.get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                Ok(self.again(events, Duration::from_secs(wait.unwrap_or(1))))
            }
            status => Err(format!("the collector answers {status}: {}", answer.body).into()),
        }
    }

    fn again(&self, events: Vec<Event>, wait: Duration) -> (Vec<Event>, Option<Duration>) {
        self.tally.retried.fetch_add(events.len() as u64, Ordering::Relaxed);
        (events, Some(wait))
    }

    fn settle(&self, events: Vec<Event>, receipt: &Receipt) -> (Vec<Event>, Option<Duration>) {
        self.tally.accepted.fetch_add(u64::from(receipt.accepted), Ordering::Relaxed);
        let (mut again, mut wait) = (HashSet::new(), Millis(0));
        for verdict in &receipt.verdicts {
            let counter = match &verdict.outcome {
                Outcome::Accepted => continue,
                Outcome::Duplicate => &self.tally.duplicate,
                Outcome::Rejected(_) => &self.tally.rejected,
                Outcome::Retry { after_ms } => {
                    again.insert(verdict.index as usize);
                    wait = wait.max(Millis(*after_ms));
                    &self.tally.retried
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let left = events.into_iter().enumerate().filter(|(index, _)| again.contains(index));
        let left: Vec<Event> = left.map(|(_, event)| event).collect();
        let pause = (!left.is_empty()).then(|| Duration::from_millis(wait.0));
        (left, pause)
    }
}

/// What an independent reader found of a run in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Ids that are not there.
    pub lost: usize,
    /// Ids that are there more than once.
    pub doubled: usize,
    /// Ids that nobody sent.
    pub unknown: usize,
    /// Whether each visit's clicks lie in the order in which they were recorded, by the first copy
    /// of each.
    pub in_order: bool,
}

impl Found {
    /// Reads the whole topic and compares it with the ids that were sent.
    pub async fn of(sent: &HashSet<EventId>, edge: &Edge, topic: Topic) -> Self {
        let (mut seen, mut found) = (HashMap::new(), Self { in_order: true, ..Self::default() });
        let mut last: HashMap<QueueId, u64> = HashMap::new();
        for record in edge.read(topic).await {
            let copies = seen.entry(record.id).or_insert(0_usize);
            *copies += 1;
            if *copies > 1 {
                continue;
            }
            let before = last.insert(record.queue, record.seq);
            found.in_order &= before.is_none_or(|before| before < record.seq);
        }
        found.lost = sent.iter().filter(|id| !seen.contains_key(id)).count();
        found.doubled = seen.values().filter(|count| **count > 1).count();
        found.unknown = seen.keys().filter(|id| !sent.contains(id)).count();
        found
    }

    /// Whether every event is there once, and in order.
    pub fn is_whole(&self) -> bool {
        *self == Self { in_order: true, ..Self::default() }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, unknown, .. } = self;
        write!(f, "{lost} lost, {doubled} doubled, {unknown} unknown ids")
    }
}
