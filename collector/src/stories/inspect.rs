//! Looking at events as they come: who may, what is shown, and what it costs.

use std::time::Duration;

use bytes::Bytes;
use clickmill_server::config::Secret;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::edge::{Edge, batch, batch_of, event, send, until};
use crate::config::Config;
use crate::inspect::{TailOptions, tail};
use crate::testing::event_id;

const TOKEN: &str = "0123456789abcdef";

fn open(config: &mut Config) {
    config.inspect.token = Some(Secret::new(TOKEN));
}

/// One who looks.
struct Reader {
    response: Response<Incoming>,
    text: String,
    _driver: JoinSet<hyper::Result<()>>,
}

impl Reader {
    async fn start(edge: &Edge, query: &str) -> Self {
        Self::start_as(edge, Request::get(format!("/inspect/tail?{query}"))).await
    }

    async fn start_as(edge: &Edge, head: Builder) -> Self {
        let stream = TcpStream::connect(edge.admin).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = head.header("host", "c").header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { response, text: String::new(), _driver: driver }
    }

    /// Reads until the text holds that.
    async fn reads(&mut self, part: &str) {
        while !self.text.contains(part) {
            let frame = timeout(Duration::from_secs(10), self.response.body_mut().frame()).await;
            let frame = frame.expect(part).expect("more").unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    /// Reads to the end: the lines, of which each is JSON.
    async fn ending(mut self) -> Vec<Value> {
        let rest = timeout(Duration::from_secs(10), self.response.into_body().collect());
        let rest = rest.await.expect("an end").unwrap().to_bytes();
        self.text.push_str(std::str::from_utf8(&rest).unwrap());
        let lines = self.text.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn bad(number: u32) -> Value {
    json!({"id": event_id(number), "queue": "q", "seq": number, "type": "moon_landing",
           "at": crate::testing::NOW_MS, "props": {}})
}

#[tokio::test]
async fn accepted_refused_and_copied_events_are_shown_with_all_that_is_known() {
    let edge = Edge::start_with(open).await;
    let reader = Reader::start(&edge, "as=json&limit=3").await;
    edge.post(&batch([event(1), bad(2)])).await.receipt();
    edge.post(&batch([event(1)])).await.receipt();
    let lines = reader.ending().await;
    let told = |line: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| line[*name].clone()).collect()
    };
    let outcomes: Vec<&Value> = lines.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["accepted", "rejected", "duplicate"]);
    let who = ["id", "type", "write_key", "tenant", "visitor"];
    let one = event_id(1);
    assert_eq!(told(&lines[0], &who), [one.as_str(), "product_click", "wk", "shop", "v1"]);
    assert_eq!(lines[0]["schema"], "product_click/1");
    assert_eq!(lines[0]["value"]["props"]["sku"], "sku-1");
    assert_eq!(lines[0]["received_at"], crate::testing::NOW_MS);
    let why = ["reason", "pointer", "type", "visitor"];
    assert_eq!(told(&lines[1], &why), ["unknown_type", "/type", "moon_landing", "v1"]);
    assert!(lines[1]["detail"].as_str().unwrap().contains("moon_landing"));
    assert!(lines[1]["value"]["original"].as_str().unwrap().contains("moon_landing"));
}

#[tokio::test]
async fn a_reader_sees_what_it_asks_for_alone() {
    let edge = Edge::start_with(open).await;
    let readers = [
        ("type=moon_landing", event_id(2)),
        ("visitor=v2", event_id(3)),
        ("outcome=rejected", event_id(2)),
        ("reason=unknown_type", event_id(2)),
        ("key=wk&outcome=accepted&visitor=v2", event_id(3)),
    ];
    let mut all = Vec::new();
    for (query, id) in readers {
        all.push((query, Reader::start(&edge, &format!("{query}&limit=1")).await, id));
    }
    edge.post(&batch([event(1), bad(2)])).await.receipt();
    edge.post(&batch_of("v2", [event(3)])).await.receipt();
    for (query, reader, id) in all {
        let lines = reader.ending().await;
        assert_eq!((lines.len(), &lines[0]["id"]), (1, &json!(id)), "{query}");
    }
    let none = Reader::start(&edge, "key=other&for=50ms").await;
    edge.post(&batch([event(4)])).await.receipt();
    assert_eq!(none.ending().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_browser_reads_server_sent_events() {
    let edge = Edge::start_with(open).await;
    for head in [
        Request::get("/inspect/tail").header("accept", "text/event-stream"),
        Request::get("/inspect/tail?as=sse"),
    ] {
        let mut reader = Reader::start_as(&edge, head).await;
        assert_eq!(reader.response.headers()["content-type"], "text/event-stream");
        reader.reads(":\n\n").await;
        edge.post(&batch([bad(1)])).await.receipt();
        reader.reads("\ndata: {\"outcome\":\"rejected\"").await;
        reader.reads("}\n\n").await;
    }
}

#[tokio::test]
async fn nobody_looks_without_the_token() {
    let get = |path: &'static str| Request::get(path);
    let closed = Edge::start().await;
    let shown = get("/inspect/tail?token=0123456789abcdef");
    let answer = send(closed.admin, shown, Bytes::new()).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text, "off: no token is configured (`inspect.token`)\n");

    let edge = Edge::start_with(open).await;
    for (head, status) in [
        (get("/inspect/tail"), 401),
        (get("/inspect/tail?token=0123456789abcdeg"), 401),
        (get("/inspect/tail").header("authorization", "Bearer 0123456789abcde"), 401),
        (get("/inspect/tail?token=0123456789abcdef&x=1"), 400),
        (get("/inspect/tail?token=0123456789abcdef&for=1ms"), 200),
        (get("/inspect/other?token=0123456789abcdef"), 404),
        (Request::post("/inspect/tail?token=0123456789abcdef"), 405),
    ] {
        let asked = format!("{head:?}");
        assert_eq!(send(edge.admin, head, Bytes::new()).await.status, status, "{asked}");
    }
    // The public listener knows nothing of it.
    assert_eq!(edge.get("/inspect/tail?token=0123456789abcdef").await.status, 404);
}

#[tokio::test]
async fn only_so_many_look_at_once() {
    let edge = Edge::start_with(|config| {
        open(config);
        config.inspect.readers_max = std::num::NonZeroU32::MIN;
    })
    .await;
    let first = Reader::start(&edge, "").await;
    assert_eq!(edge.metric("clickmill_collector_inspect_readers").await, 1);
    let again = || Request::get(format!("/inspect/tail?token={TOKEN}&for=1ms"));
    assert_eq!(send(edge.admin, again(), Bytes::new()).await.status, 503);
    drop(first);
    until("the place is free", async || {
        send(edge.admin, again(), Bytes::new()).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_loses_lines_and_is_told_how_many() {
    let edge = Edge::start_with(|config| {
        open(config);
        config.inspect.lines_max = 4;
    })
    .await;
    let mut reader = Reader::start(&edge, "").await;
    // It does not read while more comes than its sockets hold.
    let fat = "x".repeat(12_000);
    let lost = async || edge.metric("clickmill_collector_inspect_lost_lines_total").await;
    let large = |number| {
        let mut event = event(number);
        event["type"] = json!("moon_landing");
        event["props"]["sku"] = json!(fat);
        event
    };
    for first in (0..2_000).step_by(20) {
        edge.post(&batch((first..first + 20).map(large))).await.receipt();
    }
    reader.reads("{\"lost\":").await;
    reader.reads("}\n").await;
    assert!(lost().await > 0);
}

#[tokio::test]
async fn a_drain_ends_the_streams_once_all_is_told() {
    let edge = Edge::start_with(open).await;
    let reader = Reader::start(&edge, "").await;
    edge.sink.hold();
    let sent = batch([event(1)]);
    let (answer, ()) = tokio::join!(edge.post(&sent), async {
        until("the request is in", async || {
            edge.metric("clickmill_collector_deliveries_total").await == 1
        })
        .await;
        edge.shutdown.begin();
        edge.sink.release();
    });
    assert_eq!(answer.receipt().accepted, 1);
    let lines = reader.ending().await;
    assert_eq!((lines.len(), &lines[0]["id"]), (1, &json!(event_id(1))));
    timeout(Duration::from_secs(5), edge.running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_batch_whose_client_left_is_shown_as_the_books_count_it() {
    let edge = Edge::start_with(open).await;
    let reader = Reader::start(&edge, "as=json&limit=3").await;
    edge.sink.hold();
    let sent = batch([event(1), bad(2)]);
    let gone = timeout(Duration::from_millis(100), edge.post(&sent)).await;
    assert!(gone.is_err(), "nothing is durable yet, so there is no answer");
    let retried = "clickmill_collector_events_total{outcome=\"retry\",reason=\"\"}";
    until("its connection is gone", async || edge.metric(retried).await == 2).await;
    edge.sink.release();
    // It comes again: what was durable by then is known.
    until("the first copy is durable", async || edge.stored_seqs() == [1]).await;
    edge.post(&batch([event(1)])).await.receipt();

    let lines = reader.ending().await;
    let told = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    let ids = [1, 2, 1].map(|number| json!(event_id(number)));
    assert_eq!(told("id"), ids);
    assert_eq!(told("outcome"), ["retry", "retry", "duplicate"]);
    let left = json!("the client left before its answer");
    assert_eq!(told("note"), [left.clone(), left, Value::Null]);
}

#[tokio::test]
async fn the_command_line_tells_it_in_words_or_as_json() {
    let edge = Edge::start_with(open).await;
    let options = |json| TailOptions {
        admin: Some(format!("http://{}", edge.admin)),
        token: Some(TOKEN.to_owned()),
        rejected: true,
        limit: Some(1),
        json,
        ..TailOptions::default()
    };
    let (words, raw) = (options(false), options(true));
    let (mut said, mut told) = (Vec::new(), Vec::new());
    let looks = async |options: &TailOptions, lines: &mut Vec<String>| {
        let show = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        tail(options, None, show).await.unwrap();
    };
    tokio::join!(looks(&words, &mut said), looks(&raw, &mut told), async {
        until("both look", async || edge.metric("clickmill_collector_inspect_readers").await == 2)
            .await;
        edge.post(&batch([event(1), bad(2)])).await.receipt();
    });
    assert_eq!((said.len(), told.len()), (1, 1));
    assert!(said[0].contains(" rejected unknown_type moon_landing /type "), "{}", said[0]);
    assert_eq!(serde_json::from_str::<Value>(&told[0]).unwrap()["id"], event_id(2));

    let stranger = TailOptions { token: Some("other".to_owned()), ..words };
    let refused = tail(&stranger, None, |_| Ok(())).await.unwrap_err().to_string();
    assert!(refused.contains("401") && refused.contains("Bearer"), "{refused}");
}
