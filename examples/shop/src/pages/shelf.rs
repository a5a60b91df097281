//! A shelf: products of the shop's choice, and in the same place a slot for hints.
//!
//! Both lie in one cell of a grid and have the same rows, so what is below never moves when a hint
//! takes the place of the shop's choice. The SDK's `<clickmill-slot>` fills the slot.

use maud::{Markup, html};

use super::View;
use super::card::{self, Place};
use crate::catalogue::Product;

/// The most products on a shelf.
pub(crate) const PRODUCTS_MAX: usize = 4;

/// One shelf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf<'a> {
    /// The slot's name, which hints are addressed to.
    pub(super) slot: &'a str,
    /// What stands over the shop's choice.
    pub(super) title: &'a str,
    /// The shop's choice; sold out products are passed over.
    pub(super) products: &'a [&'a Product],
}

pub(super) fn render(view: &View<'_>, shelf: Shelf<'_>) -> Markup {
    let Shelf { slot, title, products } = shelf;
    let heading = format!("shelf-{slot}");
    let standing = html! {
        section.rail aria-labelledby=(heading) {
            div.rail-head { h2 id=(heading) { (title) } }
            ul.rail-items role="list" {
                @for (position, product) in products.iter().filter(|p| view.on_sale(p)).take(PRODUCTS_MAX).enumerate() {
                    (card::small(view, product, Place { list: slot, position }))
                }
            }
        }
    };
    html! {
        // Where nothing is tracked, no hint will come.
        @if view.shop.tracking.is_some() {
            // Hints speak the shop's language and lead nowhere else.
            clickmill-slot.shelf name=(slot) max=(PRODUCTS_MAX) same-origin
                currency=(view.shop.catalogue.currency().code()) {
                (standing)
                template { (hint()) }
            }
        } @else {
            div.shelf { (standing) }
        }
    }
}

/// What a hint is shown in: as high as the shop's own choice.
fn hint() -> Markup {
    html! {
        div.slot.rail {
            div.rail-head {
                h2 data-cm-text="{title}" { "Suggested for you" }
                p.why data-cm-text="{because}" {}
            }
            ul.rail-items role="list" {
                li.card.small data-cm-each="items" {
                    div.tile { img data-cm-src="{image}|/img/{sku}.svg" alt="" width="400" height="400"; }
                    div.card-words {
                        p.card-name { a data-cm-href="{url}|/p/{sku}" data-cm-text="{name}|{sku}" {} }
                        p.price data-cm-text="{price_cents:cents}" {}
                    }
                }
            }
        }
    }
}

/// Products under a price, one of each department before the second of any, so that a shelf is
/// not all kettles.
pub(super) fn small<'a>(view: &View<'a>, under_cents: u64) -> Vec<&'a Product> {
    let catalogue = &view.shop.catalogue;
    let mut ranked = Vec::new();
    for category in catalogue.categories() {
        let fit = |p: &&Product| p.price_cents < under_cents && view.on_sale(p);
        ranked.extend(catalogue.of_category(&category.slug).filter(fit).enumerate());
    }
    // Stable, so that departments stay in the shop's own order.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, product)| product).collect()
}
