//! The home page: the shop window, the departments, and how loud things are.

use maud::{Markup, html};

use super::card::{self, Place};
use super::shelf::Shelf;
use super::{View, frame, shelf, sign};
use crate::catalogue::Product;

/// What stands in the window, by number.
const WINDOW: [&str; 4] = ["KET-1", "FRI-2", "TEL-2", "COF-1"];

/// A product under this price is good for a present.
const SMALL_CENTS: u64 = 7_000;

/// The loudest noise that the chart has room for, in decibels.
const NOISE_DB_MAX: u32 = 70;

pub(crate) fn page(view: &View<'_>) -> Markup {
    let mut small = shelf::small(view, SMALL_CENTS);
    small.retain(|product| !WINDOW.contains(&product.sku.as_str()));
    let main = html! {
        (window(view))
        (shelf::render(view, Shelf { slot: "suggested", title: "Small things, soon there", products: &small }))
        (departments(view))
        (noise(view))
    };
    let about = "Electrical goods that use little, last long and can be mended.";
    frame::page(
        view,
        &frame::Frame {
            kind: "home",
            title: "Things worth plugging in",
            about,
            department: None,
            last_slot: "home",
            main,
        },
    )
}

fn window(view: &View<'_>) -> Markup {
    let products = WINDOW.iter().filter_map(|sku| view.shop.catalogue.product(sku));
    html! {
        section.window aria-labelledby="window" {
            div.window-words {
                h1 #window { "Some forty things worth plugging in." }
                p { "Kettles to televisions, each chosen because it uses little, lasts long and can be mended." }
                p.window-links {
                    a.button href="/c/kettles" { "Start in the kitchen" }
                    a.text-link href="#departments" { "All departments" }
                }
            }
            @for (position, product) in products.enumerate() {
                div.pane {
                    div.scene { (sign::picture(product)) }
                    p.pane-label {
                        (card::link(view, product, Place { list: "window", position }))
                        span.price { (view.price(product.price_cents)) }
                    }
                }
            }
        }
    }
}

fn departments(view: &View<'_>) -> Markup {
    html! {
        section #departments aria-labelledby="departments-title" {
            h2.section-title #departments-title { "Departments" }
            ul.doors role="list" {
                @for category in view.shop.catalogue.categories() {
                    @let products: Vec<&Product> = view.shop.catalogue.of_category(&category.slug).collect();
                    li.door {
                        @if let Some(product) = products.get(2) { div.tile { (sign::picture(product)) } }
                        div {
                            p.door-name { a href={ "/c/" (category.slug) } { (category.name) } }
                            p.card-line { (category.line) }
                        }
                    }
                }
            }
        }
    }
}

/// How loud things are, quiet ones first: measured, so it can be compared across departments.
fn noise(view: &View<'_>) -> Markup {
    let mut products: Vec<(u32, &Product)> = view
        .shop
        .catalogue
        .products()
        .iter()
        .filter(|product| view.on_sale(product))
        .filter_map(|product| Some((product.noise_db()?, product)))
        .collect();
    products.sort_by_key(|(db, product)| (*db, product.sku.clone()));
    // Every other one: enough to compare, few enough to read.
    let shown = products.into_iter().step_by(2).take(6);
    html! {
        section.noise aria-labelledby="noise" {
            div.noise-words {
                h2 #noise { "How loud is it?" }
                p { "We measure everything in the same room, one metre away, and print what we find. A whisper is 30 decibels, talk at a table is 60." }
            }
            ol.noise-bars role="list" {
                @for (position, (db, product)) in shown.enumerate() {
                    li {
                        (card::link(view, product, Place { list: "noise", position }))
                        span.noise-db { (db) " dB" }
                        svg.noise-bar viewBox="0 0 70 2" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                            rect.noise-track width="70" height="2" {}
                            rect.noise-level width=(db.min(NOISE_DB_MAX)) height="2" {}
                        }
                    }
                }
            }
        }
    }
}
