//! The drain: what was begun is finished, nothing new is let in.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::edge::{Edge, batch, event, until};
use crate::run::RunError;

#[tokio::test]
async fn an_open_request_is_finished() {
    let edge = Edge::start().await;
    edge.sink.hold();
    let sent = batch([event(1)]);
    let (answer, ()) = tokio::join!(edge.post(&sent), async {
        until("the request is in", async || {
            edge.metric("clickmill_collector_deliveries_total").await == 1
        })
        .await;
        edge.shutdown.begin();
        let ready = edge.ready().await;
        assert_eq!(ready.status, 503);
        assert!(ready.text.contains("drain"), "{}", ready.text);
        until("accepting has stopped", async || TcpStream::connect(edge.public).await.is_err())
            .await;
        assert!(!edge.running.is_finished());
        edge.sink.release();
    });
    assert_eq!(answer.receipt().accepted, 1);
    edge.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn before_accepting_stops_balancers_are_given_notice() {
    let edge = Edge::start_with(|config| config.drain.notice = Duration::from_millis(300)).await;
    edge.shutdown.begin();
    assert_eq!(edge.ready().await.status, 503);
    assert_eq!(edge.post(&batch([event(1)])).await.receipt().accepted, 1);
    edge.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_and_stalled_peers_hold_nothing_up_for_long() {
    let edge = Edge::start_with(|config| config.drain.grace = Duration::from_millis(200)).await;
    let idle = TcpStream::connect(edge.public).await.unwrap();
    let mut stalled = TcpStream::connect(edge.public).await.unwrap();
    let head = "POST /v1/events?k=wk HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    stalled.write_all(head.as_bytes()).await.unwrap();
    until("both are in", async || {
        edge.metric("http_connections_open{listener=\"public\"}").await == 2
    })
    .await;
    edge.shutdown.begin();
    tokio::time::timeout(Duration::from_secs(5), edge.running).await.unwrap().unwrap().unwrap();
    let mut rest = Vec::new();
    let _ = stalled.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
    drop(idle);
}

#[tokio::test]
async fn what_is_left_at_the_end_is_said() {
    let edge = Edge::start_with(|config| config.drain.grace = Duration::from_millis(100)).await;
    edge.sink.hold();
    let sent: Value = batch([event(1)]);
    let post = tokio::time::timeout(Duration::from_millis(50), edge.post(&sent)).await;
    assert!(post.is_err());
    edge.shutdown.begin();
    assert!(matches!(edge.running.await.unwrap(), Err(RunError::Unflushed(_))));
}
