//! HTTP/2: by agreement over TLS, by prior knowledge without, and its bounds.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::ConnectionLimits;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::harness::{Make, timed};
use crate::pki::Pair;

/// A client and the task that moves its connection.
pub(crate) struct H2 {
    sender: SendRequest<Full<Bytes>>,
    pub(crate) connection: JoinHandle<hyper::Result<()>>,
}

impl H2 {
    pub(crate) async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// A request that runs on while others are sent.
    pub(crate) fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = hyper::Result<(StatusCode, String)>> + Send + 'static + use<> {
        let answer = self.sender.send_request(request);
        async move {
            let (head, body) = answer.await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
        }
    }

    /// The status and text of a plain GET.
    pub(crate) async fn get(&mut self) -> hyper::Result<(StatusCode, String)> {
        self.ask(get("/")).await
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://edge.example{path}")).body(Full::default()).unwrap()
}

async fn who(request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    assert!(request.uri().path() != "/panic", "asked for");
    reply::text(StatusCode::OK, format!("you are {peer}"))
}

#[tokio::test]
async fn it_is_agreed_on_over_tls() {
    let pair = Pair::new();
    let make = Make { transport: pair.transport(), ..Make::default() };
    let server = make.server(who).await;
    let stream = server.connect().await.0;
    let own = stream.local_addr().unwrap();
    let mut client = H2::over(pair.secure(stream, "h2").await).await;
    assert_eq!(client.get().await.unwrap(), (StatusCode::OK, format!("you are {own}")));
}

#[tokio::test]
async fn a_client_may_know_beforehand() {
    let server = Make::default().server(who).await;
    let mut client = H2::over(server.connect().await.0).await;
    let answers = [client.ask(get("/")), client.ask(get("/"))];
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.unwrap().0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_panic_costs_one_stream() {
    let server = Make::default().server(who).await;
    let mut client = H2::over(server.connect().await.0).await;
    assert!(client.ask(get("/panic")).await.is_err());
    assert_eq!(client.get().await.unwrap().0, StatusCode::OK);
    server.number_becomes("http_stream_panics_total{listener=\"public\"}", 1).await;
}

#[tokio::test]
async fn an_idle_connection_is_ended_and_a_used_one_is_not() {
    let header_read_timeout = Duration::from_millis(100);
    let limits = ConnectionLimits { header_read_timeout, ..ConnectionLimits::default() };
    let slow = move |_: Request<Incoming>, _: SocketAddr| async move {
        tokio::time::sleep(4 * header_read_timeout).await;
        reply::text(StatusCode::OK, "slow")
    };
    let server = Make { limits, ..Make::default() }.server(slow).await;
    let mut client = H2::over(server.connect().await.0).await;
    assert_eq!(client.get().await.unwrap().1, "slow");
    let (took, ended) = timed(client.connection).await;
    ended.unwrap().unwrap();
    assert!(took >= header_read_timeout / 2, "{took:?}");
    let series = "http_connections_ended_total{listener=\"public\",how=\"timeout\"}";
    server.number_becomes(series, 1).await;
}

#[tokio::test]
async fn its_heads_have_the_same_bounds() {
    let limits = ConnectionLimits {
        headers_max: NonZeroUsize::new(20).unwrap(),
        target_bytes_max: NonZeroUsize::new(100).unwrap(),
        head_bytes_max: NonZeroUsize::new(2_048).unwrap(),
        ..ConnectionLimits::default()
    };
    let server = Make { limits, ..Make::default() }.server(who).await;
    let mut client = H2::over(server.connect().await.0).await;
    let many = (0..21).fold(get("/"), |mut request, number| {
        let name = hyper::header::HeaderName::try_from(format!("x-{number}")).unwrap();
        request.headers_mut().insert(name, "1".parse().unwrap());
        request
    });
    assert_eq!(client.ask(many).await.unwrap().0, 431);
    assert_eq!(client.ask(get(&format!("/{}", "a".repeat(100)))).await.unwrap().0, 414);
    assert_eq!(client.ask(get(&format!("/{}", "a".repeat(99)))).await.unwrap().0, 200);
    let mut long = get("/");
    long.headers_mut().insert("x", "a".repeat(3_000).parse().unwrap());
    // Our own client asks what is allowed, and does not even send it.
    assert!(
        client.ask(long).await.is_err_and(|error| error.is_user()) || client.get().await.is_ok()
    );
    assert_eq!(client.get().await.unwrap().0, 200);
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    /// Refuses before the body is there, as an edge over its quota does.
    async fn refuse(request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        let limits = BodyLimits { bytes_max: 0, timeout: Duration::from_millis(300) };
        let _ = body::read(request.into_body(), limits).await;
        reply::text(StatusCode::TOO_MANY_REQUESTS, "slow down")
    }
    let server = Make::default().server(refuse).await;
    let mut client = H2::over(server.connect().await.0).await;
    let body = Full::new(Bytes::from(vec![b'x'; 8 << 20]));
    let request = Request::post("http://edge.example/").body(body).unwrap();
    let (status, text) = client.ask(request).await.unwrap();
    assert_eq!((status.as_u16(), text.as_str()), (429, "slow down"));
    assert_eq!(client.get().await.unwrap().0, 429, "the connection goes on");
}
