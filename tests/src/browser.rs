//! A real Chromium, driven from outside: it opens pages, clicks, and tells what the SDK said.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use clickmill_sdk_core::wire::Books;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::child::{Folder, free_port};
use crate::http::{Ask, Http};
use crate::until::until;

/// Runs in every page before its own scripts: writes down what the SDK tells the page, across
/// navigations, in a place that no script of ours looks at.
const WITNESS: &str = r"
for (const name of ['hint', 'verdict']) {
  document.addEventListener('clickmill:' + name, (event) => {
    const key = 'witness.' + name;
    const seen = JSON.parse(sessionStorage.getItem(key) || '[]');
    seen.push({ ...event.detail, page: location.pathname, content: undefined });
    sessionStorage.setItem(key, JSON.stringify(seen));
  });
}
document.addEventListener('clickmill:state', (event) => {
  const state = { ...event.detail, page_since: performance.timeOrigin };
  sessionStorage.setItem('witness.state', JSON.stringify(state));
});
const note = (body) => {
  let batch;
  try {
    batch = JSON.parse(body);
  } catch {
    return;
  }
  if (!batch.events) return;
  const sent = JSON.parse(sessionStorage.getItem('witness.sent') || '[]');
  const { name, books } = batch.context.sdk;
  for (const { id, queue } of batch.events) sent.push({ id, queue, by: name, created: books.created });
  sessionStorage.setItem('witness.sent', JSON.stringify(sent));
};
const { fetch } = window;
window.fetch = (url, options) => {
  note(options?.body);
  return fetch(url, options);
};
const { sendBeacon } = navigator;
navigator.sendBeacon = (url, body) => {
  note(body);
  return sendBeacon.call(navigator, url, body);
};
";

/// Reads the SDK's database. It is not made by the look at it: there is none before it is needed.
const KEPT: &str = r"
const done = arguments[arguments.length - 1];
const all = (request) => new Promise((give, fail) => {
  request.onsuccess = () => give(request.result);
  request.onerror = () => fail(request.error);
});
(async () => {
  const found = [];
  for (const { name } of await indexedDB.databases()) {
    const database = await all(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const kept = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([all(kept.getAllKeys()), all(kept.getAll())]);
      keys.forEach((key, at) => found.push([key, values[at]]));
    }
    database.close();
  }
  done(found);
})().catch((error) => done(String(error)));
";

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    /// The window, for whatever else is wanted.
    pub client: Client,
    driver: Child,
    _profile: Folder,
}

/// A hint as the page got it.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenHint {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// From click to hint, where the SDK knows the click.
    pub latency_ms: Option<f64>,
    /// The event that it answers.
    pub cause: Option<SeenCause>,
}

/// The event that a hint answers.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenCause {
    /// Its id.
    pub event: String,
}

/// An event that the SDK handed to the network, once for each time it did.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenSent {
    /// Its id.
    pub id: String,
    /// The queue it stood in.
    pub queue: String,
    /// Who sent it: `web`, which is the core, or `web-stub`.
    pub by: String,
    /// Events ever put into that queue, by the books in the same batch.
    pub created: u64,
}

/// How the SDK's core fared when it last said so.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenState {
    /// When the page began whose core said it: `performance.timeOrigin`.
    pub page_since: f64,
    /// Events that wait.
    pub queued: u64,
    /// Its books.
    pub books: Books,
}

/// A verdict as the page got it.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenVerdict {
    /// The event.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    pub outcome: String,
}

impl Browser {
    /// Starts Chromium without a window on the screen.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let browser = Self::bare(&[]).await;
        browser.before_pages(WITNESS).await;
        browser
    }

    /// One with these switches that writes nothing down, so that what it takes is the page's.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn bare(switches: &[&str]) -> Self {
        let (port, profile) = (free_port(), Folder::new("chromium"));
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts: `cargo xtask test` installs it");
        let url = format!("http://127.0.0.1:{port}");
        let http = Http::default();
        until("chromedriver", || async { http.ask(Ask::get(format!("{url}/status"))).await.ok() })
            .await;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(&profile, switches));
        let client = builder.connect(&url).await.expect("a window");
        let browser = Self { client, driver, _profile: profile };
        browser.cdp("Page.enable", json!({})).await;
        browser.cdp("Performance.enable", json!({})).await;
        browser
    }

    /// What the page's process counts, by Chromium's own names: `ScriptDuration` (s), `LayoutCount`
    /// and others.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let said = self.cdp("Performance.getMetrics", json!({})).await;
        let metrics = said["metrics"].as_array().into_iter().flatten();
        let metric =
            |metric: &Value| Some((metric["name"].as_str()?.to_owned(), metric["value"].as_f64()?));
        metrics.filter_map(metric).collect()
    }

    /// Opens an address.
    ///
    /// # Panics
    /// When the page does not load.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    /// Has a script run in every page from here on, before the page's own.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn before_pages(&self, script: &str) {
        // In a scope of its own, so that its names are not the page's.
        let source = json!({ "source": format!("{{{script}}}") });
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source).await;
    }

    /// Lets pages do what their content security policy forbids.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn ignore_policies(&self) {
        self.cdp("Page.setBypassCSP", json!({ "enabled": true })).await;
    }

    /// Sets the window's size in CSS pixels.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Goes on in a new tab of the same browser. Scripts that run before pages are to be set anew.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn new_tab(&self) {
        let tab = self.client.new_window(true).await.expect("a tab");
        self.client.switch_to_window(tab.handle).await.expect("it is there");
        self.cdp("Page.enable", json!({})).await;
        self.before_pages(WITNESS).await;
    }

    /// Takes the network away from the window's pages, or gives it back.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn set_offline(&self, offline: bool) {
        self.cdp("Network.enable", json!({})).await;
        let conditions = json!({
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.cdp("Network.emulateNetworkConditions", conditions).await;
    }

    /// Kills the window's page as if its process had died, and goes on in another window.
    ///
    /// # Panics
    /// When there is no other window.
    pub async fn crash(&self) {
        let mut others = self.client.windows().await.expect("the windows");
        let mine = self.client.window().await.expect("this window");
        others.retain(|window| *window != mine);
        let crash = Devtools { method: "Page.crash", params: json!({}) };
        // Nobody is left to answer.
        let _ = self.client.issue_cmd(crash).await;
        let other = others.pop().expect("another window");
        self.client.switch_to_window(other).await.expect("it is there");
    }

    /// The items that the SDK keeps in its database, as JSON: keys with their values.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn kept(&self) -> Vec<(Value, Value)> {
        serde_json::from_value(self.later(KEPT).await).expect("what the database holds")
    }

    /// How many queues the SDK keeps: one for each tab.
    pub async fn queues(&self) -> usize {
        let kept = self.kept().await;
        kept.iter().filter(|(key, _)| key[1] == "queue").count()
    }

    /// Runs a script in the page and gives back what it returns.
    ///
    /// # Panics
    /// When the script throws.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script ends")
    }

    /// Runs a script that calls its last argument when it is done, and gives back what it says.
    ///
    /// # Panics
    /// When the script throws.
    pub async fn later(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.expect("the script ends")
    }

    /// Presses a key where the focus is.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn press(&self, key: char) {
        self.write(&key.to_string()).await;
    }

    /// Writes a text where the focus is.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn write(&self, text: &str) {
        let keys =
            text.chars().flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
        let keys = keys.fold(KeyActions::new("keyboard".into()), KeyActions::then);
        self.client.perform_actions(keys).await.expect("keys are pressed");
    }

    /// Waits until the page's path begins like this.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn arrives(&self, path: &str) {
        until(path, || async {
            let url = self.client.current_url().await.ok()?;
            url.path().starts_with(path).then_some(())
        })
        .await;
    }

    /// The hints that arrived in this window since it was opened.
    pub async fn hints(&self) -> Vec<SeenHint> {
        self.witnessed("hint").await
    }

    /// The verdicts that arrived in this window since it was opened.
    pub async fn verdicts(&self) -> Vec<SeenVerdict> {
        self.witnessed("verdict").await
    }

    /// The events that the SDK handed to the network in this window since it was opened.
    pub async fn sent(&self) -> Vec<SeenSent> {
        self.witnessed("sent").await
    }

    /// Waits until the page has its core: until then the stub holds what happens.
    ///
    /// # Panics
    /// When the core does not come.
    pub async fn has_core(&self) {
        until("the SDK's core", || async {
            let page_since = self.run("return performance.timeOrigin").await.as_f64();
            (Some(self.state().await.page_since) == page_since).then_some(())
        })
        .await;
    }

    /// Ends the browser.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn close(self) {
        self.client.clone().close().await.expect("the window closes");
    }

    /// The SDK's last word on its queue and books.
    ///
    /// # Panics
    /// When it is no state.
    pub async fn state(&self) -> SeenState {
        let script = "return JSON.parse(sessionStorage.getItem('witness.state') || 'null')";
        let said: Option<SeenState> =
            serde_json::from_value(self.run(script).await).expect("a state");
        said.unwrap_or_default()
    }

    async fn witnessed<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let script = format!("return JSON.parse(sessionStorage.getItem('witness.{name}') || '[]')");
        serde_json::from_value(self.run(&script).await).expect("what the witness wrote")
    }

    async fn cdp(&self, method: &'static str, params: Value) -> Value {
        self.client.issue_cmd(Devtools { method, params }).await.expect("a browser's answer")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser behind, so the browser goes first, by its id.
        // All of this fails only if it has ended already.
        for child in children(self.driver.id()) {
            let _ = Command::new("kill").arg("-KILL").arg(child.to_string()).status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The processes that `parent` started, from whichever of its threads, and that still run.
fn children(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let ids =
        |list: String| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>();
    lists.flat_map(ids).collect()
}

fn capabilities(profile: &Folder, switches: &[&str]) -> Capabilities {
    let folder = format!("--user-data-dir={}", profile.path().display());
    // Without a screen and, as on most test machines, as root and without Google's services.
    let mut args = vec![
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
        &folder,
    ];
    args.extend(switches);
    let options = json!({ "args": args });
    // Some scripts measure for minutes.
    let timeouts = json!({ "script": 600_000 });
    [("goog:chromeOptions".to_owned(), options), ("timeouts".to_owned(), timeouts)]
        .into_iter()
        .collect()
}

/// A command of Chromium's own protocol, sent through its driver.
#[derive(Debug)]
struct Devtools {
    method: &'static str,
    params: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (hyper::Method, Option<String>) {
        let body = json!({ "cmd": self.method, "params": self.params });
        (hyper::Method::POST, Some(body.to_string()))
    }
}
