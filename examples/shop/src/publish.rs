//! Tells Kafka what is sold, what is in stock, and what is known of customers.

use std::time::Duration;

use clickmill_kafka::{Class, Failure, KafkaConfig, Outcome, Outgoing, Producer, ProducerConfig};
use clickmill_sdk_core::wire::{Customer, IdError, Millis, Product, Sku, Stock, ToJson, Topic};
use tokio::time::Instant;

use crate::catalogue::Catalogue;
use crate::config::Publishing;
use crate::stock::Level;

/// How long the first publication may take, a cluster that has just started included.
const OPENING_WAIT: Duration = Duration::from_secs(20);

/// How long the shop waits for the last levels to be out when it closes.
const CLOSING_WAIT: Duration = Duration::from_secs(3);

/// Publishes products and stock levels under the keys `tenant:sku`, customers under `tenant:customer`.
#[derive(Clone, Debug)]
pub struct Publisher {
    producer: Producer,
    products_topic: String,
    stock_topic: String,
    customers_topic: String,
    tenant: String,
}

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The producer could not be made.
    #[error("no producer for Kafka: {0}")]
    Producer(#[from] clickmill_kafka::Error),
    /// A product number that is none.
    #[error("a product number is not fit for a key: {0}")]
    Sku(#[from] IdError),
    /// Kafka did not take a record.
    #[error("Kafka did not take a record for {topic}: {}", reason(failure))]
    NotTaken {
        /// The topic.
        topic: String,
        /// What happened to the first record that was not taken.
        failure: Failure,
    },
}

/// What to look at first.
fn reason(failure: &Failure) -> String {
    match failure.class {
        Class::Refused => format!("does the topic exist? ({failure})"),
        Class::TimedOut | Class::Retriable => format!("is Kafka running there? ({failure})"),
        Class::Fatal | Class::QueueFull | Class::TooLarge => failure.to_string(),
    }
}

/// One record: its key and its value.
struct Keyed {
    key: String,
    value: String,
}

impl Publisher {
    /// Makes the producer; does not wait for a broker.
    pub fn new(publishing: &Publishing) -> Result<Self, PublishError> {
        let kafka = KafkaConfig {
            client_id: "clickmill-shop".to_owned(),
            ..KafkaConfig::plain(publishing.bootstrap.clone())
        };
        Ok(Self {
            producer: Producer::new(&kafka, &ProducerConfig::default(), None)?,
            products_topic: Topic::Products.name(&publishing.topic_prefix),
            stock_topic: Topic::Stock.name(&publishing.topic_prefix),
            customers_topic: Topic::Customers.name(&publishing.topic_prefix),
            tenant: publishing.tenant.to_string(),
        })
    }

    /// Publishes everything that is sold, and waits until Kafka has it.
    pub async fn products(&self, catalogue: &Catalogue) -> Result<(), PublishError> {
        let records = product_records(&self.tenant, catalogue)?;
        self.send(&self.products_topic, &records).await
    }

    /// Publishes stock levels as they were at a time, and waits until Kafka has them.
    pub async fn levels(&self, levels: &[Level], now_ms: u64) -> Result<(), PublishError> {
        let records = level_records(&self.tenant, levels, now_ms)?;
        self.send(&self.stock_topic, &records).await
    }

    /// Publishes what is known of a customer, in place of what was known before, and waits until Kafka
    /// has it. A record without a value would have the relays forget them.
    pub async fn customer(&self, customer: &Customer) -> Result<(), PublishError> {
        self.send(&self.customers_topic, &[customer_record(&self.tenant, customer)]).await
    }

    /// Waits a little until everything handed in is out.
    pub async fn close(&self) -> Result<(), PublishError> {
        Ok(self.producer.flush(Instant::now() + CLOSING_WAIT).await?)
    }

    async fn send(&self, topic: &str, records: &[Keyed]) -> Result<(), PublishError> {
        let outgoing = records.iter().map(|record| Outgoing {
            topic,
            key: Some(record.key.as_bytes()),
            value: Some(record.value.as_bytes()),
            ..Outgoing::default()
        });
        let sent = self.producer.send_all(outgoing.collect(), Instant::now() + OPENING_WAIT).await;
        let failed = sent.into_iter().find_map(Outcome::err);
        failed.map_or(Ok(()), |failure| {
            Err(PublishError::NotTaken { topic: topic.to_owned(), failure })
        })
    }
}

fn product_records(tenant: &str, catalogue: &Catalogue) -> Result<Vec<Keyed>, PublishError> {
    let record = |product: &crate::catalogue::Product| {
        let value = Product {
            sku: Sku::parse(&product.sku)?,
            name: product.name.clone(),
            category: product.category.clone(),
            price_cents: product.price_cents,
            currency: catalogue.currency().code().to_owned(),
            url: product.url(),
            image: Some(product.image()),
        };
        Ok(Keyed { key: format!("{tenant}:{}", product.sku), value: value.to_json() })
    };
    catalogue.products().iter().map(record).collect()
}

fn level_records(tenant: &str, levels: &[Level], now_ms: u64) -> Result<Vec<Keyed>, PublishError> {
    let record = |level: &Level| {
        let value = Stock {
            sku: Sku::parse(&level.sku)?,
            available: i64::from(level.available),
            at: Millis(now_ms),
            source: None,
        };
        Ok(Keyed { key: format!("{tenant}:{}", level.sku), value: value.to_json() })
    };
    levels.iter().map(record).collect()
}

fn customer_record(tenant: &str, customer: &Customer) -> Keyed {
    Keyed { key: format!("{tenant}:{}", customer.customer), value: customer.to_json() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers;
    use crate::orders::Orders;

    #[test]
    fn a_product_is_published_as_the_relay_reads_it() {
        let catalogue = Catalogue::built_in().unwrap();
        let records = product_records("shop", &catalogue).unwrap();
        assert_eq!(records.len(), catalogue.products().len());
        assert_eq!(records[0].key, "shop:KET-1");
        assert_eq!(
            records[0].value,
            r#"{"sku":"KET-1","name":"Dawn gooseneck kettle","category":"kettles","price_cents":3999,"currency":"GBP","url":"/p/KET-1","image":"/img/KET-1.svg"}"#
        );
    }

    #[test]
    fn a_level_carries_its_time() {
        let level = Level { sku: "KET-1".into(), available: 23 };
        let records = level_records("shop", &[level], 1_795_476_000_000).unwrap();
        assert_eq!(records[0].key, "shop:KET-1");
        assert_eq!(records[0].value, r#"{"sku":"KET-1","available":23,"at":1795476000000}"#);
    }

    #[test]
    fn a_customer_is_published_under_their_number() {
        let ada = customers::known("ada@example.com", &Orders::default()).unwrap();
        let Keyed { key, value } = customer_record("shop", &ada);
        assert_eq!(key, "shop:C-b5fc85e55755f9e0");
        assert_eq!(
            value,
            r#"{"customer":"C-b5fc85e55755f9e0","segment":"member","orders":0,"spent_cents":0}"#
        );
    }
}
