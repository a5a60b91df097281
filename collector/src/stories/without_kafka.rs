//! The real producer, with no broker to answer it.

use std::time::Duration;

use bytes::Bytes;
use clickmill_kafka::KafkaConfig;
use clickmill_server::listen::Listeners;
use clickmill_server::shutdown::Shutdown;
use hyper::Request;
use tokio::time::timeout;

use super::edge::{batch, config, event, send};

#[tokio::test]
async fn nothing_is_claimed_and_nothing_hangs() {
    let mut config = config();
    // Nobody listens there.
    config.kafka = KafkaConfig { bootstrap: "127.0.0.1:1".to_owned(), ..config.kafka };
    config.limits.ack_timeout = Duration::from_millis(200);
    config.producer.message_timeout_ms = 1_500;
    config.drain.grace = Duration::from_secs(5);
    let listeners = Listeners::loopback().await.unwrap();
    let (public, admin) = (listeners.public_addr().unwrap(), listeners.admin_addr().unwrap());
    let shutdown = Shutdown::new();
    let running =
        tokio::spawn(crate::run(config, crate::Source::default(), listeners, shutdown.clone()));

    let sent = Bytes::from(batch([event(1), event(2)]).to_string());
    let head = || Request::post("/v1/events?k=wk");
    let answer = timeout(Duration::from_secs(5), send(public, head(), sent.clone())).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // The copy waits for the first one, which is still being tried.
    assert_eq!(send(public, head(), sent).await.status, 503);
    let ready = send(admin, Request::get("/ready"), Bytes::new()).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("kafka: ") && ready.text.contains("schemas: ok"), "{}", ready.text);

    shutdown.begin();
    timeout(Duration::from_secs(10), running).await.unwrap().unwrap().unwrap();
}
