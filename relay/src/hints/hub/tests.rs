//! The hub without a network: what each stream gets.

use std::task::{Context, Poll, Waker};

use clickmill_sdk_core::wire::{HintKind, Json, Product, Slot, Why};
use clickmill_server::metrics::Metrics;
use clickmill_streams::Place;

use super::*;
use crate::hints::outbox::Taken;
use crate::metrics::TABLE;

const NOW: Millis = Millis(1_000_000);

fn hub(limits: Limits) -> Arc<Hub> {
    let hub = Hub::new(limits, HubMeters::new(&Metrics::new(TABLE).unwrap()));
    hub.open_partition(3, NOW.0);
    hub
}

fn tenant() -> Tenant {
    Tenant::parse("shop").unwrap()
}

fn subject(name: &str) -> Subject {
    Subject::new(&tenant(), &VisitorId::parse(name).unwrap())
}

fn id(offset: u64) -> HintId {
    HintId { source: "clicks".into(), partition: 3, offset, n: 0 }
}

/// A suggestion of the visitor's partition 3 for a slot, showing products.
fn said(hub: &Hub, offset: u64, (slot, skus): (&str, &[&str])) -> Said {
    Said {
        hint: Hint {
            id: id(offset),
            kind: HintKind::Suggest,
            epoch: hub.epoch(3).unwrap(),
            slot: Some(Slot::parse(slot).unwrap()),
            content: Json::empty(),
            why: Why::default(),
            expires_at: NOW + 600_000,
            stock_version: None,
            cause: None,
            decided_at: NOW,
        },
        skus: skus.iter().map(|sku| Sku::parse(*sku).unwrap()).collect(),
        telling: Telling::First,
        clicked_at: None,
    }
}

fn say(hub: &Hub, visitor: &str, offset: u64, what: (&str, &[&str])) {
    hub.say(&subject(visitor), said(hub, offset, what), (3, NOW));
}

fn open(hub: &Arc<Hub>, visitor: &str, cursor: Option<u64>) -> Subscription {
    open_at(hub, visitor, (cursor.map(id), 3), NOW).unwrap()
}

fn open_at(
    hub: &Arc<Hub>,
    visitor: &str,
    (cursor, partition): (Option<HintId>, u32),
    now: Millis,
) -> Result<Subscription, Closed> {
    let outbox = hub.outbox();
    hub.subscribe(&subject(visitor), (&outbox, cursor.as_ref()), (partition, now))
}

/// The stock record at that offset says that a product is sold out.
fn sold_out(hub: &Hub, sku: &str, offset: u64) -> u64 {
    let sku = Sku::parse(sku).unwrap();
    hub.take_back((&tenant(), &sku), Gone::SoldOut(place(offset)), (NOW, NOW))
}

/// The stock record at that offset says that a product can be had. How many were told.
fn can_be_had(hub: &Hub, sku: &str, how: (u64, bool)) -> u64 {
    can_be_had_at(hub, sku, how, NOW)
}

fn can_be_had_at(hub: &Hub, sku: &str, (offset, is_low): (u64, bool), now: Millis) -> u64 {
    let sku = Sku::parse(sku).unwrap();
    let product = Product {
        sku: sku.clone(),
        name: "A product".into(),
        category: "things".into(),
        price_cents: 1,
        currency: "EUR".into(),
        url: "/".into(),
        image: None,
    };
    let notice = Notice {
        place: place(offset),
        product: &product,
        available: 2,
        is_low,
        slot: &Slot::parse("stock").unwrap(),
        lifetime_ms: 60_000,
    };
    hub.notice((&tenant(), &sku), &notice, (now, now))
}

/// What a stream holds, as `kind offset`, and `end` if it has ended.
fn taken(stream: &Subscription) -> Vec<String> {
    let mut context = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    loop {
        match stream.outbox().poll_take(&mut context) {
            Poll::Ready(Taken::Frame(frame)) => {
                let offset = match frame.kind {
                    HintKind::Reset => String::new(),
                    _ => format!(" {}", frame.id.offset),
                };
                all.push(format!("{}{offset}", frame.kind.as_str()));
            }
            Poll::Ready(Taken::Left) => all.push("left".to_owned()),
            Poll::Ready(Taken::End) => {
                all.push("end".to_owned());
                return all;
            }
            Poll::Pending => return all,
        }
    }
}

#[test]
fn every_tab_of_a_visitor_gets_a_hint_and_nobody_else() {
    let hub = hub(Limits::default());
    let (tab, other_tab, other) =
        (open(&hub, "v", None), open(&hub, "v", None), open(&hub, "w", None));
    say(&hub, "v", 7, ("a", &[]));
    assert_eq!(taken(&tab), ["suggest 7"]);
    assert_eq!(taken(&other_tab), ["suggest 7"]);
    assert!(taken(&other).is_empty());
}

#[test]
fn the_next_page_finds_what_holds() {
    let hub = hub(Limits::default());
    for (offset, slot) in [(1, "a"), (2, "b"), (3, "a")] {
        say(&hub, "v", offset, (slot, &[]));
    }
    assert_eq!(taken(&open(&hub, "v", None)), ["suggest 2", "suggest 3"]);
    let late = open_at(&hub, "v", (None, 3), NOW + 600_000).unwrap();
    assert!(taken(&late).is_empty(), "what has expired holds no more");
}

#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let hub = hub(Limits::default());
    for offset in 1..=4 {
        say(&hub, "v", offset, ("a", &[]));
    }
    let resumed = open(&hub, "v", Some(2));
    assert_eq!(
        (resumed.opening(), taken(&resumed)),
        (Opening::Resumed, vec!["suggest 3".to_owned(), "suggest 4".to_owned()])
    );
    assert!(taken(&open(&hub, "v", Some(4))).is_empty());
}

#[test]
fn no_stream_is_resumed_from_what_another_relay_said() {
    let hub = hub(Limits::default());
    let again = Said { telling: Telling::Again, ..said(&hub, 2, ("a", &[])) };
    hub.say(&subject("v"), again, (3, NOW));
    assert_eq!(taken(&open(&hub, "v", Some(2))), ["reset", "suggest 2"]);
    assert_eq!(taken(&open(&hub, "v", None)), ["suggest 2"]);
}

#[test]
fn what_the_ring_has_lost_is_told_by_a_reset() {
    let hub = hub(Limits { ring_max: 3, ..Limits::default() });
    for offset in 1..=5 {
        say(&hub, "v", offset, (if offset == 2 { "b" } else { "a" }, &[]));
    }
    assert_eq!(taken(&open(&hub, "v", Some(3))), ["suggest 4", "suggest 5"]);
    let too_old = open(&hub, "v", Some(1));
    assert_eq!(too_old.opening(), Opening::Reset);
    assert_eq!(taken(&too_old), ["reset", "suggest 2", "suggest 5"]);
    // A relay that knows nothing of the visitor.
    assert_eq!(taken(&open(&hub, "unknown", Some(1))), ["reset"]);
}

/// The ids of what a stream holds.
fn ids(stream: &Subscription) -> Vec<String> {
    let mut context = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    while let Poll::Ready(Taken::Frame(frame)) = stream.outbox().poll_take(&mut context) {
        all.push(frame.id.to_string());
    }
    all
}

#[test]
fn a_reset_is_of_the_visitors_own_partition_whatever_the_cursor_names() {
    let hub = hub(Limits::default());
    for (partition, opened) in [(0, 9_000), (3, 50), (5, 7_000)] {
        hub.open_partition(partition, NOW.0 + opened);
    }
    let expected = format!("reset.3.{}.0", NOW.0 + 50);
    for cursor in ["stock.5.40.0", "unknown.0.0.0", "reset.5.7.0", "clicks.3.9.0"] {
        let cursor = HintId::parse(cursor).unwrap();
        let stream = open_at(&hub, "v", (Some(cursor), 3), NOW).unwrap();
        assert_eq!(ids(&stream), [expected.as_str()]);
        say(&hub, "w", 10, ("a", &[]));
        assert!(ids(&stream).is_empty());
    }
}

#[test]
fn a_slow_stream_gets_the_newest_of_each_slot_or_a_snapshot() {
    let hub = hub(Limits { waiting_max: 2, ..Limits::default() });
    let slow = open(&hub, "v", None);
    for (offset, slot) in [(1, "a"), (2, "b"), (3, "a"), (4, "b")] {
        say(&hub, "v", offset, (slot, &[]));
    }
    assert_eq!(taken(&slow), ["suggest 3", "suggest 4"]);
    for (offset, slot) in [(5, "a"), (6, "b"), (7, "c")] {
        say(&hub, "v", offset, (slot, &[]));
    }
    assert_eq!(taken(&slow), ["reset", "suggest 5", "suggest 6", "suggest 7"]);
}

#[test]
fn a_new_epoch_begins_with_a_reset() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    hub.open_partition(3, NOW.0);
    say(&hub, "v", 1, ("a", &[]));
    say(&hub, "v", 2, ("b", &[]));
    assert_eq!(taken(&stream), ["suggest 1", "suggest 2"]);
    hub.open_partition(3, NOW.0 + 1);
    say(&hub, "v", 2, ("b", &[]));
    assert_eq!(taken(&stream), ["reset", "suggest 2"]);
    assert_eq!(taken(&open(&hub, "v", None)), ["suggest 2"]);
}

#[test]
fn the_streams_of_a_partition_that_goes_hear_it_and_can_be_attached_again() {
    let hub = hub(Limits::default());
    hub.open_partition(4, NOW.0);
    let (stream, untold) = (open(&hub, "v", None), open(&hub, "x", None));
    let other = open_at(&hub, "w", (None, 4), NOW).unwrap();
    say(&hub, "v", 1, ("a", &["A"]));
    hub.say(&subject("w"), said(&hub, 2, ("a", &[])), (4, NOW));
    hub.close_partition(3);
    assert_eq!(taken(&stream), ["suggest 1", "left"]);
    assert_eq!(taken(&other), ["suggest 2"]);
    assert_eq!(taken(&untold), ["left"]);
    assert_eq!(sold_out(&hub, "A", 9), 0);
    let again = |cursor: Option<u64>| {
        let (outbox, cursor) = (Arc::clone(&stream.outbox), cursor.map(id));
        hub.subscribe(&subject("v"), (&outbox, cursor.as_ref()), (3, NOW))
    };
    assert_eq!(again(None).unwrap_err(), Closed::Elsewhere);
    // It comes back in a new epoch: nothing can be gone on with.
    hub.open_partition(3, NOW.0 + 1);
    let attached = again(Some(1)).unwrap();
    assert_eq!(taken(&stream), ["reset"]);
    say(&hub, "v", 2, ("a", &[]));
    assert_eq!(taken(&attached), ["suggest 2"]);
}

fn place(offset: u64) -> Place {
    Place { partition: 0, offset }
}

#[test]
fn what_is_sold_out_is_taken_back_wherever_it_is_shown() {
    let hub = hub(Limits::default());
    let (v, w) = (open(&hub, "v", None), open(&hub, "w", None));
    say(&hub, "v", 1, ("a", &["A", "B"]));
    say(&hub, "v", 2, ("b", &["A"]));
    say(&hub, "w", 3, ("a", &["B"]));
    let sold_out = |sku, at| sold_out(&hub, sku, at);
    assert_eq!(taken(&v), ["suggest 1", "suggest 2"]);
    assert_eq!(sold_out("A", 40), 2);
    assert_eq!(taken(&v), ["withdraw 40", "withdraw 40"]);
    assert_eq!(taken(&w), ["suggest 3"]);
    // They hold no more: neither for the next page nor for the next sell-out.
    assert!(taken(&open(&hub, "v", None)).is_empty());
    assert_eq!(sold_out("A", 41), 0);
    assert_eq!(sold_out("B", 42), 1);
    let other = Tenant::parse("other").unwrap();
    say(&hub, "w", 4, ("a", &["B"]));
    assert_eq!(
        hub.take_back((&other, &Sku::parse("B").unwrap()), Gone::SoldOut(place(43)), (NOW, NOW)),
        0
    );
}

#[test]
fn a_withdrawal_names_the_hint_its_slot_and_the_record() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    say(&hub, "v", 1, ("a", &["A"]));
    assert_eq!(taken(&stream), ["suggest 1"]);
    sold_out(&hub, "A", 40);
    let mut context = Context::from_waker(Waker::noop());
    let mut last = None;
    while let Poll::Ready(Taken::Frame(frame)) = stream.outbox().poll_take(&mut context) {
        last = Some(frame);
    }
    let text = String::from_utf8(last.unwrap().bytes.to_vec()).unwrap();
    assert!(text.starts_with("id: stock.0.40.0\nevent: withdraw\n"), "{text}");
    assert!(
        text.contains(r#""slot":"a","content":{"hint":"clicks.3.1.0","sold_out":["A"]}"#),
        "{text}"
    );
}

#[test]
fn withdrawn_consent_takes_everything_off_the_page() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    say(&hub, "v", 1, ("a", &["A"]));
    hub.forget(&subject("v"), NOW);
    assert_eq!(taken(&stream), ["reset", "end"]);
    hub.forget(&subject("v"), NOW);
    assert!(taken(&open(&hub, "v", None)).is_empty());
}

#[test]
fn streams_are_bounded_in_all_and_for_each_visitor() {
    let hub = hub(Limits { streams_max: 3, visitor_streams_max: 2, ..Limits::default() });
    let first = open(&hub, "v", None);
    let _second = open(&hub, "v", None);
    assert_eq!(open_at(&hub, "v", (None, 3), NOW).unwrap_err(), Closed::VisitorFull);
    drop(first);
    let _again = open(&hub, "v", None);
    let seats: Vec<Seat> = (0..3).map(|_| hub.seat().unwrap()).collect();
    assert_eq!((hub.seat().unwrap_err(), hub.streams()), (Closed::Full, 3));
    drop(seats);
    assert!(hub.seat().is_ok());
}

#[test]
fn a_drain_ends_all_and_lets_nobody_in() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    say(&hub, "v", 1, ("a", &[]));
    hub.drain();
    assert_eq!(taken(&stream), ["suggest 1", "end"]);
    assert_eq!(open_at(&hub, "v", (None, 3), NOW).unwrap_err(), Closed::Draining);
    assert_eq!((hub.seat().unwrap_err(), hub.streams()), (Closed::Draining, 0));
}

#[test]
fn visitors_without_a_stream_are_bounded() {
    let hub = hub(Limits { visitors_max: 16 * 10, ..Limits::default() });
    let listener = open(&hub, "listener", None);
    say(&hub, "listener", 1, ("a", &["A"]));
    for n in 0..5_000 {
        say(&hub, &format!("v{n}"), n + 2, ("a", &["A"]));
    }
    assert!(hub.visitors() <= 16 * 13, "{}", hub.visitors());
    assert_eq!(taken(&open(&hub, "v4999", None)), ["suggest 5001"]);
    assert_eq!(taken(&listener), ["suggest 1"]);
    assert_eq!(taken(&open(&hub, "listener", None)), ["suggest 1"]);
    // Those that were only ever listening leave nothing behind.
    let before = hub.visitors();
    drop(open(&hub, "passer-by", None));
    assert_eq!(hub.visitors(), before);
}

#[test]
fn visitors_whose_hints_expired_are_forgotten() {
    let hub = hub(Limits::default());
    for n in 0..500 {
        say(&hub, &format!("v{n}"), n, ("a", &["A"]));
    }
    let later = NOW + 700_000;
    // Enough visitors that every shard gets some: each looks after its own.
    for n in 0..2_000 {
        let mut fresh = said(&hub, 1_000 + n, ("a", &[]));
        fresh.hint.expires_at = later + 600_000;
        hub.say(&subject(&format!("w{}", n % 200)), fresh, (3, later));
    }
    assert!(hub.visitors() <= 210, "{}", hub.visitors());
}

#[test]
fn who_waits_is_told_once_and_who_looks_on_when_it_runs_low() {
    let hub = hub(Limits::default());
    hub.open_partition(3, 7);
    let (waiting, looking, other) =
        (open(&hub, "w", None), open(&hub, "l", None), open(&hub, "o", None));
    let sku = |sku: &&str| Sku::parse(*sku).unwrap();
    let interest = |who, waits: &[&str], watches: &[&str]| {
        let waits = waits.iter().map(|name| Awaited { sku: sku(name), place: place(30) });
        let (waits, watches) = (waits.collect(), watches.iter().map(sku).collect());
        let interest = Interest { source: (3, 7), waits, watches, back: Vec::new() };
        hub.interest(&subject(who), interest, NOW);
    };
    interest("w", &["A", "B"], &[]);
    interest("l", &[], &["A"]);
    interest("o", &[], &["C"]);
    assert_eq!(can_be_had(&hub, "A", (40, false)), 1);
    // Under the record that it was sold out by.
    assert_eq!((taken(&waiting), taken(&looking)), (vec!["stock 30".to_owned()], vec![]));
    // It is waited for no more, and the next record says that few are left.
    assert_eq!(can_be_had(&hub, "A", (41, false)), 0);
    assert_eq!(can_be_had(&hub, "A", (42, true)), 2);
    assert_eq!((taken(&waiting).len(), taken(&looking).len(), taken(&other).len()), (1, 1, 0));
    // That as few are left as before is no news, as long as it is shown.
    assert_eq!(can_be_had_at(&hub, "A", (42, true), NOW + 59_999), 0);
    assert_eq!(can_be_had_at(&hub, "A", (42, true), NOW + 60_000), 2);
    assert_eq!((taken(&waiting).len(), taken(&looking).len()), (1, 1));
    // What was told is taken back like any other hint.
    assert_eq!(sold_out(&hub, "A", 43), 2);
    assert_eq!(taken(&looking), ["withdraw 43"]);
    // Nobody is told who looks elsewhere by now, or has forbidden it.
    interest("l", &[], &[]);
    hub.forget(&subject("w"), NOW);
    assert_eq!(can_be_had(&hub, "B", (44, true)) + can_be_had(&hub, "A", (45, true)), 0);
}

#[test]
fn who_was_told_that_it_is_back_waits_again_when_it_sells_out_and_no_notice_comes_twice() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    let waits = vec![Awaited { sku: Sku::parse("A").unwrap(), place: place(30) }];
    let interest = Interest { source: (3, NOW.0), waits, ..Interest::default() };
    hub.interest(&subject("v"), interest, NOW);
    assert_eq!((can_be_had(&hub, "A", (40, false)), sold_out(&hub, "A", 41)), (1, 1));
    assert_eq!(can_be_had(&hub, "A", (42, false)), 1);
    // A reader that is slow has a snapshot in place of what was taken back.
    assert_eq!(taken(&stream), ["reset", "stock 41"]);
    assert_eq!(can_be_had(&hub, "A", (43, false)), 0);
    assert!(taken(&stream).is_empty());
}

#[test]
fn no_stream_is_resumed_from_what_the_owner_before_may_have_said() {
    let hub = hub(Limits::default());
    let said = Said { telling: Telling::of(NOW - 1, NOW.0), ..said(&hub, 2, ("a", &["A"])) };
    hub.say(&subject("v"), said, (3, NOW));
    // The page has that hint as the owner before decided it: it may show something else.
    assert_eq!(taken(&open(&hub, "v", Some(2))), ["reset", "suggest 2"]);
    let sold_out = |offset, happened_at| {
        let (sku, gone) = (Sku::parse("A").unwrap(), Gone::SoldOut(place(offset)));
        hub.take_back((&tenant(), &sku), gone, (happened_at, NOW))
    };
    let stock = |offset| Some(HintId { source: "stock".into(), ..id(offset) });
    let from = |offset| {
        let cursor = stock(offset).map(|id| HintId { partition: 0, ..id });
        taken(&open_at(&hub, "v", (cursor, 3), NOW).unwrap())
    };
    assert_eq!(sold_out(40, NOW - 1), 1);
    assert_eq!(from(40), ["reset"]);
    say(&hub, "v", 3, ("a", &["A"]));
    assert_eq!(sold_out(41, NOW), 1);
    assert!(from(41).is_empty(), "what happened in this epoch nobody else has told");
}

#[test]
fn what_was_put_away_is_taken_back_and_the_rest_is_said_without_it() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    let content = r#"{"title":"T","items":[{"sku":"A","name":"a"},{"sku":"B","name":"b"}]}"#;
    let two = said(&hub, 1, ("a", &["A", "B"]));
    let two = Hint { content: Json::trusted(content.to_owned()), ..two.hint };
    let two = Said { hint: two, ..said(&hub, 1, ("a", &["A", "B"])) };
    hub.say(&subject("v"), two, (3, NOW));
    say(&hub, "v", 2, ("b", &["A"]));
    say(&hub, "v", 3, ("c", &["C"]));
    // What the click itself has said stays, as does what shows something else.
    say(&hub, "v", 9, ("d", &["A"]));
    assert_eq!(taken(&stream), ["suggest 1", "suggest 2", "suggest 3", "suggest 9"]);
    let skus = [Sku::parse("A").unwrap()];
    let click = HintId { n: 5, ..id(9) };
    let away = Away {
        skus: &skus,
        model: "in_basket",
        click: &click,
        cause: None,
        telling: Telling::First,
    };
    assert_eq!(hub.put_away(&subject("v"), away, NOW), 2);
    assert_eq!(taken(&stream), ["suggest 9", "withdraw 9"]);
    let held = hub.holding(&subject("v"), NOW);
    let data = held.iter().map(|frame| frame.data()).find(|data| data.contains("items")).unwrap();
    let hint = Hint::from_parts(id(9), HintKind::Suggest, data).unwrap();
    let content: serde_json::Value = serde_json::from_str(hint.content.as_str()).unwrap();
    assert_eq!(content, serde_json::json!({"title": "T", "items": [{"sku": "B", "name": "b"}]}));
    let ids: Vec<String> = held.iter().map(|frame| frame.id.to_string()).collect();
    assert_eq!(ids, ["clicks.3.3.0", "clicks.3.9.0", "basket.3.9.0"]);
    // The rest of it is taken back as a whole.
    let skus = [Sku::parse("B").unwrap()];
    let click = id(10);
    let away = Away { skus: &skus, click: &click, ..away };
    assert_eq!(hub.put_away(&subject("v"), away, NOW), 1);
    assert_eq!(taken(&stream), ["withdraw 10"]);
}

#[test]
fn a_slow_stream_never_shows_what_was_taken_back_before_it_went_out() {
    let hub = hub(Limits::default());
    let stream = open(&hub, "v", None);
    say(&hub, "v", 1, ("a", &["A"]));
    say(&hub, "v", 2, ("b", &["B"]));
    assert_eq!(sold_out(&hub, "A", 40), 1);
    assert_eq!(taken(&stream), ["reset", "suggest 2"]);
    assert_eq!(sold_out(&hub, "B", 41), 1);
    assert_eq!(taken(&stream), ["withdraw 41"]);
}

#[test]
fn a_stream_is_not_resumed_past_what_the_owner_before_may_have_said() {
    let hub = hub(Limits::default());
    say(&hub, "v", 1, ("a", &["A"]));
    let gone = Gone::SoldOut(place(40));
    // The stock record is older than the epoch: its own id is no cursor, and what came before neither.
    assert_eq!(hub.take_back((&tenant(), &Sku::parse("A").unwrap()), gone, (NOW - 1, NOW)), 1);
    assert_eq!(taken(&open(&hub, "v", Some(1))), ["reset"]);
    say(&hub, "v", 2, ("a", &["B"]));
    say(&hub, "v", 3, ("a", &["C"]));
    assert_eq!(taken(&open(&hub, "v", Some(2))), ["suggest 3"]);
}

#[test]
fn visitors_are_bounded_while_nothing_is_said() {
    let hub = hub(Limits { visitors_max: 16 * 10, ..Limits::default() });
    for n in 0..5_000 {
        let waits = vec![Awaited { sku: Sku::parse("A").unwrap(), place: place(30) }];
        let interest = Interest { source: (3, NOW.0), waits, ..Interest::default() };
        hub.interest(&subject(&format!("v{n}")), interest, NOW);
    }
    assert!(hub.visitors() <= 16 * 13, "{}", hub.visitors());
    for n in 0..5_000 {
        let subject = subject(&format!("w{n}"));
        hub.mark((&subject, (3, NOW.0)), (Marks::default(), NOW));
    }
    assert!(hub.visitors() <= 16 * 13, "{}", hub.visitors());
}
