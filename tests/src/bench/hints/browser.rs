//! Click to hint in Chromium: on a page that stays, and from the start of the navigation that a click
//! leads to until the next page has the hint.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::{Browser, Engine};
use crate::child::built;
use crate::figure::Latencies;
use crate::front::Front;
use crate::until::until;
use crate::world::World;

/// Clicks on a page that stays.
const STAYING: usize = 200;
/// Clicks that lead to another page.
const LEAVING: usize = 60;

/// A page with a product to click on that stays, and one that leads to the same page anew.
const PAGE: &str = r##"<!doctype html><html lang="en"><title>Page</title><main data-page-kind="product">
<button id="stay" data-cm-click="product_click">Look</button>
<a id="leave" href="/page" data-cm-click="product_click">Go</a></main>
<script>
const [asked, heard] = [{}, []];
document.addEventListener("clickmill:event", ({ detail }) => {
  if (detail.type !== "product_click") return;
  asked[detail.id] = performance.now();
  sessionStorage.clicked = detail.id;
});
document.addEventListener("clickmill:hint", ({ detail }) => {
  const now = performance.now();
  const click = detail.cause?.event;
  if (asked[click]) heard.push(now - asked[click]);
  delete asked[click];
  if (click && click === before) since ??= now;
});
let since, core;
document.addEventListener("clickmill:state", () => (core = true));
const before = sessionStorage.clicked;
const sell = (id, sku) => (document.querySelector(id).dataset.cmProps = JSON.stringify({ sku }));
</script>
<script src="/files/clickmill.js" defer DATA></script></html>"##;

/// Clicks so often on what stays, each time once the last one was answered; how long each took, ms.
const STAY: &str = "
const done = arguments[0];
(async () => {
  for (let n = 0; n < COUNT; n += 1) {
    sell('#stay', `p${n % PRODUCTS}`);
    document.querySelector('#stay').click();
    const deadline = performance.now() + 5000;
    while (heard.length <= n && performance.now() < deadline) await new Promise((go) => setTimeout(go, 1));
    await new Promise((go) => setTimeout(go, 20));
  }
  done(heard);
})();
";

/// When the hint came that the last page's click led to, ms since this page's navigation began.
const ARRIVED: &str = "
const done = arguments[0];
const deadline = performance.now() + 5000;
const look = () => (since !== undefined || performance.now() > deadline ? done(since ?? null) : setTimeout(look, 1));
look();
";

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// From a click to its hint, on a page that stays.
    pub(super) staying: Latencies,
    /// From the start of a navigation to the hint that answers the click which led there.
    pub(super) leaving: Latencies,
    /// Clicks that no hint came for.
    pub(super) unheard: usize,
}

/// Clicks in a browser of its own, on a page of the world's site.
pub(super) async fn measure(world: &World, products: usize) -> Heard {
    let data = json!({
        "key": world.write_key(), "collector": world.collector.url, "hints": world.relay.url,
        "core": "/files/clickmill_core.js", "consent": "analytics,personalization",
    });
    let data = data.as_object().into_iter().flatten();
    let data: Vec<String> = data.map(|(name, value)| format!("data-{name}={value}")).collect();
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let site = Front::of_files(sdk, PAGE.replace("DATA", &data.join(" "))).await;
    let browser = Browser::builder(Engine::Chromium).start().await;
    browser.open(&format!("{}/page", site.url)).await;
    has_core(&browser).await;

    let mut measured = Heard::default();
    let stay = STAY.replace("COUNT", &STAYING.to_string());
    let said = browser.later(&stay.replace("PRODUCTS", &products.to_string())).await;
    let heard: Vec<f64> = said.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    heard.iter().for_each(|ms| measured.staying.add(span(*ms)));
    measured.unheard = STAYING - heard.len();
    for n in 0..LEAVING {
        has_core(&browser).await;
        let page = browser.run("return performance.timeOrigin").await;
        let leave = format!("sell('#leave', 'p{}'); setTimeout(() => leave.click())", n % products);
        browser.run(&leave).await;
        while browser.run("return performance.timeOrigin").await == page {}
        match browser.later(ARRIVED).await.as_f64() {
            Some(ms) => measured.leaving.add(span(ms)),
            None => measured.unheard += 1,
        }
    }
    browser.close().await;
    measured
}

async fn has_core(browser: &Browser) {
    until("the SDK's core", || async { (browser.run("return core").await == true).then_some(()) })
        .await;
}

fn span(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1000.0)
}
