//! What a hint takes is measured in the relay itself, and the live page of its admin port shows it.

use clickmill_tests::browser::Browser;
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
