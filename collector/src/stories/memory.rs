//! Strangers' bodies fill the budget of memory and nothing else; honest ones pass once it is free.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use clickmill_catalog::{Builtin, Schemas};
use clickmill_sdk_core::wire::RefusalCode;
use clickmill_server::clock::ManualClock;
use clickmill_server::metrics::Metrics;
use clickmill_server::reply;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Request, Response};
use serde_json::json;
use tokio::task::JoinSet;

use super::edge::{batch, config, event, until};
use crate::collector::{Collector, Parts};
use crate::dialect::Dialect;
use crate::error::IngestError;
use crate::ingest::{Caller, ingest};
use crate::metrics::TABLE;
use crate::reload::Source;
use crate::sink::fake::FakeSink;
use crate::testing::NOW_MS;

/// What the budget of these tests holds, in bytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// A body that comes at once, or of which nothing ever comes.
struct Sent {
    bytes: Option<Bytes>,
    announced: Option<u64>,
}

impl Sent {
    fn never(announced: Option<u64>) -> Self {
        Self { bytes: None, announced }
    }

    fn at_once(text: String) -> Self {
        Self { announced: u64::try_from(text.len()).ok(), bytes: Some(text.into()) }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.bytes.take() {
            None => Poll::Pending,
            Some(bytes) if bytes.is_empty() => Poll::Ready(None),
            Some(bytes) => {
                self.bytes = Some(Bytes::new());
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map(SizeHint::with_exact).unwrap_or_default()
    }
}

fn collector(sink: &FakeSink) -> Arc<Collector> {
    let mut config = config();
    config.limits.memory_bytes_max = BYTES_MAX;
    config.check().unwrap();
    let parts = Parts {
        source: Source::default(),
        config,
        sink: Arc::new(sink.clone()),
        schemas: Arc::new(Schemas::open(vec![Box::new(Builtin)]).unwrap().0),
        refresh: None,
        clock: ManualClock::at(NOW_MS).shared(),
        metrics: Metrics::new(TABLE).unwrap(),
    };
    Arc::new(Collector::new(parts).unwrap())
}

async fn deliver(
    collector: Arc<Collector>,
    body: Sent,
) -> Result<Response<reply::Body>, IngestError> {
    let request = Request::post("/v1/events?k=wk").body(body).unwrap();
    let peer = SocketAddr::from(([192, 0, 2, 1], 1));
    let mut caller = Caller { peer, trace: collector.tracer.begin(request.headers()) };
    ingest(&collector, request, Dialect::Native, &mut caller).await
}

async fn check_full_then_free(announced: Option<u64>) {
    let collector = collector(&FakeSink::new());
    let mut slow = JoinSet::new();
    for _ in 0..100 {
        slow.spawn(deliver(Arc::clone(&collector), Sent::never(announced)));
    }
    // Each may be half a MiB and counts twice: 32 are listened to, 68 are sent away.
    for _ in 0..68 {
        let refused = slow.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(refused, IngestError::NoRoom);
        assert_eq!(refused.code(), RefusalCode::Unavailable);
        assert_eq!(refused.response().headers()["retry-after"], "2");
    }
    assert_eq!((slow.len(), collector.memory.taken()), (32, BYTES_MAX));
    let honest =
        |number| deliver(Arc::clone(&collector), Sent::at_once(batch([event(number)]).to_string()));
    assert_eq!(honest(1).await.unwrap_err(), IngestError::NoRoom);

    slow.abort_all();
    while slow.join_next().await.is_some() {}
    assert_eq!(collector.memory.taken(), 0);
    assert_eq!(honest(1).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_leave_honest_ones_a_clear_answer_and_then_room() {
    check_full_then_free(Some(512 * 1024)).await;
    // Without a length, or with one that is a lie, it is the longest that is taken.
    check_full_then_free(None).await;
}

#[tokio::test]
async fn events_hold_their_memory_until_their_flight_has_landed() {
    let sink = FakeSink::new();
    sink.hold();
    let collector = collector(&sink);
    // Each of the 500 events carries 16 kB of context: small on the wire, large inside.
    let mut large = batch((1..=500).map(event));
    large["context"]["custom"] = json!({ "a": "x".repeat(16_000) });
    let first = tokio::spawn(deliver(Arc::clone(&collector), Sent::at_once(large.to_string())));
    until("it has departed", async || collector.producing.dedup.size().1 == 500).await;
    let taken = collector.memory.taken();
    assert!(taken > 500 * 2 * 16_000, "{taken}");
    let mut second = batch((501..=1_000).map(event));
    second["context"]["custom"] = json!({ "a": "x".repeat(16_000) });
    let second = deliver(Arc::clone(&collector), Sent::at_once(second.to_string())).await;
    assert_eq!(second.unwrap_err(), IngestError::NoRoom);

    // The client goes away; what it sent is still there.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(collector.memory.taken(), taken);
    sink.release();
    until("the memory is free", async || collector.memory.taken() == 0).await;
}
