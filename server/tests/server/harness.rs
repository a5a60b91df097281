//! The two actors of these tests: a server on port 0, and a client that speaks in raw bytes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clickmill_server::metrics::Metrics;
use clickmill_server::serve::{
    Accept, ConnectionLimits, ConnectionMetrics, Drained, Serve, Service, Transport, serve,
};
use clickmill_server::shutdown::Shutdown;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// After this a test has failed; nothing waits for it in a good run.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A request without a body.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: t\r\n\r\n";

/// A server under test.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    task: JoinHandle<Drained>,
}

/// How a server is made; the defaults are generous.
pub(crate) struct Make {
    pub(crate) limits: ConnectionLimits,
    pub(crate) transport: Transport,
    pub(crate) grace: Duration,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            limits: ConnectionLimits::default(),
            transport: Transport::default(),
            grace: DEADLINE,
        }
    }
}

impl Make {
    pub(crate) async fn server(self, service: impl Service) -> Server {
        let listener = loopback().await;
        let addr = listener.local_addr().unwrap();
        self.server_on(addr, listener, service)
    }

    pub(crate) fn server_on(
        self,
        addr: SocketAddr,
        listener: impl Accept + 'static,
        service: impl Service,
    ) -> Server {
        let metrics = Metrics::new(&[]).unwrap();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(serve(Serve {
            listener,
            transport: self.transport,
            service,
            limits: self.limits,
            shutdown: shutdown.clone(),
            grace: self.grace,
            metrics: ConnectionMetrics::new(&metrics, "public"),
        }));
        Server { addr, metrics, shutdown, task }
    }
}

impl Server {
    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.addr).await.unwrap())
    }

    /// A connection that the server has taken into its hands.
    pub(crate) async fn connect_accepted(&self) -> Client {
        let before = self.number("http_connections_total{listener=\"public\"}");
        let client = self.connect().await;
        self.number_becomes("http_connections_total{listener=\"public\"}", before + 1).await;
        client
    }

    /// How the drain ended; it must have been begun.
    pub(crate) async fn drained(self) -> Drained {
        timeout(DEADLINE, self.task).await.expect("the drain must end").unwrap()
    }

    pub(crate) fn number(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    pub(crate) async fn number_becomes(&self, series: &str, expected: u64) {
        eventually(series, || self.number(series) == expected).await;
    }
}

/// A client that writes what it is told and reads what there is.
pub(crate) struct Client<T = TcpStream>(pub(crate) T);

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Reads until the text ends like this.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut have = Vec::new();
        let read = async {
            while !have.ends_with(end.as_bytes()) {
                let byte = self.0.read_u8().await;
                have.push(byte.unwrap_or_else(|e| panic!("{e} after {}", show(&have))));
            }
        };
        timeout(DEADLINE, read).await.expect("an answer must come");
        show(&have)
    }

    /// Reads until the text ends like this; a server that closes before the first byte has not
    /// answered, and one that closes after it has broken its word.
    pub(crate) async fn is_answered(&mut self, end: &str) -> bool {
        match self.0.read_u8().await {
            Ok(_) => {
                self.read_until(end).await;
                true
            }
            Err(_) => false,
        }
    }

    /// Reads until the server closes.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<String> {
        let mut have = Vec::new();
        timeout(DEADLINE, self.0.read_to_end(&mut have)).await.expect("the server must close")?;
        Ok(show(&have))
    }
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) async fn loopback() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// Looks again and again until it holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// How long something took.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed(), done)
}
