//! Views as others use them: a web server that asks, and a team that builds one of its own.

use std::collections::HashMap;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::child::Program;
use clickmill_tests::service::SERVER_KEY;
use clickmill_tests::until::until;
use clickmill_tests::{Answer, Ask, Http, TENANT, World};
use serde_json::Value;

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
