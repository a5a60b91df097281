//! A product as a card: the whole of it is one link.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::{View, sign};
use crate::catalogue::Product;

/// Where on a page a product is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The list's name.
    pub(super) list: &'a str,
    /// The place in it, from 0.
    pub(super) position: usize,
}

/// A card in a grid.
pub(super) fn full(view: &View<'_>, product: &Product, place: Place<'_>) -> Markup {
    html! {
        li.card {
            div.tile { (sign::picture(product)) }
            p.card-name { (link(view, product, place)) }
            p.card-line { (product.line) }
            p.card-foot {
                span.price { (view.price(product.price_cents)) }
                (sign::stock(view.standing(product)))
            }
        }
    }
}

/// A card in a shelf: as much as a hint can tell too, so that both have one height.
pub(super) fn small(view: &View<'_>, product: &Product, place: Place<'_>) -> Markup {
    html! {
        li.card.small {
            div.tile { (sign::picture(product)) }
            div.card-words {
                p.card-name { (link(view, product, place)) }
                p.price { (view.price(product.price_cents)) }
            }
        }
    }
}

/// The link to a product, with what its click tells.
pub(super) fn link(view: &View<'_>, product: &Product, place: Place<'_>) -> Markup {
    let mut props = props(view, product);
    props["list"] = place.list.into();
    props["position"] = place.position.into();
    html! {
        a href=(product.url()) data-cm-click="product_click" data-cm-props=(props.to_string()) { (product.name) }
    }
}

/// What every event about a product tells of it.
pub(super) fn props(view: &View<'_>, product: &Product) -> Value {
    json!({
        "sku": product.sku,
        "category": product.category,
        "price_cents": product.price_cents,
        "currency": view.shop.catalogue.currency().code(),
    })
}
