//! When batches go, and what answers do to their events.

use clickmill_sdk_core::client::{
    ClientOptions, Input, QueueBounds, Reply, RequestId, Settled, Transport,
};
use clickmill_sdk_core::wire::{Flush, Outcome, Reason};

use crate::page::{Page, all_granted, events, facts, text};

/// What became of an event, in a word.
fn outcome(settled: &Settled) -> &'static str {
    settled.outcome.as_ref().map_or("unknown", Outcome::as_str)
}

#[test]
fn an_urgent_event_goes_at_once_and_takes_what_waits_along() {
    let mut page = Page::new();
    page.track("search");
    assert!(page.sent.is_none());
    page.track("product_click");
    assert_eq!(page.kinds(), ["search", "product_click"]);
}

#[test]
fn other_events_go_by_age() {
    let mut page = Page::new();
    page.track("page_view");
    page.accept();
    page.track("search");
    page.wait(2999);
    assert!(page.sent.is_none());
    page.wait(1);
    assert_eq!(page.kinds(), ["search"]);
}

#[test]
fn other_events_go_by_count_and_by_bytes() {
    let mut page = Page::new();
    page.configure(|site| site.flush = Flush { events: 3, bytes: 1000, age_ms: 60_000 });
    page.track("search");
    page.track("search");
    assert!(page.sent.is_none());
    page.track("search");
    assert_eq!(page.kinds().len(), 3);
    page.accept();
    page.track_props("search", &format!(r#"{{"term":"{}"}}"#, "x".repeat(1000)));
    assert_eq!(page.kinds().len(), 1);
}

#[test]
fn a_flush_sends_what_waits_and_hiding_too() {
    for input in [Input::Flush, Input::Hidden] {
        let mut page = Page::new();
        page.track("search");
        page.step(input);
        assert_eq!(page.kinds(), ["search"]);
    }
}

#[test]
fn one_batch_at_a_time_and_the_next_follows_its_answer() {
    let mut page = Page::new();
    page.track("page_view");
    page.track("product_click");
    page.track("search");
    assert_eq!(page.kinds(), ["page_view"]);
    page.accept();
    assert_eq!(page.kinds(), ["product_click", "search"]);
    page.accept();
    assert!(page.sent.is_none());
    assert_eq!(page.client.books().settled, 3);
}

#[test]
fn what_events_share_is_said_once() {
    let mut page = Page::new();
    page.track("search");
    page.step(Input::Page(facts("https://shop.example/p/KET-1")));
    page.track("page_view");
    let batch = page.batch();
    assert_eq!(batch["context"]["locale"], "en-GB");
    assert!(batch["context"].get("page").is_none());
    assert_eq!(events(&batch)[0]["context"]["page"]["url"], "https://shop.example/");
    assert_eq!(events(&batch)[1]["context"]["page"]["url"], "https://shop.example/p/KET-1");
    assert!(batch["context"]["visitor"].is_string());
    assert_eq!(batch["context"]["sdk"]["books"]["created"], 2);
}

#[test]
fn a_receipt_settles_each_event_by_its_place() {
    let mut page = Page::new();
    for kind in ["search", "click", "basket_view", "product_click"] {
        page.track(kind);
    }
    let ids: Vec<String> = events(&page.batch()).iter().map(|e| text(e, "id")).collect();
    page.now += 40;
    page.reply(
        200,
        r#"{"accepted":1,"verdicts":[
            {"index":0,"outcome":"rejected","reason":"schema_violation","pointer":"/props/term"},
            {"index":1,"outcome":"duplicate"},
            {"index":3,"outcome":"retry","after_ms":1500}]}"#,
    );
    let outcomes: Vec<&str> = page.verdicts.iter().map(outcome).collect();
    assert_eq!(outcomes, ["rejected", "duplicate", "accepted", "retry"]);
    assert!(page.verdicts.iter().all(|verdict| verdict.latency_ms == 40));
    assert_eq!((page.client.queued(), page.client.books().settled), (1, 3));

    page.wait(1499);
    assert!(page.sent.is_none());
    page.wait(1);
    let again = page.batch();
    assert_eq!(text(&events(&again)[0], "id"), ids[3]);
    assert_eq!(again["attempt"], 1);
}

#[test]
fn events_to_be_retried_keep_their_place_before_later_ones() {
    let mut page = Page::new();
    page.track("search");
    page.track("product_click");
    page.reply(
        200,
        r#"{"accepted":0,"verdicts":[{"index":0,"outcome":"retry","after_ms":50},
            {"index":1,"outcome":"retry","after_ms":50}]}"#,
    );
    page.track("order");
    assert!(page.sent.is_none(), "an urgent event does not overtake");
    page.wait(5000);
    assert_eq!(page.kinds(), ["search", "product_click", "order"]);
}

#[test]
fn the_wait_that_a_refusal_names_is_kept() {
    let refusal = r#"{"error":"rate_limited","detail":"slow down","retry_after_ms":7000}"#;
    for (status, body, header) in
        [(429, refusal, None), (503, refusal, Some("2")), (503, "busy", Some("7"))]
    {
        let mut page = Page::new();
        page.track("order");
        page.reply_after(status, body, header);
        page.wait(6999);
        assert!(page.sent.is_none(), "{status} {body}");
        page.wait(1001);
        assert_eq!(page.kinds(), ["order"], "{status} {body}");
    }
}

#[test]
fn failures_are_tried_again_in_both_ways_of_sending() {
    let mut page = Page::new();
    page.track("order");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(page.sent.as_ref().unwrap().transport);
        page.fail();
        page.wait_for_batch();
    }
    let expected = [Transport::Keepalive, Transport::Plain, Transport::Keepalive, Transport::Plain];
    assert_eq!(seen, expected);
    assert_eq!(page.batch()["attempt"], 4);
}

#[test]
fn no_answer_and_garbage_count_as_failures() {
    let mut page = Page::new();
    page.track("order");
    let late = page.request();
    page.sent = None;
    page.wait(31_100);
    assert_eq!(page.kinds(), ["order"], "sent again after the answer stayed out");
    page.step(Input::Reply(Reply {
        request: late,
        status: 200,
        retry_after: None,
        body: r#"{"accepted":1}"#.into(),
    }));
    assert_eq!(page.client.queued(), 1, "a late answer is none");
    page.reply(200, "<html>a captive portal</html>");
    assert_eq!(page.client.queued(), 1);
    page.wait(4000);
    page.accept();
    assert_eq!(page.client.queued(), 0);
    page.step(Input::RequestFailed(RequestId(99)));
}

#[test]
fn an_event_that_spoils_its_batch_is_found_by_halving() {
    let mut page = Page::new();
    page.configure(|site| site.flush.events = 9);
    for n in 0..9 {
        page.track_props("search", &format!(r#"{{"n":{n}}}"#));
    }
    let mut posts = 0;
    while let Some(send) = page.sent.clone() {
        posts += 1;
        if send.body.contains(r#""n":5}"#) {
            page.reply(400, r#"{"error":"malformed","detail":"no batch"}"#);
        } else {
            page.accept();
        }
        if page.sent.is_none() && page.client.queued() > 0 {
            page.wait(60_000);
        }
    }
    assert_eq!(page.client.books().settled, 9);
    let bad: Vec<_> = page.verdicts.iter().filter(|v| outcome(v) == "rejected").collect();
    assert_eq!(bad.len(), 1);
    assert!(matches!(&bad[0].outcome, Some(Outcome::Rejected(r)) if r.reason == Reason::Malformed));
    assert!(posts <= 12, "{posts} posts");
}

#[test]
fn a_400_that_does_not_blame_the_batch_costs_no_event() {
    let broken = r#"{"error":"body_broken","detail":"it broke off","retry_after_ms":7000}"#;
    for (body, header, asked_ms) in [
        (broken, None, 7000),
        ("<html>400 Bad Request</html>", None, 0),
        ("", Some("7"), 7000),
        (r#"{"error":"something_new","detail":"?"}"#, None, 0),
    ] {
        let mut page = Page::new();
        page.configure(|site| site.flush.events = 2);
        page.track("search");
        page.track("order");
        for _ in 0..4 {
            page.reply_after(400, body, header);
            assert_eq!(page.states.last().unwrap().delivery, "backing_off", "{body}");
            let refused_at = page.now;
            page.wait_for_batch();
            assert!(page.now - refused_at >= asked_ms, "{body}");
            assert_eq!(page.kinds(), ["search", "order"], "{body}");
        }
        page.accept();
        assert_eq!(page.client.books().settled, 2);
        assert!(page.verdicts.iter().all(|v| v.outcome == Some(Outcome::Accepted)), "{body}");
    }
}

#[test]
fn a_plain_413_is_narrowed_down() {
    let mut page = Page::new();
    page.configure(|site| site.flush.events = 2);
    page.track("search");
    page.track("search");
    page.reply(413, "<html>413 Request Entity Too Large</html>");
    assert_eq!(page.kinds(), ["search"]);
    page.reply(413, "<html>413 Request Entity Too Large</html>");
    assert_eq!(page.client.books().dropped_large, 1);
}

#[test]
fn a_network_that_is_back_ends_the_wait_for_it() {
    let mut page = Page::new();
    page.track("order");
    for _ in 0..8 {
        page.fail();
        assert_eq!(page.states.last().unwrap().delivery, "backing_off");
        page.step(Input::Online);
        assert_eq!(page.kinds(), ["order"], "at once");
    }
    page.step(Input::Online);
    assert_eq!(page.bodies.len(), 9, "what is on its way is not sent twice");
    page.accept();
    page.track("search");
    page.step(Input::Online);
    assert!(page.sent.is_none(), "it waits for company");
}

#[test]
fn what_is_too_large_is_dropped_and_counted() {
    let mut page = Page::new();
    page.track_props("order", &format!(r#"{{"x":"{}"}}"#, "y".repeat(20_000)));
    assert_eq!(page.client.books().dropped_large, 1);
    assert!(page.sent.is_none());
    page.track("order");
    page.reply(413, r#"{"error":"body_too_large","detail":"too large"}"#);
    assert_eq!(page.client.books().dropped_large, 2);
    assert_eq!(page.verdicts.len(), 2);

    // The collector's limits shrink below what waits already.
    page.track("search");
    page.track("order");
    page.configure(|site| site.limits.batch_bytes_max = 400);
    page.fail();
    page.wait(60_000);
    assert_eq!(page.client.books().dropped_large, 4);
    assert_eq!(page.client.queued(), 0);
}

#[test]
fn a_page_that_is_not_wanted_stops_until_the_settings_change() {
    for status in [401, 403] {
        let mut page = Page::new();
        page.track("order");
        page.reply(status, r#"{"error":"origin_not_allowed","detail":"not from here"}"#);
        page.track("order");
        page.wait(3_600_000);
        assert!(page.sent.is_none());
        assert_eq!(page.states.last().unwrap().delivery, "stopped");
        page.configure(|_| {});
        assert_eq!(page.kinds(), ["order", "order"]);
    }
}

#[test]
fn limits_and_sampling_of_a_receipt_are_obeyed() {
    let mut page = Page::new();
    page.track("page_view");
    page.reply(
        200,
        r#"{"accepted":1,"sample":0.0,
            "limits":{"batch_bytes_max":32768,"batch_events_max":2,"event_bytes_max":8192}}"#,
    );
    page.track("search");
    assert_eq!(page.client.books().created, 1, "this visitor is outside the sample");
    for _ in 0..3 {
        page.track("order");
    }
    page.accept();
    assert_eq!(page.kinds(), ["order", "order"]);
}

#[test]
fn the_queue_is_bounded_and_gives_up_the_plain_events_first() {
    let queue = QueueBounds { events_max: 3, bytes_max: 100_000, age_ms_max: 100_000 };
    let mut page = Page::with(ClientOptions { queue, ..all_granted() });
    page.track("page_view");
    for kind in ["search", "order", "search", "order"] {
        page.track(kind);
    }
    // page_view is in flight and stays; the two searches went.
    assert_eq!(page.client.books().dropped_full, 2);
    page.accept();
    assert_eq!(page.kinds(), ["order", "order"]);
    page.fail();
    page.now += 200_000;
    page.step(Input::Flush);
    assert_eq!(page.client.books().dropped_old, 2);
}

#[test]
fn a_clock_that_jumps_forward_makes_no_event_old() {
    const HOUR: u64 = 3_600_000;
    let mut page = Page::new();
    page.track("order");
    page.fail();
    page.track("search");
    page.now += 30 * HOUR;
    page.track("order");
    page.step(Input::Flush);
    assert_eq!(page.client.books().dropped_old, 0);
    assert_eq!(page.kinds(), ["order", "search", "order"]);
    // It is set right again, and by now they have waited for a day indeed.
    page.fail();
    page.now -= 30 * HOUR;
    page.step(Input::Flush);
    for hour in 0..24 {
        assert_eq!((hour, page.client.queued()), (hour, 3));
        page.now += HOUR;
        page.step(Input::Flush);
        page.fail();
    }
    page.now += 1;
    page.step(Input::Flush);
    assert_eq!((page.client.books().dropped_old, page.client.queued()), (3, 0));

    // Of an earlier page's events nobody knows more than the clock says.
    let mut page = Page::new();
    page.track("order");
    page.now += 30 * HOUR;
    page.reload();
    assert_eq!((page.client.books().dropped_old, page.client.queued()), (1, 0));
}

#[test]
fn what_is_worth_least_is_given_up_first() {
    let queue = QueueBounds { events_max: 3, bytes_max: 100_000, age_ms_max: 100_000 };
    let mut page = Page::with(ClientOptions { queue, ..all_granted() });
    page.track("page_view");
    for kind in ["search", "element_view", "order", "engagement", "click"] {
        page.track(kind);
    }
    assert_eq!(page.client.books().dropped_full, 3);
    page.accept();
    page.step(Input::Flush);
    assert_eq!(page.kinds(), ["order", "click"]);
}

#[test]
fn a_clock_that_jumps_back_does_not_stretch_a_wait() {
    let mut page = Page::new();
    page.track("order");
    page.fail();
    page.set_back(3_600_000);
    page.step(Input::Flush);
    page.now += 1000;
    page.step(Input::Tick);
    assert_eq!(page.kinds(), ["order"]);
}

/// What the client writes is what servers read.
#[cfg(feature = "serde")]
#[test]
fn a_batch_is_the_wires_batch() {
    use clickmill_sdk_core::wire::{Batch, ToJson};
    let mut page = Page::new();
    page.track_props("search", r#"{"term":"kettle"}"#);
    page.step(Input::Page(facts("https://shop.example/p/KET-1")));
    page.track("product_click");
    let body = page.sent.as_ref().unwrap().body.clone();
    let read: Batch = serde_json::from_str(&body).unwrap();
    assert_eq!(read.events.len(), 2);
    let written: serde_json::Value = serde_json::from_str(&read.to_json()).unwrap();
    assert_eq!(written, page.batch(), "nothing was passed over");
}
