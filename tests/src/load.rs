//! Load: many visitors at once, each with one request under way, who do as they are told like the
//! SDK does, and remember what they were told about every event.

mod ledger;
mod visitor;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

pub use ledger::{Ledger, Rate};

use crate::page::Page;
use crate::until::until;
use crate::world::Edge;
use visitor::Visitor;

/// How long the last events may take to find their fate after the load has ended.
const SETTLE_PATIENCE: Duration = Duration::from_secs(120);

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many visitors.
    pub visitors: usize,
    /// The most events in a request; a visitor has as many at hand as long as the load lasts.
    pub batch_events: usize,
    /// How long a visitor rests after a request that went well.
    pub rest: Duration,
}

impl Default for Crowd {
    /// Some 1,000 events a second, where everything answers at once.
    fn default() -> Self {
        Self { visitors: 24, batch_events: 4, rest: Duration::from_millis(100) }
    }
}

impl Crowd {
    /// Sends them off to the edge's collector.
    pub fn visit(self, edge: &Edge) -> Load {
        let (ledger, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut visitors = JoinSet::new();
        for _ in 0..self.visitors {
            let page = Page::new((&edge.collector.url, ""), edge.write_key());
            let visitor = Visitor::new(page, self, Arc::clone(&ledger));
            visitors.spawn(visitor.run(Arc::clone(&over)));
        }
        Load { visitors, ledger, over }
    }
}

/// Visitors under way.
#[derive(Debug)]
pub struct Load {
    visitors: JoinSet<()>,
    ledger: Arc<Mutex<Ledger>>,
    over: Arc<AtomicBool>,
}

impl Load {
    /// Reads something from what is known so far.
    ///
    /// # Panics
    /// When a visitor has panicked.
    pub fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.lock().expect("no visitor panics"))
    }

    /// Waits until that many more events have found their fate.
    pub async fn settles(&self, events: usize) {
        let goal = self.read(Ledger::settled) + events;
        until("events that find their fate", || async {
            (self.read(Ledger::settled) >= goal).then_some(())
        })
        .await;
    }

    /// Lets the load go on for a while.
    pub async fn lasts(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Nobody makes new events; gives the ledger back once every event has found its fate.
    ///
    /// # Panics
    /// When one does not.
    pub async fn ends(mut self) -> Ledger {
        self.over.store(true, Ordering::Relaxed);
        let all = async {
            while self.visitors.join_next().await.transpose().expect("a visitor").is_some() {}
        };
        timeout(SETTLE_PATIENCE, all).await.expect("every event finds its fate");
        self.read(Clone::clone)
    }
}
