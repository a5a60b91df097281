//! The wire is what the golden files say: serde reads them, our writer writes them byte for byte,
//! and the browser's small reader sees the same.
#![cfg(feature = "serde")]
#![allow(missing_docs, clippy::unwrap_used)]

use clickmill_sdk_core::wire::json::{Value, Writer};
use clickmill_sdk_core::wire::{
    Batch, Claim, Customer, DeadLetter, Doubt, Hint, HintHead, HintId, HintKind, Lease, Millis,
    PageKind, Poisoned, Product, Promoted, RawBatch, Receipt, Record, Refusal, SessionView,
    SiteConfig, Stock, StockBeat, ToJson,
};
use serde::de::DeserializeOwned;

/// Reads a golden text as a `T`, checks that it writes back byte for byte, and gives it back.
fn check<T: DeserializeOwned + ToJson>(golden: &str) -> T {
    let read: T = serde_json::from_str(golden).unwrap();
    assert_eq!(read.to_json(), golden);
    read
}

#[test]
fn batch() {
    let golden = include_str!("../golden/batch.json");
    check::<Batch>(golden);
    // The collector reads the envelope first; the events stay as they came.
    let raw = check::<RawBatch>(golden);
    assert!(raw.events.iter().all(|event| golden.contains(event.as_str())));
    // Purposes that only later senders know, or nobody, grant nothing, and the batch is as good.
    let later = include_str!("../golden/batch_later.json");
    assert_eq!(serde_json::from_str::<Batch>(later).unwrap().to_json(), golden);
    assert_eq!(serde_json::from_str::<RawBatch>(later).unwrap().to_json(), golden);
    assert!(serde_json::from_str::<RawBatch>(&later.replace("\"telepathy\"", "7")).is_err());
}

#[test]
fn receipt() {
    let golden = include_str!("../golden/receipt.json");
    let receipt = check::<Receipt>(golden);
    assert_eq!(receipt.claims, [Claim { index: 0, why: Doubt::Expired }]);
    assert_eq!(Receipt::read(golden), Ok(receipt));
}

#[test]
fn refusal() {
    let golden = include_str!("../golden/refusal.json");
    assert_eq!(Refusal::read(golden), Ok(check::<Refusal>(golden)));
}

#[test]
fn site_config() {
    let golden = include_str!("../golden/site_config.json");
    assert_eq!(SiteConfig::read(golden), Ok(check::<SiteConfig>(golden)));
    let later = golden.replace(r#"["analytics"]"#, r#"["telepathy","analytics"]"#);
    assert_eq!(SiteConfig::read(&later), SiteConfig::read(golden));
    assert_eq!(serde_json::from_str::<SiteConfig>(&later).ok(), SiteConfig::read(golden).ok());
}

#[test]
fn records() {
    let raw = check::<Record>(include_str!("../golden/record_raw.json"));
    let enriched = check::<Record>(include_str!("../golden/record_enriched.json"));
    assert_eq!(raw.key().as_deref(), Some("shop:5d1c0d8a6e0f4b7c9a2e3f4051627384"));
    assert_eq!(Record { enrichment: None, ..enriched }, raw);
    let proven = check::<Record>(include_str!("../golden/record_proven.json"));
    assert_eq!(proven.proven.as_ref().map(|id| id.as_str()), Some("ada@shop.example"));
    assert_eq!(Record { proven: None, ..proven }, raw);
}

#[test]
fn dead_letter() {
    let letter = check::<DeadLetter>(include_str!("../golden/dead_letter.json"));
    assert!(letter.original.contains(r#""sku":"a","sku":"b""#));
}

#[test]
fn poisoned() {
    let text = check::<Poisoned>(include_str!("../golden/poisoned.json"));
    assert_eq!((text.reason.as_str(), text.original_hex), ("malformed", None));
}

#[test]
fn session_view() {
    let view = check::<SessionView>(include_str!("../golden/session_view.json"));
    assert_eq!(view.sessions[0].searches, ["kettle", "toaster"]);
    // A sort of page that only later relays know is another one.
    let later = include_str!("../golden/session_view.json").replace("\"product\"", "\"arcade\"");
    let later: SessionView = serde_json::from_str(&later).unwrap();
    assert_eq!(later.asked.map(|asked| asked.page), Some(PageKind::Other));
    // What yesterday's relay wrote, with less in it, is read all the same.
    let old: SessionView =
        serde_json::from_str(r#"{"visits":2,"sessions":[{"number":2}]}"#).unwrap();
    assert_eq!((old.visits, old.sessions[0].number, old.asked), (2, 2, None));
}

#[test]
fn promotions() {
    check::<Promoted>(include_str!("../golden/promoted.json"));
    check::<Lease>(include_str!("../golden/lease.json"));
    let view = check::<SessionView>(include_str!("../golden/session_view_promoted.json"));
    assert!(!view.promotions[0].held_out && view.promotions[1].held_out);
}

#[test]
fn what_is_waited_for() {
    let view = check::<SessionView>(include_str!("../golden/session_view_waiting.json"));
    assert!(view.waits[0].back.is_some() && view.waits[1].back.is_none());
}

#[test]
fn the_events_by_which_something_is_known() {
    let view = check::<SessionView>(include_str!("../golden/session_view_words.json"));
    assert_eq!(view.basket_words[0].sku.as_str(), "TOA-1");
    assert_eq!(view.customer_word.map(|word| word.seq), Some(7));
}

#[test]
fn tables() {
    check::<Customer>(include_str!("../golden/customer.json"));
    let view = check::<SessionView>(include_str!("../golden/session_view_proven.json"));
    assert_eq!(view.customer.unwrap().until, Millis(1_798_068_060_000));
    check::<Product>(include_str!("../golden/product.json"));
    check::<Stock>(include_str!("../golden/stock.json"));
    check::<StockBeat>(include_str!("../golden/stock_beat.json"));
}

#[test]
fn hint() {
    let golden = include_str!("../golden/hint.json");
    let id = HintId::parse("clicks.3.1234.0").unwrap();
    let hint = Hint::from_parts(id, HintKind::Suggest, golden).unwrap();
    assert_eq!(hint.to_json(), golden);
    let head = HintHead::read(golden).unwrap();
    assert_eq!((head.epoch, &head.slot), (hint.epoch, &hint.slot));
    assert_eq!(head.expires_at, hint.expires_at);
    assert_eq!(head.cause, hint.cause.map(|cause| cause.event));
}

#[test]
fn the_small_reader_sees_what_serde_sees() {
    fn write(value: &Value, w: &mut Writer) {
        match value {
            Value::Null => w.raw("null"),
            Value::Boolean(b) => w.boolean(*b),
            Value::Number(n) => w.raw(&n.to_string()),
            Value::Text(t) => w.text(t),
            Value::List(list) => w.array(|w| list.iter().for_each(|v| write(v, w))),
            Value::Object(fields) => {
                w.object(|w| fields.iter().for_each(|(k, v)| write(v, w.any_key(k))));
            }
        }
    }
    for golden in [
        include_str!("../golden/batch.json"),
        include_str!("../golden/batch_later.json"),
        include_str!("../golden/record_enriched.json"),
        include_str!("../golden/dead_letter.json"),
        include_str!("../golden/stock.json"),
    ] {
        let mut w = Writer::default();
        write(&Value::read(golden).unwrap(), &mut w);
        assert_eq!(w.finish(), golden);
    }
}
