//! The products on sale: read once from the embedded file, checked, then only looked up.

use std::collections::HashMap;

use clickmill_sdk_core::wire::Sku;
use serde::Deserialize;

use crate::art::{self, Art};

const BUILT_IN: &str = include_str!("../products.json");

/// Every product and category, in the order they are shown.
#[derive(Debug)]
pub struct Catalogue {
    currency: Currency,
    categories: Vec<Category>,
    products: Vec<Product>,
    by_sku: HashMap<String, usize>,
}

/// What the shop is paid in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Currency {
    /// Euro.
    #[serde(rename = "EUR")]
    Euro,
    /// Pound sterling.
    #[serde(rename = "GBP")]
    Pound,
}

/// A department of the shop.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its part of the address: `/c/{slug}`.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// What it is about, in one sentence.
    pub line: String,
}

/// One product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Its number: `/p/{sku}`.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// The slug of its category.
    pub category: String,
    /// What matters about it, in a few words.
    pub line: String,
    /// What it is like to own, in two or three sentences.
    pub about: String,
    /// Label and figure.
    pub specs: Vec<(String, String)>,
    /// Its price in hundredths of the currency.
    pub price_cents: u64,
    /// Pieces in stock when the shop opens.
    pub stock: u32,
    /// Its energy class, where there is a label for its kind.
    #[serde(default)]
    pub energy: Option<char>,
    /// Its picture.
    pub art: Art,
}

/// Why the products could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file is no JSON of the right shape.
    #[error("the products cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// A product number that could not be part of a key or an address.
    #[error("{0:?} is no product number")]
    Sku(String),
    /// The same number twice.
    #[error("{0} is there twice")]
    Twice(String),
    /// A product of a category that is not there.
    #[error("{sku} is in the category {category}, which is not there")]
    Category {
        /// The product.
        sku: String,
        /// The category it names.
        category: String,
    },
    /// A product whose picture nobody has drawn.
    #[error("{sku} has a picture that nobody has drawn: {form}")]
    Art {
        /// The product.
        sku: String,
        /// The form it names.
        form: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    currency: Currency,
    categories: Vec<Category>,
    products: Vec<Product>,
}

impl Catalogue {
    /// The products that come with the shop.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::read(BUILT_IN)
    }

    /// Reads and checks products from JSON.
    pub fn read(json: &str) -> Result<Self, CatalogueError> {
        let File { currency, categories, products } = serde_json::from_str(json)?;
        let mut by_sku = HashMap::new();
        for (place, product) in products.iter().enumerate() {
            check(product, &categories)?;
            if by_sku.insert(product.sku.clone(), place).is_some() {
                return Err(CatalogueError::Twice(product.sku.clone()));
            }
        }
        Ok(Self { currency, categories, products, by_sku })
    }

    /// What the shop is paid in.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// All categories.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// All products, category by category.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The category of that slug.
    pub fn category(&self, slug: &str) -> Option<&Category> {
        self.categories.iter().find(|category| category.slug == slug)
    }

    /// The product of that number.
    pub fn product(&self, sku: &str) -> Option<&Product> {
        self.by_sku.get(sku).and_then(|place| self.products.get(*place))
    }

    /// The products of a category.
    pub fn of_category<'a>(&'a self, slug: &'a str) -> impl Iterator<Item = &'a Product> {
        self.products.iter().filter(move |product| product.category == slug)
    }

    /// Products that hold every word of the query, the best match first.
    pub fn search(&self, query: &str) -> Vec<&Product> {
        let query = query.to_lowercase();
        let words: Vec<&str> = query.split_whitespace().take(WORDS_MAX).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(u32, &Product)> = self
            .products
            .iter()
            .filter_map(|product| Some((self.score(product, &words)?, product)))
            .collect();
        // Stable, so that equal matches stay in the shop's own order.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().map(|(_, product)| product).collect()
    }

    fn score(&self, product: &Product, words: &[&str]) -> Option<u32> {
        let category = self.category(&product.category).map_or("", |c| c.name.as_str());
        let places = [
            (product.name.to_lowercase(), 8),
            (product.sku.to_lowercase(), 8),
            (category.to_lowercase(), 4),
            (product.line.to_lowercase(), 3),
            (product.about.to_lowercase(), 1),
        ];
        words.iter().try_fold(0, |sum, word| {
            // A plural finds the singular: "kettles", "a pair of headphones" stay findable.
            let stem = word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word);
            let score: u32 = places
                .iter()
                .filter(|(text, _)| text.contains(stem))
                .map(|(_, weight)| *weight)
                .sum();
            (score > 0).then_some(sum + score)
        })
    }
}

/// The most words of a query that are looked at.
const WORDS_MAX: usize = 8;

impl Product {
    /// Its page, relative to the site.
    pub fn url(&self) -> String {
        format!("/p/{}", self.sku)
    }

    /// Its picture, relative to the site.
    pub fn image(&self) -> String {
        format!("/img/{}.svg", self.sku)
    }

    /// How loud it is in decibels, where its figures say so.
    pub fn noise_db(&self) -> Option<u32> {
        let (_, figure) = self.specs.iter().find(|(label, _)| label == "Noise")?;
        figure.split(' ').next()?.parse().ok()
    }
}

impl Currency {
    /// Its ISO 4217 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Euro => "EUR",
            Self::Pound => "GBP",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Euro => '€',
            Self::Pound => '£',
        }
    }

    /// A price as people read it: `£1,299`, `£39.99`.
    pub fn show(self, cents: u64) -> String {
        let (units, rest) = (cents / 100, cents % 100);
        let digits = units.to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        match rest {
            0 => format!("{}{grouped}", self.sign()),
            _ => format!("{}{grouped}.{rest:02}", self.sign()),
        }
    }
}

fn check(product: &Product, categories: &[Category]) -> Result<(), CatalogueError> {
    let sku = product.sku.clone();
    // Stricter than the wire: it becomes a part of addresses as it is.
    let plain = sku.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if Sku::parse(&sku).is_err() || !plain {
        return Err(CatalogueError::Sku(sku));
    }
    if !categories.iter().any(|category| category.slug == product.category) {
        return Err(CatalogueError::Category { sku, category: product.category.clone() });
    }
    if art::shapes(&product.category, &product.art).is_none() {
        return Err(CatalogueError::Art { sku, form: product.art.form.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skus(found: &[&Product]) -> Vec<String> {
        found.iter().map(|product| product.sku.clone()).collect()
    }

    #[test]
    fn the_built_in_products_are_sound() {
        let catalogue = Catalogue::built_in().unwrap();
        assert!(catalogue.products().len() >= 40);
        assert_eq!(catalogue.categories().len(), 8);
        for category in catalogue.categories() {
            assert!(catalogue.of_category(&category.slug).count() >= 4, "{}", category.slug);
        }
        assert!(catalogue.products().iter().any(|product| product.stock == 0));
    }

    #[test]
    fn prices_are_grouped_and_whole_ones_are_short() {
        let check = |cents, expected| assert_eq!(Currency::Pound.show(cents), expected);
        check(0, "£0");
        check(5, "£0.05");
        check(3_999, "£39.99");
        check(100_000, "£1,000");
        check(123_456_789, "£1,234,567.89");
        assert_eq!(Currency::Euro.show(64_900), "€649");
    }

    #[test]
    fn a_search_needs_every_word_and_ranks_names_first() {
        let catalogue = Catalogue::built_in().unwrap();
        let found = |query| skus(&catalogue.search(query));
        assert_eq!(found("gooseneck")[0], "KET-1");
        assert_eq!(found("KET-3"), ["KET-3"]);
        assert!(found("kettles").len() >= 5);
        assert_eq!(found("  "), Vec::<String>::new());
        assert_eq!(found("kettle zeppelin"), Vec::<String>::new());
    }

    #[test]
    fn faulty_files_are_refused() {
        let good = BUILT_IN;
        assert!(matches!(Catalogue::read("{"), Err(CatalogueError::Shape(_))));
        let twice = good.replace("\"KET-2\"", "\"KET-1\"");
        assert!(
            matches!(Catalogue::read(&twice), Err(CatalogueError::Twice(sku)) if sku == "KET-1")
        );
        let undrawn = good.replace("\"gooseneck\"", "\"swan\"");
        assert!(matches!(Catalogue::read(&undrawn), Err(CatalogueError::Art { .. })));
        let lost = good.replacen("\"category\": \"kettles\"", "\"category\": \"kites\"", 1);
        assert!(matches!(Catalogue::read(&lost), Err(CatalogueError::Category { .. })));
        let odd = good.replace("\"KET-2\"", "\"KET 2\"");
        assert!(matches!(Catalogue::read(&odd), Err(CatalogueError::Sku(_))));
    }
}
