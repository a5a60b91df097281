//! What the SDK costs a page in Chromium: time on the main thread, layouts, and memory.

use serde_json::{Value, json};

use crate::browser::{Browser, Engine};
use crate::child::built;
use crate::figure::{Figure, Style};
use crate::front::Front;
use crate::world::World;

/// Pages that begin, for the median.
const PAGES: usize = 7;
/// Events until memory is weighed for the first time, and whose time is taken.
const FIRST: usize = 10_000;
/// They come in so many rounds, for the median: a machine that others use is slow now and then.
const ROUNDS: usize = 5;
/// Calls in a row whose processor time is taken, so often.
const CALLS: usize = 500;
const CALL_ROUNDS: usize = 9;
const PAGE: &str =
    "<!doctype html><html lang=en><title>Page</title><h1>Page</h1><p>Text</p></html>";

/// Looks for long tasks and for the core's memory.
const EYES: &str = "
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
  .observe({ type: 'longtask' });
window.memories = [];
for (const name of ['instantiate', 'instantiateStreaming']) {
  const make = WebAssembly[name];
  WebAssembly[name] = async (...all) => {
    const made = await make.apply(WebAssembly, all);
    memories.push(made.instance.exports.memory);
    return made;
  };
}
";

/// Begins the SDK and waits until its core has spoken.
const BEGIN: &str = "
const done = arguments[0];
document.addEventListener('clickmill:state', ({ detail }) => {
  window.state = detail;
  done(true);
});
window.answered = 0;
document.addEventListener('clickmill:verdict', () => answered++);
const script = document.createElement('script');
script.src = '/files/clickmill.js';
Object.assign(script.dataset, DATA);
document.head.append(script);
";

/// Takes so many events, some in each task, waits for those on their way, and says how long the calls
/// took, ms.
const TAKE: &str = "
const done = arguments[0];
let spent = 0;
const before = answered;
const wait = () => new Promise((go) => setTimeout(go));
(async () => {
  for (let n = 0; n < COUNT; n += 20) {
    const began = performance.now();
    for (let i = 0; i < 20; i++) {
      clickmill.track('product_view', { sku: `KET-${i}`, category: 'kettles', price_cents: 3999, currency: 'GBP' });
    }
    spent += performance.now() - began;
    await wait();
    while (n - (answered - before) > 400) await wait();
  }
  clickmill.flush();
  while (answered - before < COUNT) await wait();
  done(spent);
})();
";

/// Takes so many events in one go.
const CALL: &str = "
for (let i = 0; i < COUNT; i++) {
  clickmill.track('product_view', { sku: `KET-${i % 20}`, category: 'kettles', price_cents: 3999, currency: 'GBP' });
}
";

/// Waits until each event has its answer.
const ANSWERED: &str = "
const done = arguments[0];
clickmill.flush();
const look = () => (answered < COUNT ? setTimeout(look, 10) : done());
look();
";

/// Bytes of the core's memory.
const CORE: &str = "return memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0)";

/// Measures and prints; `events` is how many there are when memory is weighed for the last time.
///
/// # Panics
/// When something fails, or an event was dropped.
pub async fn measure(events: usize, style: Style) {
    // The collector is a development build.
    let world = World::builder().edge().await;
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let site = Front::of_files(sdk, PAGE.to_owned()).await;
    let browser = Browser::builder(Engine::Chromium).start().await;
    browser.before_pages(EYES).await;
    let data = json!({
        "key": world.write_key(), "collector": world.collector.url, "consent": "analytics",
        "core": "/files/clickmill_core.js",
    });
    let begin = BEGIN.replace("DATA", &data.to_string());
    let print = |name, value, unit| Figure { bench: "sdk", name, value, unit }.print(style);

    let mut inits = Vec::new();
    for _ in 0..PAGES {
        browser.open(&format!("{}/page", site.url)).await;
        // What the driver's own script takes.
        let (_, idle) = scripted(&browser, "setTimeout(arguments[0], 300)").await;
        let (_, begun) = scripted(&browser, &begin).await;
        inits.push((begun - idle).max(0.0) * 1000.0);
    }
    print("init_ms", median(inits), "ms");
    print("init_longest_task_ms", longest(&browser).await, "ms");

    let before = browser.metrics().await;
    let (mut calls, mut scripts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (spent, script) =
            scripted(&browser, &TAKE.replace("COUNT", &(FIRST / ROUNDS).to_string())).await;
        let each = |seconds: f64| seconds * 1e6 / (FIRST / ROUNDS) as f64;
        calls.push(each(spent.as_f64().expect("a time") / 1000.0));
        scripts.push(each(script));
    }
    let after = browser.metrics().await;
    print("us_per_event", median(calls), "µs");
    print("us_per_event_with_delivery", median(scripts), "µs");
    print("longest_task_ms", longest(&browser).await, "ms");
    print("layouts", after["LayoutCount"] - before["LayoutCount"], "layouts");

    let (first_heap, first_core) = weigh(&browser).await;
    print("cpu_us_per_event", cpu_of_calls(&browser).await, "µs");
    let rest = events.saturating_sub(FIRST + CALLS * CALL_ROUNDS);
    scripted(&browser, &TAKE.replace("COUNT", &rest.to_string())).await;
    let (last_heap, last_core) = weigh(&browser).await;
    print("heap_first_bytes", first_heap, "bytes");
    print("heap_last_bytes", last_heap, "bytes");
    print("core_first_bytes", first_core, "bytes");
    print("core_last_bytes", last_core, "bytes");
    print("memory_ratio", (last_heap + last_core) / (first_heap + first_core), "");
    let books = browser.run("return state.books").await;
    assert_eq!(books["created"], books["settled"], "{books}");
    browser.close().await;
}

/// Runs a script to its end: what it says, and how long scripts ran meanwhile, s.
async fn scripted(browser: &Browser, script: &str) -> (Value, f64) {
    let before = browser.metrics().await;
    let said = browser.later(script).await;
    let after = browser.metrics().await;
    (said, after["ScriptDuration"] - before["ScriptDuration"])
}

/// Processor time of the page's main thread for an event's call, µs: what others do on the machine
/// meanwhile is not in it. The calls are made in a row, and what the driver's own question costs is
/// taken off.
async fn cpu_of_calls(browser: &Browser) -> f64 {
    let mut each = Vec::new();
    for _ in 0..CALL_ROUNDS {
        let count = browser.run("return answered").await.as_u64().expect("a count");
        let idle = threaded(browser, "").await;
        let calls = threaded(browser, &CALL.replace("COUNT", &CALLS.to_string())).await;
        each.push((calls - idle) * 1e6 / CALLS as f64);
        let all = count + CALLS as u64;
        browser.later(&ANSWERED.replace("COUNT", &all.to_string())).await;
    }
    median(each)
}

/// Runs a script: how long the page's main thread was on a processor for it, s.
async fn threaded(browser: &Browser, script: &str) -> f64 {
    let before = browser.metrics().await;
    browser.run(script).await;
    browser.metrics().await["ThreadTime"] - before["ThreadTime"]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The longest task so far of those that count as long, which is from 50 ms; 0 where there is none.
async fn longest(browser: &Browser) -> f64 {
    browser.run("return Math.max(0, ...tasks)").await.as_f64().unwrap_or_default()
}

/// Bytes of script and of the core that are in use after what is garbage has gone. The page is asked
/// from outside: what a script itself could say counts buffers that are garbage and not yet swept,
/// megabytes of them right after a burst.
async fn weigh(browser: &Browser) -> (f64, f64) {
    let heap = browser.heap().await;
    (heap, browser.run(CORE).await.as_f64().expect("bytes"))
}
