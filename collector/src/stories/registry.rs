//! A schema registry that comes late, brings something new and goes away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::edge::{Edge, batch, event, until};
use crate::check::{CheckOptions, check};
use crate::spool::testing::Folder;
use crate::testing::event_id;

/// What the registry does.
#[derive(Clone, Debug)]
enum Mood {
    /// It answers 503.
    Broken,
    /// It holds these versions of `web.clicks.wish`.
    Holds(Vec<Value>),
    /// It takes questions and never answers.
    Silent,
}

type Moody = Arc<Mutex<Mood>>;

/// Plays a registry; gives its address.
async fn registry(mood: &Moody) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mood = Arc::clone(mood);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, Arc::clone(&mood)));
        }
    });
    url
}

async fn answer(stream: TcpStream, mood: Moody) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let head = lines.next_line().await.unwrap().unwrap_or_default();
    while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mood = mood.lock().unwrap().clone();
    let (status, body) = match &mood {
        Mood::Silent => std::future::pending().await,
        Mood::Broken => (503, json!({"error_code": 50301, "message": "not now"})),
        Mood::Holds(versions) => match path.strip_prefix("/subjects/web.clicks.wish/versions") {
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
    let mood = Arc::new(Mutex::new(Mood::Broken));
    let say = |holds: &[Value]| *mood.lock().unwrap() = Mood::Holds(holds.to_vec());
    let url = registry(&mood).await;
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

    let first = json!({"type": "object", "required": ["a"]});
    say(std::slice::from_ref(&first));
    until("the registry is seen", async || edge.ready().await.status == 200).await;
    let answer = edge.post(&batch([wish(3, &json!({"a": 1})), wish(4, &json!({"b": 1}))])).await;
    assert_eq!(answer.verdicts(), ["1 rejected schema_violation"]);
    assert_eq!(answer.receipt().verdicts.len(), 1);

    // One good, one bad version: the good one is in force, the bad one is counted.
    say(&[first, json!({"type": "object", "required": ["b"]}), json!({"type": 7})]);
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

    *mood.lock().unwrap() = Mood::Broken;
    let before = edge.metric(failed).await;
    until("it is away", async || edge.metric(failed).await > before).await;
    assert_eq!(edge.post(&batch([wish(8, &json!({"b": 1}))])).await.receipt().accepted, 1);
    assert_eq!(edge.ready().await.status, 200, "an old set is a set");
}

#[tokio::test]
async fn a_registry_that_says_nothing_delays_no_start_that_has_a_copy() {
    let mood = Arc::new(Mutex::new(Mood::Holds(vec![json!({"required": ["a"]})])));
    let (url, folder) = (registry(&mood).await, Folder::new());
    let start = async |copy: bool, patience: Duration| {
        Edge::start_with(|config| {
            let registry = &mut config.schemas.registry;
            registry.urls = vec![url.clone()];
            registry.cache_dir = copy.then(|| folder.path().to_owned());
            (registry.timeout, registry.fetch_timeout) = (patience, patience);
        })
        .await
    };
    let long = Duration::from_secs(60);
    let first = start(true, long).await;
    assert_eq!(first.post(&batch([wish(1, &json!({}))])).await.verdicts()[0], VIOLATION);

    *mood.lock().unwrap() = Mood::Silent;
    let begun = Instant::now();
    let second = start(true, long).await;
    until("it is ready by its copy", async || second.ready().await.status == 200).await;
    assert!(begun.elapsed() < long / 2, "{:?}", begun.elapsed());
    assert_eq!(second.post(&batch([wish(2, &json!({}))])).await.verdicts()[0], VIOLATION);

    // Without a copy it waits for as long as a refresh may take, and says what it lacks.
    let third = start(false, Duration::from_millis(200)).await;
    let ready = third.ready().await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("registry: it was not reached yet"), "{}", ready.text);

    // One that answers is heard before its copy.
    *mood.lock().unwrap() = Mood::Holds(vec![json!({"required": ["b"]})]);
    let late = start(true, long).await;
    let good = async |number| late.post(&batch([wish(number, &json!({"b": 1}))])).await;
    assert_eq!(good(3).await.receipt().accepted, 1);
}

/// What is said of a wish that lacks what its schema asks for.
const VIOLATION: &str = "0 rejected schema_violation";

#[tokio::test]
async fn a_check_asks_the_registry_and_leaves_the_copy_alone() {
    let mood =
        Arc::new(Mutex::new(Mood::Holds(vec![json!({"required": ["a"]}), json!({"type": 7})])));
    let (url, folder) = (registry(&mood).await, Folder::new());
    let mut config = crate::testing::config();
    config.schemas.registry.urls = vec![url.clone()];
    config.kafka.bootstrap = format!("127.0.0.1:{}", closed_port().await);
    let wait = Duration::from_millis(100);
    let options = CheckOptions { wait, ..CheckOptions::default() };
    let said = check(&config, &options).await.to_string();
    assert!(said.contains(&format!("checked  the schema registry at {url}; schemas ")), "{said}");
    assert!(said.contains("warning  left out: "), "{said}");
    assert!(said.contains("error    kafka: "), "Kafka is away: {said}");

    *mood.lock().unwrap() = Mood::Broken;
    let said = check(&config, &options).await.to_string();
    assert!(said.contains("error    schemas.registry: ") && said.contains("503"), "{said}");
    config.schemas.registry.cache_dir = Some(folder.path().to_owned());
    let said = check(&config, &options).await.to_string();
    assert!(said.contains("warning  schemas.registry: "), "{said}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    let offline = CheckOptions { offline: true, ..options };
    let said = check(&config, &offline).await.to_string();
    assert!(said.contains("skipped  the schema registry (--offline)"), "{said}");
}

/// A port on which nobody listens.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
