//! The pages, written on the server; each works without its script.

pub(crate) mod basket;
pub(crate) mod category;
pub(crate) mod checkout;
pub(crate) mod home;
pub(crate) mod login;
pub(crate) mod missing;
pub(crate) mod product;
pub(crate) mod search;
pub(crate) mod thanks;

mod card;
mod field;
mod frame;
mod shelf;
mod sign;

use maud::{Markup, html};
use serde_json::Value;

use crate::ask::Ask;
use crate::catalogue::Product;
use crate::sessions::{Notice, Session};
use crate::shop::Shop;
use crate::stock::{Standing, Stock};

/// What a page needs to know of the shop and its visitor.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The shop.
    pub(crate) shop: &'a Shop,
    /// What can still be sold.
    pub(crate) stock: &'a Stock,
    /// The visitor's basket and login.
    pub(crate) session: Session,
    /// What this page has to say first.
    pub(crate) notice: Option<Notice>,
    /// The request.
    pub(crate) ask: &'a Ask,
}

impl View<'_> {
    fn price(&self, cents: u64) -> String {
        self.shop.catalogue.currency().show(cents)
    }

    fn standing(&self, product: &Product) -> Standing {
        self.stock.standing(&product.sku)
    }

    fn on_sale(&self, product: &Product) -> bool {
        self.standing(product) != Standing::None
    }

    /// The categories' names, for labels.
    fn category_name(&self, product: &Product) -> &str {
        let category = self.shop.catalogue.category(&product.category);
        category.map_or("", |category| category.name.as_str())
    }
}

/// Tells the script to report an event, once for each `once`: a page that is shown again from the
/// browser's history reports nothing twice.
fn report(event: &str, once: &str, props: &Value) -> Markup {
    html! {
        span hidden data-report=(event) data-once=(once) data-props=(props.to_string()) {}
    }
}
