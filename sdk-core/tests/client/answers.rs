//! What answers mean to the client, by the golden table that the page's readers are held to as well.

use clickmill_sdk_core::client::{Input, told};
use clickmill_sdk_core::wire::{Outcome, Reason};
use serde_json::{Value, json};

use crate::page::{Page, START, events, text};

/// No answer stops a client for longer than until the settings change, and this is longer, ms.
const DAY_MS: u64 = 86_400_000;

#[test]
fn answers_mean_what_the_golden_table_says() {
    let table: Vec<Value> =
        serde_json::from_str(include_str!("../../golden/answers.json")).unwrap();
    assert!(table.len() > 30);
    table.iter().for_each(check);
}

fn check(case: &Value) {
    let name = text(case, "name");
    let mut page = Page::new();
    (0..3).for_each(|_| page.track("search"));
    page.step(Input::Flush);
    let ids: Vec<String> = events(&page.batch()).iter().map(|event| text(event, "id")).collect();
    assert_eq!(ids.len(), 3);
    match case["status"].as_u64().unwrap() {
        0 => page.fail(),
        status => {
            let times = case["times"].as_u64().unwrap_or(1) as usize;
            let body = text(case, "body").repeat(times);
            page.reply_after(status as u16, &body, case["retry_after"].as_str());
        }
    }

    let fates: Vec<Value> = ids.iter().map(|id| fate(&page, id)).collect();
    let all_again = json!([["again"], ["again"], ["again"]]);
    let expected = case.get("fates").unwrap_or(&all_again).as_array().unwrap();
    assert_eq!(fates, expected.iter().map(typed).collect::<Vec<_>>(), "{name}");
    let again = fates.iter().filter(|fate| fate[0] == "again").count();
    assert_eq!(page.client.queued(), again, "{name}");

    let told = case["told"][0].as_u64().unwrap();
    match u32::try_from(told).unwrap() {
        told::STOPPED => {
            page.wait(DAY_MS);
            assert!(page.sent.is_none(), "{name}");
        }
        told::SPOILED => assert_eq!(page.kinds().len(), 1, "{name}"),
        told::RECEIPT if again == 0 => assert!(page.sent.is_none(), "{name}"),
        told => {
            let wait = match told {
                told::FAILED => case["told"][1].as_str().unwrap().parse().unwrap_or_default(),
                _ => case["again_ms"].as_u64().unwrap(),
            };
            page.wait_for_batch();
            assert!(page.now >= START + wait, "{name}: {} ms", page.now - START);
            assert_eq!(page.kinds().len(), again, "{name}");
        }
    }
}

/// A fate as a client with types tells it: it has none for words that it does not know.
fn typed(fate: &Value) -> Value {
    let is_known = match fate[0].as_str().unwrap() {
        "accepted" | "again" | "duplicate" => true,
        outcome => outcome == "rejected" && Reason::parse(fate[1].as_str().unwrap()).is_some(),
    };
    if is_known { fate.clone() } else { json!(["unknown"]) }
}

/// What the page was told last of an event, in the words of the table.
fn fate(page: &Page, id: &str) -> Value {
    let told = page.verdicts.iter().rfind(|settled| settled.id.to_string() == id);
    match told.map(|settled| &settled.outcome) {
        None | Some(Some(Outcome::Retry { .. })) => json!(["again"]),
        Some(Some(Outcome::Rejected(rejection))) => json!(["rejected", rejection.reason.as_str()]),
        Some(Some(outcome)) => json!([outcome.as_str()]),
        Some(None) => json!(["unknown"]),
    }
}
