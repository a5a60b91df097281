//! What a hint takes is measured in the relay itself, and the live page of its admin port shows it.

use std::path::PathBuf;

use clickmill_sdk_core::wire::HintKind;
use clickmill_tests::browser::Browser;
use clickmill_tests::page::{Page, now};
use clickmill_tests::service::{ANY_ORIGIN, Relay, WRITE_KEY};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Ask, Http, Stream, World};
use serde_json::{Value, json};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_after_it_was_taken_back_is_counted_and_shown() {
    let world = World::start().await;
    world.kafka.stock(&[("kettle", 5), ("toaster", 5)]);
    let page = world.page();
    let mut stream = page.listen().await;
    page.send(vec![page.views("kettle")]).await;
    let (shown, _) = stream.hint(PATIENCE).await.expect("a hint");
    world.kafka.levels().say("toaster", 0);
    let gone = taken_back(&mut stream).await;

    // At once is no fault: the page cannot have heard of it. A while later it is one.
    let props = format!(r#"{{"hint":"{}","slot":"suggested"}}"#, shown.id);
    let seen = |after_ms: u64| {
        let mut seen = page.event("exposure", &props);
        seen.at = gone + after_ms;
        seen
    };
    until("a while has passed", || async { (now() >= gone + 1_500).then_some(()) }).await;
    page.send(vec![seen(0), seen(1_500)]).await;
    let violations = async || world.relay.metric("clickmill_relay_violations_total").await;
    until("it is counted", || async { (violations().await > 0.0).then_some(()) }).await;
    // Whatever is told now comes after both.
    world.kafka.levels().say("toaster", 5);
    page.send(vec![page.views("kettle")]).await;
    stream.hint(PATIENCE).await.expect("an answer");
    assert_eq!(violations().await, 1.0);

    let browser = Browser::start().await;
    browser.open(&format!("{}/", world.relay.admin)).await;
    const TOLD: &str = "
        const [number, none] = [document.querySelector('#violations'), document.querySelector('#missed')];
        return [number.innerText, getComputedStyle(number).color !== getComputedStyle(none).color]";
    until_enough("it is shown", || browser.run(TOLD), |told| *told == json!(["1", true])).await;
    for scheme in SCHEMES {
        browser.prefers(scheme).await;
        can_be_read(&browser, scheme).await;
    }
    browser.close().await;
}

/// Waits until a stream tells that its hint is taken back, and says when.
async fn taken_back(stream: &mut Stream) -> clickmill_sdk_core::wire::Millis {
    loop {
        let (hint, _) = stream.hint(PATIENCE).await.expect("a withdrawal");
        if hint.kind == HintKind::Withdraw {
            return hint.decided_at;
        }
    }
}

const SCHEMES: [&str; 2] = ["light", "dark"];

/// Wide as on a desk, and as in a hand.
const WIDTHS: [u32; 2] = [1280, 390];

/// The contrast of each text with what is behind it, and of each line of a chart, and how bright the page
/// is: as WCAG 2 reckons them.
const CONTRASTS: &str = r"
    const numbers = (color) => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (node) => {
      const color = numbers(getComputedStyle(node).backgroundColor);
      return color[3] === 0 ? behind(node.parentElement) : color;
    };
    const against = (color, node) => {
      const [a, b] = [light(numbers(color)), light(behind(node))].sort((a, b) => b - a);
      return (a + 0.05) / (b + 0.05);
    };
    const all = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility());
    const told = (node, contrast, need) => ({ what: `${node.tagName} ${node.id} ${node.className.baseVal ?? node.className} ${node.textContent.slice(0, 20)}`, contrast, need });
    const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const texts = all.filter(hasText).map((node) => {
      const style = getComputedStyle(node);
      return told(node, against(node instanceof SVGElement ? style.fill : style.color, node), 4.5);
    });
    const lines = all.filter((node) => node.matches('polyline')).map((node) => told(node, against(getComputedStyle(node).stroke, node), 3));
    return { texts: texts.length, lines: lines.length, light: light(behind(document.body)),
      poor: [...texts, ...lines].filter((one) => !(one.contrast >= one.need)) }";

/// Checks that all of the page can be read, and gives back how bright it is, 0 to 1.
async fn can_be_read(browser: &Browser, scheme: &str) -> f64 {
    let found = browser.run(CONTRASTS).await;
    assert!(found["texts"].as_u64() > Some(50), "{found}");
    assert_eq!(found["poor"], json!([]), "by {scheme}");
    let light = found["light"].as_f64().expect("how bright it is");
    assert_eq!(light > 0.5, scheme == "light", "{scheme}: {light}");
    light
}

/// Whether charts are drawn for the width that they have.
const FITS: &str = "
    return [...document.querySelectorAll('svg')].every((svg) => svg.viewBox.baseVal.width === svg.clientWidth)";

/// Keeps a picture for people where `CLICKMILL_PICTURES` names a folder.
async fn picture(browser: &Browser, name: &str) {
    let taken = browser.client.screenshot().await.expect("a picture");
    assert!(taken.starts_with(b"\x89PNG"), "{name}");
    if let Some(folder) = std::env::var_os("CLICKMILL_PICTURES") {
        let file = PathBuf::from(folder).join(format!("{name}.png"));
        std::fs::write(file, taken).expect("a folder for pictures");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_page_moves_with_the_hints_and_is_read_by_day_and_by_night_on_any_width() {
    let world = World::builder();
    let rules = world.folder().path().join("rules");
    std::fs::create_dir_all(&rules).expect("a folder of our own");
    let rule = "[[rule]]\ntenant = \"shop\"\nname = \"tea\"\nslot = \"banner\"\ncontent = {}\n";
    let rule = rule.replace("shop", clickmill_tests::TENANT);
    std::fs::write(rules.join("tea.toml"), rule).expect("a file of our own");
    let world = world.relay(format!("promotions.folder = {rules:?}")).start().await;
    world.kafka.stock(&[("kettle", 500), ("toaster", 500), ("mixer", 500)]);
    let browser = Browser::start().await;
    browser.open(&format!("{}/", world.relay.admin)).await;

    // The heights that a chart's lines reach above its foot.
    let heights = async |chart: &str| -> Vec<f64> {
        let script = format!(
            "return [...document.querySelectorAll('#{chart} polyline')].map((line) =>
               Math.max(...line.getAttribute('points').split(' ').map((at) => 160 - at.split(',')[1])))"
        );
        let heights = browser.run(&script).await;
        heights.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let looked = || async { browser.run("return document.querySelector('#p50').innerText").await };
    until_enough("nothing was told yet", looked, |p50| *p50 == "–").await;
    let highest = |heights: Vec<f64>| heights.into_iter().fold(0.0, f64::max);
    assert_eq!(highest(heights("rates").await), 0.0, "no hints, no line");

    let pages: Vec<Page> = (0..6).map(|_| world.page()).collect();
    let mut streams = Vec::new();
    for page in &pages {
        streams.push(page.listen().await);
    }
    until("the charts show them", || async {
        for page in &pages {
            page.send(vec![page.views("kettle")]).await;
        }
        let (rates, latency) = (heights("rates").await, heights("latency").await);
        // Suggestions and promotions; p50 and p99.
        let both = |all: &[f64]| all.len() == 2 && all.iter().all(|height| *height > 0.0);
        (both(&rates) && both(&latency)).then_some(())
    })
    .await;
    world.kafka.levels().say("toaster", 0);
    taken_back(&mut streams[0]).await;
    let withdrawn = "return Number(document.querySelector('#withdrawn').innerText)";
    until_enough("it is told", || browser.run(withdrawn), |told| told.as_f64() > Some(0.0)).await;

    for scheme in SCHEMES {
        browser.prefers(scheme).await;
        for width in WIDTHS {
            browser.resize(width, 1400).await;
            // A chart is drawn anew with the next look at the numbers.
            let fits = || async { browser.run(FITS).await == true };
            until_enough("the charts are as wide as they may be", fits, |fits| *fits).await;
            can_be_read(&browser, scheme).await;
            let wide = "const { scrollWidth, clientWidth } = document.documentElement;
                        return scrollWidth - clientWidth";
            assert_eq!(browser.run(wide).await, 0, "wider than {width} px");
            picture(&browser, &format!("live-{scheme}-{width}")).await;
        }
    }
    only_our_own(&browser, (&world.relay.admin, &world.relay.url)).await;
    browser.close().await;
}

/// Checks that the page asked nobody but its own origin, and that it could not have asked another.
async fn only_our_own(browser: &Browser, (ours, other): (&str, &str)) {
    let asked = browser
        .run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        .await;
    let asked = asked.as_array().expect("what was asked for");
    assert!(asked.iter().any(|url| *url == format!("{ours}/live.css")), "{asked:?}");
    let is_ours =
        |url: &Value| url.as_str().is_some_and(|url| url.starts_with(&format!("{ours}/")));
    assert!(asked.iter().all(is_ours), "{asked:?}");
    let script = format!(
        "window.refused = [];
         document.addEventListener('securitypolicyviolation', (fault) => refused.push(fault.effectiveDirective));
         fetch('{other}/').catch(() => {{}});
         document.body.append(Object.assign(new Image(), {{ src: '{other}/a.png' }}));
         document.head.append(Object.assign(document.createElement('script'), {{ src: '{other}/a.js' }}))"
    );
    browser.run(&script).await;
    let refused = || browser.run("return window.refused.toSorted()");
    let all = json!(["connect-src", "img-src", "script-src-elem"]);
    until_enough("all is refused", refused, |refused| *refused == all).await;
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
