//! Turns suggestions into hints: what the page shows, under which heading, and why.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Json, TableVersion, Why};
use serde::Deserialize;

use crate::decide::plan::Model;
use crate::decide::suggest::Suggestion;

/// The headings over products, by the model that found them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Titles {
    /// Over what visits went on to.
    pub nearest_visits: String,
    /// Over what was ordered together.
    pub bought_together: String,
    /// Over what the visitor looked at before.
    pub recently_viewed: String,
    /// Over what is popular in a category.
    pub category_popular: String,
    /// Over what is popular in the whole shop.
    pub shop_popular: String,
}

impl Default for Titles {
    fn default() -> Self {
        Self {
            nearest_visits: "Often seen together".to_owned(),
            bought_together: "Goes well with it".to_owned(),
            recently_viewed: "Seen recently".to_owned(),
            category_popular: "Popular beside it".to_owned(),
            shop_popular: "Popular right now".to_owned(),
        }
    }
}

impl Titles {
    fn of(&self, model: Model) -> &str {
        match model {
            Model::NearestVisits => &self.nearest_visits,
            Model::BoughtTogether => &self.bought_together,
            Model::RecentlyViewed => &self.recently_viewed,
            Model::CategoryPopular => &self.category_popular,
            Model::ShopPopular => &self.shop_popular,
        }
    }
}

/// The headings, also in other languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headings {
    /// Where no language is known, or none of these.
    pub titles: Titles,
    /// By the tag of a language, such as `de` or `de-CH`.
    pub languages: BTreeMap<String, Titles>,
}

impl Headings {
    /// The heading for a page in a language: the language of this place, else the language, else the
    /// shop's own.
    pub fn title(&self, model: Model, locale: Option<&str>) -> &str {
        let named = |tag: &str| {
            let mut all = self.languages.iter();
            all.find(|(known, _)| known.eq_ignore_ascii_case(tag)).map(|(_, titles)| titles)
        };
        let titles = locale.and_then(|locale| {
            named(locale).or_else(|| named(locale.split('-').next().unwrap_or_default()))
        });
        titles.unwrap_or(&self.titles).of(model)
    }

    /// What the page shows.
    pub fn content(&self, suggestion: &Suggestion, locale: Option<&str>) -> Json {
        let mut w = Writer::with_capacity(256 * (suggestion.products.len() + 1));
        w.object(|w| {
            w.text_field("title", self.title(suggestion.model, locale));
            w.list_field("items", &suggestion.products);
        });
        Json::trusted(w.finish())
    }
}

/// Why it is shown.
pub fn why(suggestion: &Suggestion, tables: Vec<TableVersion>) -> Why {
    Why {
        model: suggestion.model.as_str().to_owned(),
        inputs: suggestion.inputs.iter().map(|sku| sku.as_str().to_owned()).collect(),
        support: suggestion.support,
        tables,
        variant: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_speaks_the_pages_language() {
        let german = |title: &str| Titles { recently_viewed: title.into(), ..Titles::default() };
        let headings = Headings {
            titles: Titles::default(),
            languages: BTreeMap::from([
                ("de".to_owned(), german("Zuletzt angesehen")),
                ("de-CH".to_owned(), german("Kürzlich angeschaut")),
            ]),
        };
        let title = |locale| headings.title(Model::RecentlyViewed, locale);
        assert_eq!(title(None), "Seen recently");
        assert_eq!(title(Some("fr")), "Seen recently");
        assert_eq!(title(Some("de-AT")), "Zuletzt angesehen");
        assert_eq!(title(Some("DE")), "Zuletzt angesehen");
        assert_eq!(title(Some("de-ch")), "Kürzlich angeschaut");
    }
}
