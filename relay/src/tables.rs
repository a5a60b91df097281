//! The global tables that decisions rest on: the products on sale and what is in stock.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use clickmill_sdk_core::wire::{
    Customer, Millis, Product, Proven, Sku, Stock, StockBeat, StockSource, TableVersion, Tenant,
};
use clickmill_streams::{Place, Poison, Raw, Reading, Rows, Table};

use crate::customers::Customers;

/// The most systems that tell one tenant's levels.
const SOURCES_MAX: usize = 64;

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
pub struct Levels(HashMap<Tenant, Stocked>);

/// The levels of one tenant, and when their sources were heard last.
#[derive(Debug, Default)]
struct Stocked {
    levels: HashMap<Sku, Level>,
    /// When there was less of a product, lately.
    risen: HashMap<Sku, Risen>,
    /// None is the source without a name. A level names its source by the place in here.
    sources: Vec<Option<StockSource>>,
    /// Up to when what a source says lies in a partition.
    heard: HashMap<(usize, u32), Millis>,
    /// How many levels there are that a source tells in a partition.
    told: HashMap<(usize, u32), usize>,
}

/// A source of a tenant's levels, in one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voice {
    /// Whose levels it tells.
    pub tenant: Tenant,
    source: usize,
    partition: u32,
}

/// How much of a product can be had, and which record says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Pieces that can be sold.
    pub available: i64,
    /// Where the record lies.
    pub place: Place,
    /// When it came to lie there.
    pub at: Millis,
    source: usize,
}

/// That there is more of a product than before: for events that come late to be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Risen {
    before: Level,
    /// Since when there is more.
    at: Millis,
}

/// When a product may be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockRule {
    /// Only with more pieces than this.
    pub safety: i64,
    /// Only while its source was heard in the last so many milliseconds; none where levels do not
    /// age.
    pub age_ms_max: Option<u64>,
}

/// What a stock level means by the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be had.
    InStock(Level),
    /// It cannot, or the safety stock is all there is.
    SoldOut(Level),
    /// Its source was not heard for too long.
    Stale(Level),
    /// Nobody said.
    Unknown,
}

/// The tables, and how levels are read.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The products on sale.
    pub products: Table<Products>,
    /// What is in stock.
    pub stock: Table<Levels>,
    /// What the site knows of its customers; none where nobody tells.
    pub customers: Option<Table<Customers>>,
    /// When a product may be shown.
    pub rule: StockRule,
}

/// A look at one tenant's part of the tables.
#[derive(Debug)]
pub struct Shelf<'a> {
    tenant: &'a Tenant,
    products: Reading<'a, Products>,
    stock: Reading<'a, Levels>,
    customers: Option<Reading<'a, Customers>>,
    rule: StockRule,
    now: Millis,
    stale: Cell<u64>,
}

impl Tables {
    /// Tables that no topic feeds, for tests.
    pub fn detached() -> Self {
        let (products, stock) = (Table::detached("products"), Table::detached("stock"));
        let customers = Some(Table::detached("customers"));
        Self { products, stock, customers, rule: StockRule::default() }
    }

    /// Whether all were read to their ends.
    pub fn are_ready(&self) -> bool {
        self.products.is_ready() && self.stock.is_ready() && self.has_customers()
    }

    /// Whether customers were read as far as anybody tells of them.
    pub fn has_customers(&self) -> bool {
        self.customers.as_ref().is_none_or(Table::is_ready)
    }

    /// Looks at a tenant's part at a moment. Hold it briefly: the topics wait meanwhile.
    pub fn shelf<'a>(&'a self, tenant: &'a Tenant, now: Millis) -> Shelf<'a> {
        let (products, stock) = (self.products.read(), self.stock.read());
        let customers = self.customers.as_ref().map(Table::read);
        Shelf { tenant, products, stock, customers, rule: self.rule, now, stale: Cell::new(0) }
    }
}

impl Shelf<'_> {
    /// A product, whether it can be had or not.
    pub fn product(&self, sku: &Sku) -> Option<&Product> {
        self.products.product(self.tenant, sku)
    }

    /// Whether a visitor still counts as the customer that was proven.
    pub fn holds(&self, proven: &Proven) -> bool {
        self.now <= proven.until
    }

    /// What the site knows of the customer that a visitor was proven to be.
    pub fn customer(&self, proven: &Proven) -> Option<&Customer> {
        self.customers.as_ref()?.get(self.tenant, &proven.id).filter(|_| self.holds(proven))
    }

    /// What is known of a product's stock.
    pub fn standing(&self, sku: &Sku) -> Standing {
        self.stock.standing(self.tenant, sku, (self.rule, self.now))
    }

    /// Which source tells a level.
    pub fn voice(&self, level: &Level) -> Voice {
        self.stock.voice(self.tenant, level)
    }

    /// A product that can be had right now, and the stock record that says so.
    pub fn in_stock(&self, sku: &Sku) -> Option<(&Product, Level)> {
        match self.standing(sku) {
            Standing::InStock(level) => Some((self.product(sku)?, level)),
            Standing::Stale(_) => {
                self.stale.set(self.stale.get() + 1);
                None
            }
            Standing::SoldOut(_) | Standing::Unknown => None,
        }
    }

    /// How often a product was asked for whose source was not heard for too long.
    pub fn stale(&self) -> u64 {
        self.stale.get()
    }

    /// The products of a category, by product number.
    pub fn category(&self, category: &str) -> impl Iterator<Item = &Sku> {
        let range = self.products.0.get(self.tenant);
        range.and_then(|range| range.by_category.get(category)).into_iter().flatten()
    }

    /// How far products and stock were read. A table of several partitions has one line for each.
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
    let wrong = || Poison::malformed("the key is not a tenant and a product number");
    let (tenant, sku) = key(raw)?.split_once(':').ok_or_else(wrong)?;
    let tenant = Tenant::parse(tenant).map_err(Poison::malformed)?;
    Ok((tenant, Sku::parse(sku).map_err(Poison::malformed)?))
}

/// Reads the key of a heartbeat: `tenant!source`. None where it is another key: a tenant's name has
/// neither mark in it.
fn beat_key(raw: &Raw<'_>) -> Result<Option<(Tenant, Option<StockSource>)>, Poison> {
    let key = key(raw)?;
    let Some(at) = key.find([':', '!']).filter(|at| key[*at..].starts_with('!')) else {
        return Ok(None);
    };
    let tenant = Tenant::parse(&key[..at]).map_err(Poison::malformed)?;
    let source = match &key[at + 1..] {
        "" => None,
        name => Some(StockSource::parse(name).map_err(Poison::malformed)?),
    };
    Ok(Some((tenant, source)))
}

fn key<'a>(raw: &Raw<'a>) -> Result<&'a str, Poison> {
    std::str::from_utf8(raw.key.unwrap_or_default()).map_err(Poison::malformed)
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

impl Products {
    /// A product, whether it can be had or not.
    pub fn product(&self, tenant: &Tenant, sku: &Sku) -> Option<&Product> {
        self.0.get(tenant)?.by_sku.get(sku)
    }
}

impl Levels {
    /// What is known of a product's stock at a moment.
    pub fn standing(
        &self,
        tenant: &Tenant,
        sku: &Sku,
        (rule, now): (StockRule, Millis),
    ) -> Standing {
        let Some(stocked) = self.0.get(tenant) else { return Standing::Unknown };
        match stocked.levels.get(sku).copied() {
            None => Standing::Unknown,
            Some(level) if level.available <= rule.safety => Standing::SoldOut(level),
            Some(level) if stocked.is_stale(&level, (rule, now)) => Standing::Stale(level),
            Some(level) => Standing::InStock(level),
        }
    }

    /// The level that said, when a moment was now, that a product is sold out; none where that is not
    /// so, or not known any more.
    pub fn sold_out_at(
        &self,
        tenant: &Tenant,
        sku: &Sku,
        (rule, then): (StockRule, Millis),
    ) -> Option<Level> {
        let stocked = self.0.get(tenant)?;
        let level = stocked.levels.get(sku).filter(|level| level.available <= rule.safety);
        let was = || {
            let risen = stocked.risen.get(sku)?;
            let was_so = risen.before.available <= rule.safety;
            (was_so && risen.before.at <= then && then < risen.at).then_some(risen.before)
        };
        level.copied().or_else(was)
    }

    /// The sources that were not heard for too long, though they have levels.
    pub fn silent(&self, rule: StockRule, now: Millis) -> BTreeSet<Voice> {
        let Some(age_ms_max) = rule.age_ms_max else { return BTreeSet::new() };
        let of = |(tenant, stocked): (&Tenant, &Stocked)| {
            let late = stocked.ages(now).filter(|(_, age)| *age > age_ms_max);
            let voice = |((source, partition), _)| {
                let tenant = tenant.clone();
                Voice { tenant, source, partition }
            };
            late.map(voice).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// Which source tells a level.
    pub fn voice(&self, tenant: &Tenant, level: &Level) -> Voice {
        let Level { source, place, .. } = *level;
        Voice { tenant: tenant.clone(), source, partition: place.partition }
    }

    /// How long ago the source was heard, in one partition, that was heard longest ago, ms. One that
    /// has no levels any more does not count.
    pub fn age_ms(&self, now: Millis) -> u64 {
        let all = self.0.values().flat_map(|stocked| stocked.ages(now));
        all.map(|(_, age)| age).max().unwrap_or_default()
    }
}

impl Stocked {
    fn is_stale(&self, level: &Level, (rule, now): (StockRule, Millis)) -> bool {
        let heard = self.heard.get(&(level.source, level.place.partition)).copied();
        rule.age_ms_max.is_some_and(|max| now.since(heard.unwrap_or_default()) > max)
    }

    /// How long ago each source that has levels was heard, ms.
    fn ages(&self, now: Millis) -> impl Iterator<Item = ((usize, u32), u64)> {
        let heard = |voice| self.heard.get(voice).copied().unwrap_or_default();
        self.told.keys().map(move |voice| (*voice, now.since(heard(voice))))
    }

    /// Puts a product's level in place of the one before, which it gives back; none takes it away.
    fn put(&mut self, sku: &Sku, level: Option<Level>) -> Option<Level> {
        let voice = |level: &Level| (level.source, level.place.partition);
        let before = match level {
            None => self.levels.remove(sku),
            Some(level) => {
                *self.told.entry(voice(&level)).or_default() += 1;
                self.levels.insert(sku.clone(), level)
            }
        };
        if let Some(gone) = before.as_ref().map(voice)
            && let Some(count) = self.told.get_mut(&gone)
        {
            *count -= 1;
            if *count == 0 {
                self.told.remove(&gone);
            }
        }
        before
    }

    /// A source says something, or that nothing has changed, up to a moment. A clock that is ahead
    /// does not count for more than the record's own time in Kafka.
    fn hear(
        &mut self,
        source: Option<StockSource>,
        at: Millis,
        raw: &Raw<'_>,
    ) -> Result<usize, Poison> {
        let known = self.sources.iter().position(|known| *known == source);
        let source = match known {
            Some(source) => source,
            None if self.sources.len() < SOURCES_MAX => {
                self.sources.push(source);
                self.sources.len() - 1
            }
            None => {
                let detail = format!("a tenant has {SOURCES_MAX} sources at the most");
                return Err(Poison { reason: "too_many_sources", detail });
            }
        };
        let heard = self.heard.entry((source, raw.place.partition)).or_default();
        *heard = (*heard).max(at.min(Millis(raw.timestamp_ms)));
        Ok(source)
    }
}

impl Rows for Levels {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        if let Some((tenant, source)) = beat_key(raw)? {
            let Some(value) = raw.value else { return Ok(()) };
            let beat: StockBeat = serde_json::from_slice(value).map_err(Poison::malformed)?;
            return self.0.entry(tenant).or_default().hear(source, beat.at, raw).map(drop);
        }
        let (tenant, sku) = row_key(raw)?;
        let stocked = self.0.entry(tenant).or_default();
        match raw.value {
            None => {
                stocked.put(&sku, None);
                stocked.risen.remove(&sku);
            }
            Some(value) => {
                let stock: Stock = serde_json::from_slice(value).map_err(Poison::malformed)?;
                same_sku(&sku, &stock.sku)?;
                let source = stocked.hear(stock.source, stock.at, raw)?;
                let at = Millis(raw.timestamp_ms);
                let level = Level { available: stock.available, place: raw.place, at, source };
                let before = stocked.put(&sku, Some(level));
                if let Some(before) = before.filter(|before| before.available < level.available)
                    && stocked
                        .risen
                        .get(&sku)
                        .is_none_or(|risen| before.available <= risen.before.available)
                {
                    stocked.risen.insert(sku, Risen { before, at });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clickmill_sdk_core::wire::ToJson;

    use super::*;

    fn put<T: Rows>(table: &Table<T>, offset: u64, key: &str, value: Option<&str>) {
        let place = Place { partition: 0, offset };
        let raw = Raw {
            source: 0,
            place,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            timestamp_ms: u64::MAX,
        };
        table.apply(&raw).unwrap();
    }

    /// Tells what the tenant `shop` knows of a customer.
    pub(crate) fn know(tables: &Tables, customer: &Customer) {
        let key = format!("shop:{}", customer.customer);
        let table = tables.customers.as_ref().unwrap();
        let at = table.read().versions().first().map_or(0, |version| version.offset + 1);
        put(table, at, &key, Some(&customer.to_json()));
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
        let stock = Stock { sku: product.sku, available, at: Millis(0), source: None };
        let at = next(tables.stock.read().versions());
        put(&tables.stock, at, &key, Some(&stock.to_json()));
    }

    #[test]
    fn a_product_moves_between_categories_and_goes() {
        let (tables, shop) = (Tables::detached(), Tenant::parse("shop").unwrap());
        let in_category = |category: &str| {
            let shelf = tables.shelf(&shop, Millis(0));
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
        assert!(tables.shelf(&other, Millis(0)).product(&Sku::parse("B").unwrap()).is_none());
    }

    #[test]
    fn only_what_can_be_had_is_in_stock() {
        let (tables, shop) = (Tables::detached(), Tenant::parse("shop").unwrap());
        for (sku, available) in [("A", 3), ("B", 0), ("C", -2)] {
            offer(&tables, (sku, "x"), available);
        }
        let shelf = tables.shelf(&shop, Millis(0));
        let level = |sku| shelf.in_stock(&Sku::parse(sku).unwrap()).map(|(_, level)| level);
        let place = Place { partition: 0, offset: 0 };
        let at = Millis(u64::MAX);
        assert_eq!(level("A"), Some(Level { available: 3, place, at, source: 0 }));
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
            let raw = Raw { source: 0, place, key: Some(key), value: Some(value), timestamp_ms: 0 };
            products.apply(&raw).err().map(|poison| poison.reason)
        };
        assert_eq!(reason(b"shop:B"), Some("wrong_key"));
        assert_eq!(reason(b"shop"), Some("malformed"));
        assert_eq!(reason(b"shop:A"), None);
    }

    #[test]
    fn a_level_is_as_old_as_its_source_in_its_partition() {
        let (stock, shop) = (Table::<Levels>::detached("stock"), Tenant::parse("shop").unwrap());
        let says = |(partition, offset), key: &str, value: String, timestamp_ms| {
            let (place, key) = (Place { partition, offset }, Some(key.as_bytes()));
            stock.apply(&Raw { source: 0, place, key, value: Some(value.as_bytes()), timestamp_ms })
        };
        let level = |sku: &str, at, source: &str| {
            format!(r#"{{"sku":"{sku}","available":3,"at":{at}{source}}}"#)
        };
        let rule = StockRule { safety: 2, age_ms_max: Some(100) };
        let is = |sku: &str, now| {
            let sku = Sku::parse(sku).unwrap();
            let standing = stock.read().standing(&shop, &sku, (rule, Millis(now)));
            match standing {
                Standing::InStock(_) => "in stock",
                Standing::SoldOut(_) => "sold out",
                Standing::Stale(_) => "stale",
                Standing::Unknown => "unknown",
            }
        };
        says((0, 0), "shop:A", level("A", 1_000, ""), 1_000).unwrap();
        says((0, 1), "shop:B", level("B", 1_000, r#","source":"erp""#), 1_000).unwrap();
        says((1, 0), "shop:C", level("C", 1_000, ""), 1_000).unwrap();
        assert_eq!([is("A", 1_100), is("A", 1_101), is("D", 0)], ["in stock", "stale", "unknown"]);
        // A heartbeat of one source in one partition says nothing of the others.
        says((0, 2), "shop!", r#"{"at":1200}"#.to_owned(), 1_200).unwrap();
        assert_eq!(
            [is("A", 1_300), is("B", 1_300), is("C", 1_300)],
            ["in stock", "stale", "stale"]
        );
        says((0, 3), "shop!erp", r#"{"at":1200}"#.to_owned(), 1_200).unwrap();
        assert_eq!(is("B", 1_300), "in stock");
        let silent = |now| stock.read().silent(rule, Millis(now)).len();
        // The third is C's, in the other partition; at 1101 it alone was not heard again.
        assert_eq!([silent(1_100), silent(1_101), silent(1_301)], [0, 1, 3]);
        // A clock that is ahead counts for no more than the record's own time.
        says((0, 4), "shop!", r#"{"at":9000}"#.to_owned(), 1_400).unwrap();
        assert_eq!([is("A", 1_500), is("A", 1_501)], ["in stock", "stale"]);
        // Whoever tells nothing any more is not waited for.
        says((1, 1), "shop:B", level("B", 1_450, ""), 1_450).unwrap();
        assert_eq!((silent(1_500), stock.read().age_ms(Millis(1_500))), (0, 100));
        // The safety stock is none for us.
        says((0, 5), "shop:A", level("A", 1_600, "").replace('3', "2"), 1_600).unwrap();
        assert_eq!(is("A", 1_600), "sold out");
        for (key, value) in [("shop!E R P", r#"{"at":1}"#), ("shop!", r#"{}"#)] {
            assert_eq!(says((0, 6), key, value.to_owned(), 0).unwrap_err().reason, "malformed");
        }
    }
}
