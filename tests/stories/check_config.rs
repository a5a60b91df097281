//! Before a collector starts, its operator can ask whether what it would stand on will bear it.

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::child::free_port;
use clickmill_tests::{Edge, Kafka, World};

/// Asks the edge's collector whether its configuration is good, with these variables over it.
async fn check(edge: &Edge, options: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    edge.collector.ask("check-config", options, variables).await
}

#[tokio::test(flavor = "multi_thread")]
async fn check_config_says_what_endangers_accepted_events() {
    let edge = World::builder().edge().await;
    let raw = edge.kafka.topic(Topic::ClicksRaw);

    let (code, said) = check(&edge, &[], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    for wanted in [
        "checked  every key of the configuration; sites: 1".to_owned(),
        format!("checked  Kafka at {}; brokers: 1; topics: ", edge.kafka.bootstrap),
        format!("warning  the topic {raw} has 2 partitions, the catalogue says 6"),
        format!("warning  the topic {raw} has replication 1"),
        format!("warning  the topic {raw} has min.insync.replicas=1"),
        "then counts the balancer".to_owned(),
        "the configuration is good; errors: 0, warnings: ".to_owned(),
    ] {
        assert!(said.contains(&wanted), "{wanted}\n{said}");
    }
    // Nobody writes to it as it is set up.
    assert!(!said.contains(Topic::ClicksUnvalidated.as_str()), "{said}");
    let (code, said) = check(&edge, &["--strict"], &[]).await;
    assert_eq!(code, Some(3), "{said}");

    let elsewhere = [("CLICKMILL_COLLECTOR__TOPIC_PREFIX", "nobody.")];
    let (code, said) = check(&edge, &[], &elsewhere).await;
    assert_eq!(code, Some(1), "{said}");
    for topic in [Topic::ClicksRaw, Topic::ClicksRejected, Topic::ClicksOverflow] {
        let wanted = format!("error    the topic {} is missing", topic.name("nobody."));
        assert!(said.contains(&wanted), "{wanted}\n{said}");
    }

    let nowhere = format!("127.0.0.1:{}", free_port());
    let away = [("CLICKMILL_COLLECTOR__KAFKA__BOOTSTRAP", nowhere.as_str())];
    let (code, said) = check(&edge, &["--wait", "1s"], &away).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("no Kafka broker answers at {nowhere}")), "{said}");
    let (code, said) = check(&edge, &["--offline"], &away).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("skipped  Kafka and its topics (--offline)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn check_config_has_nothing_against_three_brokers() {
    let edge = World::builder().kafka(Kafka::cluster(6)).edge().await;
    let direct = [
        ("CLICKMILL_COLLECTOR__LISTEN__FORWARDED_DEPTH", "1"),
        ("CLICKMILL_COLLECTOR__LISTEN__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
    ];
    let (code, said) = check(&edge, &[], &direct).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("brokers: 3; topics: "), "{said}");
    // The harness gives each topic the six partitions of the first; the two others should have three.
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    let partitions = |line: &&str| line.contains("has 6 partitions, the catalogue says 3");
    assert!(warnings.iter().all(partitions), "{said}");
}
