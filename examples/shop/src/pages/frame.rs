//! What every page stands in: head, header, notices, the common shelf, footer and strip.

use clickmill_sdk_core::wire::CustomerId;
use maud::{DOCTYPE, Markup, html};
use serde_json::json;

use super::shelf::{self, Shelf};
use super::{View, card, report, sign};
use crate::catalogue::Product;
use crate::customers;
use crate::sessions::Notice;

/// The shop's name.
pub(super) const NAME: &str = "Halfwatt";

/// What goes into the frame.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// What sort of page it is, as `page_view` names it.
    pub(super) kind: &'a str,
    /// The page's title, without the shop's name.
    pub(super) title: &'a str,
    /// What it is about, for search engines.
    pub(super) about: &'a str,
    /// The slug of the department it belongs to.
    pub(super) department: Option<&'a str>,
    /// The slot of the last shelf: `suggested`, unless the page has that one further up.
    pub(super) last_slot: &'a str,
    /// What the page is about.
    pub(super) main: Markup,
}

pub(super) fn page(view: &View<'_>, frame: &Frame<'_>) -> Markup {
    let assets = &view.shop.assets;
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (frame.title) " – " (NAME) }
                meta name="description" content=(frame.about);
                meta name="color-scheme" content="light dark";
                link rel="icon" type="image/svg+xml" href={ "/assets/icon.svg?v=" (assets) };
                link rel="stylesheet" href={ "/assets/shop.css?v=" (assets) };
                script src={ "/assets/shop.js?v=" (assets) } defer {}
                (sdk(view))
            }
            body {
                a.skip href="#main" { "Skip to the products" }
                (header(view, frame.department))
                main #main tabindex="-1" data-page-kind=(frame.kind) data-customer=[customer(view)] {
                    (notice(view))
                    (frame.main)
                    (common_shelf(view, frame.last_slot))
                }
                (footer(view))
                (strip(view))
            }
        }
    }
}

/// What its visitors have granted. A real site asks them; this one has nobody to ask.
const CONSENT: &str = "analytics,personalization,experiments";

/// The SDK comes after the shop's own script, so that no hint finds nobody listening.
fn sdk(view: &View<'_>) -> Markup {
    html! {
        @if let Some(tracking) = &view.shop.tracking {
            script src="/sdk/clickmill.js" defer data-key=(tracking.write_key)
                data-collector=(tracking.collector) data-hints=(tracking.hints)
                data-core="/sdk/clickmill_core.js" data-consent=(CONSENT) {}
            script src="/sdk/clickmill_slots.js" defer {}
        }
    }
}

/// The number of whoever is signed in, where the shop can prove that to the collector. The script has the
/// SDK say so.
fn customer(view: &View<'_>) -> Option<CustomerId> {
    view.shop.tracking.as_ref()?.proofs.as_ref()?;
    customers::number(view.session.email.as_deref()?).ok()
}

fn header(view: &View<'_>, department: Option<&str>) -> Markup {
    let path = view.ask.path.as_str();
    let current = |here: bool| here.then_some("page");
    html! {
        header.top {
            div.bar {
                a.wordmark href="/" aria-current=[current(path == "/")] { (sign::mark()) (NAME) }
                search {
                    form.search action="/search" method="get" {
                        label.unseen for="q" { "Search the shop" }
                        input #q type="search" name="q" value=(view.ask.query.get("q"))
                            placeholder="Kettle, quiet, 8 kg" maxlength="80" autocomplete="off";
                        button type="submit" { (sign::lens()) span.unseen { "Search" } }
                    }
                }
                (account(view))
                a.basket-link href="/basket" aria-current=[current(path == "/basket")] {
                    (sign::bag())
                    span.basket-word { "Basket" }
                    @let pieces = view.session.basket.pieces();
                    @if pieces > 0 {
                        span.count { span.unseen { ", " } (pieces) span.unseen { " in it" } }
                    }
                }
            }
            nav.departments aria-label="Departments" {
                ul role="list" {
                    @for category in view.shop.catalogue.categories() {
                        li {
                            a href={ "/c/" (category.slug) }
                                aria-current=[current(department == Some(category.slug.as_str()))] { (category.name) }
                        }
                    }
                }
            }
        }
    }
}

fn account(view: &View<'_>) -> Markup {
    html! {
        @match &view.session.email {
            Some(email) => {
                form.account method="post" action="/logout" {
                    span.who title=(email) { (email) }
                    button.plain type="submit" { "Sign out" }
                }
            }
            None => { a.account href="/login" { "Sign in" } }
        }
    }
}

fn notice(view: &View<'_>) -> Markup {
    let product = |sku: &str| view.shop.catalogue.product(sku);
    html! {
        @match &view.notice {
            Some(Notice::Added { sku, quantity }) => {
                @if let Some(product) = product(sku) {
                    p.notice role="status" {
                        @if *quantity > 1 { (quantity) " × " } (product.name)
                        @if *quantity > 1 { " are" } @else { " is" } " in your basket."
                    }
                    (moved(view, "basket_add", (product, *quantity)))
                }
            }
            Some(Notice::Problem(text)) => { p.notice.problem role="alert" { (text) } }
            Some(Notice::Removed { sku, quantity }) => {
                @if let Some(product) = product(sku) {
                    p.notice role="status" {
                        @if *quantity > 1 { (quantity) " × " } (product.name)
                        @if *quantity > 1 { " are" } @else { " is" } " out of your basket."
                    }
                    (moved(view, "basket_remove", (product, *quantity)))
                }
            }
            Some(Notice::SignedIn) => {
                @if let Some(email) = &view.session.email {
                    p.notice role="status" { "You are signed in as " (email) "." }
                }
                (report("login", &once(view), &json!({ "method": "email" })))
            }
            Some(Notice::Ordered) | None => {}
        }
    }
}

/// Reports that pieces of a product went into the basket or out of it.
fn moved(view: &View<'_>, event: &str, (product, quantity): (&Product, u32)) -> Markup {
    let mut props = card::props(view, product);
    props["quantity"] = quantity.into();
    report(event, &once(view), &props)
}

/// A mark that no other answer carries.
fn once(view: &View<'_>) -> String {
    format!("{:032x}", view.ask.random)
}

/// The shelf at the end of every page. Where no hint comes it shows the shop's own choice, one
/// product from each of the last departments.
fn common_shelf(view: &View<'_>, slot: &str) -> Markup {
    let products: Vec<&Product> = view
        .shop
        .catalogue
        .categories()
        .iter()
        .rev()
        .filter_map(|category| {
            view.shop.catalogue.of_category(&category.slug).filter(|p| view.on_sale(p)).nth(3)
        })
        .collect();
    shelf::render(view, Shelf { slot, title: "From around the shop", products: &products })
}

fn footer(view: &View<'_>) -> Markup {
    html! {
        footer.foot {
            div.promises {
                p { strong { "Free from " (view.price(crate::basket::DELIVERY_FREE_FROM_CENTS)) } " Delivery by somebody who carries it upstairs." }
                p { strong { "Sixty days" } " Try it at home. We fetch it if it does not suit you." }
                p { strong { "Mended, not binned" } " Spare parts for ten years, for everything we sell." }
            }
            p.small-print {
                (NAME) " is an example that comes with Clickmill. Nothing is charged, nothing is sent."
            }
        }
    }
}

/// What the SDK and the relay did, for whoever wants to watch.
fn strip(view: &View<'_>) -> Markup {
    html! {
        @if view.shop.tracking.is_some() {
            details.strip data-strip hidden {
                summary {
                    span.strip-name { "Event strip" }
                    span.strip-sum data-strip-sum { "waiting for the first event" }
                }
                div.strip-body role="region" aria-label="The last 20 events and hints" tabindex="0" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Time" }
                                th scope="col" { "What" }
                                th scope="col" { "Outcome" }
                                th scope="col" { "Detail" }
                                th.number scope="col" { "ms" }
                            }
                        }
                        tbody data-strip-rows {}
                    }
                }
            }
        }
    }
}
