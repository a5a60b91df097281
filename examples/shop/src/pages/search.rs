//! What a search found.

use maud::{Markup, html};
use serde_json::json;

use super::card::{self, Place};
use super::{View, frame, report};

/// The most characters of a query that are looked at.
pub(crate) const QUERY_CHARS_MAX: usize = 80;

pub(crate) fn page(view: &View<'_>) -> Markup {
    let query: String = view.ask.query.get("q").chars().take(QUERY_CHARS_MAX).collect();
    let found = view.shop.catalogue.search(&query);
    let title = match (query.is_empty(), found.len()) {
        (true, _) => "Search".to_owned(),
        (false, 0) => format!("Nothing for “{query}”"),
        (false, 1) => format!("One product for “{query}”"),
        (false, number) => format!("{number} products for “{query}”"),
    };
    let main = html! {
        div.page-head {
            h1 { (title) }
            @if query.is_empty() {
                p.lead { "Type what you need into the field above: a thing, a size, a number." }
            } @else if found.is_empty() {
                p.lead { "Try one word fewer, or walk through a department:" }
            }
        }
        @if found.is_empty() {
            ul.chips role="list" {
                @for category in view.shop.catalogue.categories() {
                    li { a href={ "/c/" (category.slug) } { (category.name) } }
                }
            }
        } @else {
            ul.goods role="list" {
                @for (position, product) in found.iter().enumerate() {
                    (card::full(view, product, Place { list: "search", position }))
                }
            }
        }
        @if !query.is_empty() {
            (report("search", "", &json!({ "query": query, "results": found.len() })))
        }
    };
    let about = "Search the shop.";
    frame::page(
        view,
        &frame::Frame {
            kind: "search",
            title: &title,
            about,
            department: None,
            last_slot: "suggested",
            main,
        },
    )
}
