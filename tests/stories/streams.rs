//! Streams through whatever happens to relays: what pages heard is written down, and judged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickmill_relay::peers::STREAM_PATH;
use clickmill_sdk_core::wire::{EventId, Hint};
use clickmill_tests::page::now;
use clickmill_tests::screen::Screen;
use clickmill_tests::service::Relay;
use clickmill_tests::until::until;
use clickmill_tests::{Ask, Frame, Http, Page, World};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::PATIENCE;

const VISITORS: usize = 200;
const PRODUCTS: usize = 100;

/// What one page did and heard.
#[derive(Default)]
struct Transcript {
    screen: Screen,
    /// The number of each click, by its event.
    clicks: HashMap<EventId, usize>,
    /// The number of the click that was answered last since the page began anew.
    answered: Option<usize>,
    /// Clicks that were passed over without a word.
    missed: Vec<String>,
    streams: usize,
}

impl Transcript {
    fn hear(&mut self, hint: &Hint) {
        self.screen.take(hint, now());
        let Some(click) = hint.cause.and_then(|cause| self.clicks.get(&cause.event)).copied()
        else {
            self.missed.push(format!("{} answers no click of this page", hint.id));
            return;
        };
        let expected = self.answered.map(|answered| answered + 1);
        if expected.is_some_and(|expected| expected != click) {
            self.missed.push(format!("click {click} was answered instead of {expected:?}"));
        }
        self.answered = Some(click);
    }

    fn reset(&mut self, data: &str) {
        self.screen.reset(data, now());
        self.answered = None;
    }

    /// Whether the newest click of the page was answered.
    fn is_answered(&self) -> bool {
        self.answered.is_some_and(|answered| answered + 1 == self.clicks.len())
    }
}

/// Where pages find relays; each tries the next one when one does not answer.
type Relays = Arc<[String]>;

/// Writes down what a page hears, at whichever relay there is.
async fn listen(page: Arc<Page>, relays: Relays, script: Arc<Mutex<Transcript>>, first: usize) {
    let hear = |frame| {
        let mut script = script.lock().expect("no holder panics");
        match frame {
            None => script.streams += 1,
            Some(Frame::Hint(hint, _)) => script.hear(&hint),
            Some(Frame::Reset(data)) => script.reset(&data),
            Some(Frame::Comment | Frame::Retry(_)) => {}
        }
    };
    page.keep_open(&relays, first, PATIENCE, hear).await;
}

/// Clicks on, until it is over.
async fn click(
    page: Arc<Page>,
    script: Arc<Mutex<Transcript>>,
    over: Arc<AtomicBool>,
    first: usize,
) {
    let mut n = first;
    while !over.load(Ordering::Acquire) {
        n += 1;
        let event = page.views(&format!("p{}", (n * 31) % PRODUCTS));
        {
            let mut script = script.lock().expect("no holder panics");
            let number = script.clicks.len();
            script.clicks.insert(event.id, number);
        }
        assert_eq!(page.send(vec![event]).await.accepted, 1);
        sleep(Duration::from_millis(500)).await;
    }
}

/// Pages that click and listen.
struct Audience {
    scripts: Vec<Arc<Mutex<Transcript>>>,
    over: Arc<AtomicBool>,
    clicking: JoinSet<()>,
    listening: JoinSet<()>,
}

impl Audience {
    fn of(world: &World, relays: &Relays, visitors: usize) -> Self {
        let (mut clicking, mut listening) = (JoinSet::new(), JoinSet::new());
        let over = Arc::new(AtomicBool::new(false));
        let scripts = (0..visitors).map(|first| {
            let (page, script) = (Arc::new(world.page()), Arc::<Mutex<Transcript>>::default());
            let heard = Arc::clone(&script);
            listening.spawn(listen(Arc::clone(&page), Arc::clone(relays), heard, first));
            clicking.spawn(click(page, Arc::clone(&script), Arc::clone(&over), first));
            script
        });
        let scripts = scripts.collect();
        Self { scripts, over, clicking, listening }
    }

    fn all(&self, holds: impl Fn(&Transcript) -> bool) -> bool {
        self.scripts.iter().all(|script| holds(&script.lock().expect("no holder panics")))
    }

    /// Waits until every page has had an answer to a click of from now on.
    async fn goes_on(&self, why: &str) {
        let marks: Vec<usize> =
            self.scripts.iter().map(|s| s.lock().expect("no holder panics").clicks.len()).collect();
        until(why, || async {
            let answered = |(script, mark): (&Arc<Mutex<Transcript>>, &usize)| {
                script.lock().expect("no holder panics").answered.is_some_and(|n| n >= *mark)
            };
            self.scripts.iter().zip(&marks).all(answered).then_some(())
        })
        .await;
    }

    /// Ends the clicks, waits for the last answers, and judges.
    async fn judge(mut self) {
        self.over.store(true, Ordering::Release);
        while let Some(ended) = self.clicking.join_next().await {
            ended.expect("a page that clicks");
        }
        until("every page has the answer to its last click", || async {
            self.all(Transcript::is_answered).then_some(())
        })
        .await;
        self.listening.shutdown().await;
        let (mut clicks, mut shown, mut resets, mut streams) = (0, 0, 0, 0);
        for script in &self.scripts {
            let script = script.lock().expect("no holder panics");
            assert_eq!(script.screen.faults, Vec::<String>::new());
            assert_eq!(script.missed, Vec::<String>::new());
            clicks += script.clicks.len();
            shown += script.screen.shown.len();
            resets += script.screen.resets;
            streams += script.streams;
        }
        eprintln!("{clicks} clicks, {shown} hints, {resets} resets, {streams} streams");
        assert!(shown > clicks / 2, "{shown} hints for {clicks} clicks");
    }
}

/// Two relays that share the partitions, and products to suggest.
async fn two_relays() -> (World, Relay) {
    let names: Vec<String> = (0..PRODUCTS).map(|n| format!("p{n}")).collect();
    let stocked: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 100)).collect();
    World::builder().two_relays(&stocked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_both_relays_miss_nothing_while_relays_die_and_partitions_move() {
    let (mut world, second) = two_relays().await;
    let relays: Relays = [world.relay.url.clone(), second.url.clone()].into();
    let audience = Audience::of(&world, &relays, VISITORS);
    audience.goes_on("every page is answered").await;
    let forwarded = "clickmill_relay_streams_forwarded";
    let through = world.relay.metric(forwarded).await + second.metric(forwarded).await;
    assert!(through > 0.0, "some are told through the other relay");

    // It dies, the other takes over, and it comes back.
    world.relay.kill();
    audience.goes_on("the other relay answers all").await;
    world.restart_relay().await;
    world.is_shared_with(&second).await;
    audience.goes_on("both answer again").await;
    // It is gone for a moment only, and nobody takes over.
    world.relay.kill();
    world.restart_relay().await;
    audience.goes_on("it answers again").await;
    audience.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn streams_miss_nothing_through_minutes_of_kills_and_moves() {
    let (mut world, mut second) = two_relays().await;
    let relays: Relays = [world.relay.url.clone(), second.url.clone()].into();
    let audience = Audience::of(&world, &relays, VISITORS);
    audience.goes_on("every page is answered").await;
    for round in 0..24 {
        let relay = if round % 2 == 0 { &mut world.relay } else { &mut second };
        match round % 3 {
            // A deploy, a crash with a quick return, and one without.
            0 => assert!(relay.stop().await.success()),
            1 => relay.kill(),
            _ => {
                relay.kill();
                audience.goes_on("the other relay answers all").await;
            }
        }
        let relay = if round % 2 == 0 { &mut world.relay } else { &mut second };
        relay.restart().await;
        audience.goes_on("both answer again").await;
    }
    audience.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_a_visitor_hear_the_same_at_whichever_relay_they_are() {
    let (world, second) = two_relays().await;
    let page = world.page();
    let token = page.token().await;
    let mut streams = Vec::new();
    for relay in [&world.relay.url, &second.url, &second.url] {
        streams.push(page.try_open((relay, &token), None).await.expect("a stream"));
    }
    for _ in 0..2 {
        let event = page.views("p1");
        let clicked = event.id;
        assert_eq!(page.send(vec![event]).await.accepted, 1);
        for stream in &mut streams {
            let (hint, _) = stream.hint(PATIENCE).await.expect("a hint");
            assert_eq!(hint.cause.map(|cause| cause.event), Some(clicked));
        }
    }
    // Nobody else may have a relay tell what it says to a visitor.
    let body = format!(r#"{{"tenant":"shop","visitor":"{}"}}"#, page.visitor());
    let ask = Ask::post(format!("http://{}{STREAM_PATH}", second.peers), body);
    assert_eq!(Http::default().ask(ask).await.expect("an answer").status, 401);
}
