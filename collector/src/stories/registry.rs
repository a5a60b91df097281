//! A schema registry that comes late, brings something new and goes away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::edge::{Edge, batch, event, until};
use crate::testing::event_id;

/// The versions of `web.clicks.wish` that the registry holds; none while it is broken.
type Versions = Arc<Mutex<Option<Vec<Value>>>>;

/// Plays a registry; gives its address.
async fn registry(versions: &Versions) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let versions = Arc::clone(versions);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, Arc::clone(&versions)));
        }
    });
    url
}

async fn answer(stream: TcpStream, versions: Versions) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let head = lines.next_line().await.unwrap().unwrap_or_default();
    while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match &*versions.lock().unwrap() {
        None => (503, json!({"error_code": 50301, "message": "not now"})),
        Some(versions) => match path.strip_prefix("/subjects/web.clicks.wish/versions") {
            None => (200, json!(["web.clicks.wish"])),
            Some("") => (200, (1..=versions.len()).collect()),
            Some(version) => {
                let at = version.trim_start_matches('/').parse::<usize>().unwrap() - 1;
                let schema = versions[at].to_string();
                (200, json!({"id": 70 + at, "schema": schema, "schemaType": "JSON"}))
            }
        },
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: ");
    writer.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
}

fn wish(number: u32, props: &Value) -> Value {
    let mut wish = event(number);
    (wish["id"], wish["type"], wish["props"]) =
        (json!(event_id(number)), json!("wish"), props.clone());
    wish
}

#[tokio::test]
async fn events_are_judged_by_what_the_registry_last_held() {
    let versions = Versions::default();
    let url = registry(&versions).await;
    let edge = Edge::start_with(|config| {
        config.schemas.registry.urls = vec![url];
        config.schemas.registry.refresh_every = Duration::from_millis(100);
    })
    .await;
    // It was never there: not ready, and what is known is judged all the same.
    let ready = edge.ready().await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("registry: it was not reached yet"), "{}", ready.text);
    let answer = edge.post(&batch([event(1), wish(2, &json!({"a": 1}))])).await;
    assert_eq!(answer.verdicts(), ["1 rejected unknown_type"]);
    let failed = r#"clickmill_collector_registry_refreshes_total{result="failed"}"#;
    assert!(edge.metric(failed).await >= 1);

    *versions.lock().unwrap() = Some(vec![json!({"type": "object", "required": ["a"]})]);
    until("the registry is seen", async || edge.ready().await.status == 200).await;
    let answer = edge.post(&batch([wish(3, &json!({"a": 1})), wish(4, &json!({"b": 1}))])).await;
    assert_eq!(answer.verdicts(), ["1 rejected schema_violation"]);
    assert_eq!(answer.receipt().verdicts.len(), 1);

    // One good, one bad version: the good one is in force, the bad one is counted.
    let second = [json!({"type": "object", "required": ["b"]}), json!({"type": 7})];
    versions.lock().unwrap().as_mut().unwrap().extend(second);
    until("the new version is in force", async || {
        edge.metric("clickmill_collector_schemas_refused").await == 1
    })
    .await;
    let mut old = wish(5, &json!({"a": 1}));
    old["version"] = json!(1);
    let answer =
        edge.post(&batch([old, wish(6, &json!({"a": 1})), wish(7, &json!({"b": 1}))])).await;
    assert_eq!(answer.verdicts(), ["1 rejected schema_violation"]);
    let last = "clickmill_collector_registry_last_success_seconds";
    assert_eq!(edge.metric(last).await, crate::testing::NOW_MS / 1_000);

    *versions.lock().unwrap() = None;
    let before = edge.metric(failed).await;
    until("it is away", async || edge.metric(failed).await > before).await;
    assert_eq!(edge.post(&batch([wish(8, &json!({"b": 1}))])).await.receipt().accepted, 1);
    assert_eq!(edge.ready().await.status, 200, "an old set is a set");
}
