//! What survives the end of a page.

use clickmill_sdk_core::client::{ClientOptions, Input, Item, Storage};
use serde_json::Value;

use crate::page::{Page, all_granted, events, text};

#[test]
fn the_next_page_sends_what_the_last_one_could_not() {
    let mut page = Page::new();
    page.track("search");
    page.track("order");
    let first = page.batch();
    page.step(Input::PageGone);
    page.reload();
    let again = page.batch();
    let key = |e: &Value| (text(e, "id"), text(e, "queue"), e["seq"].as_u64());
    let keys = |batch: &Value| events(batch).iter().map(key).collect::<Vec<_>>();
    assert_eq!(keys(&again), keys(&first));
    page.accept();
    page.track("order");
    assert_eq!(events(&page.batch())[0]["seq"], 2, "the numbering goes on");
    assert_eq!(page.client.books().created, 3);
    assert_eq!(page.client.books().settled, 2);
}

#[test]
fn an_event_is_stored_before_it_is_sent_and_until_it_is_settled() {
    let mut page = Page::new();
    page.track("order");
    let stored = &page.storage[&Item::Event(0)];
    for part in [r#""type":"order""#, r#""page":{"url":"https://shop.example/""#] {
        assert!(stored.contains(part), "{stored}");
    }
    page.fail();
    assert!(page.storage.contains_key(&Item::Event(0)));
    page.wait(60_000);
    page.accept();
    assert!(!page.storage.contains_key(&Item::Event(0)));
}

#[test]
fn garbage_in_storage_costs_only_itself() {
    let mut page = Page::new();
    page.track("search");
    page.track("search");
    page.track("search");
    page.storage.insert(Item::Event(1), "{\"id\":".into());
    page.storage.insert(Item::Me, "null".into());
    page.storage.insert(Item::Visit, "\u{0}".into());
    page.reload();
    assert_eq!(page.kinds(), ["search", "search"]);
    page.storage.insert(Item::Queue, "[]".into());
    page.reload();
    assert_eq!(page.client.queued(), 0);
}

#[test]
fn what_waits_is_copied_when_the_page_goes() {
    let mut page = Page::new();
    page.track("page_view");
    page.track("search");
    page.track("order");
    page.step(Input::PageGone);
    let copy: Value = serde_json::from_str(&page.copies[0]).unwrap();
    assert_eq!(
        events(&copy).iter().map(|e| text(e, "type")).collect::<Vec<_>>(),
        ["search", "order"]
    );
    assert!(copy.get("proof").is_none());
    assert_eq!(page.client.queued(), 3, "a copy settles nothing");
    assert!(page.wake_at.is_some());
    page.reload();
    assert_eq!(page.kinds(), ["page_view", "search", "order"]);
}

#[test]
fn what_waits_out_of_sight_is_copied_for_the_case_that_the_page_is_killed() {
    let mut page = Page::new();
    page.track("search");
    page.step(Input::Hidden);
    assert!(page.unseen.is_empty(), "it is on its way in a request that outlives the page");
    page.track("order");
    page.fail();
    page.step(Input::Hidden);
    let copy: Value = serde_json::from_str(&page.unseen[0]).unwrap();
    let kinds: Vec<_> = events(&copy).iter().map(|event| text(event, "type")).collect();
    assert_eq!(kinds, ["search", "order"]);
    assert_eq!((page.copies.len(), page.client.queued()), (0, 2), "a copy settles nothing");
}

#[test]
fn where_storage_is_denied_everything_is_copied() {
    let mut page = Page::with(ClientOptions { storage: Storage::Denied, ..all_granted() });
    page.track("page_view");
    page.track("search");
    page.step(Input::PageGone);
    let copy: Value = serde_json::from_str(&page.copies[0]).unwrap();
    assert_eq!(text(&events(&copy)[0], "type"), "search");
}

#[test]
fn a_page_that_comes_back_goes_on() {
    let mut page = Page::new();
    page.track("page_view");
    page.step(Input::PageGone);
    page.sent = None;
    page.track("order");
    assert!(page.sent.is_none());
    page.step(Input::PageBack);
    page.wait(32_000);
    assert_eq!(page.kinds(), ["page_view", "order"]);
}
