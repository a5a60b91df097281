//! How often each visitor looked at each product, kept exactly once in `looks.view`. Beside the demo:
//! `cargo run -p clickmill-streams --example own_view -- --dev --bootstrap 127.0.0.1:9092`
use std::collections::BTreeMap;

use clickmill_streams::app::{self, App, Failure};
use clickmill_streams::{Around, Poison, Produce, Raw, View};
use serde::Deserialize;

#[derive(Deserialize)]
struct Click {
    time: u64,
    props: BTreeMap<String, serde_json::Value>,
}

struct Looks;

impl View for Looks {
    type Input = Click;
    type State = BTreeMap<String, u32>;
    type Tables = ();
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<Click, Poison> {
        serde_json::from_slice(raw.value.unwrap_or_default()).map_err(Poison::malformed)
    }
    fn time_ms(&self, click: &Click) -> u64 {
        click.time
    }
    fn fold(&self, looks: &mut Self::State, click: Click, _: &Around<'_, ()>) -> Vec<Produce> {
        if let Some(sku) = click.props.get("sku").and_then(|sku| sku.as_str()) {
            *looks.entry(sku.to_owned()).or_default() += 1;
        }
        Vec::new()
    }
}

fn main() -> Result<(), Failure> {
    app::run(App::new("looks", "web.clicks.raw.pii.v1", Looks, ()))
}
