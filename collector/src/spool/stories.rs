//! The spool behind its port, with a fake Kafka, a disk that fails on purpose, and paused time.

mod bounds;
mod chaos;
mod outage;
mod restart;
mod unreadable;

use std::sync::Arc;
use std::time::Duration;

use clickmill_kafka::{Class, Position};
use clickmill_server::clock::Clock;
use clickmill_server::metrics::Metrics;
use tokio::time::{Instant, sleep};

use super::broker::Broker;
use super::lanes::Stand;
use super::testing::{FaultyDisk, Folder, message};
use crate::config::SpoolConfig;
use crate::metrics::TABLE;
use crate::sink::{Delivered, Kept, Message, Sink, Spooling};

/// How long a request would wait.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// A spool with all around it.
struct Rig {
    broker: Broker,
    disk: FaultyDisk,
    config: SpoolConfig,
    metrics: Metrics,
    spool: Option<Arc<Spooling>>,
    /// Deleted last.
    _folder: Folder,
}

/// Wall time that moves with tokio's.
#[derive(Debug)]
struct Wall(Instant);

impl Clock for Wall {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000 + u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

impl Rig {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut SpoolConfig)) -> Self {
        let folder = Folder::new();
        let dir = Some(folder.path().to_owned());
        let mut config =
            SpoolConfig { dir, segment_bytes_max: 64 * 1024, ..SpoolConfig::default() };
        change(&mut config);
        let mut rig = Self {
            broker: Broker::default(),
            disk: FaultyDisk::default(),
            config,
            metrics: Metrics::new(TABLE).unwrap(),
            spool: None,
            _folder: folder,
        };
        rig.open().await;
        rig
    }

    async fn open(&mut self) {
        let line = Arc::new(self.broker.clone());
        let clock = Arc::new(Wall(Instant::now()));
        let disk = Arc::new(self.disk.clone());
        let opened = Spooling::open_on(disk, &self.config, line, (clock, &self.metrics)).await;
        self.spool = Some(Arc::new(opened.unwrap()));
    }

    /// The process ends without a word; what is being written is written or not.
    async fn crash(&mut self) {
        drop(self.spool.take());
        // The folder's lock goes with the disk's owner.
        let path = self.config.dir.clone().unwrap().join("lock");
        until("the folder is free", async || {
            std::fs::File::open(&path).unwrap().try_lock().is_ok()
        })
        .await;
    }

    fn spool(&self) -> &Arc<Spooling> {
        self.spool.as_ref().unwrap()
    }

    async fn send_all(&self, messages: Vec<Message>) -> Vec<Delivered> {
        self.spool().hand_over(messages).await
    }

    async fn send(&self, key: &str, value: &str) -> Delivered {
        self.send_all(vec![message(key, value)]).await.pop().unwrap()
    }

    fn stand(&self) -> Stand {
        self.spool().stand()
    }

    /// Waits until everything is in Kafka and nothing on the disk.
    async fn drained(&self) {
        until("all is drained", async || {
            let stand = self.stand();
            (stand.closed, stand.records, stand.bytes) == (0, 0, 0)
        })
        .await;
    }
}

/// Paused time passes meanwhile.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn in_kafka(delivered: Delivered) -> bool {
    matches!(delivered, Ok(Kept::InKafka(Position { .. })))
}

const SPOOLED: Delivered = Ok(Kept::InSpool);
const AGAIN: Delivered = Err(Class::Retriable);
