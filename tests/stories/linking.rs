//! A shop of two sites: who follows a link from one to the other stays the same visitor.

use clickmill_sdk_core::wire::{Consent, Topic};
use clickmill_tests::browser::{Browser, Engine, WITNESS};
use clickmill_tests::child::built;
use clickmill_tests::front::Passed;
use clickmill_tests::until::until;
use clickmill_tests::{Front, World};
use serde_json::Value;

use crate::identity::search;

in_each_engine!(
    who_follows_a_link_to_the_shops_other_site_is_the_same_visitor,
    a_core_that_did_not_wait_and_other_tabs_hear_of_who_came,
    nobody_is_brought_along_without_consent,
);

/// What the visitors have granted.
const GRANTED: &str = r#"data-consent="analytics""#;
/// The host of the first site.
const FIRST: &str = "127.0.0.1";
/// The name under which a browser knows the second site: another host, so another storage.
const SECOND: &str = "localhost";

/// Brings the linker's script when the core is there.
const LATE: &str = "
document.addEventListener('clickmill:state', () => {
  const script = document.createElement('script');
  script.dataset.sites = '127.0.0.1, localhost';
  script.src = '/files/clickmill_linker.js';
  document.head.append(script);
}, { once: true });
";

/// A site whose page has a link to another one, and knows these sites; none where its script comes late.
async fn site(key: &str, collector: &str, granted: &str, other: &str, sites: &str) -> Front {
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let linker = match sites {
        "" => String::new(),
        _ => format!(
            r#"<script src="/files/clickmill_linker.js" data-sites="{sites}" defer></script>"#
        ),
    };
    let page = format!(
        r#"<!doctype html><html lang="en"><title>Site</title>
<script src="/files/clickmill.js" data-key="{key}" data-collector="{collector}" {granted}
  data-core="/files/clickmill_core.js" defer></script>
{linker}
<a id="there" href="{other}">There</a></html>"#
    );
    let site = Front::of_files(sdk, page).await;
    site.before_pages(WITNESS);
    site
}

/// An address as the second host's.
fn second(url: &str) -> String {
    url.replace(FIRST, SECOND)
}

/// Two sites with a world, and what stands before its collector.
struct Shop {
    world: World,
    line: Front,
    first: Front,
    other: Front,
    browser: Browser,
}

impl Shop {
    async fn open(engine: Engine, granted: &str) -> Self {
        let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
        let line = Front::before(&world.collector.url, []).await;
        let key = world.write_key();
        let both = format!("{FIRST}, {SECOND}");
        let other = site(key, &second(&line.url), granted, "/page", &both).await;
        let there = format!("{}/page", second(&other.url));
        let first = site(key, &line.url, granted, &there, &both).await;
        let shop = Self { world, line, first, other, browser };
        shop.browser.open(&format!("{}/page", shop.first.url)).await;
        shop.browser.has_core().await;
        shop
    }

    /// Who looks at a product, and in which visit.
    async fn who(&self, sku: &str) -> [Option<String>; 2] {
        let looks = format!("clickmill.track('product_view', {{ sku: '{sku}' }})");
        self.browser.run(&format!("{looks}; clickmill.flush()")).await;
        let context = search(&self.world, sku).await.context;
        let url = context.page.expect("a page").url;
        assert!(!url.contains("cm_link"), "{url}");
        [
            context.visitor.map(|visitor| visitor.as_str().to_owned()),
            context.session.map(|session| session.as_str().to_owned()),
        ]
    }

    /// The links that the collector was shown.
    fn shown(&self) -> Vec<Passed> {
        self.asked().into_iter().filter(|asked| asked.body.contains(r#""link":"#)).collect()
    }

    /// All that it was asked about links.
    fn asked(&self) -> Vec<Passed> {
        let passed = self.line.passed();
        passed.into_iter().filter(|passed| passed.path.starts_with("/v1/link")).collect()
    }

    /// Goes to the link and, when the collector has signed, follows it.
    async fn follows(&self, to: &str, host: &str) {
        // Where no pointer hovers, the page has asked already.
        let goes = format!("there.href = '{to}'; there.blur(); there.focus()");
        self.browser.run(&goes).await;
        let has_heard = "const done = arguments[arguments.length - 1];
            const asked = () => performance.getEntriesByType('resource')
              .some(({ name, responseEnd }) => name.includes('/v1/link') && responseEnd > 0);
            const look = () => (asked() ? setTimeout(done, 50) : setTimeout(look, 10));
            look();";
        self.browser.later(has_heard).await;
        self.browser.run("there.click()").await;
        self.arrives(host).await;
    }

    /// The secret behind the visitor that this site keeps.
    async fn secret(&self) -> Value {
        let script =
            format!("return localStorage['cm.{}.me'].split('\\x1d')[1]", self.world.write_key());
        self.browser.run(&script).await
    }

    /// Waits for a page of that host with its core.
    async fn arrives(&self, host: &str) {
        let there = format!("return location.hostname === '{host}'");
        until(host, || async {
            let said = self.browser.client.execute(&there, Vec::new()).await.ok()?;
            (said == true).then_some(())
        })
        .await;
        self.browser.arrives("/page").await;
        self.browser.has_core().await;
    }

    /// Where the browser is, behind the path.
    async fn fragment(&self) -> String {
        let said = self.browser.run("return location.hash").await;
        said.as_str().expect("a text").to_owned()
    }

    async fn goes_back(&self) {
        self.browser.open(&format!("{}/page", self.first.url)).await;
        self.browser.has_core().await;
    }
}

async fn who_follows_a_link_to_the_shops_other_site_is_the_same_visitor(engine: Engine) {
    let shop = Shop::open(engine, GRANTED).await;
    let there = format!("{}/page", second(&shop.other.url));
    // Somebody has been on the second site before, as somebody else.
    shop.browser.open(&there).await;
    shop.browser.has_core().await;
    let stranger = shop.who("before").await;
    shop.goes_back().await;
    let me = shop.who("here").await;
    assert!(me[0].is_some() && me != stranger, "{me:?} {stranger:?}");

    let secret = shop.secret().await;
    shop.follows(&format!("{there}#reviews"), SECOND).await;
    assert_eq!(shop.fragment().await, "#reviews");
    assert_eq!(shop.who("there").await, me, "the same visitor in the same visit");
    // From now on, by whatever way they come.
    shop.browser.open(&there).await;
    shop.browser.has_core().await;
    assert_eq!(shop.who("again").await, me);
    assert_eq!(shop.shown().len(), 1);
    // And back again; the first site can still prove by itself who it knows.
    shop.follows(&format!("{}/page", shop.first.url), FIRST).await;
    assert_eq!((shop.who("back").await, shop.secret().await), (me.clone(), secret));

    // What nobody signed is nothing, whoever brings it.
    let key = shop.world.write_key();
    let apart = site(key, &shop.line.url, GRANTED, "/page", "shop.example").await;
    shop.browser.open(&format!("{}/page", apart.url)).await;
    let forged = "1.k.shop.v1.99999999999999.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA~s~1~2";
    let brings = format!("there.href = '{there}#cm_link={forged}'; there.click()");
    shop.browser.run(&brings).await;
    shop.arrives(SECOND).await;
    assert_eq!(shop.shown().last().map(|asked| asked.status.as_u16()), Some(401));
    assert_eq!((shop.fragment().await, shop.who("forged").await), (String::new(), me.clone()));
    // What comes from a host that is none of the shop's, or from nowhere, is not even looked at.
    let before = shop.shown().len();
    let apart = second(&apart.url);
    shop.goes_back().await;
    let brings = format!("there.href = '{apart}/page#cm_link={forged}'; there.click()");
    shop.browser.run(&brings).await;
    shop.arrives(SECOND).await;
    assert_eq!((shop.fragment().await, shop.shown().len()), (String::new(), before));
    shop.browser.open("about:blank").await;
    shop.browser.open(&format!("{there}#cm_link={forged}")).await;
    shop.browser.has_core().await;
    assert_eq!((shop.fragment().await, shop.shown().len()), (String::new(), before));

    // Who is logged in there stays who they are.
    shop.browser.run("clickmill.identify('ada')").await;
    shop.goes_back().await;
    shop.browser.run("clickmill.reset()").await;
    let next = shop.who("next").await;
    assert_ne!(next[0], me[0]);
    shop.follows(&there, SECOND).await;
    assert_eq!(shop.who("logged-in").await[0], me[0]);

    let written = shop.world.kafka.records(Topic::ClicksRaw).await;
    assert!(written.iter().all(|record| !record.value.contains("cm_link")));
    shop.world.books_balance().await;
    shop.browser.close().await;
}

/// The script is there seconds after the core, as by a tag manager, while another tab is open.
async fn a_core_that_did_not_wait_and_other_tabs_hear_of_who_came(engine: Engine) {
    let mut shop = Shop::open(engine, GRANTED).await;
    let key = shop.world.write_key();
    shop.other = site(key, &second(&shop.line.url), GRANTED, "/page", "").await;
    shop.other.before_pages(LATE);
    let there = format!("{}/page", second(&shop.other.url));
    let me = shop.who("here").await;
    let here = shop.browser.client.window().await.expect("the first tab");
    shop.browser.new_tab().await;
    shop.browser.open(&there).await;
    shop.browser.has_core().await;
    // Somebody has logged out there, so that nobody is logged in before and after.
    shop.browser.run("clickmill.reset()").await;
    let stranger = shop.who("before").await;
    assert_ne!(me, stranger);
    let waits = shop.browser.client.window().await.expect("the second tab");

    shop.browser.client.switch_to_window(here).await.expect("it is there");
    shop.follows(&there, SECOND).await;
    until("the core hears of it", || async {
        let visitor = shop.browser.run("return clickmill.visitor()").await;
        (visitor.as_str() == me[0].as_deref()).then_some(())
    })
    .await;
    assert_eq!(shop.who("late").await, me);
    shop.browser.client.switch_to_window(waits).await.expect("it is there");
    assert_eq!(shop.who("other-tab").await[0], me[0]);
    shop.world.books_balance().await;
    shop.browser.close().await;
}

async fn nobody_is_brought_along_without_consent(engine: Engine) {
    let shop = Shop::open(engine, r#"data-consent="personalization""#).await;
    shop.browser.run("there.focus()").await;
    assert_eq!(shop.who("here").await[0], None);
    shop.browser.run("there.click()").await;
    shop.arrives(SECOND).await;
    assert_eq!((shop.who("there").await[0].clone(), shop.asked().len()), (None, 0));
    let consent = search(&shop.world, "there").await.context.consent;
    assert_eq!(consent.map(|Consent { granted, .. }| granted.len()), Some(1));
    assert_eq!(shop.browser.run("return Object.keys(localStorage).length").await, 0);
    shop.browser.close().await;
}
