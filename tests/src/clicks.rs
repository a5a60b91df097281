//! Raw clicks at a fixed rate, as a collector writes them, past the collector.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::Topic;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};

use crate::kafka::{Kafka, TENANT};
use crate::page::now;

/// Clicks of one visitor after another.
pub struct Clicks {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    visitors: usize,
}

impl Clicks {
    /// Clicks of so many visitors.
    ///
    /// # Panics
    /// When there can be no producer.
    pub fn of(kafka: &Kafka, visitors: usize) -> Self {
        Self { producer: kafka.producer(), topic: kafka.topic(Topic::ClicksRaw), visitors }
    }

    /// Writes so many a second until it is over; how many a second there were. Blocks its thread.
    pub fn run(&self, rate: u32, over: &AtomicBool) -> f64 {
        let (start, mut n) = (Instant::now(), 0_u32);
        while !over.load(Ordering::Acquire) {
            let due = start + Duration::from_secs(1) / rate * n;
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            if Instant::now() >= due {
                self.send(n as usize);
                n += 1;
            }
        }
        f64::from(n) / start.elapsed().as_secs_f64()
    }

    /// Writes one click by its number, and does not wait for it to arrive.
    pub fn send(&self, n: usize) {
        let (who, seq, at) = ((n * 7_919) % self.visitors, n / self.visitors, now().0);
        let value = format!(
            r#"{{"id":"019abfe2-1c40-7000-a000-{n:012x}","tenant":"{TENANT}","type":"product_view","version":1,"at":{at},"time":{at},"queue":"q-{who}","seq":{seq},"arrival":{{"write_key":"wk","sent_at":{at},"received_at":{at},"attempt":0}},"context":{{"visitor":"{visitor}"}},"props":{{"sku":"SKU-{item}"}}}}"#,
            visitor = visitor(who),
            item = (who + seq) % 500,
        );
        let key = key(who);
        let record = BaseRecord::to(&self.topic).key(&key).payload(&value);
        self.producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
    }
}

impl std::fmt::Debug for Clicks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clicks").field("visitors", &self.visitors).finish_non_exhaustive()
    }
}

/// The id of a visitor by number.
pub fn visitor(n: usize) -> String {
    format!("v{n:031}")
}

/// The key of their records.
pub fn key(n: usize) -> String {
    format!("{TENANT}:{}", visitor(n))
}
