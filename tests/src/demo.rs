//! What a person does on the demo's page, done by a browser: ten product clicks across real page
//! navigations, and a look at what came back.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::Bound;
use std::time::Duration;

use fantoccini::Locator;
use fantoccini::error::CmdError;
use tokio::time::Instant;

use crate::browser::Browser;
use crate::figure::Latencies;
use crate::http::Http;
use crate::service::{FOLDED, metric_at};

/// Events in the collector's books that went on to Kafka.
const ACCEPTED: &str = r#"clickmill_collector_events_total{outcome="accepted""#;
/// Product clicks that are made.
const CLICKS: usize = 10;
/// Clicks whose hint may be replaced before anybody hears it: a lost one looks the same, so there is
/// room for what was seen on a busy machine, and for no more.
const REPLACED_MAX: u64 = 1;
/// How long a page may take until its slot is filled.
const FILLED_WITHIN: Duration = Duration::from_secs(10);

/// Where the demo's parts are: addresses without a path.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The shop.
    pub shop: String,
    /// The collector's admin port.
    pub collector_admin: String,
    /// The relay's admin port.
    pub relay_admin: String,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Count {
    /// Product clicks made on pages.
    pub clicks: usize,
    /// Pages whose slot showed suggestions after a click.
    pub rendered: usize,
    /// Events the SDK made, by its own books: those of the core's queue, and of each stub that
    /// sent alone.
    pub sent: u64,
    /// Events that it handed to the network, each once.
    pub handed: usize,
    /// Of those made, still waiting or dropped.
    pub unsettled: u64,
    /// Events of which the page learned that they are durable, each once.
    pub accepted: usize,
    /// Events that a stub sent as its page went away: nobody was left to hear of them.
    pub unheard: usize,
    /// By outcome, events that were not accepted.
    pub others: BTreeMap<String, usize>,
    /// `product_click` events among the accepted.
    pub product_clicks: usize,
    /// Records the relay enriched since the check began.
    pub enriched: u64,
    /// Events the collector accepted since the check began.
    pub collected: u64,
    /// Hints that reached the page, each once.
    pub hints: usize,
    /// Whether the last page shows an offer of the shop's own rules.
    pub has_offer: bool,
    /// Click to hint, of the first hint that answers each product click.
    pub latencies: Latencies,
    /// Product clicks whose hint a newer one of the next page had replaced before that page could
    /// hear it.
    pub replaced: usize,
}

impl Count {
    /// What is missing; empty when all is as it should be.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut need = |holds: bool, what: String| {
            if !holds {
                missing.push(what);
            }
        };
        need(self.clicks == CLICKS, format!("{} of {CLICKS} clicks were made", self.clicks));
        need(self.rendered == CLICKS, format!("{} of {CLICKS} pages showed hints", self.rendered));
        need(
            self.product_clicks >= CLICKS,
            format!("{} of {CLICKS} product clicks were accepted", self.product_clicks),
        );
        need(self.has_offer, "no offer is shown".to_owned());
        need(self.unsettled == 0, format!("{} events wait or were dropped", self.unsettled));
        need(
            self.handed as u64 == self.sent,
            format!("{} events were sent, the SDK's books say {}", self.handed, self.sent),
        );
        need(
            (self.accepted + self.unheard) as u64 == self.sent,
            format!(
                "{} of {} accepted, {} unheard, besides {:?}",
                self.accepted, self.sent, self.unheard, self.others
            ),
        );
        need(
            self.collected == self.sent,
            format!("the collector counts {} of {} events", self.collected, self.sent),
        );
        need(
            self.enriched == self.collected,
            format!("{} of {} events were enriched", self.enriched, self.collected),
        );
        let (answered, replaced) = (self.latencies.count(), self.replaced as u64);
        need(
            answered + replaced >= CLICKS as u64 && replaced <= REPLACED_MAX,
            format!(
                "{answered} of {CLICKS} product clicks came back as a hint, {replaced} as a newer"
            ),
        );
        missing
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "clicks    {:>6}   on real pages, {} showed hints",
            self.clicks, self.rendered
        )?;
        writeln!(f, "sent      {:>6}   events by the SDK's own books", self.sent)?;
        writeln!(
            f,
            "accepted  {:>6}   {} of them product clicks, {} more of which no page could hear",
            self.accepted, self.product_clicks, self.unheard
        )?;
        writeln!(
            f,
            "enriched  {:>6}   of {} in the collector's books",
            self.enriched, self.collected
        )?;
        writeln!(
            f,
            "hints     {:>6}   {} product clicks answered, {} more by what is newer",
            self.hints,
            self.latencies.count(),
            self.replaced
        )?;
        let (p50, p99) = (self.latencies.quantile_ms(0.5), self.latencies.quantile_ms(0.99));
        write!(f, "click to hint: p50 {p50:.1} ms, p99 {p99:.1} ms")
    }
}

/// Clicks through the shop and counts.
///
/// # Panics
/// When the browser or a page fails altogether.
pub async fn click_through(browser: &Browser, at: &Addresses) -> Count {
    let http = Http::default();
    let collected = metric_at(&http, &at.collector_admin, ACCEPTED);
    let enriched = metric_at(&http, &at.relay_admin, FOLDED);
    let before = (collected.await, enriched.await);

    let mut count = Count::default();
    browser.open(&at.shop).await;
    for n in 0..CLICKS {
        click_product(browser, n).await;
        count.clicks += 1;
        if slot_filled(browser).await {
            count.rendered += 1;
        }
        if n % 3 == 2 {
            browser.open(&at.shop).await;
        }
    }
    settle(browser, &http, at, before, &mut count).await;
    count
}

/// Clicks a product card that a person can see and waits until its page is there.
async fn click_product(browser: &Browser, n: usize) {
    // What is measured is the SDK with its core, which on a busy machine comes later than a click.
    browser.has_core().await;
    let before = browser.run("return performance.timeOrigin").await;
    let deadline = Instant::now() + FILLED_WITHIN;
    // A hint may take a card's place just as it is clicked: a person would click again, too.
    while let Err(error) = click_card(browser, n).await {
        assert!(Instant::now() < deadline, "no product can be clicked: {error}");
    }
    // Another page has another beginning, even at the same address.
    while browser.run("return performance.timeOrigin").await == before {
        assert!(Instant::now() < deadline, "the click leads nowhere");
    }
    let heading = browser.client.wait().at_most(FILLED_WITHIN).for_element(Locator::Css("main h1"));
    heading.await.expect("the product's page");
}

/// Clicks the `n`th product card that is shown, counted round and round.
async fn click_card(browser: &Browser, n: usize) -> Result<(), CmdError> {
    // Away from the edges, where bars may lie over the page.
    const PICK: &str = "
        const all = [...document.querySelectorAll('main a[data-cm-click=product_click]')];
        const shown = all.filter((card) => card.checkVisibility({ visibilityProperty: true }));
        const card = shown[(arguments[0] * 5) % shown.length];
        card?.scrollIntoView({ block: 'center', behavior: 'instant' });
        all.forEach((other) => other.toggleAttribute('data-picked', other === card))";
    browser.client.execute(PICK, vec![n.into()]).await?;
    browser.client.find(Locator::Css("[data-picked]")).await?.click().await
}

/// Whether a promotion is in its slot.
const OFFER: &str = "
    const title = document.querySelector('clickmill-slot[name=offer][data-cm-hint] > :not([data-cm-away]) .offer-title');
    return title?.checkVisibility({ visibilityProperty: true }) ?? false";

/// Whether the page's slot shows suggestions within the time a person would wait.
async fn slot_filled(browser: &Browser) -> bool {
    let deadline = Instant::now() + FILLED_WITHIN;
    while Instant::now() < deadline {
        let shown = browser
            .run(
                "const items = document.querySelectorAll('clickmill-slot[data-cm-hint] .slot a[href]');
                 return [...items].filter((item) => item.checkVisibility()).length",
            )
            .await;
        if shown.as_u64() > Some(0) {
            return true;
        }
    }
    false
}

/// Whether a hint was heard that something between this click and the next one caused. Ids are in
/// the order of time.
fn is_replaced(click: &str, clicks: &BTreeSet<String>, causes: &BTreeSet<String>) -> bool {
    let after = (Bound::Excluded(click.to_owned()), Bound::Unbounded);
    let next = clicks.range(after.clone()).next();
    causes.range(after).next().is_some_and(|cause| next.is_none_or(|next| cause < next))
}

/// Waits until the books agree or no longer move, and fills in the counts.
async fn settle(
    browser: &Browser,
    http: &Http,
    at: &Addresses,
    (collected, enriched): (f64, f64),
    count: &mut Count,
) {
    // What waits in the SDK's queue goes now.
    browser.run("window.clickmill.flush()").await;
    let deadline = Instant::now() + FILLED_WITHIN;
    loop {
        let verdicts = browser.verdicts().await;
        let hints = browser.hints().await;
        let now_collected = metric_at(http, &at.collector_admin, ACCEPTED).await;
        let now_enriched = metric_at(http, &at.relay_admin, FOLDED).await;
        count.collected = (now_collected - collected) as u64;
        count.enriched = (now_enriched - enriched) as u64;

        let state = browser.state().await;
        let sent = browser.sent().await;
        // The last word of each queue's books.
        let created: BTreeMap<_, _> =
            sent.iter().map(|event| (&event.queue, event.created)).collect();
        count.sent = created.values().sum();
        count.handed = sent.iter().map(|event| &event.id).collect::<HashSet<_>>().len();
        count.unsettled = state.queued + state.books.dropped();

        let (mut seen, mut clicks) = (HashSet::new(), HashSet::new());
        count.accepted = 0;
        count.others.clear();
        for verdict in verdicts.iter().filter(|verdict| seen.insert(verdict.id.clone())) {
            match verdict.outcome.as_str() {
                "accepted" | "duplicate" => {
                    count.accepted += 1;
                    if verdict.kind == "product_click" {
                        clicks.insert(verdict.id.clone());
                    }
                }
                other => *count.others.entry(other.to_owned()).or_default() += 1,
            }
        }
        count.product_clicks = clicks.len();
        let heard = |id: &String| seen.contains(id);
        let by_stub = sent.iter().filter(|event| event.by == "web-stub" && !heard(&event.id));
        count.unheard = by_stub.map(|event| &event.id).collect::<HashSet<_>>().len();

        let all_clicks: BTreeSet<_> = clicks.iter().cloned().collect();
        let mut ids = HashSet::new();
        count.latencies = Latencies::default();
        for hint in hints.iter().filter(|hint| ids.insert(hint.id.clone())) {
            let answers = hint.cause.as_ref().is_some_and(|cause| clicks.remove(&cause.event));
            if let Some(latency) = hint.latency_ms.filter(|_| answers) {
                count.latencies.add(Duration::from_secs_f64(latency.max(0.0) / 1000.0));
            }
        }
        count.hints = ids.len();
        let causes: BTreeSet<_> =
            hints.iter().filter_map(|hint| Some(hint.cause.as_ref()?.event.clone())).collect();
        count.replaced =
            clicks.iter().filter(|click| is_replaced(click, &all_clicks, &causes)).count();
        count.has_offer = browser.run(OFFER).await == true;
        if count.missing().is_empty() || Instant::now() > deadline {
            return;
        }
    }
}
