//! Visitor, session, page view, token.

use clickmill_sdk_core::client::{ClientOptions, Facts, Input, Track};
use clickmill_sdk_core::wire::{EventId, EventType, Json, Millis, Proof, Purpose};

use crate::page::{Page, START, consent, events, text};

/// The context of the only event in the batch that waits, and the batch accepted.
fn context_of(page: &mut Page) -> serde_json::Value {
    let batch = page.batch();
    assert_eq!(events(&batch).len(), 1);
    page.accept();
    batch["context"].clone()
}

/// Consent that leads to a visitor and a session, but to no stream, so that no token is fetched.
fn counted_only() -> ClientOptions {
    ClientOptions { consent: Some(consent(&[Purpose::Analytics])), ..ClientOptions::default() }
}

#[test]
fn the_visitor_is_the_hash_of_a_proof_and_stays_across_pages() {
    let mut page = Page::new();
    page.track("page_view");
    let proof = Proof::parse(text(&page.batch(), "proof")).unwrap();
    let first = context_of(&mut page);
    assert_eq!(text(&first, "visitor"), proof.visitor().as_str());
    page.reload();
    page.track("page_view");
    let second = context_of(&mut page);
    assert_eq!(first["visitor"], second["visitor"]);
    assert_eq!(first["session"], second["session"]);
    assert_ne!(first["page_view"], second["page_view"]);
}

#[test]
fn a_page_view_has_the_id_of_its_event() {
    let mut page = Page::new();
    page.track("page_view");
    let id = text(&events(&page.batch())[0], "id");
    assert_eq!(text(&context_of(&mut page), "page_view"), id);
    page.track("order");
    assert_eq!(text(&context_of(&mut page), "page_view"), id);
}

#[test]
fn a_session_ends_by_rest_and_by_campaign() {
    let mut page = Page::with(counted_only());
    let mut session = |minutes: u64, campaign: &str| {
        page.now += minutes * 60_000;
        page.step(Input::Page(Facts::read(&format!("{{{campaign}}}"))));
        page.track("order");
        text(&context_of(&mut page), "session")
    };
    let first = session(0, "");
    assert_eq!(session(30, ""), first);
    let second = session(31, "");
    assert_ne!(second, first);
    let spring = r#""campaign":{"source":"newsletter","name":"spring"}"#;
    let third = session(1, spring);
    assert_ne!(third, second);
    assert_eq!(session(1, spring), third);
    assert_eq!(session(1, ""), third);
}

#[test]
fn a_session_outlives_its_pages() {
    let mut page = Page::with(counted_only());
    let spring = Facts::read(r#"{"campaign":{"source":"newsletter"}}"#);
    page.step(Input::Page(spring.clone()));
    page.track("order");
    let first = context_of(&mut page);
    page.now += 10 * 60_000;
    page.reload();
    page.step(Input::Page(spring));
    page.track("order");
    assert_eq!(context_of(&mut page)["session"], first["session"]);
    page.now += 31 * 60_000;
    page.reload();
    page.track("order");
    assert_ne!(context_of(&mut page)["session"], first["session"]);
}

#[test]
fn the_collectors_id_is_taken_for_new_events_only() {
    let mut page = Page::new();
    page.track("page_view");
    page.track("search");
    page.accept_with_token("restored", 600_000);
    page.track("order");
    let batch = page.batch();
    assert!(batch["context"].get("visitor").is_none(), "the two events differ in it");
    assert_ne!(events(&batch)[0]["context"]["visitor"], "restored");
    assert_eq!(events(&batch)[1]["context"]["visitor"], "restored");
    page.accept();
    page.reload();
    page.track("order");
    assert_eq!(page.batch()["context"]["visitor"], "restored");
}

#[test]
fn the_proof_travels_only_when_a_token_is_wanted() {
    let mut page = Page::new();
    page.track("page_view");
    assert!(page.batch()["proof"].is_string());
    page.accept_with_token("v", 600_000);
    page.track("order");
    assert!(page.batch().get("proof").is_none());
    page.accept();
    page.reload();
    assert!(page.stream.is_some(), "a token that still holds opens the stream at once");
    page.track("order");
    assert!(page.batch().get("proof").is_none());
}

#[test]
fn a_token_is_fetched_by_an_empty_batch_where_nothing_else_goes() {
    let mut page = Page::new();
    page.step(Input::Flush);
    page.wait(199);
    assert!(page.sent.is_none());
    page.wait(1);
    assert!(events(&page.batch()).is_empty());
    assert!(page.batch()["proof"].is_string());
    page.accept_with_token("v", 600_000);
    assert!(page.stream.is_some());
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let mut page = Page::new();
    page.track("page_view");
    page.accept_with_token("v", 600_000);
    page.wait(539_999);
    assert!(page.sent.is_none());
    page.wait(1);
    assert!(events(&page.batch()).is_empty() && page.batch()["proof"].is_string());
    let opened = page.stream.clone();
    page.accept_with_token("v", 600_000);
    assert_eq!(page.stream, opened, "the open stream stays");
}

#[test]
fn a_clock_ahead_of_all_tokens_asks_in_a_steady_rhythm() {
    let mut page = Page::new();
    page.track("page_view");
    for _ in 0..3 {
        let visitor = r#"{"visitor":"v","token":"t","expires_at":1000}"#;
        page.reply(200, &format!(r#"{{"accepted":1,"identity":{visitor}}}"#));
        assert!(page.sent.is_none());
        page.wait(9_999);
        assert!(page.sent.is_none());
        page.wait(1);
        assert!(page.sent.is_some());
    }
}

#[test]
fn no_answer_to_the_wish_for_a_token_is_no_reason_to_hurry() {
    let mut page = Page::new();
    page.track("page_view");
    page.accept();
    page.track("order");
    assert!(page.batch().get("proof").is_none());
    page.accept();
    page.wait(10_000);
    assert!(page.batch()["proof"].is_string());
}

#[test]
fn an_older_id_that_nobody_vouches_for_any_more_is_given_up() {
    let mut page = Page::new();
    page.track("page_view");
    let own = text(&page.batch()["context"], "visitor");
    page.accept_with_token("older", 600_000);
    assert!(page.stream.is_some());
    page.wait(540_000);
    assert!(page.batch()["proof"].is_string());
    page.accept();
    assert!(page.stream.is_none(), "it was the older visitor's");
    page.track("order");
    assert_eq!(text(&context_of(&mut page), "visitor"), own);
    page.reload();
    page.track("order");
    assert_eq!(text(&page.batch()["context"], "visitor"), own);
    page.accept_with_token(&own, 600_000);
    assert!(page.stream.is_some());
}

#[test]
fn refused_tokens_are_asked_for_ever_more_rarely() {
    let mut page = Page::new();
    page.track("page_view");
    page.accept();
    let mut waits = Vec::new();
    for _ in 0..9 {
        let refused_at = page.now;
        page.wait_for_batch();
        assert!(events(&page.batch()).is_empty() && page.batch()["proof"].is_string());
        waits.push((page.now - refused_at) / 1000);
        page.accept();
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    page.wait_for_batch();
    page.accept_with_token("v", 600_000);
    assert!(page.stream.is_some());
}

#[test]
fn after_a_log_out_the_browser_is_another_visitors() {
    let mut page = Page::new();
    page.track("page_view");
    let first = page.batch();
    let old = text(&first["context"], "visitor");
    page.accept_with_token(&old, 600_000);
    assert!(page.stream.is_some());
    page.track("order");
    page.step(Input::Renewed);
    assert!(page.stream.is_none(), "the old one's hints are not for the new one");

    // The order goes out as the old one's. The answer to it names them, since the cookie does.
    assert_eq!(text(&page.batch()["context"], "visitor"), old);
    page.accept_with_token(&old, 600_000);
    assert!(page.stream.is_none());
    page.track("order");
    let next = page.batch();
    let new = text(&next["context"], "visitor");
    assert_ne!(new, old);
    assert_ne!(next["context"]["session"], first["context"]["session"]);
    assert_eq!(Proof::parse(text(&next, "proof")).unwrap().visitor().as_str(), new);
    assert_eq!(next["renewed"], true);

    // It is said until the collector knows it, and no longer.
    page.accept_with_token(&old, 600_000);
    page.reload();
    page.track("order");
    assert_eq!(text(&page.batch()["context"], "visitor"), new);
    assert_eq!(page.batch()["renewed"], true);
    page.accept_with_token(&new, 600_000);
    assert!(page.stream.is_some());
    page.reload();
    page.track("order");
    assert_eq!(text(&page.batch()["context"], "visitor"), new);
    assert!(page.batch().get("renewed").is_none());
}

#[test]
fn an_empty_batch_says_what_is_granted() {
    let mut page = Page::new();
    page.wait_for_batch();
    assert!(events(&page.batch()).is_empty());
    assert_eq!(page.batch()["context"]["consent"]["granted"].as_array().unwrap().len(), 4);
    assert!(page.batch()["context"].get("visitor").is_none());
}

#[test]
fn an_event_captured_earlier_keeps_id_and_time() {
    let mut page = Page::new();
    let id = EventId::mint(Millis(START - 800), &[3; 10]);
    page.step(Input::Track(Track {
        kind: EventType::parse("order").unwrap(),
        props: Json::empty(),
        id: Some(id),
        at: Some(Millis(START - 800)),
    }));
    let batch = page.batch();
    assert_eq!(text(&events(&batch)[0], "id"), id.to_string());
    assert_eq!(events(&batch)[0]["at"], START - 800);
}
