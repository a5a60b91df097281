//! The basket.

use maud::{Markup, html};

use super::card::{self, Place};
use super::shelf::Shelf;
use super::{View, frame, shelf, sign};
use crate::basket::{DELIVERY_FREE_FROM_CENTS, QUANTITY_MAX, Sum};
use crate::catalogue::Product;

/// A product under this price is a good last thing to add.
const SMALL_CENTS: u64 = 9_000;

pub(crate) fn page(view: &View<'_>) -> Markup {
    let basket = &view.session.basket;
    let sum = basket.sum(&view.shop.catalogue);
    let held = |product: &&Product| basket.lines().iter().any(|line| line.sku == product.sku);
    let mut small = shelf::small(view, SMALL_CENTS);
    small.retain(|product| !held(product));
    let main = html! {
        div.page-head {
            h1 { "Your basket" }
            @if basket.is_empty() {
                p.lead { "There is nothing in it yet." }
            }
        }
        @if basket.is_empty() {
            p { a.button href="/" { "Look around" } }
        } @else {
            div.two-columns {
                ul.lines role="list" {
                    @for (position, item) in basket.items(&view.shop.catalogue).enumerate() { (line(view, item, position)) }
                }
                section.summary aria-labelledby="summary" {
                    h2 #summary { "Together" }
                    (sums(view, sum))
                    @if sum.goods_cents < DELIVERY_FREE_FROM_CENTS {
                        p.quiet { "Another " (view.price(DELIVERY_FREE_FROM_CENTS - sum.goods_cents)) " and delivery is free." }
                    }
                    a.button.wide href="/checkout" { "Go to checkout" }
                }
            }
        }
        (shelf::render(view, Shelf { slot: "suggested", title: "Fits in the same parcel", products: &small }))
    };
    let about = "What you mean to buy.";
    frame::page(
        view,
        &frame::Frame {
            kind: "basket",
            title: "Your basket",
            about,
            department: None,
            last_slot: "basket",
            main,
        },
    )
}

/// Goods, delivery and total.
pub(super) fn sums(view: &View<'_>, sum: Sum) -> Markup {
    html! {
        dl.sums {
            div { dt { "Goods" } dd { (view.price(sum.goods_cents)) } }
            div {
                dt { "Delivery" }
                dd { @if sum.delivery_cents == 0 { "Free" } @else { (view.price(sum.delivery_cents)) } }
            }
            div.total { dt { "Total" } dd { (view.price(sum.total_cents())) } }
        }
    }
}

fn line(view: &View<'_>, (product, quantity): (&Product, u32), position: usize) -> Markup {
    let room = view.stock.available(&product.sku).min(QUANTITY_MAX);
    html! {
        li.line {
            div.tile { (sign::picture(product)) }
            div.line-words {
                p.card-name { (card::link(view, product, Place { list: "basket-lines", position })) }
                p.card-line { (view.price(product.price_cents)) " each" }
            }
            div.stepper role="group" aria-label={ "Quantity of " (product.name) } {
                (step(product, &Step { action: "/basket/remove", sign: "−", words: "One fewer", possible: true }))
                span.quantity { (quantity) }
                (step(product, &Step { action: "/basket/add", sign: "+", words: "One more", possible: quantity < room }))
            }
            p.price.line-price { (view.price(product.price_cents * u64::from(quantity))) }
            form.line-remove method="post" action="/basket/remove" {
                input type="hidden" name="sku" value=(product.sku);
                button.plain type="submit" { "Remove" span.unseen { " " (product.name) } }
            }
        }
    }
}

struct Step {
    action: &'static str,
    sign: &'static str,
    words: &'static str,
    possible: bool,
}

fn step(product: &Product, step: &Step) -> Markup {
    html! {
        form method="post" action=(step.action) {
            input type="hidden" name="sku" value=(product.sku);
            input type="hidden" name="quantity" value="1";
            button.step type="submit" disabled[!step.possible] {
                span aria-hidden="true" { (step.sign) }
                span.unseen { (step.words) ": " (product.name) }
            }
        }
    }
}
