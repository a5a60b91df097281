//! Segment's own clients speak to a collector: whatever they send arrives once, in our terms, also
//! when they have to send it again.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clickmill_sdk_core::wire::{Purpose, Record, ToJson, Topic};
use clickmill_tests::browser::Browser;
use clickmill_tests::until::until;
use clickmill_tests::{Edge, Front, Mishap, Passed, World};
use hyper::StatusCode;
use serde_json::{Value, json};

/// The site that these clients send to. Its visitors are asked elsewhere.
const SITE: &str = r#"
    [[sites]]
    write_key = "wk-segment"
    tenant = "shop"
    origins = ["*"]
    consent_default = ["analytics", "personalization"]
"#;
const WRITE_KEY: &str = "wk-segment";

/// The folder with the clients. Without them nothing was shown, so nothing may pass.
fn clients() -> PathBuf {
    let folder = std::env::var_os("CLICKMILL_SEGMENT").map(PathBuf::from);
    folder.expect("the clients of Segment's: `cargo xtask test` brings them")
}

async fn edge() -> Edge {
    World::builder().set(|setup, _| setup.settings = SITE.to_owned()).edge().await
}

/// What was stored, once there are that many, each by the name that its sender gave it.
async fn stored(edge: &Edge, count: usize) -> Vec<(String, Record)> {
    let records = until("the events are stored", || async {
        let records = edge.read(Topic::ClicksRaw).await;
        (records.len() >= count).then_some(records)
    })
    .await;
    assert_eq!(records.len(), count);
    assert_eq!(edge.kafka.records(Topic::ClicksRejected).await.len(), 0);
    records.into_iter().map(|record| (text(&left(&record)["messageId"]), record)).collect()
}

/// What of an event has no place of its own.
fn left(record: &Record) -> Value {
    let custom = record.context.custom.as_ref().map_or("{}", |custom| custom.as_str());
    serde_json::from_str::<Value>(custom).expect("JSON")["segment"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Checks one event of a client against what was stored of it.
fn check(sent: &Value, record: &Record, kind: &str, props: Value) {
    let name = text(&sent["messageId"]);
    assert_eq!(record.kind.as_str(), kind, "{sent}");
    assert_eq!(serde_json::from_str::<Value>(record.props.as_str()).ok(), Some(props), "{sent}");
    if name.contains("-next-") {
        assert!(name.ends_with(&record.id.to_string()), "{name} is {}", record.id);
    } else {
        assert_eq!(record.id.uuid().get_version_num(), 8, "{name}");
    }
    let date = time(&sent["timestamp"]);
    assert_eq!(record.at.0, date, "{sent}");
    // One machine, one clock: nothing to correct but the way.
    assert!(record.time.0.abs_diff(date) < 2_000, "{} was at {date}", record.time.0);
    assert_eq!(record.context.visitor.as_ref().map(|id| id.to_string()), id(&sent["anonymousId"]));
    assert_eq!(record.context.customer.as_ref().map(|id| id.to_string()), id(&sent["userId"]));
    let library = record.context.sdk.as_ref().expect("the library");
    let told = &sent["context"]["library"];
    assert_eq!(
        (json!(library.name), json!(library.version)),
        (told["name"].clone(), told["version"].clone())
    );
}

fn id(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A date as JavaScript writes it, ms.
fn time(date: &Value) -> u64 {
    let date = humantime::parse_rfc3339(date.as_str().expect("a date")).expect("a date");
    let since = date.duration_since(std::time::UNIX_EPOCH).expect("since 1970");
    u64::try_from(since.as_millis()).expect("not that late")
}

/// Runs analytics-node and gives back what it says it sent.
async fn speak(clients: PathBuf, host: &str, path: &str) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/analytics_node.js");
    let mut command = Command::new("node");
    command.arg(script).arg(clients).args([host, WRITE_KEY, path]);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
    let ended = ended.expect("node runs: `cargo xtask test` installs it");
    assert!(ended.status.success(), "{ended:?}");
    let said = String::from_utf8(ended.stdout).expect("text");
    said.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_analytics_node_sends_arrives_once_and_in_our_terms() {
    let (clients, edge) = (clients(), edge().await);
    let sent = speak(clients, &edge.collector.url, "/v1/batch").await;
    let stored = stored(&edge, 7).await;
    // By its name, never by its place: answers to two batches come in any order.
    let of = |call: &str, event: Option<&str>| {
        let is = |sent: &&Value| sent["type"] == call && sent["event"].as_str() == event;
        let sent = sent.iter().find(is).expect("a call");
        let name = text(&sent["messageId"]);
        let (_, record) = stored.iter().find(|(stored, _)| *stored == name).expect("it is stored");
        (sent, record)
    };

    let (event, view) = of("track", Some("Product Viewed"));
    check(event, view, "product_view", json!({"sku": "KET-1", "price_cents": 3999}));
    let context = &view.context;
    let page = context.page.as_ref().expect("a page");
    assert_eq!(page.url, "https://shop.example/p/KET-1?a=1");
    assert_eq!(page.title.as_deref(), Some("Kettle"));
    assert_eq!(context.referrer.as_deref(), Some("https://search.example/"));
    assert_eq!(context.locale.as_deref(), Some("en-GB"));
    assert_eq!(context.time_zone.as_deref(), Some("Europe/London"));
    let campaign = context.campaign.as_ref().map(ToJson::to_json);
    assert_eq!(
        campaign.as_deref(),
        Some(r#"{"source":"newsletter","medium":"email","name":"spring"}"#)
    );
    assert_eq!(
        context.consent.as_ref().map(|c| c.granted.as_slice()),
        Some(&[Purpose::Analytics][..])
    );
    assert_eq!(left(view)["event"], "Product Viewed");
    assert_eq!(left(view)["properties"], json!({"name": "Kettle"}));
    assert_eq!(left(view)["context"]["userAgent"], "Mozilla/5.0");
    assert!(!view.to_json().contains("192.0.2.9"), "an address from inside goes nowhere");

    let (event, page) = of("page", None);
    check(event, page, "page_view", json!({"name": "Home", "category": "Docs"}));
    assert_eq!(page.context.page, view.context.page);
    assert_eq!(left(page)["properties"], json!({"plan": "gold"}));
    let (event, identify) = of("identify", None);
    let traits = json!({"email": "ada@example.org", "plan": {"name": "gold"}});
    check(event, identify, "identify", json!({ "traits": traits }));
    let (event, group) = of("group", None);
    check(event, group, "group", json!({"group": "acme", "traits": {"name": "Acme"}}));
    let (event, alias) = of("alias", None);
    check(event, alias, "alias", json!({"previous": "anon-1"}));
    let (event, screen) = of("screen", None);
    check(event, screen, "screen_view", json!({"name": "Cart", "category": "Shop"}));
    let (event, wish) = of("track", Some("Wishlist Add"));
    assert_eq!(event["messageId"], "wish-1");
    check(event, wish, "wishlist_add", json!({"sku": "TEA-1"}));
    edge.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_analytics_node_has_to_send_again_arrives_once() {
    let (clients, edge) = (clients(), edge().await);
    let mishaps = [
        Mishap::Lost(StatusCode::SERVICE_UNAVAILABLE, 1),
        Mishap::Lost(StatusCode::TOO_MANY_REQUESTS, 1),
    ];
    let front = Front::before(&edge.collector.url, mishaps).await;
    let sent = speak(clients, &front.url, "/v1/b").await;
    let mut names: Vec<String> = sent.iter().map(|event| text(&event["messageId"])).collect();
    let mut found: Vec<String> = stored(&edge, 7).await.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, names);
    // Both batches came, and both or one of them again.
    let passed = front.passed();
    assert!(passed.len() == 4, "{passed:?}");
    assert!(passed.iter().all(|passed| passed.status == StatusCode::OK), "{passed:?}");
    edge.books_balance().await;
}

/// Opens a page with analytics-next, tells it to send and waits until what was lost on the way has
/// come again. Gives back the names of the events.
async fn browse(edge: &Edge, front: &Front, strategy: &str, mishaps: usize) -> Vec<String> {
    let files = clients().join("node_modules/@segment/analytics-next/dist/umd");
    let page = include_str!("../clients/analytics_next.html").to_owned();
    let (site, browser) = (Front::of_files(files, page).await, Browser::start().await);
    browser.open(&format!("{}/page?utm_source=news#top", site.url)).await;
    let api = front.url.strip_prefix("http://").expect("an address");
    let script = format!(
        r#"const done = arguments[arguments.length - 1];
        const analytics = AnalyticsNext.AnalyticsBrowser.load(
          {{ writeKey: '{WRITE_KEY}', cdnURL: '{cdn}' }},
          {{ integrations: {{ 'Segment.io': {{
            apiHost: '{api}/v1', protocol: 'http', deliveryStrategy: {strategy} }} }} }});
        (async () => {{
          const sent = [];
          const say = async (call, ...words) => sent.push((await analytics[call](...words)).event.messageId);
          await say('page', 'Docs', 'Home', {{ plan: 'gold' }});
          await say('identify', 'ada@example.org', {{ plan: 'gold' }});
          await say('track', 'Product Viewed', {{ sku: 'KET-1' }});
          await say('group', 'acme', {{ name: 'Acme' }});
          await say('screen', 'Shop', 'Cart');
          await say('alias', 'ada@example.com', 'ada@example.org');
          done(JSON.stringify(sent));
        }})().catch((error) => done(String(error)))"#,
        cdn = edge.collector.url,
    );
    let said = browser.later(&script).await;
    let sent: Vec<String> = serde_json::from_str(&text(&said)).unwrap_or_else(|_| panic!("{said}"));
    until("what was lost has come again", || async {
        let passed = front.passed();
        let lost = passed.get(..mishaps)?.iter().map(|lost| events_in(lost).len()).sum::<usize>();
        let deliveries = edge.collector.metric("clickmill_collector_deliveries_total").await;
        // The line between writes down what passed after its answer: it may be later than the books.
        let came: Vec<Value> = passed.iter().flat_map(events_in).collect();
        let has_come = |name: &String| came.iter().any(|event| event["messageId"] == **name);
        (deliveries as usize >= sent.len() + lost && sent.iter().all(has_come)).then_some(())
    })
    .await;
    browser.close().await;
    sent
}

/// The events of a delivery, as they came over the wire.
fn events_in(passed: &Passed) -> Vec<Value> {
    let body: Value = serde_json::from_str(&passed.body).expect("JSON");
    body["batch"].as_array().cloned().unwrap_or_else(|| vec![body])
}

async fn next_arrives(strategy: &str, mishaps: Vec<Mishap>) -> (Edge, Front) {
    let edge = edge().await;
    let count = mishaps.len();
    let front = Front::before(&edge.collector.url, mishaps).await;
    let sent = browse(&edge, &front, strategy, count).await;
    let stored = stored(&edge, 6).await;
    let came: Vec<Value> = front.passed().iter().flat_map(events_in).collect();
    for name in sent {
        let event = came.iter().find(|event| event["messageId"] == *name).expect("it came");
        let (_, record) = stored.iter().find(|(stored, _)| *stored == name).expect("it is stored");
        let (kind, props) = match event["type"].as_str().unwrap_or_default() {
            "page" => ("page_view", json!({"name": "Home", "category": "Docs"})),
            "identify" => ("identify", json!({"traits": {"plan": "gold"}})),
            "track" => ("product_view", json!({"sku": "KET-1"})),
            "group" => ("group", json!({"group": "acme", "traits": {"name": "Acme"}})),
            "screen" => ("screen_view", json!({"name": "Cart", "category": "Shop"})),
            _ => ("alias", json!({"previous": "ada@example.org"})),
        };
        check(event, record, kind, props);
        let page = record.context.page.as_ref().expect("a page");
        assert!(page.url.ends_with("/page?utm_source=news"), "{page:?}");
        assert_eq!(page.title.as_deref(), Some("Kettle"));
        let campaign = record.context.campaign.as_ref().and_then(|marks| marks.source.as_deref());
        assert_eq!(campaign, Some("news"));
        assert!(record.context.locale.is_some() && record.context.time_zone.is_some());
    }
    edge.books_balance().await;
    (edge, front)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_analytics_next_sends_one_by_one_arrives_once_even_when_answers_are_lost() {
    let lost = |status| Mishap::Lost(status, 1);
    let mishaps = vec![lost(StatusCode::SERVICE_UNAVAILABLE), lost(StatusCode::TOO_MANY_REQUESTS)];
    let (_edge, front) = next_arrives("undefined", mishaps).await;
    let passed = front.passed();
    assert_eq!(passed.len(), 8, "{passed:?}");
    assert!(passed.iter().all(|passed| passed.status == StatusCode::OK), "{passed:?}");
    assert!(passed.iter().any(|passed| passed.path == "/v1/p"), "{passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_analytics_next_sends_in_batches_arrives_once() {
    let strategy = "{ strategy: 'batching', config: { size: 4, timeout: 300 } }";
    let mishaps = vec![Mishap::Lost(StatusCode::SERVICE_UNAVAILABLE, 1)];
    let (_edge, front) = next_arrives(strategy, mishaps).await;
    let passed = front.passed();
    assert!(passed.iter().all(|passed| passed.path == "/v1/b"), "{passed:?}");
    assert!(passed.len() >= 2, "{passed:?}");
}
