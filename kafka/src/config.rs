//! How to reach a cluster: addresses, TLS and SASL, and a free list of further librdkafka properties.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::Deserialize;

use crate::Error;

/// How to reach a Kafka cluster. Shared by every client of a process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Addresses of some brokers, `host:port`, separated by commas.
    pub bootstrap: String,
    /// The name under which brokers log and meter this client.
    pub client_id: String,
    /// TLS and SASL; plain text by default.
    pub security: Security,
    /// How often a client that was given a callback reports its statistics, in milliseconds.
    pub statistics_interval_ms: u32,
    /// Further librdkafka properties by their own names. What Clickmill's guarantees rest on is
    /// refused here.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap: "127.0.0.1:9092".to_owned(),
            client_id: "clickmill".to_owned(),
            security: Security::default(),
            statistics_interval_ms: 5_000,
            properties: BTreeMap::new(),
        }
    }
}

/// How a connection to a broker is protected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Which of TLS and SASL is used.
    pub protocol: Protocol,
    /// A PEM file with the authorities that may sign a broker's certificate.
    pub ca_file: Option<String>,
    /// A PEM file with our certificate, for brokers that ask for one.
    pub certificate_file: Option<String>,
    /// A PEM file with the key of that certificate.
    pub key_file: Option<String>,
    /// The password of the key file.
    pub key_password: Option<Secret>,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub sasl_mechanism: Option<String>,
    /// The SASL user.
    pub sasl_username: Option<String>,
    /// The SASL user's password.
    pub sasl_password: Option<Secret>,
}

/// Which of TLS and SASL a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

/// A password; its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl KafkaConfig {
    /// A configuration for a cluster without TLS or SASL.
    pub fn plain(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), ..Self::default() }
    }

    /// Checks what can be checked without a broker: the settings against each other, and every
    /// property against librdkafka's own list.
    ///
    /// # Errors
    /// Names the setting or property that is wrong.
    pub fn check(&self) -> Result<(), Error> {
        self.client()?.create_native_config().map(drop).map_err(Error::making)
    }

    /// The properties that every client shares. Those of its kind come on top.
    pub(crate) fn client(&self) -> Result<ClientConfig, Error> {
        if self.bootstrap.trim().is_empty() {
            return Err(Error::BadSetting { key: "bootstrap", problem: "is empty".to_owned() });
        }
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Info);
        client.set("bootstrap.servers", &self.bootstrap);
        client.set("client.id", &self.client_id);
        // A broker that is back after a restart is found within a second, not within ten.
        client.set("reconnect.backoff.max.ms", "1000");
        // A new topic, or one that grew, is noticed soon even by an idle client.
        client.set("topic.metadata.refresh.interval.ms", "10000");
        // Idle connections are closed by brokers and load balancers as a matter of course.
        client.set("log.connection.close", "false");
        client.set("enable.metrics.push", "false");
        for (key, value) in &self.properties {
            if let Some(instead) = owned(key) {
                return Err(Error::OwnedProperty { key: key.clone(), instead });
            }
            client.set(key, value);
        }
        self.security.put(&mut client)?;
        Ok(client)
    }
}

impl Security {
    fn put(&self, client: &mut ClientConfig) -> Result<(), Error> {
        client.set("security.protocol", self.protocol.as_str());
        let sasl = matches!(self.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        if sasl && self.sasl_mechanism.is_none() {
            return Err(Error::BadSetting {
                key: "security.sasl_mechanism",
                problem: format!("is missing, but the protocol is {}", self.protocol.as_str()),
            });
        }
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.0.clone());
        let settings = [
            ("ssl.ca.location", self.ca_file.clone()),
            ("ssl.certificate.location", self.certificate_file.clone()),
            ("ssl.key.location", self.key_file.clone()),
            ("ssl.key.password", secret(&self.key_password)),
            ("sasl.mechanism", self.sasl_mechanism.clone()),
            ("sasl.username", self.sasl_username.clone()),
            ("sasl.password", secret(&self.sasl_password)),
        ];
        for (key, value) in settings {
            if let Some(value) = value {
                client.set(key, value);
            }
        }
        Ok(())
    }
}

/// What to do instead of setting a property that this crate owns; none for a free one.
fn owned(key: &str) -> Option<&'static str> {
    Some(match key {
        "bootstrap.servers" | "metadata.broker.list" => "set `bootstrap`",
        "client.id" => "set `client_id`",
        "statistics.interval.ms" => "set `statistics_interval_ms`",
        "acks" | "request.required.acks" => "a success must mean that all in-sync replicas have it",
        "enable.idempotence" | "max.in.flight" | "max.in.flight.requests.per.connection" => {
            "production is always idempotent, or retries would break the order"
        }
        "message.send.max.retries" | "retries" => {
            "retries end with the producer's `message_timeout_ms`"
        }
        "partitioner" => "every client must place a key alike (murmur2_random)",
        "transactional.id" | "transaction.timeout.ms" => {
            "transactions belong to the task they serve"
        }
        "enable.gapless.guarantee" => "one lost record must not stop all others",
        "linger.ms" | "queue.buffering.max.ms" => "set the producer's `linger_us`",
        "queue.buffering.max.messages" => "set the producer's `queue_messages_max`",
        "queue.buffering.max.kbytes" => "set the producer's `queue_bytes_max`",
        "message.timeout.ms" | "delivery.timeout.ms" => "set the producer's `message_timeout_ms`",
        "message.max.bytes" | "batch.size" => "set the producer's `record_bytes_max`",
        "compression.codec" | "compression.type" => "set the producer's `compression`",
        "delivery.report.only.error" => "every record's outcome is needed",
        "group.id" => "each consumer names its own group",
        "group.instance.id" => "set the consumer's `instance`",
        "group.protocol" => "rebalances are handled for the classic protocol",
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" => {
            "offsets are committed by hand, after the work they stand for"
        }
        "auto.offset.reset" => "set the consumer's `start`",
        "isolation.level" => "set the consumer's `isolation`",
        "enable.partition.eof" => "readers set it themselves",
        "session.timeout.ms" => "set the consumer's `session_timeout_ms`",
        "max.poll.interval.ms" => "set the consumer's `poll_interval_max_ms`",
        "partition.assignment.strategy" => "rebalances are handled for cooperative assignment",
        "fetch.wait.max.ms" => "set the consumer's `fetch_wait_max_ms`",
        "log.queue" | "enabled_events" => "logs and events are wired here",
        "security.protocol" => "set `security.protocol`",
        "ssl.ca.location" => "set `security.ca_file`",
        "ssl.certificate.location" => "set `security.certificate_file`",
        "ssl.key.location" => "set `security.key_file`",
        "ssl.key.password" => "set `security.key_password`",
        "sasl.mechanism" | "sasl.mechanisms" => "set `security.sasl_mechanism`",
        "sasl.username" => "set `security.sasl_username`",
        "sasl.password" => "set `security.sasl_password`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<KafkaConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn with_property(key: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::plain("127.0.0.1:1");
        config.properties.insert(key.to_owned(), value.to_owned());
        config
    }

    #[test]
    fn a_property_of_ours_is_refused_by_name() {
        for key in ["acks", "enable.idempotence", "partitioner", "group.id", "sasl.password"] {
            let error = with_property(key, "1").check().unwrap_err();
            assert!(matches!(&error, Error::OwnedProperty { key: k, .. } if k == key), "{error}");
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn an_unknown_property_is_refused_by_name() {
        let error = with_property("no.such.thing", "1").check().unwrap_err();
        assert!(matches!(&error, Error::BadProperty { key, .. } if key == "no.such.thing"));
    }

    #[test]
    fn a_free_property_is_passed_on() {
        let config = with_property("client.rack", "a");
        config.check().unwrap();
        assert_eq!(config.client().unwrap().get("client.rack"), Some("a"));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(read(r#"{"bootstraps":"x"}"#).is_err());
        assert!(read(r#"{"security":{"protocol":"sasl_ssl","mechanism":"PLAIN"}}"#).is_err());
    }

    #[test]
    fn sasl_needs_a_mechanism() {
        let config = read(r#"{"security":{"protocol":"sasl_plaintext"}}"#).unwrap();
        let error = config.check().unwrap_err();
        assert!(error.to_string().contains("security.sasl_mechanism"), "{error}");
    }

    #[test]
    fn sasl_plain_reaches_librdkafka() {
        let config = read(
            r#"{"security":{"protocol":"sasl_plaintext","sasl_mechanism":"PLAIN",
                "sasl_username":"u","sasl_password":"geheim"}}"#,
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(config.client().unwrap().get("sasl.password"), Some("geheim"));
        assert!(!format!("{config:?}").contains("geheim"));
    }
}
