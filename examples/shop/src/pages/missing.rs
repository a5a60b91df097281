//! The page for addresses that lead nowhere.

use maud::{Markup, html};

use super::{View, frame};

pub(crate) fn page(view: &View<'_>) -> Markup {
    let main = html! {
        div.page-head {
            h1 { "Nothing is plugged in here." }
            p.lead { "The page is gone or never was. These are not:" }
        }
        ul.chips role="list" {
            @for category in view.shop.catalogue.categories() {
                li { a href={ "/c/" (category.slug) } { (category.name) } }
            }
        }
    };
    frame::page(
        view,
        &frame::Frame {
            kind: "other",
            title: "Not found",
            about: "Nothing is here.",
            department: None,
            last_slot: "suggested",
            main,
        },
    )
}
