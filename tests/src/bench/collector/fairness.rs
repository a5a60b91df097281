//! Fairness: how long an honest site's visitors wait while another site sends ten times its quota.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::load::Serials;
use super::pace::pace;
use super::request::Request;
use super::{Site, blocking};
use crate::figure::{Figure, Style};
use crate::http::{Ask, Http};
use crate::world::{Edge, World};

/// The key that sends too much, and what it may send: events a second, and at once.
const HOSTILE_KEY: &str = "wk-hostile";
const QUOTA: u64 = 500;
/// How many times its quota the hostile site sends.
const EXCESS: u64 = 10;
/// The connections that it sends by.
const HOSTILE_CONNECTIONS: u32 = 8;
/// Events in its batches.
const HOSTILE_BATCH: usize = 20;
/// Events in the honest site's batches.
const HONEST_BATCH: usize = 2;

/// What became of a hostile site's requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hostile {
    /// Requests that were answered.
    pub answered: u64,
    /// Of these, answered 429.
    pub refused: u64,
    /// Of the refused, those that name no wait.
    pub without_wait: u64,
    /// Events in requests that were not refused.
    pub admitted_events: u64,
    /// How long it went on.
    pub span: Duration,
}

/// The honest site alone and beside the hostile one, in one run.
#[derive(Clone, Copy, Debug)]
pub struct Fairness {
    /// The 99th percentile of the honest site's answers without the other, ms.
    pub alone_p99_ms: f64,
    /// The same beside the other.
    pub beside_p99_ms: f64,
    /// What the other met.
    pub hostile: Hostile,
}

/// A collector with an honest and a hostile site.
#[derive(Debug)]
pub struct Arena {
    edge: Edge,
    site: Site,
}

impl Arena {
    /// Starts it.
    pub async fn open() -> Self {
        let hostile = format!(
            r#"
            [[sites]]
            write_key = "{HOSTILE_KEY}"
            tenant = "hostile"
            origins = ["*"]
            events_per_s = {QUOTA}
            events_burst = {QUOTA}
            "#
        );
        let edge = World::builder().set(|setup, _| setup.settings = hostile).edge().await;
        let site = Site::of(&edge);
        Self { edge, site }
    }

    /// Measures the honest site alone and then beside the hostile one, each for so long.
    ///
    /// # Panics
    /// When the honest site is not served in full.
    pub async fn compare(&self, span: Duration) -> Fairness {
        let site = self.site.clone();
        let alone = blocking(move || pace(&site, HONEST_BATCH, span)).await;
        let over = Arc::new(AtomicBool::new(false));
        let hostile = tokio::spawn(attack(self.intake(), Arc::clone(&over)));
        let site = self.site.clone();
        let beside = blocking(move || pace(&site, HONEST_BATCH, span)).await;
        over.store(true, Ordering::Relaxed);
        Fairness {
            alone_p99_ms: alone.answered.quantile_ms(0.99),
            beside_p99_ms: beside.answered.quantile_ms(0.99),
            hostile: hostile.await.expect("the hostile site ends by itself"),
        }
    }

    fn intake(&self) -> String {
        format!("{}/v1/events?k={HOSTILE_KEY}", self.edge.collector.url)
    }
}

/// Sends ten times the quota until it is over.
async fn attack(intake: String, over: Arc<AtomicBool>) -> Hostile {
    let (start, serials) = (Instant::now(), Serials::default());
    let mut connections = JoinSet::new();
    for _ in 0..HOSTILE_CONNECTIONS {
        let (intake, serials, over) = (intake.clone(), serials.clone(), Arc::clone(&over));
        connections.spawn(insist(intake, serials, over));
    }
    let parts = connections.join_all().await.into_iter();
    let hostile = parts.fold(Hostile::default(), |sum, part| Hostile {
        answered: sum.answered + part.answered,
        refused: sum.refused + part.refused,
        without_wait: sum.without_wait + part.without_wait,
        admitted_events: sum.admitted_events + part.admitted_events,
        span: sum.span,
    });
    Hostile { span: start.elapsed(), ..hostile }
}

/// One connection's share of it, whatever is answered.
async fn insist(intake: String, serials: Serials, over: Arc<AtomicBool>) -> Hostile {
    let per_second = QUOTA * EXCESS / HOSTILE_BATCH as u64;
    let step = Duration::from_secs(u64::from(HOSTILE_CONNECTIONS)) / per_second as u32;
    let (http, mut request) = (Http::default(), Request::new(HOSTILE_KEY, HOSTILE_BATCH));
    let (mut ticks, mut hostile) = (interval(step), Hostile::default());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        request.renew(serials.take(HOSTILE_BATCH));
        let body = Bytes::copy_from_slice(request.body());
        let answer = http.ask(Ask::post(&intake, body)).await.expect("an answer, though a refusal");
        hostile.answered += 1;
        if answer.status == 429 {
            let wait = answer.headers.get("retry-after").and_then(|wait| wait.to_str().ok());
            let named = wait.and_then(|wait| wait.parse::<u64>().ok()).is_some_and(|wait| wait > 0);
            hostile.refused += 1;
            hostile.without_wait += u64::from(!named);
        } else {
            assert_eq!(answer.status, 200, "{}", answer.body);
            hostile.admitted_events += HOSTILE_BATCH as u64;
        }
    }
    hostile
}

impl Hostile {
    /// What its quota lets in at the most over that time.
    pub fn events_max(&self) -> u64 {
        // What may come at once, and a second more for the edges of the time.
        QUOTA * (self.span.as_secs() + 2)
    }
}

impl Fairness {
    /// How many times longer the honest site waits.
    pub fn ratio(&self) -> f64 {
        self.beside_p99_ms / self.alone_p99_ms
    }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone_p99_ms, beside_p99_ms, hostile } = self;
        let Hostile { answered, refused, admitted_events, .. } = hostile;
        write!(
            f,
            "honest p99 {alone_p99_ms:.2} ms alone, {beside_p99_ms:.2} ms beside: {:.2} times; \
             hostile: {answered} requests, {refused} refused, {admitted_events} events admitted",
            self.ratio()
        )
    }
}

/// Measures and prints.
pub async fn measure(seconds: u64, style: Style) {
    let arena = Arena::open().await;
    let fairness = arena.compare(Duration::from_secs(seconds)).await;
    let print = |name, value, unit| {
        Figure { bench: "fairness", name, value, unit }.print(style);
    };
    let Hostile { answered, refused, admitted_events, span, .. } = fairness.hostile;
    print("p99_ms_alone", fairness.alone_p99_ms, "ms");
    print("p99_ms_beside", fairness.beside_p99_ms, "ms");
    print("ratio", fairness.ratio(), "");
    print("hostile.requests_per_s", answered as f64 / span.as_secs_f64(), "requests/s");
    print("hostile.refused_share", refused as f64 / answered as f64, "");
    print("hostile.admitted_events_per_s", admitted_events as f64 / span.as_secs_f64(), "events/s");
}
