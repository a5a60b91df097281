//! What stands before a collector: a server that hands out files, passes everything else on, and on
//! bad days loses answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http::{Ask, Http};

/// What happens to a delivery before its sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It arrives, and its sender is answered this instead, to come again after so many seconds.
    Lost(StatusCode, u32),
}

/// A delivery that passed.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Its path with the query.
    pub path: String,
    /// Its body.
    pub body: String,
    /// What the collector answered.
    pub status: StatusCode,
}

/// The server.
#[derive(Debug)]
pub struct Front {
    /// Its address, without a path.
    pub url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    collector: String,
    /// A folder whose files are handed out under `/files/`, and a page for `/page`.
    files: Option<(PathBuf, String)>,
    mishaps: Mutex<VecDeque<Mishap>>,
    passed: Mutex<Vec<Passed>>,
    http: Http,
}

impl Front {
    /// One that passes deliveries on, the first of them with these mishaps.
    pub async fn before(collector: &str, mishaps: impl IntoIterator<Item = Mishap>) -> Self {
        Self::start(collector.to_owned(), None, mishaps.into_iter().collect()).await
    }

    /// One that hands out a page under `/page` and a folder's files under `/files/`.
    pub async fn of_files(folder: PathBuf, page: String) -> Self {
        Self::start(String::new(), Some((folder, page)), VecDeque::new()).await
    }

    async fn start(
        collector: String,
        files: Option<(PathBuf, String)>,
        mishaps: VecDeque<Mishap>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("the port's number"));
        let (mishaps, passed) = (Mutex::new(mishaps), Mutex::default());
        let state = Arc::new(State { collector, files, mishaps, passed, http: Http::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, task }
    }

    /// The deliveries that passed so far.
    pub fn passed(&self) -> Vec<Passed> {
        self.state.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Infallible>(state.answer(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match &self.files {
            Some((folder, page)) => file(folder, page, request.uri().path()),
            None => self.pass(request).await,
        }
    }

    async fn pass(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let (mut headers, post) = (head.headers, head.method == Method::POST);
        headers.remove(HOST);
        let ask = Ask::post(format!("{}{path}", self.collector), body.clone())
            .method(head.method)
            .headers(headers);
        let answer = self.http.ask(ask).await.expect("the collector answers");
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().remove(TRANSFER_ENCODING);
        if post {
            let body = String::from_utf8_lossy(&body).into_owned();
            let passed = Passed { path, body, status: answer.status };
            self.passed.lock().unwrap_or_else(PoisonError::into_inner).push(passed);
            self.befall(&mut response);
        }
        response
    }

    /// Puts the next mishap in the place of the answer.
    fn befall(&self, response: &mut Response<Full<Bytes>>) {
        let mishap = self.mishaps.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(Mishap::Lost(status, seconds)) = mishap else { return };
        *response.status_mut() = status;
        *response.body_mut() = Full::default();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn file(folder: &std::path::Path, page: &str, path: &str) -> Response<Full<Bytes>> {
    let typed = |kind: &'static str, body: Bytes| {
        let mut response = Response::new(Full::new(body));
        response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
        response
    };
    if path == "/page" {
        return typed("text/html; charset=utf-8", Bytes::from(page.to_owned()));
    }
    let name = path.strip_prefix("/files/").filter(|name| !name.contains('/'));
    match name.and_then(|name| std::fs::read(folder.join(name)).ok()) {
        Some(bytes) => typed("text/javascript; charset=utf-8", Bytes::from(bytes)),
        None => {
            let mut missing = typed("text/plain", Bytes::new());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}
