//! Which keys of two configurations differ: secrets too, which are compared and never shown.

use clickmill_kafka::{KafkaConfig, ProducerConfig, Security};
use clickmill_server::listen::ListenConfig;
use clickmill_server::serve::ConnectionLimits;
use clickmill_server::telemetry::LogConfig;

use crate::config::{
    Config, DedupConfig, DrainConfig, InspectConfig, LimitsConfig, RegistryConfig, SchemasConfig,
    SpoolConfig,
};

/// Names the fields that differ, behind the path of their table. All fields must be given, those
/// that are not compared last: a new one that nobody thought of does not compile.
macro_rules! compare {
    ($into:ident, $path:literal, $one:expr, $other:expr,
     $table:ident { $($field:ident),* $(; $($left_out:ident),*)? }) => {
        let $table { $($field,)* $($($left_out: _,)*)? } = $one;
        $(if *$field != $other.$field {
            $into.push(concat!($path, stringify!($field)));
        })*
    };
}

/// The keys that differ, as the file writes them. Tables that change while the collector runs are not
/// compared.
pub(super) fn differing(one: &Config, other: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    compare!(keys, "", one, other, Config {
        path_prefix, topic_prefix;
        connections, cookie, dedup, dialects, drain, inspect, kafka, limits, listen, log, privacy,
        producer, schemas, sites, spool, tokens, traces
    });
    compare!(
        keys,
        "listen.",
        &one.listen,
        other.listen,
        ListenConfig { public, admin, tls, proxy_protocol, forwarded_depth, trusted_proxies }
    );
    compare!(keys, "log.", &one.log, other.log, LogConfig { filter, format });
    compare!(keys, "kafka.", &one.kafka, other.kafka, KafkaConfig {
        bootstrap, client_id, statistics_interval_ms, properties; security
    });
    compare!(
        keys,
        "kafka.security.",
        &one.kafka.security,
        other.kafka.security,
        Security {
            protocol,
            ca_file,
            certificate_file,
            key_file,
            key_password,
            sasl_mechanism,
            sasl_username,
            sasl_password
        }
    );
    compare!(
        keys,
        "producer.",
        &one.producer,
        other.producer,
        ProducerConfig {
            linger_us,
            queue_messages_max,
            queue_bytes_max,
            record_bytes_max,
            message_timeout_ms,
            compression
        }
    );
    compare!(
        keys,
        "spool.",
        &one.spool,
        other.spool,
        SpoolConfig { dir, bytes_max, segment_bytes_max, age_max, after }
    );
    compare!(keys, "schemas.", &one.schemas, other.schemas, SchemasConfig {
        builtin, folders, unknown_type, formats; registry
    });
    let (registry, others) = (&one.schemas.registry, &other.schemas.registry);
    compare!(
        keys,
        "schemas.registry.",
        registry,
        others,
        RegistryConfig {
            urls,
            user,
            password,
            token,
            ca_file,
            refresh_every,
            timeout,
            fetch_timeout,
            cache_dir
        }
    );
    compare!(
        keys,
        "connections.",
        &one.connections,
        other.connections,
        ConnectionLimits {
            connections_max,
            address_connections_max,
            head_bytes_max,
            headers_max,
            target_bytes_max,
            streams_max,
            handshake_timeout,
            header_read_timeout,
            write_stall_timeout
        }
    );
    compare!(
        keys,
        "limits.",
        &one.limits,
        other.limits,
        LimitsConfig {
            body_bytes_max,
            inflated_bytes_max,
            memory_bytes_max,
            body_timeout,
            batch_events_max,
            context_bytes_max,
            event_bytes_max,
            depth_max,
            event_age_max,
            ack_timeout,
            visitor_events_per_s,
            visitor_events_burst,
            address_requests_per_s,
            address_requests_burst,
            addresses_max
        }
    );
    compare!(keys, "dedup.", &one.dedup, other.dedup, DedupConfig { events_max, age_max });
    compare!(
        keys,
        "inspect.",
        &one.inspect,
        other.inspect,
        InspectConfig { token, readers_max, lines_max }
    );
    compare!(keys, "drain.", &one.drain, other.drain, DrainConfig { notice, grace });
    keys
}

#[cfg(test)]
mod tests {
    use clickmill_kafka::Secret as KafkaSecret;
    use clickmill_server::config::Secret;

    use super::*;

    fn check(change: impl FnOnce(&mut Config), keys: &[&str]) {
        let one = Config::default();
        let mut other = one.clone();
        change(&mut other);
        assert_eq!(differing(&one, &other), keys);
        assert_eq!(differing(&other, &one), keys);
        assert_eq!(differing(&other, &other), [""; 0]);
    }

    #[test]
    fn a_secret_that_differs_is_named_though_it_shows_the_same() {
        let mut one = Config::default();
        one.kafka.security.sasl_password = Some(KafkaSecret::new("a"));
        one.schemas.registry.token = Some(Secret::new("a"));
        one.inspect.token = Some(Secret::new("a"));
        let mut other = one.clone();
        other.kafka.security.sasl_password = Some(KafkaSecret::new("b"));
        other.schemas.registry.token = Some(Secret::new("b"));
        other.inspect.token = Some(Secret::new("b"));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        let keys = ["kafka.security.sasl_password", "schemas.registry.token", "inspect.token"];
        assert_eq!(differing(&one, &other), keys);
    }

    #[test]
    fn a_key_is_named_with_its_path() {
        check(|_| {}, &[]);
        check(|other| other.topic_prefix = "dev.".to_owned(), &["topic_prefix"]);
        check(|other| other.listen.public.set_port(1), &["listen.public"]);
        check(|other| other.kafka.client_id = "c".to_owned(), &["kafka.client_id"]);
        check(
            |other| (other.spool.dir, other.producer.linger_us) = (Some("s".into()), 7),
            &["producer.linger_us", "spool.dir"],
        );
    }
}
