//! What sort of page a visitor is on.

use super::json::{ToJson, Writer};

/// A sort of page, as `page_view` names it, or as another event tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum PageKind {
    /// The basket, or something was just put into it.
    Basket,
    /// A category, or a list of products.
    Category,
    /// A step of the checkout.
    Checkout,
    /// The entrance.
    Home,
    /// An order was just placed.
    Order,
    /// A product's page.
    Product,
    /// Results of a search.
    Search,
    /// Another one, or nobody said.
    #[default]
    Other,
}

impl PageKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Basket,
        Self::Category,
        Self::Checkout,
        Self::Home,
        Self::Order,
        Self::Product,
        Self::Search,
        Self::Other,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basket => "basket",
            Self::Category => "category",
            Self::Checkout => "checkout",
            Self::Home => "home",
            Self::Order => "order",
            Self::Product => "product",
            Self::Search => "search",
            Self::Other => "other",
        }
    }

    /// The kind of that name; [`Other`](Self::Other) where there is none.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).unwrap_or_default()
    }
}

impl ToJson for PageKind {
    fn write(&self, w: &mut Writer) {
        w.text(self.as_str());
    }
}
