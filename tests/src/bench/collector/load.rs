//! Closed loop: connections that send batch after batch, at as little cost as can be, since the
//! collector and the broker work on the same cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::request::Request;

/// Connections that send one batch after the other.
pub(super) const CONNECTIONS: usize = 128;

/// Numbers of events: never the same twice in a run. Clones count on together.
#[derive(Clone, Debug, Default)]
pub(super) struct Serials(Arc<AtomicU64>);

impl Serials {
    /// The first of `count` new numbers.
    pub(super) fn take(&self, count: usize) -> u64 {
        self.0.fetch_add(count as u64, Ordering::Relaxed)
    }

    /// How many were taken.
    pub(super) fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the requests of a load come from.
#[derive(Debug)]
enum Source {
    /// Each connection renews a request of its own.
    Renewed(Vec<Request>),
    /// All take from the same pile: they are packed, which must not cost time while it is measured.
    Packed(Vec<Vec<u8>>),
}

/// Requests that are ready to be sent.
#[derive(Debug)]
pub(super) struct Load {
    collector: SocketAddr,
    source: Source,
    serials: Serials,
    batch: usize,
    requests: usize,
}

impl Load {
    /// `requests` requests of `batch` events.
    pub(super) fn plain(site: &super::Site, batch: usize, requests: usize) -> Self {
        let renewed = (0..CONNECTIONS).map(|_| Request::new(site.write_key, batch)).collect();
        Self {
            collector: site.collector,
            source: Source::Renewed(renewed),
            serials: site.serials.clone(),
            batch,
            requests,
        }
    }

    /// The same, packed beforehand.
    pub(super) fn gzip(site: &super::Site, batch: usize, requests: usize) -> Self {
        let mut visitors: Vec<Request> =
            (0..CONNECTIONS).map(|_| Request::new(site.write_key, batch)).collect();
        let pile = (0..requests).map(|n| {
            let request = &mut visitors[n % CONNECTIONS];
            request.renew(site.serials.take(batch));
            request.packed()
        });
        Self { source: Source::Packed(pile.collect()), ..Self::plain(site, batch, requests) }
    }

    /// The bytes of an average body.
    pub(super) fn body_bytes(&self) -> usize {
        match &self.source {
            Source::Renewed(requests) => {
                requests.iter().map(|r| r.body().len()).sum::<usize>() / requests.len()
            }
            Source::Packed(pile) => pile.iter().map(Vec::len).sum::<usize>() / pile.len().max(1),
        }
    }

    /// Sends everything and waits until all of it is accepted; occupies the thread.
    ///
    /// # Panics
    /// When an answer is anything else.
    pub(super) fn send(self) {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async move {
            let Self { collector, source, serials, batch, requests } = self;
            let turns = Turns { next: Arc::default(), requests };
            let mut connections = JoinSet::new();
            match source {
                Source::Renewed(renewed) => {
                    for request in renewed {
                        let line = Line::open(collector, batch).await;
                        connections.spawn(line.renew(request, turns.clone(), serials.clone()));
                    }
                }
                Source::Packed(pile) => {
                    let pile = Arc::new(pile);
                    for _ in 0..CONNECTIONS {
                        let line = Line::open(collector, batch).await;
                        connections.spawn(line.unpile(Arc::clone(&pile), turns.clone()));
                    }
                }
            }
            connections.join_all().await;
        });
    }
}

/// Who sends what, until everything is sent.
#[derive(Clone, Debug)]
struct Turns {
    next: Arc<AtomicUsize>,
    requests: usize,
}

impl Turns {
    fn take(&self) -> Option<usize> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        (turn < self.requests).then_some(turn)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    batch: usize,
}

impl Line {
    pub(super) async fn open(collector: SocketAddr, batch: usize) -> Self {
        let stream = TcpStream::connect(collector).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket without delay");
        Self { stream, batch }
    }

    /// Sends one request and waits until all its events are accepted.
    pub(super) async fn exchange(&mut self, request: &[u8], answer: &mut Answer) {
        self.stream.write_all(request).await.expect("a request is sent");
        loop {
            let read = self.stream.read(answer.room()).await.expect("an answer");
            if answer.grows(read, self.batch) {
                return;
            }
        }
    }

    async fn renew(mut self, mut request: Request, turns: Turns, serials: Serials) {
        let mut answer = Answer::default();
        while turns.take().is_some() {
            let bytes = request.renew(serials.take(self.batch));
            self.exchange(bytes, &mut answer).await;
        }
    }

    async fn unpile(mut self, pile: Arc<Vec<Vec<u8>>>, turns: Turns) {
        let mut answer = Answer::default();
        while let Some(request) = turns.take().and_then(|turn| pile.get(turn)) {
            self.exchange(request, &mut answer).await;
        }
    }
}
