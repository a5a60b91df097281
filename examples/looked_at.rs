//! Each click with the price that its product has just then, by the table of products, and what each
//! visitor looked at last. Beside the demo:
//! `cargo run -p clickmill-streams --example looked_at -- --dev --bootstrap 127.0.0.1:9092`
use std::collections::HashMap;
use std::sync::Arc;

use clickmill_streams::app::{self, App, Failure, output};
use clickmill_streams::{Around, Poison, Produce, Raw, Rows, Table, View};
use serde::{Deserialize, Serialize};
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
    id: String,
    time: u64,
    tenant: String,
    props: Value,
}

#[derive(Serialize)]
struct Priced<'a> {
    id: &'a str,
    cents: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct Looked {
    looks: u64,
    sku: String,
    cents: Option<u64>,
}

struct LookedAt {
    priced: Arc<str>,
}

impl View for LookedAt {
    type Input = Click;
    type State = Looked;
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
        looked: &mut Looked,
        Click { id, tenant, props, .. }: Click,
        around: &Around<'_, Self::Tables>,
    ) -> Vec<Produce> {
        let sku = props["sku"].as_str().unwrap_or_default();
        let cents = around.tables.read().0.get(&format!("{tenant}:{sku}")).copied();
        *looked = Looked { looks: looked.looks + 1, sku: sku.to_owned(), cents };
        let value = serde_json::to_vec(&Priced { id: &id, cents }).ok();
        vec![output(&self.priced, around.key.unwrap_or_default().to_vec(), value)]
    }
}

fn main() -> Result<(), Failure> {
    const PRICED: &str = "looked.at.priced";
    let (view, products) = (LookedAt { priced: PRICED.into() }, "products.catalogue.view.open.v1");
    let app = App::joined("looked.at", "web.clicks.raw.pii.v1", view, products);
    app::run(app.writing(PRICED).poison_to("looked.at.poisoned"))
}
