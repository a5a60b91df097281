//! A web server has the hints of a page decided while it renders it.

use std::collections::HashMap;

use clickmill_relay::peers::DECIDE_PATH;
use clickmill_sdk_core::wire::HintKind;
use clickmill_tests::child::{Program, free_port};
use clickmill_tests::service::{OTHERS_SERVER_KEY, Relay, SERVER_KEY};
use clickmill_tests::until::until;
use clickmill_tests::{Answer, Ask, Http, Page, World};
use serde_json::{Value, json};

use crate::{PATIENCE, skus};

const PRODUCTS: [(&str, i64); 7] = [
    ("kettle", 5),
    ("toaster", 5),
    ("mixer", 5),
    ("oven", 5),
    ("hob", 5),
    ("fridge", 5),
    ("freezer", 5),
];

async fn ask(relay: &Relay, body: &str, key: &str) -> Answer {
    let ask = Ask::post(format!("{}/v1/decide", relay.url), body.to_owned());
    let ask = ask.header("authorization", &format!("Bearer {key}"));
    Http::default().ask(ask).await.expect("an answer")
}

/// The hints of the slot that suggestions fill, for a page about a product or none.
async fn hints(relay: &Relay, page: &Page, sku: Option<&str>) -> Vec<Value> {
    let mut body = json!({ "visitor": page.visitor().as_str(), "slots": ["suggested", "other"] });
    if let Some(sku) = sku {
        body["sku"] = sku.into();
    }
    let body = body.to_string();
    // A partition that changes hands is told so, and asked for again.
    let answer = until("an answer", || async {
        let answer = ask(relay, &body, SERVER_KEY).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(told["visitor"], page.visitor().as_str());
    told["hints"].as_array().expect("a list").clone()
}

fn shown(hint: &Value) -> Vec<&str> {
    let items = hint["data"]["content"]["items"].as_array().expect("products");
    items.iter().filter_map(|item| item["sku"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_relay_decides_for_a_page_and_what_it_told_is_taken_back_like_any_hint() {
    let (mut world, second) = World::builder().two_relays(&PRODUCTS).await;
    // So many that each relay has some.
    let pages: Vec<Page> = (0..8).map(|_| world.page()).collect();
    for page in &pages {
        assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
        let mut stream = page.listen().await;
        let (first, _) = stream.hint(PATIENCE).await.expect("the hint of the click");

        // What holds is told, by either relay.
        for relay in [&world.relay, &second] {
            let told = hints(relay, page, None).await;
            assert_eq!(told.len(), 1, "no slot but one is filled: {told:?}");
            assert_eq!(told[0]["id"], first.id.to_string());
            assert_eq!(shown(&told[0]), skus(&first));
        }
        // A page about a product has hints of its own, and the visitor's other pages hear them.
        let told = hints(&second, page, Some("toaster")).await;
        assert!(!shown(&told[0]).contains(&"toaster"), "{told:?}");
        let (heard, _) = stream.hint(PATIENCE).await.expect("the hint of the page");
        assert_eq!(told[0]["id"], heard.id.to_string());
        assert_eq!(shown(&told[0]), skus(&heard));
        assert_eq!(heard.why.inputs, ["toaster", "kettle"]);
    }
    let asked = "clickmill_relay_pages_decided_total";
    for relay in [&world.relay, &second] {
        for how in ["here", "forwarded"] {
            let count = relay.metric(&format!("{asked}{{how=\"{how}\"")).await;
            assert!(count > 0.0, "{how}");
        }
    }

    let page = &pages[0];
    let told = hints(&second, page, Some("mixer")).await;
    let (gone, mut stream) = (shown(&told[0])[0].to_owned(), page.listen().await);
    stream.hint(PATIENCE).await.expect("the hint that holds");
    world.kafka.levels().say(&gone, 0);
    let (withdrawn, _) = stream.hint(PATIENCE).await.expect("that it is taken back");
    assert_eq!(withdrawn.kind, HintKind::Withdraw);
    assert!(
        !hints(&world.relay, page, None).await.iter().any(|h| shown(h).contains(&gone.as_str()))
    );

    // A relay that is gone is no reason for a page without hints.
    world.relay.kill();
    for page in &pages {
        assert_eq!(hints(&second, page, Some("oven")).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_server_of_the_tenant_has_pages_decided() {
    let world = World::start().await;
    world.kafka.stock(&PRODUCTS);
    let page = world.page();
    assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
    assert!(page.listen().await.hint(PATIENCE).await.is_some());
    let visitor = page.visitor();
    let body = format!(r#"{{"visitor":"{visitor}","slots":["suggested"]}}"#);
    let status = async |body: &str, key: &str| ask(&world.relay, body, key).await.status.as_u16();
    assert_eq!(status(&body, SERVER_KEY).await, 200);
    assert_eq!(status(&body, "nobody's key").await, 401);
    // Another tenant's server knows nothing of the visitor, who allowed it nothing.
    let others = ask(&world.relay, &body, OTHERS_SERVER_KEY).await;
    assert_eq!(others.body, format!(r#"{{"visitor":"{visitor}","hints":[]}}"#));
    for bad in ["", "{}", r#"{"visitor":"v","slots":[]}"#] {
        let answer = ask(&world.relay, bad, SERVER_KEY).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("the body must be"), "{}", answer.body);
    }
    let late = format!(r#"{{"visitor":"{visitor}","slots":["suggested"],"after":"9.1"}}"#);
    assert_eq!(status(&late, SERVER_KEY).await, 400, "a partition that is not the visitor's");
    let passed = Ask::post(format!("http://{}{DECIDE_PATH}", world.relay.peers), body);
    assert_eq!(Http::default().ask(passed).await.expect("an answer").status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_writes_hints_into_its_page() {
    let mut world = World::start().await;
    world.kafka.stock(&PRODUCTS);
    let page = world.page();
    assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
    assert!(page.listen().await.hint(PATIENCE).await.is_some());
    let port = free_port();
    let arguments = HashMap::from([
        ("--listen", format!("127.0.0.1:{port}")),
        ("--relay", world.relay.url.trim_start_matches("http://").to_owned()),
        ("--key", SERVER_KEY.to_owned()),
    ]);
    let log = world.folder().path().join("rendered_page.log");
    let mut server = Program::spawn("examples/rendered_page", &arguments, &log, None);
    server.answers(&format!("http://127.0.0.1:{port}/")).await;
    let render = async || {
        let ask = Ask::get(format!("http://127.0.0.1:{port}/p/toaster"));
        let ask = ask.header("cookie", &format!("visitor={}", page.visitor()));
        Http::default().ask(ask).await.expect("a page").body
    };
    let html = render().await;
    assert!(html.contains("<h1>toaster</h1>"), "{html}");
    assert!(html.matches("<li><a href=\"/p/").count() == 4, "{html}");
    assert!(!html.contains("/p/toaster\">"), "{html}");
    // Without the relay the page is there all the same.
    world.relay.kill();
    let html = render().await;
    assert!(html.contains("<h1>toaster</h1>") && !html.contains("<li>"), "{html}");
}
