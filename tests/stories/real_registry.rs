//! A real schema registry: run by `cargo xtask test` where the machine has the Java for it.

use clickmill_sdk_core::wire::{Event, Outcome, Receipt, Topic};
use clickmill_tests::registry::SchemaRegistry;
use clickmill_tests::until::until;
use clickmill_tests::world::Edge;
use clickmill_tests::{Page, World};
use serde_json::{Value, json};

/// The registry compares schemas of this draft; of newer ones it says it cannot.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";
const SUBJECT: &str = "web.clicks.wish";

fn page(edge: &Edge) -> Page {
    Page::new((&edge.collector.url, ""), edge.write_key())
}

fn wish(properties: &Value) -> Value {
    json!({"$schema": DRAFT, "type": "object", "properties": properties,
        "required": ["sku"], "additionalProperties": false})
}

fn id(body: &str) -> u32 {
    let body: Value = serde_json::from_str(body).expect("an answer");
    body["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id")
}

/// A header with a registry's id, as Confluent's clients write it.
fn header(id: u32) -> String {
    String::from_utf8_lossy(&[&[0], id.to_be_bytes().as_slice()].concat()).into_owned()
}

fn reasons(receipt: &Receipt) -> Vec<String> {
    let reason = |outcome: &Outcome| match outcome {
        Outcome::Rejected(rejection) => rejection.reason.as_str().to_owned(),
        other => other.as_str().to_owned(),
    };
    receipt.verdicts.iter().map(|verdict| reason(&verdict.outcome)).collect()
}

/// Sends events of this kind until one is accepted.
async fn until_accepted(what: &str, page: &Page, make: impl Fn() -> Event) {
    until(what, || async { (page.send(vec![make()]).await.accepted == 1).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a schema registry and its Java: cargo xtask test runs it where both are found"]
async fn schemas_come_change_and_outlive_the_registry() {
    let mut registry = SchemaRegistry::start().await;
    let address = json!({"$schema": DRAFT, "type": "object",
        "properties": {"street": {"type": "string"}}});
    assert_eq!(registry.register("web.common.address", &address, &[]).await.status, 200);
    let references = [("address.json", "web.common.address", 1)];
    let mut properties = json!({"sku": {"type": "string"}, "home": {"$ref": "address.json"}});
    let first = registry.register(SUBJECT, &wish(&properties), &references).await;
    assert_eq!(first.status, 200, "{}", first.body);

    let url = registry.url.clone();
    let setup = World::builder().set(|setup, folder| {
        setup.settings = format!(
            "schemas.registry = {{ urls = [\"{url}\"], refresh_every = \"200ms\", \
             timeout = \"2s\", cache_dir = \"{}\" }}",
            folder.path().join("schemas").display()
        );
    });
    let mut edge = setup.edge().await;
    let page = page(&edge);
    let good = || page.event("wish", r#"{"sku":"a","home":{"street":"x"}}"#);
    let behind_the_reference = page.event("wish", r#"{"sku":"a","home":{"street":5}}"#);
    let noted = || page.event("wish", r#"{"sku":"a","note":"x"}"#);
    let receipt = page.send(vec![good(), behind_the_reference, noted()]).await;
    assert_eq!(reasons(&receipt), ["schema_violation", "schema_violation"]);
    let raw = edge.kafka.records(Topic::ClicksRaw).await;
    assert_eq!(raw[0].headers["__value_schema_id"], header(id(&first.body)));

    // What is not compatible is refused where it is registered.
    let mut other = properties.clone();
    other["sku"] = json!({"type": "integer"});
    let refused = registry.register(SUBJECT, &wish(&other), &references).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    // What is compatible is picked up without a restart.
    properties["note"] = json!({"type": "string"});
    let second = registry.register(SUBJECT, &wish(&properties), &references).await;
    assert_eq!(second.status, 200, "{}", second.body);
    until_accepted("the second version is in force", &page, noted).await;
    let raw = edge.kafka.records(Topic::ClicksRaw).await;
    let last = raw.iter().max_by_key(|record| record.timestamp).expect("a record");
    assert_eq!(last.headers["__value_schema_id"], header(id(&second.body)));

    // The registry dies: events are judged as before.
    registry.kill();
    let failed = r#"clickmill_collector_registry_refreshes_total{result="failed""#;
    until("it is away", || async { (edge.collector.metric(failed).await >= 1.0).then_some(()) })
        .await;
    let unknown = page.event("wish", r#"{"sku":"a","colour":"red"}"#);
    assert_eq!(reasons(&page.send(vec![noted(), unknown]).await), ["schema_violation"]);

    // So does the collector, and starts without the registry: its copy is enough.
    edge.collector.kill();
    edge.collector.restart().await;
    edge.collector.is_ready().await;
    let unknown = page.event("wish", r#"{"sku":"a","colour":"red"}"#);
    assert_eq!(reasons(&page.send(vec![noted(), good(), unknown]).await), ["schema_violation"]);

    // The registry is back, and so is the way for what is new.
    registry.restart();
    properties["colour"] = json!({"type": "string"});
    let third = registry.register(SUBJECT, &wish(&properties), &references).await;
    assert_eq!(third.status, 200, "{}", third.body);
    let coloured = || page.event("wish", r#"{"sku":"a","colour":"red"}"#);
    until_accepted("the third version is in force", &page, coloured).await;
    edge.every_delivery_has_one_outcome().await;
}
