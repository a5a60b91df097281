//! One record for each basket that was left: nothing more went in for half an hour by the clock on
//! the wall, and nothing was ordered. It is told also while nobody clicks at all.
//! `cargo run -p clickmill-streams --example left_baskets -- --dev --bootstrap 127.0.0.1:9092`
use std::sync::Arc;

use clickmill_streams::app::{self, App, Failure, output};
use clickmill_streams::{Around, Due, Poison, Produce, Raw, View};
use serde::{Deserialize, Serialize};

const LEFT_MS: u64 = 30 * 60 * 1000;

#[derive(Deserialize)]
struct Event {
    time: u64,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Basket {
    /// When something went in last; none where nothing is in it that was not told of.
    filled: Option<u64>,
}

struct Baskets {
    left: Arc<str>,
}

impl View for Baskets {
    const WAKES: bool = true;
    type Input = Event;
    type State = Basket;
    type Tables = ();
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<Event, Poison> {
        serde_json::from_slice(raw.value.unwrap_or_default()).map_err(Poison::malformed)
    }
    fn time_ms(&self, event: &Event) -> u64 {
        event.time
    }
    fn fold(&self, basket: &mut Basket, event: Event, _: &Around<'_, ()>) -> Vec<Produce> {
        match event.kind.as_str() {
            "basket_add" => basket.filled = basket.filled.max(Some(event.time)),
            "order" => basket.filled = None,
            _ => {}
        }
        Vec::new()
    }
    fn is_over(&self, basket: &Basket) -> bool {
        basket.filled.is_none()
    }
    fn due(&self, basket: &Basket) -> Option<Due> {
        basket.filled.map(|filled| Due::Wall(filled + LEFT_MS))
    }
    fn wake(&self, basket: &mut Basket, around: &Around<'_, ()>) -> Vec<Produce> {
        let (key, left) = (around.key.unwrap_or_default(), std::mem::take(basket));
        vec![output(&self.left, key.to_vec(), serde_json::to_vec(&left).ok())]
    }
}

fn main() -> Result<(), Failure> {
    const LEFT: &str = "baskets.left";
    let baskets = Baskets { left: LEFT.into() };
    app::run(App::new("baskets", "web.clicks.raw.pii.v1", baskets, ()).writing(LEFT))
}
