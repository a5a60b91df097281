//! The types that `clickmill-catalog codegen` writes: as the golden files say, and good Rust.
#![allow(missing_docs, clippy::unwrap_used)]

use clickmill_catalog::{Builtin, Folder, Language, SchemaSource, codegen};
use serde_json::{Value, json};

#[rustfmt::skip]
#[path = "../golden/events.rs"]
mod events;

use events::{
    Everything, EverythingLines, EverythingLinesColour, EverythingState, Nothing, TypedEvent,
};

const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/schemas");

/// Checks a golden file; `CLICKMILL_GOLDEN=write` writes it anew.
fn check(language: Language, golden: &str) {
    let sources: Vec<Box<dyn SchemaSource>> = vec![Box::new(Folder::new(SCHEMAS))];
    let written = codegen(&sources, language).unwrap();
    let golden = format!("{}/golden/{golden}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CLICKMILL_GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&golden, &written).unwrap();
    }
    assert_eq!(written, std::fs::read_to_string(golden).unwrap());
}

#[test]
fn typescript_is_as_the_golden_file() {
    check(Language::TypeScript, "events.ts");
}

#[test]
fn rust_is_as_the_golden_file() {
    check(Language::Rust, "events.rs");
}

/// The package's types are those of the schemas that come along.
#[test]
fn the_types_of_the_package_are_of_now() {
    let written = codegen(&[Box::new(Builtin)], Language::TypeScript).unwrap();
    let there = include_str!("../../sdk-web/npm/events.d.ts");
    let how = "clickmill-catalog codegen typescript --out sdk-web/npm/events.d.ts";
    assert_eq!(written, there, "write it anew: {how}");
}

/// Likewise those of the native client.
#[test]
fn the_types_of_the_example_are_of_now() {
    let written = codegen(&[Box::new(Builtin)], Language::Rust).unwrap();
    let there = include_str!("../../examples/native_client/events.rs");
    let how = "clickmill-catalog codegen rust --out examples/native_client/events.rs";
    assert_eq!(written, there, "write it anew: {how}");
}

#[test]
fn written_rust_reads_and_writes_what_the_schema_takes() {
    let colour = EverythingLinesColour::Blue;
    let lines = vec![EverythingLines { sku: "KET-1".to_owned(), colour }];
    let event = TypedEvent::Everything(Everything {
        at: "2026-11-26T19:30:00Z".to_owned(),
        lines,
        share: 0.5,
        r#type: Some("t".to_owned()),
        price_cents: Some(3999),
        state: Some(EverythingState::OnSale2),
        note: Some("n".to_owned()),
        ..Everything::default()
    });
    let text = json!({
        "type": "everything",
        "props": {
            "at": "2026-11-26T19:30:00Z", "lines": [{ "sku": "KET-1", "colour": "blue" }],
            "share": 0.5, "type": "t", "priceCents": 3999, "state": "on_sale", "note": "n",
        },
    });
    assert_eq!(serde_json::to_value(&event).unwrap(), text);
    assert_eq!(serde_json::from_value::<TypedEvent>(text).unwrap(), event);
    let nothing = json!({ "type": "nothing", "props": {} });
    let read: TypedEvent = serde_json::from_value(nothing).unwrap();
    assert_eq!(read, TypedEvent::Nothing(Nothing::default()));
}

#[test]
fn written_rust_refuses_what_the_schema_refuses() {
    let good = json!({ "at": "x", "lines": [], "share": 1 });
    assert!(serde_json::from_value::<Everything>(good.clone()).is_ok());
    let with = |name: &str, value: Value| {
        let mut bad = good.clone();
        bad[name] = value;
        serde_json::from_value::<Everything>(bad).is_err()
    };
    assert!(with("priceCents", json!(-1)));
    assert!(with("state", json!("gone")));
    assert!(with("more", json!(1)));
    assert!(with("lines", json!([{ "sku": "A" }])));
    assert!(with("lines", Value::Null));
}

#[test]
fn the_schemas_that_come_along_have_types() {
    let sources: Vec<Box<dyn SchemaSource>> = vec![Box::new(Builtin)];
    for language in [Language::Rust, Language::TypeScript] {
        let text = codegen(&sources, language).unwrap();
        for part in ["ProductView", "OrderLines", "PageViewKind", "page_view"] {
            let is_there = text.contains(part);
            // TypeScript's choices have no names.
            assert_eq!(is_there, part != "PageViewKind" || language == Language::Rust, "{part}");
        }
    }
}

#[test]
fn a_bad_schema_is_named_and_nothing_is_written() {
    let folder = std::env::temp_dir().join(format!("clickmill-codegen-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("bad")).unwrap();
    std::fs::write(folder.join("bad/1.json"), r#"{"type": "text"}"#).unwrap();
    let sources: Vec<Box<dyn SchemaSource>> = vec![Box::new(Folder::new(&folder))];
    let error = codegen(&sources, Language::Rust).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("bad"), "{error}");
}
