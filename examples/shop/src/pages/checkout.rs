//! The checkout: one form beside what is bought.

use maud::{Markup, html};
use serde_json::json;

use super::field::{self, Text};
use super::{View, basket, frame, report};
use crate::orders::{Address, Field};

/// The form with what was filled in, and what is wrong with it.
pub(crate) fn page(view: &View<'_>, address: &Address, faults: &[(Field, &str)]) -> Markup {
    let bought = &view.session.basket;
    let sum = bought.sum(&view.shop.catalogue);
    let main = html! {
        div.page-head { h1 { "Checkout" } }
        div.two-columns {
            form.sheet method="post" action="/checkout" novalidate {
                (fault_list(faults))
                fieldset {
                    legend { "Where it goes" }
                    @for field in Field::ALL {
                        (field::text(&input(field, address, faults)))
                    }
                }
                fieldset {
                    legend { "How you pay" }
                    p { "At the door, by card or in cash. This is an example: nothing is charged and nobody comes." }
                }
                button.button.wide type="submit" { "Place the order for " (view.price(sum.total_cents())) }
            }
            section.summary aria-labelledby="summary" {
                h2 #summary { "What you get" }
                ul.brief role="list" {
                    @for (product, quantity) in bought.items(&view.shop.catalogue) {
                        li { span { (quantity) " × " (product.name) } span.price { (view.price(product.price_cents * u64::from(quantity))) } }
                    }
                }
                (basket::sums(view, sum))
                @if faults.is_empty() {
                    (report("checkout_step", "", &json!({
                        "step": 1,
                        "name": "address",
                        "items": bought.pieces(),
                        "total_cents": sum.total_cents(),
                        "currency": view.shop.catalogue.currency().code(),
                    })))
                }
                p { a.text-link href="/basket" { "Change the basket" } }
            }
        }
    };
    let title = if faults.is_empty() { "Checkout" } else { "Please check the form" };
    frame::page(
        view,
        &frame::Frame {
            kind: "checkout",
            title,
            about: "Place your order.",
            department: None,
            last_slot: "suggested",
            main,
        },
    )
}

fn fault_list(faults: &[(Field, &str)]) -> Markup {
    html! {
        @if !faults.is_empty() {
            div.notice.problem role="alert" {
                p { strong { "Please check the form." } }
                ul { @for (field, fault) in faults { li { a href={ "#" (field.as_str()) } { (fault) } } } }
            }
        }
    }
}

fn input<'a>(field: Field, address: &'a Address, faults: &[(Field, &'a str)]) -> Text<'a> {
    let (label, kind, autocomplete) = match field {
        Field::Name => ("Name", "text", "name"),
        Field::Email => ("E-mail", "email", "email"),
        Field::Street => ("Street and number", "text", "street-address"),
        Field::Town => ("Town", "text", "address-level2"),
        Field::Postcode => ("Postcode", "text", "postal-code"),
    };
    let fault = faults.iter().find(|(of, _)| *of == field).map(|(_, fault)| *fault);
    Text { name: field.as_str(), label, kind, autocomplete, value: address.field(field), fault }
}
