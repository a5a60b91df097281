//! What a relay had told of stock outlives it: who waits hears that a product is back, and what sold
//! out is shown no more, though whoever decides is killed in that moment.

use std::sync::{Arc, Mutex};

use clickmill_sdk_core::wire::HintKind;
use clickmill_tests::page::now;
use clickmill_tests::screen::Screen;
use clickmill_tests::until::until_enough;
use clickmill_tests::{Frame, Page, World};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::PATIENCE;

const VISITORS: usize = 24;

/// What one page shows, and the notices about stock that it heard since it began anew.
#[derive(Default)]
struct Heard {
    screen: Screen,
    notices: Vec<String>,
}

#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Heard>>);

impl Watched {
    fn read<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.0.lock().expect("no holder panics"))
    }

    /// Writes down what a page hears, at whichever relay there is.
    async fn watch(self, page: Arc<Page>, relays: [String; 2], first: usize) {
        let hear = |frame| {
            let mut heard = self.0.lock().expect("no holder panics");
            match frame {
                Some(Frame::Hint(hint, _)) => {
                    heard.screen.take(&hint, now());
                    if hint.kind == HintKind::Stock {
                        let content = hint.content.as_str();
                        let content: Value = serde_json::from_str(content).expect("JSON");
                        let sku = content["product"]["sku"].as_str().unwrap_or_default();
                        heard.notices.push(sku.to_owned());
                    }
                }
                Some(Frame::Reset(data)) => {
                    heard.screen.reset(&data, now());
                    heard.notices.clear();
                }
                None | Some(Frame::Comment | Frame::Retry(_)) => {}
            }
        };
        page.keep_open(&relays, first, PATIENCE * 4, hear).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_once_and_what_sold_out_goes_though_the_owner_is_killed() {
    // Two are waited for, one sells out, and there are others.
    const STOCK: [(&str, i64); 5] =
        [("early", 0), ("late", 0), ("gone", 5), ("oven", 5), ("hob", 5)];
    let (mut world, second) = World::builder().two_relays(&STOCK).await;
    let relays = [world.relay.url.clone(), second.url.clone()];
    let mut streams = JoinSet::new();
    let mut visitors = Vec::new();
    for n in 0..VISITORS {
        let (page, watched) = (Arc::new(world.page()), Watched::default());
        let wants = if n % 2 == 0 { "early" } else { "late" };
        streams.spawn(watched.clone().watch(Arc::clone(&page), relays.clone(), n / 2));
        assert_eq!(page.send(vec![page.views(wants)]).await.accepted, 1);
        visitors.push((page, watched, wants));
    }
    // Those for whom it does not hold, with what they heard.
    let others = |holds: &dyn Fn(&Heard, &str) -> bool| {
        let tell = |(_, watched, wants): &(Arc<Page>, Watched, &str)| {
            let told =
                |heard: &Heard| format!("{wants}: {:?} {:?}", heard.screen.slots, heard.notices);
            watched.read(|heard| (!holds(heard, wants)).then(|| told(heard)))
        };
        visitors.iter().filter_map(tell).collect::<Vec<String>>()
    };
    let shows = |heard: &Heard, slot: &str, sku: &str| {
        heard.screen.slots.get(slot).is_some_and(|shown| shown.skus.iter().any(|one| one == sku))
    };
    let is_shown = |heard: &Heard, _: &str| shows(heard, "suggested", "gone");
    let nobody = |others: &Vec<String>| others.is_empty();
    until_enough("all are shown what sells out later", async || others(&is_shown), nobody).await;

    // One is back before the owner dies and one after it; what is shown sells out in between.
    let levels = world.kafka.levels();
    levels.say("early", 7);
    world.relay.kill();
    levels.say("gone", 0);
    levels.say("late", 7);
    let is_told = |heard: &Heard, wants: &str| {
        shows(heard, "stock", wants)
            && heard.notices == [wants]
            && !heard.screen.slots.values().any(|shown| shown.skus.contains(&"gone".to_owned()))
    };
    until_enough("all have heard, of the one who is left", async || others(&is_told), nobody).await;

    // It comes back and takes over; then everybody clicks, which tells nothing of it again.
    world.restart_relay().await;
    world.is_shared_with(&second).await;
    for (page, _, _) in &visitors {
        assert_eq!(page.send(vec![page.views("oven")]).await.accepted, 1);
    }
    let is_answered = |heard: &Heard, wants: &str| {
        let shown = heard.screen.slots.get("suggested");
        is_told(heard, wants) && shown.is_some_and(|shown| !shown.skus.contains(&"oven".to_owned()))
    };
    let what = "all have an answer, and still what was told";
    until_enough(what, async || others(&is_answered), nobody).await;
    for (_, watched, wants) in &visitors {
        watched.read(|heard| {
            assert_eq!(heard.screen.faults, Vec::<String>::new());
            assert_eq!(heard.notices, [*wants], "once for each stream");
        });
    }
    // And once it is gone again, each stream hears that.
    levels.say("early", 0);
    let holds = |heard: &Heard, wants: &str| shows(heard, "stock", wants) == (wants == "late");
    until_enough("it is taken back where it was told", async || others(&holds), nobody).await;
    streams.shutdown().await;
}
