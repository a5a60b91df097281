//! What a hint takes is measured in the relay itself, and the live page of its admin port shows it.

use clickmill_tests::browser::Browser;
use clickmill_tests::page::Page;
use clickmill_tests::service::{ANY_ORIGIN, Relay, WRITE_KEY};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Ask, Http, World};

use crate::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn what_hints_take_is_measured_by_kind_until_they_are_seen_and_shown_to_people() {
    let world = World::start().await;
    world.kafka.stock(&[("kettle", 5), ("toaster", 5), ("mixer", 5)]);
    let page = world.page();
    let mut stream = page.listen().await;
    assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
    let (hint, _) = stream.hint(PATIENCE).await.expect("a hint");
    let seen = page.event("exposure", &format!(r#"{{"hint":"{}","slot":"suggested"}}"#, hint.id));
    assert_eq!(page.send(vec![seen]).await.accepted, 1);

    let kind = r#"{kind="suggest""#;
    let metric = async |name: &str| world.relay.metric(&format!("clickmill_relay_{name}")).await;
    until("it is known that the hint was seen", || async {
        let count = metric(&format!("click_to_exposure_seconds_count{kind}")).await;
        (count == 1.0).then_some(())
    })
    .await;
    assert_eq!(metric(&format!("click_to_hint_seconds_count{kind}")).await as u64, 1);
    let hint_s = metric(&format!("click_to_hint_seconds_sum{kind}")).await;
    let seen_s = metric(&format!("click_to_exposure_seconds_sum{kind}")).await;
    assert!(0.0 <= hint_s && hint_s <= seen_s && seen_s < 30.0, "{hint_s} {seen_s}");
    until("the quantiles are told", || async {
        let p99 = metric(r#"click_to_hint_quantile_seconds{kind="suggest",quantile="0.99""#).await;
        ((p99 - hint_s).abs() < 0.0011).then_some(())
    })
    .await;

    let (url, browser) = (format!("{}/", world.relay.admin), Browser::start().await);
    let head = Http::default().ask(Ask::get(url.as_str())).await.expect("the page").headers;
    let policy = head["content-security-policy"].to_str().expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    browser.open(&url).await;
    let text = async |selector: &str| {
        let script = format!("return document.querySelector({selector:?}).innerText");
        browser.run(&script).await.as_str().unwrap_or_default().to_owned()
    };
    until_enough(
        "the page shows the hint",
        || text("#by-slot"),
        |rows| rows.contains("suggest") && rows.contains("suggested"),
    )
    .await;
    assert_eq!((text("#streams").await, text("#ready").await), ("1".into(), "ready".into()));
    until_enough("how often it was seen", || text("#by-kind"), |rows| rows.ends_with('1')).await;
    // What the policy forbids would leave the page without its looks or its numbers.
    let margin = browser.run("return getComputedStyle(document.body).margin").await;
    assert_eq!(margin, "0px");
    browser.close().await;
}

/// What the collector demands of those who look.
const TOKEN: &str = "0123456789abcdef+/=";

#[tokio::test(flavor = "multi_thread")]
async fn events_are_shown_as_they_come_to_those_who_know_the_collectors_token() {
    let with = format!("inspect.token = \"{TOKEN}\"");
    let edge = World::builder().set(|setup, _| setup.settings = with).edge().await;
    let settings = format!("live.inspector = \"{}\"", edge.collector.admin);
    let relay = Relay::start_with(&edge.kafka, edge.folder(), (ANY_ORIGIN, &settings)).await;
    let tail = format!("{}/inspect/tail?as=json", relay.admin);
    let stranger = Http::default().ask(Ask::get(tail.as_str())).await.expect("an answer");
    assert_eq!(stranger.status, 401, "{}", stranger.body);

    let browser = Browser::start().await;
    // What a fragment takes: the rest of the token is written as it is in queries.
    let given = TOKEN.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    browser.open(&format!("{}/#token={given}", relay.admin)).await;
    let text = async |selector: &str| {
        let script = format!("return document.querySelector({selector:?}).innerText");
        browser.run(&script).await.as_str().unwrap_or_default().to_owned()
    };
    until_enough("the page looks", || text("#seen"), |seen| seen.contains("waiting")).await;
    assert_eq!(browser.run("return location.href").await, format!("{}/", relay.admin));

    let page = Page::new((&edge.collector.url, &relay.url), WRITE_KEY);
    let bad = page.event("product_view", r#"{"sku": 17, "title": "<b>kettle</b>"}"#);
    assert_eq!(page.send(vec![page.views("kettle"), bad]).await.accepted, 1);
    until_enough("both are shown", || text("#seen"), |seen| seen == "2 seen").await;
    let rows = text("#lines").await;
    assert!(rows.contains("accepted") && rows.contains("rejected"), "{rows}");
    assert!(rows.contains("product_view") && rows.contains("/props/sku"), "{rows}");
    assert_eq!(browser.run("return document.querySelectorAll('#lines b').length").await, 0);

    browser.run("document.querySelector('#go').click()").await;
    assert_eq!(text("#seen").await, "stopped");
    browser.run("token.value = 'another token, a wrong one'; go.click()").await;
    until_enough("it is refused", || text("#seen"), |seen| seen.contains("show the token")).await;
    browser.close().await;
}
