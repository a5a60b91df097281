//! Connections to other instances: one to each, open for as long as both live, HTTP/2.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::body::{self, BodyLimits};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as Turns, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// How long connecting may take: instances are near each other.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// How often a quiet instance is asked whether it is there while it owes an answer, and how long it
/// may take to say so.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest answer, bytes: of as many visitors as may be asked for, each with a full state.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Why an instance does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// As many requests are under way as may be.
    #[error("too many requests to other instances are under way")]
    Crowded,
    /// No connection, or none that holds; the text says why.
    #[error("{0}")]
    Failed(String),
    /// It answers with that status.
    #[error("it answers with {0}")]
    Refused(StatusCode),
    /// It takes too long.
    #[error("no answer in time")]
    TimedOut,
}

type Sender = SendRequest<Full<Bytes>>;

/// The way to one instance. Who finds it closed opens it, and the others wait for that.
type Line = Arc<Turns<Option<Sender>>>;

/// The connections to other instances.
#[derive(Debug)]
pub struct Client {
    lines: Mutex<HashMap<String, Line>>,
    /// Those for streams: a connection of their own, so that neither kind waits for the other.
    stream_lines: Mutex<HashMap<String, Line>>,
    /// Requests that may be under way.
    permits: Semaphore,
}

impl Client {
    /// A client without connections that has so many requests under way at the most.
    pub fn new(requests_max: usize) -> Self {
        let permits = Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS));
        Self { lines: Mutex::default(), stream_lines: Mutex::default(), permits }
    }

    /// Sends a request, which must change nothing, and reads the whole answer.
    ///
    /// # Errors
    /// Why there is none by the deadline.
    pub async fn send(
        &self,
        to: &str,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), Unreached> {
        let _permit = self.permits.try_acquire().map_err(|_| Unreached::Crowded)?;
        let whole = async {
            let (head, answer) = open(line(&self.lines, to), to, request).await?.into_parts();
            let timeout = deadline.saturating_duration_since(Instant::now());
            let limits = BodyLimits { bytes_max: ANSWER_BYTES_MAX, timeout };
            let answer = body::read(answer, limits).await.map_err(|error| failed(&error))?;
            Ok((head.status, answer))
        };
        timeout_at(deadline, whole).await.map_err(|_| Unreached::TimedOut)?
    }

    /// Sends a request that is answered with a stream, and gives it back once its head is there.
    ///
    /// # Errors
    /// Why there is none by the deadline.
    pub async fn open_stream(
        &self,
        to: &str,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, Unreached> {
        let opening = open(line(&self.stream_lines, to), to, request);
        timeout_at(deadline, opening).await.map_err(|_| Unreached::TimedOut)?
    }
}

/// Sends a request, which must change nothing: one whose connection turns out to be gone is sent
/// once more over a new one.
async fn open(
    line: Line,
    to: &str,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Unreached> {
    let open = line.lock().await.clone().filter(|sender| !sender.is_closed());
    if let Some(sender) = open
        && let Ok(response) = sent(sender, request.clone()).await
    {
        return Ok(response);
    }
    let sender = {
        let mut turn = line.lock().await;
        match turn.clone().filter(|sender| !sender.is_closed()) {
            // Somebody else was quicker.
            Some(sender) => sender,
            None => turn.insert(connect(to).await?).clone(),
        }
    };
    sent(sender, request).await.map_err(|error| failed(&error))
}

fn line(lines: &Mutex<HashMap<String, Line>>, to: &str) -> Line {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(line) = lines.get(to) {
        return Arc::clone(line);
    }
    // Instances that are gone for ever go with the first that is new.
    lines.retain(|_, line| match line.try_lock() {
        Ok(sender) => sender.as_ref().is_some_and(|sender| !sender.is_closed()),
        Err(_) => true,
    });
    Arc::clone(lines.entry(to.to_owned()).or_default())
}

async fn sent(
    mut sender: Sender,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    sender.ready().await?;
    sender.send_request(request).await
}

async fn connect(to: &str) -> Result<Sender, Unreached> {
    let opening = async {
        let stream = TcpStream::connect(to).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let opened = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream));
        opened.await.map_err(|error| failed(&error))
    };
    let (sender, connection) =
        timeout(CONNECT_MAX, opening).await.map_err(|_| Unreached::TimedOut)??;
    // It ends with the last sender, or when the other side goes away.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to an instance broke");
        }
    });
    Ok(sender)
}

fn failed(error: &dyn std::error::Error) -> Unreached {
    Unreached::Failed(error.to_string())
}
