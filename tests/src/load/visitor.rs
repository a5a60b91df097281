//! One visitor of a load: a queue that goes out in its order, one request at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickmill_sdk_core::wire::{Batch, Event, Outcome, Receipt, Refusal, ToJson};
use tokio::time::sleep;

use super::{Crowd, Ledger};
use crate::http::Answer;
use crate::page::Page;

/// The wait after a request that got no answer, or one that names no wait.
const BACK_OFF: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Visitor {
    page: Page,
    crowd: Crowd,
    queue: VecDeque<Event>,
    /// Deliveries of the head of the queue that failed.
    attempt: u32,
    ledger: Arc<Mutex<Ledger>>,
}

impl Visitor {
    pub(super) fn new(page: Page, crowd: Crowd, ledger: Arc<Mutex<Ledger>>) -> Self {
        Self { page, crowd, queue: VecDeque::new(), attempt: 0, ledger }
    }

    /// Makes and sends events until the load is over and all have found their fate.
    pub(super) async fn run(mut self, over: Arc<AtomicBool>) {
        loop {
            if !over.load(Ordering::Relaxed) {
                while self.queue.len() < self.crowd.batch_events {
                    self.queue.push_back(self.page.views("kettle"));
                }
            }
            if self.queue.is_empty() {
                return;
            }
            let wait = self.deliver().await;
            sleep(wait).await;
        }
    }

    /// Sends the head of the queue once; how long to wait then.
    async fn deliver(&mut self) -> Duration {
        let events: Vec<Event> = self.queue.iter().take(self.crowd.batch_events).cloned().collect();
        let batch = Batch { attempt: self.attempt, ..self.page.batch(events) };
        let answer = self.page.post(batch.to_json()).await;
        self.attempt += 1;
        match answer {
            Ok(answer) if answer.status == 200 => {
                let receipt = serde_json::from_str(&answer.body).expect("a receipt");
                self.obey(batch.events.len(), &receipt)
            }
            Ok(answer) => {
                let again = [429, 503].contains(&answer.status.as_u16());
                assert!(again, "the collector answers {}: {}", answer.status, answer.body);
                self.ledger(|ledger| ledger.refused += 1);
                asked_wait(&answer)
            }
            Err(_) => {
                self.ledger(|ledger| ledger.unanswered += 1);
                BACK_OFF
            }
        }
    }

    /// Lets go of what has found its fate; the rest stays in its order.
    fn obey(&mut self, sent: usize, receipt: &Receipt) -> Duration {
        let mut outcomes = vec![Outcome::Accepted; sent];
        for verdict in &receipt.verdicts {
            outcomes[verdict.index as usize] = verdict.outcome.clone();
        }
        let head: Vec<Event> = self.queue.drain(..sent).collect();
        let (mut again, mut wait) = (Vec::new(), Duration::ZERO);
        self.ledger(|ledger| {
            for (event, outcome) in head.iter().zip(&outcomes) {
                ledger.note(event.id, outcome);
                if let Outcome::Retry { after_ms } = outcome {
                    again.push(event.clone());
                    wait = wait.max(Duration::from_millis(*after_ms));
                }
            }
        });
        let settled = again.len() < sent;
        again.into_iter().rev().for_each(|event| self.queue.push_front(event));
        if settled {
            self.attempt = 0;
        }
        if wait.is_zero() { self.crowd.rest } else { wait }
    }

    fn ledger(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.ledger.lock().expect("no visitor panics"));
    }
}

/// The wait that a refusal asks for: in its body, or in whole seconds in its header.
fn asked_wait(answer: &Answer) -> Duration {
    let body = Refusal::read(&answer.body).ok().and_then(|refusal| refusal.retry_after_ms);
    let header = answer.headers.get("retry-after");
    let header = header.and_then(|seconds| seconds.to_str().ok()?.parse::<u64>().ok());
    let asked = body.map(Duration::from_millis).or(header.map(Duration::from_secs));
    asked.unwrap_or(BACK_OFF)
}
