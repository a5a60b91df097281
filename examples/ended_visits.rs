//! One record for each visit that has ended, half an hour of stream time after its last click.
//! `cargo run -p clickmill-streams --example ended_visits -- --dev --bootstrap 127.0.0.1:9092`
use std::sync::Arc;

use clickmill_streams::app::{self, App, Failure, output};
use clickmill_streams::{Around, Due, Poison, Produce, Raw, View};
use serde::{Deserialize, Serialize};

const IDLE_MS: u64 = 30 * 60 * 1000;

#[derive(Deserialize)]
struct Click {
    time: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Visit {
    first: u64,
    last: u64,
    clicks: u32,
}

struct Visits {
    ended: Arc<str>,
}

impl View for Visits {
    const WAKES: bool = true;
    type Input = Click;
    type State = Visit;
    type Tables = ();
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<Click, Poison> {
        serde_json::from_slice(raw.value.unwrap_or_default()).map_err(Poison::malformed)
    }
    fn time_ms(&self, click: &Click) -> u64 {
        click.time
    }
    fn fold(&self, visit: &mut Visit, Click { time }: Click, _: &Around<'_, ()>) -> Vec<Produce> {
        visit.first = if visit.clicks == 0 { time } else { visit.first.min(time) };
        visit.last = visit.last.max(time);
        visit.clicks += 1;
        Vec::new()
    }
    fn is_over(&self, visit: &Visit) -> bool {
        visit.clicks == 0
    }
    fn due(&self, visit: &Visit) -> Option<Due> {
        (visit.clicks > 0).then_some(Due::Stream(visit.last + IDLE_MS))
    }
    fn wake(&self, visit: &mut Visit, around: &Around<'_, ()>) -> Vec<Produce> {
        let (key, visit) = (around.key.unwrap_or_default(), std::mem::take(visit));
        vec![output(&self.ended, key.to_vec(), serde_json::to_vec(&visit).ok())]
    }
}

fn main() -> Result<(), Failure> {
    const ENDED: &str = "visits.ended";
    let visits = Visits { ended: ENDED.into() };
    app::run(App::new("visits", "web.clicks.raw.pii.v1", visits, ()).writing(ENDED))
}
