//! Which model fills which slot of which page.

use clickmill_sdk_core::wire::{PageKind, Slot};
use serde::Deserialize;

/// Where suggestions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// What visits went on to that were at the same products: what stands in for them.
    NearestVisits,
    /// What was ordered with the products in the basket, else with those just ordered, else with
    /// those looked at: what belongs to them.
    BoughtTogether,
    /// What the visitor looked at before.
    RecentlyViewed,
    /// What is looked at most in the category of the page and those of the products that were seen.
    CategoryPopular,
    /// What is looked at most in the whole shop.
    ShopPopular,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NearestVisits,
        Self::BoughtTogether,
        Self::RecentlyViewed,
        Self::CategoryPopular,
        Self::ShopPopular,
    ];

    /// The model's name in hints and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NearestVisits => "nearest_visits",
            Self::BoughtTogether => "bought_together",
            Self::RecentlyViewed => "recently_viewed",
            Self::CategoryPopular => "category_popular",
            Self::ShopPopular => "shop_popular",
        }
    }
}

/// Which models fill a slot of a page: the first that has products.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The sort of page; any where none is said.
    #[serde(default)]
    pub page: Option<PageKind>,
    /// The slot; any where none is said.
    #[serde(default)]
    pub slot: Option<Slot>,
    /// The models, best first.
    pub models: Vec<Model>,
}

/// The lines, of which the first that fits a page and a slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Plan(pub Vec<Line>);

impl Plan {
    /// The models for a slot of a page, best first; none where no line fits.
    pub fn models(&self, page: PageKind, slot: &Slot) -> &[Model] {
        let fits = |line: &&Line| {
            line.page.is_none_or(|of| of == page) && line.slot.as_ref().is_none_or(|of| of == slot)
        };
        self.0.iter().find(fits).map_or(&[], |line| &line.models)
    }
}

impl Default for Plan {
    fn default() -> Self {
        use Model::{BoughtTogether, CategoryPopular, NearestVisits, RecentlyViewed, ShopPopular};
        let line = |page, models: &[Model]| Line { page, slot: None, models: models.to_vec() };
        // Before something is in the basket what could stand in for it, after that what belongs to
        // it.
        let belongs = [BoughtTogether, NearestVisits, CategoryPopular, ShopPopular];
        Self(vec![
            line(Some(PageKind::Home), &[RecentlyViewed, ShopPopular]),
            line(Some(PageKind::Basket), &belongs),
            line(Some(PageKind::Checkout), &belongs),
            line(Some(PageKind::Order), &belongs),
            line(None, &[NearestVisits, CategoryPopular, ShopPopular]),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_holds() {
        let lines = r#"[
            {"page": "home", "slot": "top", "models": ["recently_viewed"]},
            {"slot": "top", "models": ["bought_together"]},
            {"page": "home", "models": []}
        ]"#;
        let plan: Plan = serde_json::from_str(lines).unwrap();
        let models = |page, slot| plan.models(page, &Slot::parse(slot).unwrap());
        assert_eq!(models(PageKind::Home, "top"), [Model::RecentlyViewed]);
        assert_eq!(models(PageKind::Basket, "top"), [Model::BoughtTogether]);
        assert!(models(PageKind::Home, "below").is_empty());
        assert!(models(PageKind::Basket, "below").is_empty());
        assert!(serde_json::from_str::<Plan>(r#"[{"models": ["magic"]}]"#).is_err());
        assert!(serde_json::from_str::<Plan>(r#"[{"pages": "home", "models": []}]"#).is_err());
    }

    #[test]
    fn a_model_is_set_by_the_name_that_hints_tell() {
        for model in Model::ALL {
            let name = format!("\"{}\"", model.as_str());
            assert_eq!(serde_json::from_str::<Model>(&name).unwrap(), model);
        }
    }
}
