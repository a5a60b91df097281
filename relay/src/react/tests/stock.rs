//! Who waits for a product hears once that it is back, whichever relay decides by then.

use clickmill_sdk_core::wire::Consent;

use super::*;
use crate::tables::Levels;

/// State and product of each hint about stock, with its id.
fn notices(stream: &Subscription) -> Vec<String> {
    let one = |hint: &Hint| {
        let content: serde_json::Value = serde_json::from_str(hint.content.as_str()).unwrap();
        let sku = content["product"]["sku"].as_str().unwrap_or_default();
        format!("{} {sku} {}", content["state"].as_str().unwrap_or_default(), hint.id)
    };
    let all = hints(stream);
    all.iter().filter(|hint| hint.kind == HintKind::Stock).map(one).collect()
}

/// C and D are sold out, and a visitor has looked at both.
fn waiting() -> Inner {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    for (sku, offset) in [("C", 10), ("D", 11)] {
        inner.tell_stock((sku, 0), offset);
        inner.live(("v", "product_view", sku));
    }
    inner
}

#[test]
fn what_came_back_while_nobody_decided_is_told_by_who_takes_over() {
    let mut inner = waiting();
    inner.hand_over(NOW + 1);
    // Before the stream is there, and after it.
    inner.tell_stock(("D", 3), 12);
    let stream = inner.open("v");
    inner.recall("v");
    assert_eq!(notices(&stream), ["back D back.0.11.0"]);
    inner.tell_stock(("C", 3), 13);
    assert_eq!(notices(&stream), ["back C back.0.10.0"]);
    // Nothing of it a second time: neither by a click nor by another record.
    inner.live(("v", "product_view", "A"));
    inner.recall("v");
    inner.tell_stock(("C", 4), 14);
    assert!(notices(&stream).is_empty());
}

#[test]
fn what_was_told_before_is_in_the_snapshot_of_who_takes_over_for_as_long_as_it_holds() {
    let mut inner = waiting();
    inner.tell_stock(("D", 3), 12);
    inner.tell_stock(("C", 3), 13);
    // The first event after that: from now on it is known since when it is told.
    inner.live(("v", "product_view", "A"));
    let until = NOW + 600_000;
    for later in [1, 2] {
        inner.clock.advance_ms(1_000);
        inner.hand_over(NOW + later);
        let stream = inner.open("v");
        inner.recall("v");
        let told = hints(&stream);
        let told: Vec<&Hint> = told.iter().filter(|hint| hint.kind == HintKind::Stock).collect();
        // In the order in which they came back: one place on the page shows the newest.
        let ids: Vec<String> = told.iter().map(|hint| hint.id.to_string()).collect();
        assert_eq!(ids, ["back.0.11.0", "back.0.10.0"]);
        assert!(told.iter().all(|hint| hint.expires_at == Millis(until)));
    }
    inner.clock.advance_ms(600_000);
    inner.hand_over(NOW + 3);
    let stream = inner.open("v");
    inner.recall("v");
    assert!(notices(&stream).is_empty(), "it has been told for long enough");
}

#[test]
fn a_click_that_comes_before_the_stream_tells_it_too() {
    let mut inner = waiting();
    inner.hand_over(NOW + 1);
    inner.tell_stock(("C", 3), 12);
    inner.live(("v", "product_view", "A"));
    let stream = inner.open("v");
    inner.recall("v");
    assert_eq!(notices(&stream), ["back C back.0.10.0"]);
    inner.live(("v", "product_view", "B"));
    assert!(notices(&stream).is_empty());
}

#[test]
fn an_event_that_is_folded_late_is_judged_by_the_stock_of_its_time() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    inner.tell_stock(("C", 0), 10);
    inner.clock.advance_ms(5);
    let received_at = inner.clock_ms();
    inner.clock.advance_ms(5);
    inner.tell_stock(("C", 3), 11);
    inner.hand_over(NOW + 20);
    // What was looked at before it sold out, while it was, and after it was back.
    let told = [("u", NOW - 1), ("v", received_at), ("w", received_at + 5)].map(|(visitor, at)| {
        let stream = inner.open(visitor);
        let mut record = inner.about((visitor, "product_view", "C"));
        record.arrival.received_at = Millis(at);
        let (at, seen) = inner.record(&record);
        inner.react.live(at, seen);
        notices(&stream)
    });
    assert_eq!(told, [vec![], vec!["back C back.0.10.0".to_owned()], vec![]]);
}

#[test]
fn who_has_not_moved_for_long_waits_on_and_who_forbids_it_waits_no_more() {
    let mut inner = waiting();
    inner.clock.advance_ms(3_600_000);
    inner.hand_over(NOW + 1);
    let stream = inner.open("v");
    inner.recall("v");
    assert!(hints(&stream).is_empty(), "suggestions of then hold no more");
    inner.tell_stock(("C", 3), 12);
    assert_eq!(notices(&stream), ["back C back.0.10.0"]);
    let mut forbids = inner.about(("v", "product_view", "A"));
    forbids.context.consent = Some(Consent::default());
    let (at, seen) = inner.record(&forbids);
    inner.react.live(at, seen);
    inner.tell_stock(("D", 3), 13);
    assert!(notices(&inner.open("v")).is_empty());
    // Nor once it is allowed again: what was wanted before is forgotten.
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert!(notices(&stream).is_empty());
}

#[test]
fn what_sold_out_while_nobody_decided_is_shown_no_more_and_what_runs_low_is() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    inner.live(("v", "product_view", "A"));
    inner.hand_over(NOW + 1);
    inner.tell_stock(("C", 0), 10);
    inner.tell_stock(("A", 1), 11);
    let stream = inner.open("v");
    inner.recall("v");
    let told = hints(&stream);
    let slots = ["stock", "suggested B D"];
    assert_eq!(shown(&told), slots);
    assert_eq!(told[0].id.to_string(), "stock.0.11.0");
    // The events that ask for suggestions alone are not all that there are.
    inner.hand_over(NOW + 2);
    inner.react.means.hub.mark(
        (
            &Subject::new(&Tenant::parse("shop").unwrap(), &VisitorId::parse("v").unwrap()),
            (0, NOW + 2),
        ),
        (crate::hints::feed::Marks::default(), Millis(NOW)),
    );
    let stream = inner.open("v");
    inner.recall("v");
    assert_eq!(shown(&hints(&stream)), slots);
}

#[test]
fn what_came_back_while_its_source_was_silent_is_told_once_that_is_heard_again() {
    let mut inner = Inner::new();
    inner.react.means.tables.rule.age_ms_max = Some(1_000);
    inner.react.opened(0, NOW);
    inner.tell_stock(("C", 0), 10);
    inner.live(("v", "product_view", "C"));
    let (stream, mut ages) = (inner.open("v"), inner.ages());
    let mut look = |inner: &Inner| ages.look(Millis(inner.clock_ms()));
    inner.clock.advance_ms(5_000);
    assert!(look(&inner));
    // What it said meanwhile comes late: nobody may rely on it.
    inner.tell_stock_of(("C", 3, NOW + 2_000), 11);
    assert!(notices(&stream).is_empty());
    inner.beat(12);
    assert!(!look(&inner));
    assert_eq!(notices(&stream), ["back C back.0.10.0"]);
    assert!(!look(&inner));
    assert!(notices(&stream).is_empty(), "once");
    // What is taken back since its source is silent is told again, as news of its own.
    inner.clock.advance_ms(5_000);
    assert!(look(&inner));
    let gone = hints(&stream);
    assert_eq!(gone.iter().map(|hint| hint.kind).collect::<Vec<_>>(), [HintKind::Withdraw]);
    inner.beat(13);
    assert!(!look(&inner));
    let first = notices(&stream);
    inner.clock.advance_ms(5_000);
    assert!(look(&inner));
    inner.beat(14);
    assert!(!look(&inner));
    let second: Vec<String> =
        hints(&stream).iter().map(|hint| format!("{} {}", hint.kind.as_str(), hint.id)).collect();
    let at = |ms: u64| format!("back.0.{}.0", NOW + ms);
    assert_eq!(first, [format!("back C {}", at(10_000))]);
    assert_eq!(second[1..], [format!("stock {}", at(15_000))]);
}

/// A table of stock that has these products alone.
fn stock_of(skus: &[&str]) -> Table<Levels> {
    let table = Table::detached("stock");
    for (offset, sku) in skus.iter().enumerate() {
        let (key, value) =
            (format!("shop:{sku}"), format!(r#"{{"sku":"{sku}","available":5,"at":1}}"#));
        let place = Place { partition: 0, offset: offset as u64 };
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        table.apply(&Raw { source: 0, place, key, value, timestamp_ms: 1 }).unwrap();
    }
    table
}

#[test]
fn what_a_stock_that_is_read_anew_takes_back_is_told_apart() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert_eq!(shown(&hints(&stream)), ["suggested B C", "more D"]);
    inner.watch().replaced(&stock_of(&["A", "C"]));
    let gone: BTreeSet<String> = hints(&stream).iter().map(|hint| hint.id.to_string()).collect();
    assert_eq!(gone.len(), 2, "a page drops what has an id that it knows: {gone:?}");
}

#[test]
fn a_hint_that_was_seen_just_before_another_one_took_its_place_counts() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    let first = hints(&stream).swap_remove(0).id;
    inner.live(("v", "product_view", "B"));
    let subject = Subject::new(&Tenant::parse("shop").unwrap(), &VisitorId::parse("v").unwrap());
    inner.react.means.hub.seen(&subject, &first, Millis(NOW + 5));
    let count = "clickmill_relay_click_to_exposure_seconds_count{kind=\"suggest\"} 1";
    assert!(inner.counts(count), "{}", inner.metrics.render());
}

#[test]
fn a_stock_that_is_read_anew_takes_back_what_it_does_not_have_and_tells_who_waits() {
    let mut inner = waiting();
    inner.live(("v", "product_view", "A"));
    let stream = inner.open("v");
    let shows_b = |hint: &Hint| hint.content.as_str().contains(r#""sku":"B""#);
    let said = hints(&stream);
    let with_b = said.iter().filter(|hint| shows_b(hint)).count();
    assert!(with_b > 0, "{said:?}");
    // As the new table has it: of B there is no record, and D can be had.
    inner.watch().replaced(&stock_of(&["A", "D"]));
    let told = hints(&stream);
    let gone: Vec<&Hint> = told.iter().filter(|hint| hint.kind == HintKind::Withdraw).collect();
    assert_eq!(gone.len(), with_b);
    assert!(gone.iter().all(|hint| hint.content.as_str().contains(r#""sold_out":["B"]"#)));
    let back: Vec<String> = told
        .iter()
        .filter(|hint| hint.kind == HintKind::Stock)
        .map(|hint| hint.id.to_string())
        .collect();
    assert_eq!(back, ["back.0.11.0"]);
}

#[test]
fn what_waits_for_a_slow_stream_goes_out_only_while_it_is_true() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    let subject = Subject::new(&Tenant::parse("shop").unwrap(), &VisitorId::parse("v").unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    while let Poll::Ready(Taken::Frame(frame)) = stream.outbox().poll_take(&mut context) {
        frames.push(frame);
    }
    let may = |inner: &Inner| {
        let to = (&subject, stream.outbox());
        let may = |frame: &Arc<Frame>| inner.react.may_go_out(to, frame);
        frames.iter().map(may).collect::<Vec<_>>()
    };
    assert_eq!(frames.iter().map(|frame| frame.skus.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(may(&inner), [true, true]);
    // The first shows B. Another hint has its place by then, so nothing takes it back.
    inner.live(("v", "product_view", "B"));
    inner.tell_stock(("B", 0), 20);
    // Of what the second click says B is in none, and the page is told all that holds.
    hints(&stream);
    assert_eq!(may(&inner), [false, true]);
    let anew = hints(&stream);
    assert_eq!(anew[0].kind, HintKind::Reset);
    assert!(anew.len() > 1 && !shown(&anew[1..]).iter().any(|line| line.contains('B')), "{anew:?}");
    inner.clock.advance_ms(600_000);
    assert_eq!(may(&inner), [false, false]);
    let reset = Frame::reset((0, NOW), Millis(NOW));
    assert!(inner.react.may_go_out((&subject, stream.outbox()), &reset));
    assert!(hints(&stream).is_empty(), "what has expired needs no other word");
}
