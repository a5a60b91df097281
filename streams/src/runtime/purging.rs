//! Deletes what was folded of topics that nobody else reads.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use clickmill_kafka::{Admin, KafkaConfig, NextOffset};
use tracing::warn;

use super::Purge;
use crate::Error;

/// How long Kafka may take to delete.
const WAIT: Duration = Duration::from_secs(10);

/// The thread that asks Kafka to delete. Nothing rests on it: what it leaves is deleted next time.
pub(super) struct Purging {
    every: Duration,
    began: Instant,
    orders: SyncSender<Vec<NextOffset>>,
}

impl Purging {
    pub(super) fn start(kafka: &KafkaConfig, purge: &Purge) -> Result<Self, Error> {
        let admin = Admin::new(kafka, WAIT)?;
        let (orders, to_do) = sync_channel(1);
        let name = "purge".to_owned();
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || purge_all(&admin, &to_do))
            .map_err(|source| Error::Thread { name, source })?;
        Ok(Self { every: purge.every, began: Instant::now(), orders })
    }

    /// Whether it is time again.
    pub(super) fn is_due(&self) -> bool {
        self.began.elapsed() >= self.every
    }

    /// Has everything before these offsets deleted, which must be committed. Where the last order is
    /// not done yet, this one is left out.
    pub(super) fn order(&mut self, offsets: Vec<NextOffset>) -> Result<(), Error> {
        self.began = Instant::now();
        match self.orders.try_send(offsets) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Error::Broken("purging".to_owned())),
        }
    }
}

fn purge_all(admin: &Admin, orders: &Receiver<Vec<NextOffset>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return warn!(%error, "nothing is purged"),
    };
    for offsets in orders {
        if let Err(error) = runtime.block_on(admin.delete_before(&offsets)) {
            warn!(%error, "records that were folded stay for now");
        }
    }
}
