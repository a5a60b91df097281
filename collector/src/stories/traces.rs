//! Traces: which requests leave a line with their span, and what their events carry.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickmill_kafka::{Class, names};
use clickmill_sdk_core::wire::Topic;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::subscriber::DefaultGuard;

use super::edge::{Edge, batch, event, until};
use crate::config::Sampling;
use crate::sink::fake::Faults;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What is logged on this thread, which is all that a test has.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn keep(&self) -> DefaultGuard {
        // Whether a line is wanted is asked once, on the thread that comes to it first: without
        // this one for all threads, that may be a thread of another test, where nobody listens.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = self.clone();
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
        tracing::subscriber::set_default(lines.with_writer(move || log.clone()).finish())
    }

    /// The lines that have a span.
    fn spans(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["span"]["name"] == "request").collect()
    }

    async fn becomes(&self, lines: usize) -> Vec<Value> {
        until("lines", async || self.spans().len() >= lines).await;
        let spans = self.spans();
        assert_eq!(spans.len(), lines, "{spans:?}");
        spans
    }
}

async fn sends(edge: &Edge, number: u32, flags: Option<&str>) -> u16 {
    let head = edge.delivery();
    let head = match flags {
        Some(flags) => head.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}")),
        None => head,
    };
    edge.send(head, batch([event(number)]).to_string()).await.status.as_u16()
}

/// The places in traces that the stored events carry.
fn carried(edge: &Edge) -> Vec<Option<String>> {
    let stored = edge.sink.stored(Topic::ClicksRaw);
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    stored.iter().map(|message| message.headers.first(names::TRACEPARENT).map(text)).collect()
}

#[tokio::test]
async fn a_request_whose_trace_is_sampled_has_a_span_and_its_events_carry_it() {
    let log = Log::default();
    let _kept = log.keep();
    let edge = Edge::start().await;
    assert_eq!(sends(&edge, 1, Some("01")).await, 200);
    let [line] = log.becomes(1).await.try_into().unwrap();
    assert_eq!((&line["message"], &line["level"]), (&json!("request answered"), &json!("INFO")));
    let span = &line["span"];
    assert_eq!((&span["trace_id"], &span["parent_id"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!((&span["key"], &span["status"]), (&json!("wk"), &json!(200)));
    let counts = ["accepted", "duplicate", "rejected", "retry"].map(|name| span[name].clone());
    assert_eq!(counts, [1, 0, 0, 0].map(Value::from));
    assert!(span["duration_us"].as_u64().unwrap() > 0);
    let own = span["span_id"].as_str().unwrap();
    assert_ne!(own, PARENT);
    assert_eq!(carried(&edge), [Some(format!("00-{TRACE}-{own}-01"))]);
}

#[tokio::test]
async fn a_request_whose_trace_is_not_sampled_carries_it_and_leaves_no_line() {
    let log = Log::default();
    let _kept = log.keep();
    let edge = Edge::start().await;
    sends(&edge, 1, Some("00")).await;
    sends(&edge, 2, Some("0x")).await;
    sends(&edge, 3, None).await;
    assert_eq!(carried(&edge), [Some(format!("00-{TRACE}-{PARENT}-00")), None, None]);
    assert!(log.spans().is_empty());
}

#[tokio::test]
async fn a_request_that_fails_has_a_span_in_its_own_or_a_new_trace() {
    let log = Log::default();
    let _kept = log.keep();
    let edge = Edge::start().await;
    edge.sink.set(Faults { refuse: Some(Class::QueueFull), ..Faults::default() });
    assert_eq!(sends(&edge, 1, Some("00")).await, 503);
    assert_eq!(sends(&edge, 2, None).await, 503);
    let [own, new] = log.becomes(2).await.try_into().unwrap();
    assert_eq!((&own["message"], &own["level"]), (&json!("request failed"), &json!("WARN")));
    assert_eq!(own["span"]["trace_id"], TRACE);
    assert_eq!((&own["span"]["retry"], &own["span"]["status"]), (&json!(1), &json!(503)));
    assert_eq!(own["span"]["key"], "wk");
    assert_eq!(new["span"]["trace_id"].as_str().unwrap().len(), 32);
    assert_ne!(new["span"]["trace_id"], TRACE);
    assert_eq!(new["span"]["parent_id"], Value::Null);
    // A refusal that is the sender's own doing is no failure.
    assert_eq!(edge.send(edge.delivery(), "no batch").await.status, 400);
    assert_eq!(log.spans().len(), 2);
}

#[tokio::test]
async fn a_request_whose_client_leaves_has_a_line_without_a_status() {
    let log = Log::default();
    let _kept = log.keep();
    let edge = Edge::start().await;
    edge.sink.hold();
    let gone = timeout(Duration::from_millis(100), sends(&edge, 1, Some("01"))).await;
    assert!(gone.is_err(), "nothing is durable yet, so there is no answer");
    let [line] = log.becomes(1).await.try_into().unwrap();
    assert_eq!(line["message"], "client left before its answer");
    assert_eq!(line["span"]["trace_id"], TRACE);
    assert_eq!(line["span"]["status"], Value::Null);
    assert!(line["span"]["duration_us"].as_u64().unwrap() > 0);
    edge.sink.release();
}

#[tokio::test]
async fn all_or_none_are_traced_where_that_is_asked_for() {
    let log = Log::default();
    let _kept = log.keep();
    let all = Edge::start_with(|config| config.traces.sample = Sampling::All).await;
    sends(&all, 1, None).await;
    let [line] = log.becomes(1).await.try_into().unwrap();
    let (trace, own) = (&line["span"]["trace_id"], &line["span"]["span_id"]);
    let place = format!("00-{}-{}-01", trace.as_str().unwrap(), own.as_str().unwrap());
    assert_eq!(carried(&all), [Some(place)]);

    let none = Edge::start_with(|config| config.traces.sample = Sampling::Off).await;
    sends(&none, 1, Some("01")).await;
    none.sink.set(Faults { refuse: Some(Class::QueueFull), ..Faults::default() });
    sends(&none, 2, Some("01")).await;
    assert_eq!(carried(&none), [Some(format!("00-{TRACE}-{PARENT}-01"))]);
    assert_eq!(log.spans().len(), 1);
}

#[tokio::test]
async fn strangers_cannot_flood_the_log_with_spans() {
    let log = Log::default();
    let _kept = log.keep();
    let few = |config: &mut crate::Config| config.traces.spans_per_s_max = NonZeroU32::MIN;
    let edge = Edge::start_with(few).await;
    for number in 1..=20 {
        assert_eq!(sends(&edge, number, Some("01")).await, 200);
    }
    let left_out = edge.metric("clickmill_collector_spans_left_out_total").await;
    assert_eq!(left_out + log.spans().len() as u64, 20);
    assert!(left_out >= 10, "{left_out}");
    // Whoever gets no span carries what came.
    let came = Some(format!("00-{TRACE}-{PARENT}-01"));
    assert!(carried(&edge).contains(&came));
}
