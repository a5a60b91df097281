//! The global tables that decisions rest on: the products on sale and what is in stock.

use std::collections::{BTreeSet, HashMap};

use clickmill_sdk_core::wire::{Product, Sku, Stock, TableVersion, Tenant};
use clickmill_streams::{Place, Poison, Raw, Reading, Rows, Table};

/// The products on sale, by tenant.
#[derive(Debug, Default)]
pub struct Products(HashMap<Tenant, Range>);

/// The products of one tenant.
#[derive(Debug, Default)]
struct Range {
    by_sku: HashMap<Sku, Product>,
    by_category: HashMap<String, BTreeSet<Sku>>,
}

/// What is in stock, by tenant.
#[derive(Debug, Default)]
pub struct Levels(HashMap<Tenant, HashMap<Sku, Level>>);

/// How much of a product can be had, and which record says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Pieces that can be sold.
    pub available: i64,
    /// Where the record lies.
    pub place: Place,
}

/// The two tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The products on sale.
    pub products: Table<Products>,
    /// What is in stock.
    pub stock: Table<Levels>,
}

/// A look at one tenant's part of both tables.
#[derive(Debug)]
pub struct Shelf<'a> {
    tenant: &'a Tenant,
    products: Reading<'a, Products>,
    stock: Reading<'a, Levels>,
}

impl Tables {
    /// Tables that no topic feeds, for tests.
    pub fn detached() -> Self {
        Self { products: Table::detached("products"), stock: Table::detached("stock") }
    }

    /// Looks at a tenant's part. Hold it briefly: both topics wait meanwhile.
    pub fn shelf<'a>(&'a self, tenant: &'a Tenant) -> Shelf<'a> {
        Shelf { tenant, products: self.products.read(), stock: self.stock.read() }
    }
}

impl Shelf<'_> {
    /// A product, whether it can be had or not.
    pub fn product(&self, sku: &Sku) -> Option<&Product> {
        self.products.0.get(self.tenant)?.by_sku.get(sku)
    }

    /// A product that can be had right now, and the stock record that says so.
    pub fn in_stock(&self, sku: &Sku) -> Option<(&Product, Level)> {
        let level = self.stock.level(self.tenant, sku)?;
        let product = self.product(sku)?;
        (level.available > 0).then_some((product, level))
    }

    /// The products of a category, by product number.
    pub fn category(&self, category: &str) -> impl Iterator<Item = &Sku> {
        let range = self.products.0.get(self.tenant);
        range.and_then(|range| range.by_category.get(category)).into_iter().flatten()
    }

    /// How far both tables were read. A table of several partitions has one line for each.
    pub fn versions(&self) -> Vec<TableVersion> {
        let lines = |name: &str, versions: &[clickmill_streams::Version]| {
            let is_split = versions.iter().any(|version| version.partition > 0);
            let line = |version: &clickmill_streams::Version| TableVersion {
                table: if is_split {
                    format!("{name}.{}", version.partition)
                } else {
                    name.to_owned()
                },
                offset: version.offset,
            };
            versions.iter().map(line).collect::<Vec<_>>()
        };
        let mut all = lines("products", self.products.versions());
        all.extend(lines("stock", self.stock.versions()));
        all
    }
}

/// Reads the key of a row: `tenant:sku`.
pub fn row_key(raw: &Raw<'_>) -> Result<(Tenant, Sku), Poison> {
    let key = std::str::from_utf8(raw.key.unwrap_or_default()).map_err(Poison::malformed)?;
    let wrong = || Poison::malformed("the key is not a tenant and a product number");
    let (tenant, sku) = key.split_once(':').ok_or_else(wrong)?;
    let tenant = Tenant::parse(tenant).map_err(Poison::malformed)?;
    Ok((tenant, Sku::parse(sku).map_err(Poison::malformed)?))
}

fn same_sku(key: &Sku, value: &Sku) -> Result<(), Poison> {
    if key == value {
        return Ok(());
    }
    let detail = "the key names another product than the value".to_owned();
    Err(Poison { reason: "wrong_key", detail })
}

impl Rows for Products {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let (tenant, sku) = row_key(raw)?;
        let product: Option<Product> = match raw.value {
            None => None,
            Some(value) => Some(serde_json::from_slice(value).map_err(Poison::malformed)?),
        };
        if let Some(product) = &product {
            same_sku(&sku, &product.sku)?;
        }
        let range = self.0.entry(tenant).or_default();
        if let Some(old) = range.by_sku.remove(&sku) {
            range.leave(&old);
        }
        if let Some(product) = product {
            let category = range.by_category.entry(product.category.clone()).or_default();
            category.insert(sku.clone());
            range.by_sku.insert(sku, product);
        }
        Ok(())
    }
}

impl Range {
    fn leave(&mut self, product: &Product) {
        let Some(category) = self.by_category.get_mut(&product.category) else { return };
        category.remove(&product.sku);
        if category.is_empty() {
            self.by_category.remove(&product.category);
        }
    }
}

impl Levels {
    /// How much of a product can be had; none if nobody said.
    pub fn level(&self, tenant: &Tenant, sku: &Sku) -> Option<Level> {
        self.0.get(tenant)?.get(sku).copied()
    }
}

impl Rows for Levels {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let (tenant, sku) = row_key(raw)?;
        let levels = self.0.entry(tenant).or_default();
        match raw.value {
            None => {
                levels.remove(&sku);
            }
            Some(value) => {
                let stock: Stock = serde_json::from_slice(value).map_err(Poison::malformed)?;
                same_sku(&sku, &stock.sku)?;
                levels.insert(sku, Level { available: stock.available, place: raw.place });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clickmill_sdk_core::wire::{Millis, ToJson};

    use super::*;

    fn put<T: Rows>(table: &Table<T>, offset: u64, key: &str, value: Option<&str>) {
        let place = Place { partition: 0, offset };
        let raw = Raw {
            place,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            timestamp_ms: 0,
        };
        table.apply(&raw).unwrap();
    }

    /// Puts a product of the tenant `shop` on sale, so many of it in stock.
    pub(crate) fn offer(tables: &Tables, (sku, category): (&str, &str), available: i64) {
        let next = |versions: &[clickmill_streams::Version]| {
            versions.first().map_or(0, |version| version.offset + 1)
        };
        let product = Product {
            sku: Sku::parse(sku).unwrap(),
            name: format!("Name of {sku}"),
            category: category.to_owned(),
            price_cents: 100,
            currency: "EUR".to_owned(),
            url: format!("/p/{sku}"),
            image: None,
        };
        let key = format!("shop:{sku}");
        let at = next(tables.products.read().versions());
        put(&tables.products, at, &key, Some(&product.to_json()));
        let stock = Stock { sku: product.sku, available, at: Millis(0) };
        let at = next(tables.stock.read().versions());
        put(&tables.stock, at, &key, Some(&stock.to_json()));
    }

    #[test]
    fn a_product_moves_between_categories_and_goes() {
        let (tables, shop) = (Tables::detached(), Tenant::parse("shop").unwrap());
        let in_category = |category: &str| {
            let shelf = tables.shelf(&shop);
            shelf.category(category).map(|sku| sku.as_str().to_owned()).collect::<Vec<_>>()
        };
        offer(&tables, ("B", "kettles"), 1);
        offer(&tables, ("A", "kettles"), 1);
        assert_eq!(in_category("kettles"), ["A", "B"]);
        offer(&tables, ("A", "toasters"), 1);
        assert_eq!(
            (in_category("kettles"), in_category("toasters")),
            (vec!["B".into()], vec!["A".into()])
        );
        put(&tables.products, 9, "shop:A", None);
        assert!(in_category("toasters").is_empty());
        let other = Tenant::parse("other").unwrap();
        assert!(tables.shelf(&other).product(&Sku::parse("B").unwrap()).is_none());
    }

    #[test]
    fn only_what_can_be_had_is_in_stock() {
        let (tables, shop) = (Tables::detached(), Tenant::parse("shop").unwrap());
        for (sku, available) in [("A", 3), ("B", 0), ("C", -2)] {
            offer(&tables, (sku, "x"), available);
        }
        let shelf = tables.shelf(&shop);
        let level = |sku| shelf.in_stock(&Sku::parse(sku).unwrap()).map(|(_, level)| level);
        let place = Place { partition: 0, offset: 0 };
        assert_eq!(level("A"), Some(Level { available: 3, place }));
        assert_eq!((level("B"), level("C"), level("D")), (None, None, None));
        let versions = shelf.versions();
        let line = |table: &str, offset| TableVersion { table: table.into(), offset };
        assert_eq!(versions, [line("products", 2), line("stock", 2)]);
    }

    #[test]
    fn a_row_under_a_wrong_key_is_refused() {
        let mut products = Products::default();
        let value =
            br#"{"sku":"A","name":"","category":"","price_cents":1,"currency":"EUR","url":"/"}"#;
        let mut reason = |key: &[u8]| {
            let place = Place { partition: 0, offset: 0 };
            let raw = Raw { place, key: Some(key), value: Some(value), timestamp_ms: 0 };
            products.apply(&raw).err().map(|poison| poison.reason)
        };
        assert_eq!(reason(b"shop:B"), Some("wrong_key"));
        assert_eq!(reason(b"shop"), Some("malformed"));
        assert_eq!(reason(b"shop:A"), None);
    }
}
