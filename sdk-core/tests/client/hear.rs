//! The hint stream: when it is open, and which hints the page gets.

use clickmill_sdk_core::client::{Input, Novelty};
use clickmill_sdk_core::wire::{Consent, HintKind, Purpose};

use crate::page::{Page, START, consent, events, text};

fn data(epoch: u64, expires_at: u64) -> String {
    format!(
        r#"{{"epoch":{epoch},"slot":"product-below","content":{{}},"expires_at":{expires_at}}}"#
    )
}

/// A page whose stream is open.
fn listening() -> Page {
    let mut page = Page::new();
    page.track("page_view");
    page.accept_with_token("v", 3_600_000);
    page.step(Input::StreamOpened);
    page
}

fn ids(page: &Page) -> Vec<&str> {
    page.hints.iter().map(|hint| hint.id.as_str()).collect()
}

#[test]
fn a_hint_reaches_the_page_with_its_latency() {
    let mut page = Page::new();
    page.track("page_view");
    let id = text(&events(&page.batch())[0], "id");
    page.accept_with_token("v", 3_600_000);
    page.now += 180;
    let data = format!(
        r#"{{"epoch":1,"slot":"product-below","content":{{"a":1}},"expires_at":{},
            "cause":{{"event":"{id}","received_at":{START}}}}}"#,
        START + 60_000
    );
    page.stream_event("clicks.0.1.0", "suggest", &data);
    let hint = &page.hints[0];
    assert_eq!((hint.kind, hint.novelty), (HintKind::Suggest, Novelty::New));
    assert_eq!((hint.latency_ms, &hint.data), (Some(180), &data));

    // Across a navigation the time is still known, and the hint is known too.
    page.reload();
    page.now += 20;
    page.stream_event("clicks.0.1.0", "suggest", &data);
    let hint = &page.hints[1];
    assert_eq!((hint.latency_ms, hint.novelty), (Some(200), Novelty::Replayed));
}

#[test]
fn stale_repeated_and_unknown_hints_are_dropped() {
    let mut page = listening();
    let later = START + 60_000;
    page.stream_event("clicks.0.5.0", "suggest", &data(4, later));
    page.stream_event("clicks.0.5.0", "suggest", &data(4, later));
    page.stream_event("clicks.0.6.0", "suggest", &data(3, later));
    page.stream_event("clicks.0.8.0", "dance", &data(4, later));
    page.stream_event("clicks.0.9.0", "suggest", "{");
    page.stream_event("clicks.0.10.0", "withdraw", &data(4, START));
    assert_eq!(ids(&page), ["clicks.0.5.0", "clicks.0.10.0"]);
}

#[test]
fn a_reset_begins_anew() {
    let mut page = listening();
    let later = START + 60_000;
    page.stream_event("clicks.0.5.0", "suggest", &data(4, later));
    page.stream_event("clicks.0.6.0", "reset", &data(5, START));
    page.stream_event("clicks.0.5.0", "suggest", &data(5, later));
    page.stream_event("clicks.0.7.0", "suggest", &data(4, later));
    assert_eq!(ids(&page), ["clicks.0.5.0", "clicks.0.6.0", "clicks.0.5.0"]);
}

#[test]
fn a_broken_stream_is_opened_again_behind_its_last_event() {
    let mut page = listening();
    page.stream_event("clicks.0.5.0", "suggest", &data(4, START + 60_000));
    page.stream = None;
    page.step(Input::StreamFailed);
    page.wait(999);
    assert!(page.stream.is_none());
    page.wait(61_000);
    assert_eq!(page.stream.as_ref().unwrap().1.as_deref(), Some("clicks.0.5.0"));
    assert!(page.batch()["proof"].is_string(), "the token may be to blame");
}

#[test]
fn a_new_page_asks_for_the_snapshot() {
    let mut page = listening();
    page.stream_event("clicks.0.5.0", "suggest", &data(4, START + 60_000));
    page.reload();
    assert_eq!(page.stream.as_ref().unwrap().1, None);
}

#[test]
fn the_stream_ends_with_the_page_and_comes_back_with_it() {
    let mut page = listening();
    page.step(Input::PageGone);
    assert!(page.stream.is_none());
    page.step(Input::PageBack);
    assert!(page.stream.is_some());
}

#[test]
fn the_stream_follows_consent() {
    let mut page = listening();
    page.step(Input::ConsentSet(consent(&[Purpose::Analytics])));
    assert!(page.stream.is_none());
    page.step(Input::ConsentSet(Consent::full()));
    assert!(page.stream.is_some());
}

#[test]
fn a_clock_that_is_wrong_loses_no_hint() {
    let mut page = listening();
    page.now += 10 * 365 * 24 * 3_600_000;
    page.stream_event("clicks.0.5.0", "suggest", &data(4, START + 60_000));
    assert_eq!(ids(&page), ["clicks.0.5.0"]);
}
