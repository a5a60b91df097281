//! Somebody in the shop: a world, its shop, and a browser on one of its pages.

use std::ops::Deref;

use crate::browser::Browser;
use crate::service::Shop;
use crate::world::{World, WorldBuilder};

/// A browser on a page of a shop that sends to a world of its own.
#[derive(Debug)]
pub struct Visit {
    /// What the shop sends to.
    pub world: World,
    /// The shop.
    pub shop: Shop,
    browser: Browser,
}

/// How somebody comes to the shop.
#[derive(Debug)]
pub struct VisitBuilder {
    world: WorldBuilder,
    path: &'static str,
    scripts: Vec<String>,
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

    /// In a browser that lets pages do what their content security policy forbids.
    #[must_use]
    pub fn without_policies(mut self) -> Self {
        self.heeds_policies = false;
        self
    }

    /// Starts all of it and opens the page.
    pub async fn open(self) -> Visit {
        let world = self.world.start().await;
        let shop = Shop::start(&world).await;
        let browser = Browser::start().await;
        if !self.heeds_policies {
            browser.ignore_policies().await;
        }
        for script in &self.scripts {
            browser.before_pages(script).await;
        }
        let visit = Visit { world, shop, browser };
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
            heeds_policies: true,
        }
    }

    /// A usual visit: the shop's first page with the SDK's core.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Opens another page of the shop, by its path.
    pub async fn go(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.shop.url)).await;
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
