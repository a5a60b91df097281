//! What holds for any course of events.

use std::collections::{BTreeMap, BTreeSet};

use clickmill_sdk_core::client::{Backoff, ClientOptions, Facts, Input};
use clickmill_sdk_core::wire::{Consent, Context, Limits, Page as PageOf};
use proptest::prelude::*;
use serde_json::Value;

use crate::page::{Page, all_granted, events, facts, text};

/// Something that may happen to a page.
#[derive(Clone, Debug)]
enum Turn {
    Track(&'static str, usize),
    Navigate(u8),
    Reload,
    Wait(u64),
    Back(u64),
    Flush,
    Go,
    Answer(Answer),
}

#[derive(Clone, Debug)]
enum Answer {
    /// A verdict for each event: accepted, rejected or retry, by these numbers.
    Receipt(Vec<u8>),
    Refusal(u16),
    Lost,
    /// The batch is taken, but the answer gets lost.
    Unheard,
}

fn turn() -> impl Strategy<Value = Turn> {
    let kind = prop_oneof![Just("search"), Just("click"), Just("order"), Just("page_view")];
    let answer = prop_oneof![
        5 => prop::collection::vec(0_u8..6, 0..30).prop_map(Answer::Receipt),
        2 => prop_oneof![Just(429), Just(500), Just(503), Just(400), Just(413)]
            .prop_map(Answer::Refusal),
        1 => Just(Answer::Lost),
        1 => Just(Answer::Unheard),
    ];
    prop_oneof![
        8 => (kind, 0_usize..3000).prop_map(|(kind, bytes)| Turn::Track(kind, bytes)),
        1 => any::<u8>().prop_map(Turn::Navigate),
        1 => Just(Turn::Reload),
        2 => (0_u64..100_000).prop_map(Turn::Wait),
        1 => (0_u64..100_000).prop_map(Turn::Back),
        1 => Just(Turn::Flush),
        1 => Just(Turn::Go),
        6 => answer.prop_map(Turn::Answer),
    ]
}

/// A collector that remembers.
#[derive(Default)]
struct Collector {
    taken: Vec<String>,
    seen: BTreeSet<String>,
    rejected: BTreeSet<String>,
}

impl Collector {
    fn take(&mut self, batch: &Value, fates: &[u8]) -> String {
        let mut verdicts = Vec::new();
        let mut accepted = 0;
        let mut blocked = false;
        for (index, event) in events(batch).iter().enumerate() {
            let id = text(event, "id");
            let fate = fates.get(index).copied().unwrap_or_default();
            // After a retry the later events of the same visitor are retry too.
            blocked |= fate == 1;
            if blocked {
                let wait = u64::from(fate) * 100;
                verdicts
                    .push(format!(r#"{{"index":{index},"outcome":"retry","after_ms":{wait}}}"#));
            } else if self.seen.contains(&id) {
                verdicts.push(format!(r#"{{"index":{index},"outcome":"duplicate"}}"#));
            } else if fate == 2 || self.rejected.contains(&id) {
                self.rejected.insert(id);
                verdicts.push(format!(
                    r#"{{"index":{index},"outcome":"rejected","reason":"malformed"}}"#
                ));
            } else {
                self.seen.insert(id.clone());
                self.taken.push(id);
                accepted += 1;
            }
        }
        format!(r#"{{"accepted":{accepted},"verdicts":[{}]}}"#, verdicts.join(","))
    }
}

fn play(turns: Vec<Turn>, limits: Limits) {
    let mut page = Page::with(all_granted());
    let mut collector = Collector::default();
    let mut tracked = Vec::new();
    page.configure(|site| site.limits = limits);
    for turn in turns {
        match turn {
            Turn::Track(kind, bytes) => {
                tracked.push(kind);
                page.track_props(kind, &format!(r#"{{"x":"{}"}}"#, "é".repeat(bytes / 2)));
            }
            Turn::Navigate(n) => page.step(Input::Page(facts(&format!("https://x/{n}")))),
            Turn::Reload => {
                page.reload();
                page.configure(|site| site.limits = limits);
            }
            Turn::Wait(span) => page.wait(span),
            Turn::Back(span) => page.set_back(span),
            Turn::Flush => page.step(Input::Flush),
            Turn::Go => {
                page.step(Input::PageGone);
                page.step(Input::PageBack);
            }
            Turn::Answer(_) if page.sent.is_none() => {}
            Turn::Answer(Answer::Receipt(fates)) => {
                let receipt = collector.take(&page.batch(), &fates);
                page.reply(200, &receipt);
            }
            Turn::Answer(Answer::Refusal(status)) => page.reply(status, "{}"),
            Turn::Answer(Answer::Lost) => page.fail(),
            Turn::Answer(Answer::Unheard) => {
                collector.take(&page.batch(), &[]);
                page.fail();
            }
        }
    }
    // In the end the network is fine.
    for _ in 0..1000 {
        if page.sent.is_some() {
            let receipt = collector.take(&page.batch(), &[]);
            page.reply(200, &receipt);
        } else if page.client.queued() > 0 {
            page.wait(120_000);
        }
    }
    let books = page.client.books();
    assert_eq!(page.client.queued(), 0);
    assert_eq!(books.created, tracked.len() as u64);
    assert_eq!(books.created, books.settled + books.dropped());
    assert_eq!(books.dropped(), books.dropped_large, "nothing is lost but what is too large");
    check_order(&page, &collector);
    assert!(!page.storage.keys().any(|item| format!("{item:?}").starts_with("Event")));
}

/// Ids go up by the time they were minted, so what the collector took in their order was kept in
/// order; each of them it took once.
fn check_order(page: &Page, collector: &Collector) {
    let distinct: BTreeSet<&String> = collector.taken.iter().collect();
    assert_eq!(distinct.len(), collector.taken.len());
    let mut seq_of = BTreeMap::new();
    for body in &page.bodies {
        let batch: Value = serde_json::from_str(body).unwrap();
        for event in events(&batch) {
            let place = (text(event, "queue"), event["seq"].as_u64().unwrap());
            let known = seq_of.entry(text(event, "id")).or_insert_with(|| place.clone());
            assert_eq!(*known, place, "an event keeps its place");
        }
    }
    let places: Vec<_> = collector.taken.iter().map(|id| &seq_of[id]).collect();
    assert!(places.is_sorted(), "{places:?}");
    let names: BTreeSet<_> = seq_of.values().collect();
    assert_eq!(names.len(), seq_of.len(), "no place is given twice");
}

fn context() -> impl Strategy<Value = Context> {
    let url = prop::option::of(0_u8..3);
    let locale = prop::option::of(prop_oneof![Just("en"), Just("de \"x\" {")]);
    let referrer = prop::option::of("[a-b\\\\\"]{0,2}");
    (url, locale, referrer, any::<bool>()).prop_map(|(url, locale, referrer, full)| Context {
        page: url.map(|n| PageOf { url: format!("/{n}"), title: None }),
        locale: locale.map(str::to_owned),
        referrer,
        consent: full.then(Consent::full),
        ..Context::default()
    })
}

proptest! {
    #[test]
    fn every_event_arrives_once_in_order_within_the_limits(
        turns in prop::collection::vec(turn(), 0..80),
        batch_events_max in 1_u32..20,
        batch_bytes_max in 3000_u64..20_000,
    ) {
        let limits = Limits { batch_bytes_max, batch_events_max, event_bytes_max: 2500 };
        play(turns, limits);
    }

    #[test]
    fn a_batch_says_what_the_events_were_tracked_with(
        contexts in prop::collection::vec(context(), 1..8),
    ) {
        let mut page = Page::with(ClientOptions { consent: None, ..ClientOptions::default() });
        for context in &contexts {
            page.step(Input::Page(Facts::from(context)));
            page.track("search");
        }
        page.step(Input::Flush);
        let batch = page.batch();
        let shared = Context::shared(&contexts);
        let mut said = batch["context"].clone();
        said.as_object_mut().unwrap().remove("sdk");
        prop_assert_eq!(said, json(&shared));
        for (event, context) in events(&batch).iter().zip(&contexts) {
            let own = event.get("context").cloned().unwrap_or_else(|| json(&Context::default()));
            prop_assert_eq!(own, json(&context.beyond(&shared)));
        }
    }

    #[test]
    fn a_wait_stays_below_its_ceiling(first_ms in 1_u64..5000, ms_max in 1_u64..600_000, n in 0_u32..100) {
        let backoff = Backoff { first_ms, ms_max };
        prop_assert!(backoff.ceiling(n) <= ms_max);
        prop_assert!(backoff.ceiling(n) >= first_ms.min(ms_max));
        prop_assert!(backoff.ceiling(n + 1) >= backoff.ceiling(n));
    }
}

fn json(context: &Context) -> Value {
    use clickmill_sdk_core::wire::ToJson;
    serde_json::from_str(&context.to_json()).unwrap()
}

/// The waits before the n-th retry of many pages: all below the ceiling, and spread over all of it.
#[test]
fn jitter_covers_the_whole_wait() {
    let backoff = Backoff { first_ms: 1000, ms_max: 8000 };
    let options = ClientOptions { backoff, ..all_granted() };
    let mut tenths = [[0_u32; 10]; 5];
    let mut page = Page::with(options);
    for _ in 0..400 {
        page.track("order");
        for (failures, row) in (1..).zip(&mut tenths) {
            page.fail();
            let failed_at = page.now;
            while page.sent.is_none() {
                let wake_at = page.wake_at.unwrap_or(page.now);
                page.wait(wake_at - page.now);
            }
            let wait = page.now - failed_at;
            assert!(wait <= backoff.ceiling(failures), "{wait} after {failures}");
            row[(wait * 10 / (backoff.ceiling(failures) + 1)) as usize] += 1;
        }
        page.accept();
    }
    for row in tenths {
        assert!(row.iter().all(|count| (15..=70).contains(count)), "{row:?}");
    }
}
