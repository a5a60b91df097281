//! Connections to other instances. Questions go over HTTP/1.1, as many connections as there are questions
//! under way, which stay open for the next ones; streams share one connection of HTTP/2.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::body::{self, BodyLimits};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
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

/// A connection for one question at a time.
type Asker = http1::SendRequest<Full<Bytes>>;

/// A connection for streams.
type Sender = http2::SendRequest<Full<Bytes>>;

/// The way of streams to one instance. Who finds it closed opens it, and the others wait for that.
type Line = Arc<Turns<Option<Sender>>>;

/// The connections to other instances.
#[derive(Debug)]
pub struct Client {
    /// Those that wait for a question, by instance, the one that was used last on top: what is too many is
    /// used no more, and the other side closes it.
    idle: Mutex<HashMap<String, Vec<Asker>>>,
    /// Those for streams.
    lines: Mutex<HashMap<String, Line>>,
    /// Questions that may be under way.
    permits: Semaphore,
}

impl Client {
    /// A client without connections that has so many requests under way at the most.
    pub fn new(requests_max: usize) -> Self {
        let permits = Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS));
        Self { idle: Mutex::default(), lines: Mutex::default(), permits }
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
            let (asker, response) = self.ask(to, relative(to, request)?).await?;
            let (head, answer) = response.into_parts();
            let timeout = deadline.saturating_duration_since(Instant::now());
            let limits = BodyLimits { bytes_max: ANSWER_BYTES_MAX, timeout };
            let answer = body::read(answer, limits).await.map_err(|error| failed(&error))?;
            // One whose answer was not read whole is not used again.
            self.put_back(to, asker);
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
        let opening = open(line(&self.lines, to), to, request);
        timeout_at(deadline, opening).await.map_err(|_| Unreached::TimedOut)?
    }

    /// Sends a question, which must change nothing: one whose connection turns out to be gone is sent once
    /// more over a new one.
    async fn ask(
        &self,
        to: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<(Asker, Response<Incoming>), Unreached> {
        if let Some(mut asker) = self.take_idle(to)
            && let Ok(response) = asked(&mut asker, request.clone()).await
        {
            return Ok((asker, response));
        }
        let mut asker = connect_to_ask(to).await?;
        let response = asked(&mut asker, request).await.map_err(|error| failed(&error))?;
        Ok((asker, response))
    }

    fn take_idle(&self, to: &str) -> Option<Asker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.get_mut(to)?;
        while let Some(asker) = idle.pop() {
            if !asker.is_closed() {
                return Some(asker);
            }
        }
        None
    }

    fn put_back(&self, to: &str, asker: Asker) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = idle.get_mut(to) {
            idle.push(asker);
            return;
        }
        // Instances that are gone for ever go with the first that is new.
        idle.retain(|_, idle| {
            idle.retain(|asker| !asker.is_closed());
            !idle.is_empty()
        });
        idle.insert(to.to_owned(), vec![asker]);
    }
}

/// A request as HTTP/1.1 has it: the path alone, and the instance in a header.
fn relative(to: &str, request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, Unreached> {
    let (mut head, body) = request.into_parts();
    let host = HeaderValue::from_str(to).map_err(|error| failed(&error))?;
    head.headers.insert(HOST, host);
    head.uri = head.uri.into_parts().path_and_query.map(Uri::from).unwrap_or_default();
    Ok(Request::from_parts(head, body))
}

async fn asked(
    asker: &mut Asker,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    asker.ready().await?;
    asker.send_request(request).await
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
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(reach(to).await?)
            .await
            .map_err(|error| failed(&error))
    };
    let (sender, connection) = in_time(opening).await?;
    // It ends with the last sender, or when the other side goes away.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to an instance broke");
        }
    });
    Ok(sender)
}

async fn connect_to_ask(to: &str) -> Result<Asker, Unreached> {
    let opening =
        async { http1::handshake(reach(to).await?).await.map_err(|error| failed(&error)) };
    let (asker, connection) = in_time(opening).await?;
    // Likewise.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an instance broke");
        }
    });
    Ok(asker)
}

async fn reach(to: &str) -> Result<TokioIo<TcpStream>, Unreached> {
    let stream = TcpStream::connect(to).await.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    Ok(TokioIo::new(stream))
}

async fn in_time<T>(opening: impl Future<Output = Result<T, Unreached>>) -> Result<T, Unreached> {
    timeout(CONNECT_MAX, opening).await.map_err(|_| Unreached::TimedOut)?
}

fn failed(error: &dyn std::error::Error) -> Unreached {
    Unreached::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::Barrier;

    use super::*;

    const QUESTION: &str = "POST /q HTTP/1.1\r\nhost: ";

    /// An instance that answers so many questions over a connection and closes it then; where it waits for
    /// so many at once before it answers, it hears how many connections it had.
    async fn instance(answers: usize, at_once: usize) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (opened, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(at_once)));
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    for _ in 0..answers {
                        let mut heard = String::new();
                        while !heard.ends_with("\r\n\r\nwho?") {
                            heard.push(char::from(stream.read_u8().await.unwrap()));
                        }
                        assert!(heard.starts_with(QUESTION), "{heard}");
                        all.wait().await;
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyou";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        (address, opened)
    }

    async fn ask(client: &Client, to: &str) -> Result<(StatusCode, Bytes), Unreached> {
        let body = Full::new(Bytes::from_static(b"who?"));
        let request = Request::post(format!("http://{to}/q")).body(body).unwrap();
        client.send(to, request, Instant::now() + Duration::from_secs(10)).await
    }

    fn you() -> Result<(StatusCode, Bytes), Unreached> {
        Ok((StatusCode::OK, Bytes::from_static(b"you")))
    }

    #[tokio::test]
    async fn questions_share_a_connection_until_it_is_gone() {
        let (address, opened) = instance(3, 1).await;
        let client = Client::new(10);
        for _ in 0..7 {
            assert_eq!(ask(&client, &address).await, you());
        }
        assert_eq!(opened.load(Ordering::SeqCst), 3, "three answers each");
    }

    #[tokio::test]
    async fn no_question_waits_for_another() {
        let (address, opened) = instance(usize::MAX, 3).await;
        let client = Client::new(3);
        for _ in 0..5 {
            let (one, two, three) = tokio::join!(
                ask(&client, &address),
                ask(&client, &address),
                ask(&client, &address)
            );
            assert_eq!([one, two, three], [you(), you(), you()]);
        }
        assert_eq!(opened.load(Ordering::SeqCst), 3, "they stay open");
        let asks = || ask(&client, &address);
        let (one, two, three, four) = tokio::join!(asks(), asks(), asks(), asks());
        assert_eq!([one, two, three, four], [you(), you(), you(), Err(Unreached::Crowded)]);
    }
}
