//! What all that a visitor looked at costs, by the table of products. Beside the demo:
//! `cargo run -p clickmill-streams --example looked_at -- --dev --bootstrap 127.0.0.1:9092`
use std::collections::HashMap;

use clickmill_streams::app::{self, App, Failure};
use clickmill_streams::{Around, Poison, Produce, Raw, Rows, Table, View};
use serde::Deserialize;
use serde_json::Value;

/// Prices by the key `tenant:sku`.
#[derive(Default)]
struct Products(HashMap<String, u64>);

impl Rows for Products {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let key = String::from_utf8_lossy(raw.key.unwrap_or_default()).into_owned();
        let Some(value) = raw.value else {
            self.0.remove(&key);
            return Ok(());
        };
        let product: Value = serde_json::from_slice(value).map_err(Poison::malformed)?;
        self.0.insert(key, product["price_cents"].as_u64().unwrap_or_default());
        Ok(())
    }
}

#[derive(Deserialize)]
struct Click {
    time: u64,
    tenant: String,
    props: Value,
}

struct LookedAt;

impl View for LookedAt {
    type Input = Click;
    type State = u64;
    type Tables = Table<Products>;
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<Click, Poison> {
        serde_json::from_slice(raw.value.unwrap_or_default()).map_err(Poison::malformed)
    }
    fn time_ms(&self, click: &Click) -> u64 {
        click.time
    }
    fn fold(
        &self,
        cents: &mut u64,
        click: Click,
        around: &Around<'_, Self::Tables>,
    ) -> Vec<Produce> {
        let key = format!("{}:{}", click.tenant, click.props["sku"].as_str().unwrap_or_default());
        *cents += around.tables.read().0.get(&key).copied().unwrap_or_default();
        Vec::new()
    }
}

fn main() -> Result<(), Failure> {
    let products = "products.catalogue.view.open.v1";
    let app = App::joined("looked.at", "web.clicks.raw.pii.v1", LookedAt, products);
    app::run(app.poison_to("looked.at.poisoned"))
}
