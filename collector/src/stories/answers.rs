//! What clients read: statuses, refusals, cross-origin headers, settings.

use std::io::Write;
use std::num::NonZeroU32;
use std::time::Duration;

use clickmill_sdk_core::wire::{RefusalCode, SiteConfig};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::edge::{Answer, Edge, ORIGIN, batch, event, until};

fn pack(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_comes_in_any_type_plain_or_packed() {
    let edge = Edge::start().await;
    let text = |number| batch([event(number)]).to_string();
    for (number, kind) in [(1, "text/plain;charset=UTF-8"), (2, "application/json"), (3, "x/y")] {
        let head = edge.delivery().header("content-type", kind);
        assert_eq!(edge.send(head, text(number)).await.receipt().accepted, 1);
    }
    assert_eq!(edge.send(edge.delivery(), pack(&text(4))).await.receipt().accepted, 1);
    let head = edge.delivery().header("content-encoding", "gzip");
    assert_eq!(edge.send(head, pack(&text(5))).await.receipt().accepted, 1);
    // A proxy may have unpacked it and left the header.
    let head = edge.delivery().header("content-encoding", "gzip");
    assert_eq!(edge.send(head, text(6)).await.receipt().accepted, 1);
    assert_eq!(edge.stored_seqs(), [1, 2, 3, 4, 5, 6]);
}

fn check(answer: &Answer, status: u16, code: RefusalCode) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.refusal().error, code);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{}", answer.text);
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("ratelimit, ratelimit-policy, retry-after")
    );
    assert_eq!(answer.header("vary"), Some("origin"));
}

#[tokio::test]
async fn every_refusal_can_be_read_by_the_page() {
    let edge = Edge::start_with(|config| {
        config.limits.body_bytes_max = 4_096;
        config.limits.inflated_bytes_max = 8_192;
        config.limits.batch_events_max = NonZeroU32::new(10).unwrap();
    })
    .await;
    let post = |path: &'static str| Request::post(path).header("origin", ORIGIN);
    let one = batch([event(1)]).to_string();
    let send = async |head, body: Vec<u8>| edge.send(head, body).await;

    check(&send(post("/v1/event?k=wk"), vec![]).await, 404, RefusalCode::NotFound);
    let method = send(Request::put("/v1/events?k=wk").header("origin", ORIGIN), vec![]).await;
    check(&method, 405, RefusalCode::MethodNotAllowed);
    assert_eq!(method.header("allow"), Some("POST, OPTIONS"));
    let body = || one.clone().into_bytes();
    check(&send(post("/v1/events"), body()).await, 401, RefusalCode::UnknownWriteKey);
    check(&send(post("/v1/events?k=no"), body()).await, 401, RefusalCode::UnknownWriteKey);
    let packed = post("/v1/events?k=wk").header("content-encoding", "br");
    check(&send(packed, body()).await, 415, RefusalCode::Malformed);
    let events = || post("/v1/events?k=wk");
    check(&send(events(), b"{}".to_vec()).await, 400, RefusalCode::Malformed);
    check(&send(events(), vec![]).await, 400, RefusalCode::Malformed);
    check(&send(events(), vec![b' '; 4_097]).await, 413, RefusalCode::BodyTooLarge);
    check(&send(events(), pack(&" ".repeat(9_000))).await, 413, RefusalCode::BodyTooLarge);
    check(&send(events(), pack(&one)[..20].to_vec()).await, 400, RefusalCode::BodyBroken);
    let many = batch((1..=11).map(event)).to_string();
    check(&send(events(), many.into_bytes()).await, 413, RefusalCode::BodyTooLarge);

    let foreign = Request::post("/v1/events?k=wk").header("origin", "https://evil.example");
    let refused = edge.send(foreign, one.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.refusal().error),
        (403, RefusalCode::OriginNotAllowed)
    );
    // A server sends no origin and needs none.
    let server = edge.send(Request::post("/v1/events?k=wk"), one).await;
    assert_eq!(server.receipt().accepted, 1);
    assert_eq!(server.header("access-control-allow-origin"), None);
    assert_eq!(server.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_large_body_that_is_refused_still_gets_its_answer() {
    let edge = Edge::start().await;
    let large = vec![b' '; 200_000];
    let head = Request::post("/v1/events?k=no").header("origin", ORIGIN);
    check(&edge.send(head, large).await, 401, RefusalCode::UnknownWriteKey);
}

#[tokio::test]
async fn quotas_are_told_with_a_wait() {
    let edge = Edge::start_with(|config| {
        let number = |number| NonZeroU32::new(number).unwrap();
        config.limits.batch_events_max = number(10);
        config.sites[0].events_per_s = number(1);
        config.sites[0].events_burst = number(10);
        config.limits.address_requests_per_s = number(1);
        config.limits.address_requests_burst = number(3);
    })
    .await;
    assert_eq!(edge.post(&batch((1..=10).map(event))).await.receipt().accepted, 10);
    let over = edge.post(&batch((11..=12).map(event))).await;
    check(&over, 429, RefusalCode::RateLimited);
    assert!(over.refusal().detail.contains("write key"));
    let wait: u64 = over.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert!(over.refusal().retry_after_ms.is_some_and(|ms| ms <= wait * 1_000));

    edge.post(&batch([])).await.receipt();
    let over = edge.post(&batch([])).await;
    check(&over, 429, RefusalCode::RateLimited);
    assert!(over.refusal().detail.contains("address"));
    assert_eq!(edge.stored_seqs().len(), 10);
}

#[tokio::test]
async fn a_success_tells_what_is_left_of_the_keys_quota() {
    let edge = Edge::start_with(|config| {
        let number = |number| NonZeroU32::new(number).unwrap();
        config.limits.batch_events_max = number(10);
        config.sites[0].events_per_s = number(10);
        config.sites[0].events_burst = number(12);
    })
    .await;
    let left = |answer: &Answer| -> u32 {
        assert_eq!(answer.header("ratelimit-policy"), Some("\"key\";q=10;w=1"));
        let told = answer.header("ratelimit").unwrap().strip_prefix("\"key\";r=").unwrap();
        told.parse().unwrap()
    };
    // Twelve at once, of which no more are told than a second has.
    let first = edge.post(&batch([event(1)])).await;
    assert_eq!((first.receipt().accepted, left(&first)), (1, 10));
    let second = edge.post(&batch((2..=7).map(event))).await;
    // Some may have come back in between.
    assert!((5..=8).contains(&left(&second)), "{}", left(&second));
    assert_eq!(
        second.header("access-control-expose-headers"),
        Some("ratelimit, ratelimit-policy, retry-after")
    );
    // A page that sends too large an event is told the sizes that the settings tell.
    let mut large = event(8);
    large["props"] = json!({ "sku": "x".repeat(64 * 1024) });
    let told = edge.post(&batch([large])).await.receipt().limits.unwrap();
    let settings = SiteConfig::read(&edge.get("/v1/config?k=wk").await.text).unwrap();
    assert_eq!(told, settings.limits);
    assert_eq!(told.batch_events_max, 10);
}

#[tokio::test]
async fn who_is_over_a_quota_hears_it_while_still_sending() {
    let edge = Edge::start_with(|config| {
        config.limits.address_requests_per_s = NonZeroU32::MIN;
        config.limits.address_requests_burst = NonZeroU32::MIN;
    })
    .await;
    let spend = async || while edge.post(&batch([])).await.status != 429 {};
    let head = |length: usize| {
        format!("POST /v1/events?k=wk HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
    };
    let heard = async |mut stream: TcpStream| {
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            let length = stream.read_buf(&mut answer).await.unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        assert!(answer.contains("\r\nratelimit: \"address\";r=0;t=1\r\n"), "{answer}");
    };

    // One who reads only once all is sent, piece by piece.
    spend().await;
    let mut stream = TcpStream::connect(edge.public).await.unwrap();
    stream.write_all(head(200_000).as_bytes()).await.unwrap();
    for _ in 0..20 {
        stream.write_all(&[b' '; 10_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    heard(stream).await;

    // One who stops in the middle and waits.
    spend().await;
    let mut stream = TcpStream::connect(edge.public).await.unwrap();
    stream.write_all(head(1_000).as_bytes()).await.unwrap();
    stream.write_all(b"{").await.unwrap();
    let started = std::time::Instant::now();
    heard(stream).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    // One who asks first is not told to go on.
    spend().await;
    let mut stream = TcpStream::connect(edge.public).await.unwrap();
    let asking = head(1_000).replace("host: x", "host: x\r\nexpect: 100-continue");
    stream.write_all(asking.as_bytes()).await.unwrap();
    heard(stream).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused_in_time() {
    let edge =
        Edge::start_with(|config| config.limits.body_timeout = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(edge.public).await.unwrap();
    let head = "POST /v1/events?k=wk HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn the_sdk_gets_its_settings_once() {
    let edge = Edge::start().await;
    let first = edge.get("/v1/config?k=wk").await;
    assert_eq!(first.status, 200);
    let told = SiteConfig::read(&first.text).unwrap();
    assert_eq!(told.urgent, SiteConfig::default().urgent);
    assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(first.header("access-control-allow-origin"), Some(ORIGIN));
    let etag = first.header("etag").unwrap();
    let ask = |tag: String| Request::get("/v1/config?k=wk").header("if-none-match", tag);
    assert_eq!(edge.send(ask(format!("W/{etag}")), "").await.status, 304);
    assert_eq!(edge.send(ask("\"other\"".to_owned()), "").await.status, 200);
    check(&edge.get("/v1/config?k=no").await, 401, RefusalCode::UnknownWriteKey);
}

#[tokio::test]
async fn a_preflight_is_answered_for_those_who_make_one() {
    let edge = Edge::start().await;
    let ask = async |path: &'static str, origin: &'static str| {
        let head = Request::options(path)
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        edge.send(head, "").await
    };
    let allowed = ask("/v1/events?k=wk", ORIGIN).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, POST"));
    let headers = allowed.header("access-control-allow-headers").unwrap();
    assert!(headers.contains("content-type") && headers.contains("content-encoding"));
    for (path, origin) in [("/v1/events?k=wk", "https://evil.example"), ("/v1/events", ORIGIN)] {
        assert_eq!(ask(path, origin).await.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn everything_lies_behind_the_prefix() {
    let edge = Edge::start_with(|config| config.path_prefix = "/t".to_owned()).await;
    let one = batch([event(1)]).to_string();
    let send = async |path: &'static str| {
        edge.send(Request::post(path).header("origin", ORIGIN), one.clone()).await
    };
    assert_eq!(send("/t/v1/events?k=wk").await.receipt().accepted, 1);
    check(&send("/v1/events?k=wk").await, 404, RefusalCode::NotFound);
}

#[tokio::test]
async fn readiness_follows_the_sink() {
    let edge = Edge::start().await;
    until("it is ready", async || edge.ready().await.status == 200).await;
    assert_eq!(edge.ready().await.text, "ready\nkafka: ok\nschemas: ok\n");
    let refused = Some(clickmill_kafka::Class::Retriable);
    edge.sink.set(crate::sink::fake::Faults { refuse: refused, ..Default::default() });
    until("it is not ready", async || edge.ready().await.status == 503).await;
    assert!(edge.ready().await.text.contains("kafka: the fake is retriable"));
    assert_eq!(json!(edge.metric("clickmill_collector_dedup_remembered").await), 0);
}
