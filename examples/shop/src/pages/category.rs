//! A department: its products in one of three orders.

use maud::{Markup, html};
use serde_json::json;

use super::card::{self, Place};
use super::{View, frame, report};
use crate::catalogue::{Category, Product};

/// The order of the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The shop's own.
    Own,
    /// The cheapest first.
    PriceUp,
    /// The dearest first.
    PriceDown,
}

impl Order {
    const ALL: [Self; 3] = [Self::Own, Self::PriceUp, Self::PriceDown];

    fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|order| order.as_str() == name).unwrap_or(Self::Own)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::PriceUp => "price",
            Self::PriceDown => "price-down",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Own => "Our order",
            Self::PriceUp => "Price, lowest first",
            Self::PriceDown => "Price, highest first",
        }
    }
}

pub(crate) fn page(view: &View<'_>, category: &Category) -> Markup {
    let order = Order::parse(view.ask.query.get("sort"));
    let mut products: Vec<&Product> = view.shop.catalogue.of_category(&category.slug).collect();
    match order {
        Order::Own => {}
        Order::PriceUp => products.sort_by_key(|product| product.price_cents),
        Order::PriceDown => products.sort_by_key(|p| std::cmp::Reverse(p.price_cents)),
    }
    // What cannot be had goes to the end, in any order.
    products.sort_by_key(|product| !view.on_sale(product));
    let skus: Vec<&str> = products.iter().map(|product| product.sku.as_str()).collect();
    let listed = json!({ "list": "department", "category": category.slug, "skus": skus });
    let main = html! {
        div.page-head {
            h1 { (category.name) }
            p.lead { (category.line) }
        }
        div.tools {
            p.quiet { (products.len()) " products" }
            nav.sorts aria-label="Order of the products" {
                @for to in Order::ALL {
                    @let address = match to {
                        Order::Own => format!("/c/{}", category.slug),
                        Order::PriceUp | Order::PriceDown => format!("/c/{}?sort={}", category.slug, to.as_str()),
                    };
                    a href=(address) aria-current=[(to == order).then_some("true")] { (to.words()) }
                }
            }
        }
        ul.goods.department role="list" {
            @for (position, product) in products.into_iter().enumerate() {
                (card::full(view, product, Place { list: "department", position }))
            }
        }
        (report("list_view", "", &listed))
    };
    let department = Some(category.slug.as_str());
    frame::page(
        view,
        &frame::Frame {
            kind: "category",
            title: &category.name,
            about: &category.line,
            department,
            last_slot: "suggested",
            main,
        },
    )
}
