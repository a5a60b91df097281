//! The page after an order.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::{View, basket, frame, report};
use crate::orders::{Order, OrderLine};
use crate::sessions::Notice;

pub(crate) fn page(view: &View<'_>, order: &Order) -> Markup {
    let line = |line: &OrderLine| json!({ "sku": line.sku, "quantity": line.quantity, "price_cents": line.price_cents });
    let lines: Vec<Value> = order.lines.iter().map(line).collect();
    let main = html! {
        div.page-head {
            h1 { "Thank you, " (order.address.name) "." }
            p.lead { "Your order " strong { (order.number) } " is in. We would write to " (order.address.email) " now, if this were not an example." }
        }
        section.summary.alone aria-labelledby="summary" {
            h2 #summary { "What you bought" }
            ul.brief role="list" {
                @for line in &order.lines {
                    li { span { (line.quantity) " × " (line.name) } span.price { (view.price(line.price_cents * u64::from(line.quantity))) } }
                }
            }
            (basket::sums(view, order.sum))
            p.quiet { "To " (order.address.street) ", " (order.address.town) ", " (order.address.postcode) "." }
        }
        p { a.button href="/" { "Back to the shop" } }
        @if view.notice == Some(Notice::Ordered) {
            (report("order", &order.number, &json!({
                "order": order.number,
                "total_cents": order.sum.total_cents(),
                "currency": view.shop.catalogue.currency().code(),
                "lines": lines,
            })))
        }
    };
    frame::page(
        view,
        &frame::Frame {
            kind: "other",
            title: "Thank you",
            about: "Your order is in.",
            department: None,
            last_slot: "suggested",
            main,
        },
    )
}
