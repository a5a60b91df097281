//! Views as others use them: a web server that asks, and a team that builds one of its own.

use std::collections::HashMap;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::child::Program;
use clickmill_tests::service::SERVER_KEY;
use clickmill_tests::until::until;
use clickmill_tests::{Answer, Ask, Http, TENANT, World};
use serde_json::Value;

use crate::engine::example;

/// Asks the relay as a web server does.
async fn ask(world: &World, path: &str, key: &str) -> Answer {
    let url = format!("{}/v1/visitors/{path}", world.relay.url);
    let ask = Ask::get(url).header("authorization", &format!("Bearer {key}"));
    Http::default().ask(ask).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_where_its_event_lies_reads_what_it_wrote() {
    let world = World::start().await;
    let page = world.page();
    let view = page.views("kettle");
    assert_eq!(page.send(vec![view]).await.accepted, 1);
    let raw = world.kafka.records(Topic::ClicksRaw).await;
    let [record] = raw.as_slice() else { panic!("{raw:?}") };

    let visitor = page.visitor();
    let after = format!("{visitor}?after={}.{}", record.partition, record.offset);
    let answer = ask(&world, &after, SERVER_KEY).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(told["visitor"], visitor.as_str());
    assert_eq!((&told["partition"], &told["next_offset"]), (&record.partition.into(), &1.into()));
    assert_eq!(told["state"]["sessions"][0]["events"], 1);
    assert_eq!(told["state"]["seen"][0]["sku"], "kettle");

    let status = async |path: &str, key: &str| ask(&world, path, key).await.status.as_u16();
    let known = visitor.to_string();
    assert_eq!(status(&known, "somebody-elses-key").await, 401);
    assert_eq!(status("nobody", SERVER_KEY).await, 404);
    assert_eq!(status("no%20id", SERVER_KEY).await, 400);
    assert_eq!(status(&format!("{known}?after=x"), SERVER_KEY).await, 400);
    // Of an event that never comes.
    let late = format!("{known}?after={}.1000", record.partition);
    assert_eq!(status(&late, SERVER_KEY).await, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_builds_a_view_of_its_own_over_the_same_clicks() {
    let world = World::start().await;
    let page = world.page();
    let events = vec![page.views("kettle"), page.event("page_view", "{}"), page.views("kettle")];
    assert_eq!(page.send(events).await.accepted, 3);
    let arguments = HashMap::from([
        ("--dev", format!("--bootstrap={}", world.kafka.bootstrap)),
        ("--prefix", world.kafka.prefix.clone()),
        ("--state", world.folder().path().join("own").display().to_string()),
    ]);
    let log = world.folder().path().join("own.log");
    let mut own = Program::spawn("examples/own_view", &arguments, &log, None);
    let key = format!("{TENANT}:{}", page.visitor());
    let looks = async || {
        let records = world.kafka.records_of("looks.view").await;
        let newest = records.into_iter().rev().find(|record| record.key.as_ref() == Some(&key));
        newest.map(|record| record.value)
    };
    until("the view has both looks", || async {
        (looks().await.as_deref() == Some(r#"{"kettle":2}"#)).then_some(())
    })
    .await;
    // Killed and started again, it goes on where it was.
    own.kill();
    assert_eq!(page.send(vec![page.views("kettle"), page.views("mug")]).await.accepted, 2);
    let mut own = Program::spawn("examples/own_view", &arguments, &log, None);
    until("the view has all looks", || async {
        (looks().await.as_deref() == Some(r#"{"kettle":3,"mug":1}"#)).then_some(())
    })
    .await;
    assert!(own.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_joins_clicks_to_products_and_keeps_what_it_cannot_read() {
    /// What every product of the harness costs.
    const PRICE: u64 = 1_999;
    let world = World::start().await;
    world.kafka.stock(&[("kettle", 5), ("mug", 5)]);
    let page = world.page();
    assert_eq!(page.send(vec![page.views("kettle"), page.views("mug")]).await.accepted, 2);
    let key = format!("{TENANT}:{}", page.visitor());
    // Past the collector, which lets nothing of the kind through. No state can have the last key.
    let keyless = r#"{"id":"1","time":1,"tenant":"t","props":{}}"#;
    let bad = [(key.clone(), "no click"), (String::new(), keyless)];
    let bad = bad.map(|(key, value)| (key, Some(value.to_owned())));
    world.kafka.put("web.clicks.raw.pii.v1", &bad);
    let mut own = example("examples/looked_at", &world.kafka, world.folder());
    let newest = async |topic: &str, key: &str| {
        if !world.kafka.has(topic).await {
            return None;
        }
        let records = world.kafka.records_of(topic).await.into_iter();
        records.rev().find(|record| record.key.as_deref() == Some(key)).map(|record| record.value)
    };
    // Nothing is folded before all prices are known, so none is missing.
    let is = async |looks: u64, sku: &str| {
        let wanted = format!(r#"{{"looks":{looks},"sku":"{sku}","cents":{PRICE}}}"#);
        (newest("looked.at.view", &key).await? == wanted).then_some(())
    };
    until("both looks have their prices", || is(2, "mug")).await;
    assert_eq!(newest("looked.at.poisoned", &key).await.as_deref(), Some("no click"));
    let told = until("it is told", || newest("looked.at.poisoned", "")).await;
    assert_eq!(told, keyless);
    own.kill();
    assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
    let mut own = example("examples/looked_at", &world.kafka, world.folder());
    until("it goes on where it was", || is(3, "kettle")).await;
    assert!(own.stop().await.success());
    let priced = world.kafka.records_of("looked.at.priced").await;
    let wanted = format!(r#""cents":{PRICE}}}"#);
    assert!(priced.len() == 3 && priced.iter().all(|look| look.value.ends_with(&wanted)));
}
