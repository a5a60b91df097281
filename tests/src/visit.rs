//! Somebody in the shop: a world, its shop, and a browser on one of its pages.

use std::ops::Deref;

use crate::browser::{Browser, BrowserBuilder, Engine, WITNESS};
use crate::demo::Addresses;
use crate::front::{Front, Mishap};
use crate::service::Shop;
use crate::world::{World, WorldBuilder};

/// A browser on a page of a shop that sends to a world of its own.
#[derive(Debug)]
pub struct Visit {
    /// What the shop sends to.
    pub world: World,
    /// The address of the shop's pages, without a path.
    pub url: String,
    /// What stands between browser and collector.
    pub line: Front,
    site: Front,
    _shop: Shop,
    browser: Browser,
}

/// How somebody comes to the shop.
#[derive(Debug)]
pub struct VisitBuilder {
    world: WorldBuilder,
    path: &'static str,
    scripts: Vec<String>,
    browser: BrowserBuilder,
    heeds_policies: bool,
}

impl VisitBuilder {
    /// In this world instead of a usual one.
    #[must_use]
    pub fn world(mut self, world: WorldBuilder) -> Self {
        self.world = world;
        self
    }

    /// To this page, by its path, instead of the first one.
    #[must_use]
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// With a script that runs in every page before the page's own.
    #[must_use]
    pub fn before_pages(mut self, script: impl Into<String>) -> Self {
        self.scripts.push(script.into());
        self
    }

    /// With a browser of this engine instead of Chromium.
    #[must_use]
    pub fn engine(self, engine: Engine) -> Self {
        self.browser(Browser::builder(engine))
    }

    /// With this browser.
    #[must_use]
    pub fn browser(mut self, browser: BrowserBuilder) -> Self {
        self.browser = browser;
        self
    }

    /// In a browser that lets pages do what their content security policy forbids.
    #[must_use]
    pub fn without_policies(mut self) -> Self {
        self.heeds_policies = false;
        self
    }

    /// Starts all of it and opens the page.
    pub async fn open(self) -> Visit {
        let world = self.world.start().await;
        let line = Front::before(&world.collector.url, []).await;
        let shop = Shop::start(&world, &line.url).await;
        let site = Front::before(&shop.url, []).await;
        site.before_pages(WITNESS);
        self.scripts.into_iter().for_each(|script| site.before_pages(script));
        let browser = self.browser.start().await;
        if !self.heeds_policies {
            browser.ignore_policies().await;
        }
        let url = site.url.clone();
        let visit = Visit { world, url, line, site, _shop: shop, browser };
        visit.go(self.path).await;
        visit
    }

    /// Starts all of it, opens the page and waits until the SDK's core is there.
    pub async fn start(self) -> Visit {
        let visit = self.open().await;
        visit.has_core().await;
        visit
    }
}

impl Visit {
    /// A visit to be set up.
    pub fn builder() -> VisitBuilder {
        VisitBuilder {
            world: World::builder(),
            path: "",
            scripts: Vec::new(),
            browser: Browser::builder(Engine::Chromium),
            heeds_policies: true,
        }
    }

    /// A usual visit: the shop's first page with the SDK's core.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Opens another page of the shop, by its path.
    pub async fn go(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.url)).await;
    }

    /// Has a script run in every page from here on, in all tabs, before the page's own.
    pub fn before_pages(&self, script: &str) {
        self.site.before_pages(script);
    }

    /// Takes the network away from the page, or gives it back: always by the line itself, and by the
    /// browser's own switch where it has one, which is told.
    pub async fn set_offline(&self, offline: bool) -> bool {
        if offline {
            self.line.befalls(Mishap::Cut);
        } else {
            self.line.mends();
        }
        self.browser.set_offline(offline).await
    }

    /// Kills the browser with all its processes and starts it again with what is on its disk.
    #[must_use]
    pub async fn after_a_kill(self) -> Self {
        Self { browser: self.browser.start_after_a_kill().await, ..self }
    }

    /// The addresses of the demo's parts.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            shop: self.url.clone(),
            collector_admin: self.world.collector.admin.clone(),
            relay_admin: self.world.relay.admin.clone(),
        }
    }

    /// Puts one of the SDK's modules into the page and waits until it has run; `data` are further
    /// attributes of its tag, such as `off: 'form'`.
    ///
    /// # Panics
    /// When the module is not there.
    pub async fn add_module(&self, name: &str, data: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const script = document.createElement('script');
             script.src = '/sdk/{name}.js';
             Object.assign(script.dataset, {{ {data} }});
             script.onload = () => done(true);
             script.onerror = () => done(false);
             document.head.append(script);"
        );
        assert_eq!(self.browser.later(&script).await, true, "{name} is there");
    }

    /// Ends the browser.
    pub async fn close(self) {
        self.browser.close().await;
    }
}

/// Whatever can be asked of a browser can be asked of a visit.
impl Deref for Visit {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.browser
    }
}
