//! A flight: messages that were handed over together, and what is known of those that went straight
//! to Kafka.

use std::sync::OnceLock;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::sink::{Delivered, Underway};

/// One flight.
#[derive(Debug)]
pub(crate) struct Flight {
    count: usize,
    /// Which of its messages went straight to Kafka, if not all.
    aboard: Option<Vec<usize>>,
    underway: OnceLock<Box<dyn Underway>>,
    /// When it was handed over.
    pub(crate) since: Instant,
    /// Something became of a message that did not go straight.
    pub(crate) changed: Notify,
}

impl Flight {
    pub(crate) fn new(count: usize, aboard: Option<Vec<usize>>) -> Self {
        let (underway, changed) = (OnceLock::new(), Notify::new());
        Self { count, aboard, underway, since: Instant::now(), changed }
    }

    /// Which of its messages go straight to Kafka.
    pub(crate) fn aboard(&self) -> impl Iterator<Item = usize> {
        let some = self.aboard.iter().flatten().copied();
        let all = if self.aboard.is_none() { 0..self.count } else { 0..0 };
        some.chain(all)
    }

    /// Whether that message went straight to Kafka.
    pub(crate) fn is_aboard(&self, index: usize) -> bool {
        self.aboard.as_ref().is_none_or(|aboard| aboard.contains(&index))
    }

    /// Takes what was sent.
    pub(crate) fn depart(&self, underway: Box<dyn Underway>) {
        // It is sent once.
        let _ = self.underway.set(underway);
    }

    /// Whether Kafka's part is over.
    pub(crate) fn is_settled(&self) -> bool {
        let nobody = self.aboard.as_ref().is_some_and(Vec::is_empty);
        nobody || self.underway.get().is_some_and(|underway| underway.is_settled())
    }

    /// Whether a message that went straight has failed already.
    pub(crate) fn has_failed(&self) -> bool {
        self.underway.get().is_some_and(|underway| underway.has_failed())
    }

    /// Waits until Kafka's part is over. At most one waits at a time.
    pub(crate) fn settled(&self) -> BoxFuture<'_, ()> {
        match self.underway.get() {
            Some(underway) => underway.wait(),
            None => std::future::ready(()).boxed(),
        }
    }

    /// What Kafka has said, for each message in its place.
    pub(crate) fn so_far(&self) -> Vec<Option<Delivered>> {
        let said = self.underway.get().map(|underway| underway.so_far()).unwrap_or_default();
        if self.aboard.is_none() && said.len() == self.count {
            return said;
        }
        let mut outcomes = vec![None; self.count];
        for (index, said) in self.aboard().zip(said) {
            if let Some(outcome) = outcomes.get_mut(index) {
                *outcome = said;
            }
        }
        outcomes
    }
}
