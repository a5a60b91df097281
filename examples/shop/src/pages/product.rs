//! A product.

use maud::{Markup, html};

use super::shelf::Shelf;
use super::{View, card, frame, report, shelf, sign};
use crate::basket::{DELIVERY_FREE_FROM_CENTS, QUANTITY_MAX};
use crate::catalogue::Product;
use crate::stock::Standing;

pub(crate) fn page(view: &View<'_>, product: &Product) -> Markup {
    let category = view.category_name(product).to_owned();
    let more: Vec<&Product> = neighbours(view, product);
    let main = html! {
        nav.crumbs aria-label="You are here" {
            a href="/" { "Home" }
            a href={ "/c/" (product.category) } { (category) }
            span aria-current="page" { (product.name) }
        }
        article.product {
            div.tile.large { (sign::picture(product)) }
            div.product-words {
                h1 { (product.name) }
                p.lead { (product.line) }
                p.product-price {
                    span.price { (view.price(product.price_cents)) }
                    (sign::stock(view.standing(product)))
                    @if let Some(class) = product.energy { (sign::energy(class)) }
                }
                (buy(view, product))
                (offer(view))
                p.about { (product.about) }
                h2.specs-title { "Figures" }
                dl.specs {
                    @for (label, figure) in &product.specs {
                        div { dt { (label) } dd { (figure) } }
                    }
                    div { dt { "Number" } dd { (product.sku) } }
                }
            }
        }
        (shelf::render(view, Shelf { slot: "suggested", title: &format!("More {}", category.to_lowercase()), products: &more }))
        span hidden data-product=(product.sku) data-name=(product.name) {}
        (report("product_view", "", &card::props(view, product)))
    };
    let department = Some(product.category.as_str());
    frame::page(
        view,
        &frame::Frame {
            kind: "product",
            title: &product.name,
            about: &product.about,
            department,
            last_slot: "product-below",
            main,
        },
    )
}

fn buy(view: &View<'_>, product: &Product) -> Markup {
    let available = view.stock.available(&product.sku).min(QUANTITY_MAX);
    html! {
        @if view.standing(product) == Standing::None {
            p.sold-out { "Sold out. The next delivery has no date yet; " a href={ "/c/" (product.category) } { "see what is there instead" } "." }
        } @else {
            form.buy method="post" action="/basket/add" {
                input type="hidden" name="sku" value=(product.sku);
                label for="quantity" { "Quantity" }
                select #quantity name="quantity" {
                    @for number in 1..=available { option value=(number) { (number) } }
                }
                button.button type="submit" { "Add to basket" }
            }
            p.quiet.terms {
                @if product.price_cents >= DELIVERY_FREE_FROM_CENTS { "Free delivery. " }
                @else { "Delivery " (view.price(crate::basket::DELIVERY_CENTS)) ", free from " (view.price(DELIVERY_FREE_FROM_CENTS)) ". " }
                "Sixty days to change your mind."
            }
        }
    }
}

/// The shop's own word, and in the same place a slot for what it promotes.
fn offer(view: &View<'_>) -> Markup {
    let own = html! {
        div.offer {
            p.offer-title { "Repaired rather than replaced" }
            p { "Parts for everything here, for ten years. " }
        }
    };
    html! {
        @if view.shop.tracking.is_some() {
            clickmill-slot.offers name="offer" same-origin {
                (own)
                template {
                    div.offer {
                        p.offer-title data-cm-text="{title}" {}
                        p {
                            span data-cm-text="{text}" {} " "
                            a data-cm-href="{link}" data-cm-text="{link_text}" {}
                        }
                    }
                }
            }
        } @else {
            div.offers { (own) }
        }
    }
}

/// The department's other products, those nearest in price first.
fn neighbours<'a>(view: &View<'a>, product: &'a Product) -> Vec<&'a Product> {
    let others = view.shop.catalogue.of_category(&product.category);
    let mut others: Vec<&Product> = others.filter(|other| other.sku != product.sku).collect();
    others.sort_by_key(|other| other.price_cents.abs_diff(product.price_cents));
    others
}
