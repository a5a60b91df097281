//! A real browser, driven from outside: it opens pages, clicks, and tells what the SDK said.

mod drive;
mod witness;

use std::collections::BTreeMap;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use self::witness::{SeenCause, SeenHint, SeenSent, SeenState, SeenVerdict, WITNESS};

use self::drive::{Own, Programs, Wishes};
use self::witness::KEPT;
use crate::child::Folder;
use crate::http::{Ask, Http};
use crate::until::until;

/// The process of Firefox's tab in front, and those of all tabs. It is not to end with the first of
/// them, as its driver has it.
const PROCESSES: &str = "
Services.env.set('MOZ_CRASHREPORTER_SHUTDOWN', '');
const process = (browser) => browser.browsingContext.currentWindowGlobal.osPid;
return [process(gBrowser.selectedBrowser), gBrowser.browsers.map(process)];
";

/// What a browser is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Chromium, as chromedriver starts it.
    Chromium,
    /// Firefox, as geckodriver starts it.
    Firefox,
    /// WebKit, in the small browser that comes with WebKitGTK.
    WebKit,
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    /// The window, for whatever else is wanted.
    pub client: Client,
    engine: Engine,
    programs: Programs,
    profile: Folder,
}

/// How a browser is started.
#[derive(Debug)]
pub struct BrowserBuilder {
    engine: Engine,
    wishes: Wishes,
}

impl BrowserBuilder {
    /// With these switches of Chromium's.
    #[must_use]
    pub fn switches(mut self, switches: &[&str]) -> Self {
        self.wishes.switches.extend(switches.iter().map(|&switch| switch.to_owned()));
        self
    }

    /// One in which sites may keep nothing, by its own settings.
    #[must_use]
    pub fn without_storage(mut self) -> Self {
        self.wishes.without_storage = true;
        self
    }

    /// A window of which the browser keeps nothing when it closes.
    #[must_use]
    pub fn in_private(mut self) -> Self {
        self.wishes.is_private = true;
        self
    }

    /// One whose visitor wants to be neither sold nor shared, by its own setting where it has one
    /// (Firefox).
    #[must_use]
    pub fn with_privacy_signal(mut self) -> Self {
        self.wishes.signals_privacy = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(self) -> Browser {
        self.start_on(Folder::new("browser")).await
    }

    /// Starts it with what another one left behind in its folder.
    async fn start_on(self, profile: Folder) -> Browser {
        let Self { engine, wishes } = self;
        let (programs, url) = Programs::start(engine, profile.path());
        let http = Http::default();
        let status = || async { http.ask(Ask::get(format!("{url}/status"))).await.ok() };
        until(&format!("the driver of {engine:?}"), status).await;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(drive::capabilities(engine, profile.path(), &wishes));
        let client = builder.connect(&url).await.unwrap_or_else(|e| panic!("{engine:?}: {e}"));
        let browser = Browser { client, engine, programs, profile };
        browser.listens().await;
        browser
    }
}

impl Browser {
    /// One that is to be set up; it writes nothing down, so that what it takes is the page's.
    pub fn builder(engine: Engine) -> BrowserBuilder {
        BrowserBuilder { engine, wishes: Wishes::default() }
    }

    /// Starts Chromium with a script in its pages that writes down what the SDK says.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let browser = Self::builder(Engine::Chromium).start().await;
        browser.before_pages(WITNESS).await;
        browser
    }

    /// What it is made of.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Kills it with all its processes (SIGKILL) and starts it again with what is on its disk.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_after_a_kill(self) -> Self {
        let Self { client, engine, programs, profile } = self;
        drop((programs, client));
        Self::builder(engine).start_on(profile).await
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

    /// Bytes that the page's scripts have in use after a collection of garbage, with the buffers that
    /// they hold; in Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn heap(&self) -> f64 {
        // What one collection finds out to be garbage, the next one frees.
        for _ in 0..2 {
            self.cdp("HeapProfiler.collectGarbage", json!({})).await;
        }
        let usage = self.cdp("Runtime.getHeapUsage", json!({})).await;
        let bytes = |name: &str| usage[name].as_f64().expect("bytes");
        bytes("usedSize") + bytes("backingStorageSize")
    }

    /// Opens an address.
    ///
    /// # Panics
    /// When the page does not load.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    /// Has a script run in every page from here on, before the page's own; in Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn before_pages(&self, script: &str) {
        // In a scope of its own, so that its names are not the page's.
        let source = json!({ "source": format!("{{{script}}}") });
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source).await;
    }

    /// Lets pages do what their content security policy forbids; in Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn ignore_policies(&self) {
        self.cdp("Page.setBypassCSP", json!({ "enabled": true })).await;
    }

    /// Sets the window's size in CSS pixels; in Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Shows pages as to whoever wants them dark, or light; in Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn prefers(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
    }

    /// Goes on in a new tab of the same browser. Scripts of `before_pages` are to be set anew.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn new_tab(&self) {
        // WebKit's small browser does not show a new tab, but a new window.
        let as_tab = self.engine != Engine::WebKit;
        let tab = self.client.new_window(as_tab).await.expect("a tab");
        self.switch_to(tab.handle).await;
        self.listens().await;
    }

    /// Takes the network away from the window's pages, or gives it back, by the browser's own switch.
    /// Whether it has one: WebKit has none.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn set_offline(&self, offline: bool) -> bool {
        match self.engine {
            Engine::Chromium => {
                self.cdp("Network.enable", json!({})).await;
                let conditions = json!({
                    "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
                });
                self.cdp("Network.emulateNetworkConditions", conditions).await;
            }
            Engine::Firefox => {
                self.in_browser(&format!("Services.io.offline = {offline}")).await;
            }
            Engine::WebKit => return false,
        }
        true
    }

    /// Puts the window's tab before the others, so that it is the one that is seen; in Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn show(&self) {
        self.cdp("Page.bringToFront", json!({})).await;
    }

    /// Freezes the window's page, as a browser does to one that is out of sight, or thaws it; in
    /// Chromium alone.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn freeze(&self, frozen: bool) {
        let state = if frozen { "frozen" } else { "active" };
        self.cdp("Page.setWebLifecycleState", json!({ "state": state })).await;
    }

    /// Kills the window's page as if its process had died, and goes on in another window.
    ///
    /// In WebKit nobody can be asked anything afterwards, since the driver gives up; the other
    /// windows live on.
    ///
    /// # Panics
    /// When there is no other window.
    pub async fn crash(&self) {
        let mut others = self.client.windows().await.expect("the windows");
        let mine = self.client.window().await.expect("this window");
        others.retain(|window| *window != mine);
        let other = others.pop().expect("another window");
        match self.engine {
            Engine::Chromium => {
                let crash = json!({ "cmd": "Page.crash", "params": {} });
                // Nobody is left to answer.
                let _ = self.client.issue_cmd(Own { path: "goog/cdp/execute", body: crash }).await;
                self.switch_to(other).await;
            }
            Engine::Firefox => {
                let processes = self.in_browser(PROCESSES).await;
                let (mine, all): (u32, Vec<u32>) =
                    serde_json::from_value(processes).expect("ids of processes");
                assert_eq!(all.iter().filter(|&&id| id == mine).count(), 1, "{mine} of {all:?}");
                drive::kill(mine);
                self.switch_to(other).await;
            }
            Engine::WebKit => {
                // Each window has a process of its own; the last one is the youngest.
                self.switch_to(other).await;
                let youngest = self.programs.page_processes().into_iter().max();
                drive::kill(youngest.expect("a page's process"));
            }
        }
    }

    async fn switch_to(&self, window: WindowHandle) {
        self.client.switch_to_window(window).await.expect("it is there");
    }

    /// Makes the window tell what is asked later.
    async fn listens(&self) {
        if self.engine == Engine::Chromium {
            self.cdp("Page.enable", json!({})).await;
            self.cdp("Performance.enable", json!({})).await;
        }
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

    /// Waits until the page's path begins like this, and all its scripts have run.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn arrives(&self, path: &str) {
        let there = format!(
            "return document.readyState === 'complete' && location.pathname.startsWith('{path}')"
        );
        until(path, || async {
            // While one page gives way to another there is none to ask.
            let said = self.client.execute(&there, Vec::new()).await.ok()?;
            (said == true).then_some(())
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
        let script = "return JSON.parse(window.witness?.['witness.state'] || 'null')";
        let said: Option<SeenState> =
            serde_json::from_value(self.run(script).await).expect("a state");
        said.unwrap_or_default()
    }

    async fn witnessed<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let script = format!("return JSON.parse(window.witness?.['witness.{name}'] || '[]')");
        serde_json::from_value(self.run(&script).await).expect("what the witness wrote")
    }

    /// Runs a script in Firefox's own window and gives back what it returns.
    async fn in_browser(&self, script: &str) -> Value {
        self.own("moz/context", json!({ "context": "chrome" })).await;
        let said = self.run(script).await;
        self.own("moz/context", json!({ "context": "content" })).await;
        said
    }

    async fn cdp(&self, method: &'static str, params: Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": method, "params": params })).await
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Own { path, body }).await.expect("a browser's answer")
    }
}
