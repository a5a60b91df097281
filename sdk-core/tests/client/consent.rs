//! Nothing is known, kept or opened that was not allowed.

use clickmill_sdk_core::client::{ClientOptions, Input, Item, Remembered};
use clickmill_sdk_core::wire::{Consent, Purpose};

use crate::page::{Page, all_granted, consent, events};

fn undecided() -> ClientOptions {
    ClientOptions { consent: None, ..ClientOptions::default() }
}

#[test]
fn without_analytics_there_is_no_visitor_and_nothing_is_stored() {
    for granted in [vec![], vec![Purpose::Personalization]] {
        let mut page = Page::with(ClientOptions {
            consent: Some(consent(&granted)),
            ..ClientOptions::default()
        });
        page.track("page_view");
        let batch = page.batch();
        assert!(batch.get("proof").is_none());
        for absent in ["visitor", "session"] {
            assert!(batch["context"].get(absent).is_none(), "{absent}");
        }
        assert!(batch["context"]["consent"].is_object());
        page.accept_with_token("v", 600_000);
        page.wait(3_600_000);
        assert!(page.stream.is_none() && page.sent.is_none());
        assert!(page.storage.is_empty(), "{:?}", page.storage);
    }
}

#[test]
fn analytics_alone_opens_no_stream() {
    let mut page = Page::with(ClientOptions {
        consent: Some(consent(&[Purpose::Analytics])),
        ..ClientOptions::default()
    });
    page.track("page_view");
    assert!(page.batch()["context"]["visitor"].is_string());
    assert!(page.batch().get("proof").is_none());
    page.accept();
    page.wait(3_600_000);
    assert!(page.stream.is_none() && page.sent.is_none());
}

#[test]
fn while_nobody_has_said_the_sites_settings_decide() {
    let mut page = Page::with(undecided());
    page.track("page_view");
    assert!(page.batch()["context"].get("visitor").is_none());
    assert!(page.batch()["context"].get("consent").is_none());
    assert!(page.storage.is_empty());
    page.track("search");
    page.configure(|site| site.consent = Consent::full());
    page.accept();
    page.track("order");
    let batch = page.batch();
    assert!(events(&batch)[0].get("context").is_none_or(|c| c.get("visitor").is_none()));
    assert!(events(&batch)[1]["context"]["visitor"].is_string());
    assert!(page.storage.keys().any(|item| matches!(item, Item::Event(_))));
}

#[test]
fn what_an_earlier_page_left_waits_for_consent_and_then_goes() {
    let mut page = Page::new();
    page.track("search");
    page.track("order");
    page.reload_with(undecided());
    page.track("page_view");
    assert_eq!(page.kinds(), ["page_view"]);
    page.step(Input::ConsentSet(Consent::full()));
    page.accept();
    assert_eq!(page.kinds(), ["search", "order"]);
    page.accept();
    assert_eq!(page.client.books().settled, 3);
    assert!(!page.storage.keys().any(|item| matches!(item, Item::Event(_))));
}

#[test]
fn what_another_page_changed_before_consent_is_what_counts() {
    let mut earlier = Page::new();
    earlier.track("search");
    earlier.track("order");
    let (left, id) = (earlier.remembered(), events(&earlier.batch())[0]["id"].clone());
    let mut page = Page::with(undecided());
    page.step(Input::Reminded(left));
    page.step(Input::ConsentSet(Consent::full()));
    assert_eq!(events(&page.batch())[0]["id"], id);
    // Once it is taken up, nothing else is.
    page.step(Input::Reminded(Remembered::default()));
    page.accept();
    assert_eq!(page.client.books().settled, 2);
}

#[test]
fn a_refusal_has_everything_forgotten() {
    let mut page = Page::new();
    page.track("search");
    page.track("order");
    page.reload_with(ClientOptions { consent: Some(consent(&[])), ..all_granted() });
    assert!(page.storage.is_empty(), "{:?}", page.storage);
    page.wait(60_000);
    assert!(page.sent.is_none());
}

#[test]
fn a_withdrawal_closes_the_stream_and_drops_what_names_the_visitor() {
    let mut page = Page::new();
    page.track("page_view");
    page.accept_with_token("v", 600_000);
    page.track("order");
    page.track("search");
    page.step(Input::ConsentSet(consent(&[])));
    assert!(page.stream.is_none() && page.storage.is_empty());
    assert_eq!(page.client.books().dropped_consent, 1, "the other one is in flight");
    page.fail();
    assert_eq!(page.client.books().dropped_consent, 2);
    page.track("order");
    page.wait_for_batch();
    assert!(page.batch()["context"].get("visitor").is_none());
    page.accept();
    page.step(Input::ConsentSet(Consent::full()));
    page.track("order");
    assert_ne!(page.batch()["context"]["visitor"], "v", "a new person");
}
