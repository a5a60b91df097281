//! What stands before a collector or a shop: a server that hands out files or passes everything on,
//! puts scripts into pages, and on bad days answers something else or nothing.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderValue, ORIGIN, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http::{Ask, Http, HttpError};

/// Where pages find the script that is put into them.
const SCRIPT: &str = "/before_pages.js";
/// Where the page is that is handed out.
const PAGE: &str = "/page";
/// Below which files are.
const FILES: &str = "/files/";

/// What happens to a delivery before its sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It arrives, and its sender is answered this instead, to come again after so many seconds.
    Lost(StatusCode, u32),
    /// It arrives, and the connection ends without an answer.
    Unheard,
    /// It does not arrive, and its sender is answered this.
    Answered(StatusCode, &'static str),
    /// It does not arrive, and the connection ends without an answer; so does whatever else is asked.
    Cut,
    /// It does not arrive, and there is no answer until its sender has enough.
    Silent,
}

/// A delivery that passed.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Its path with the query.
    pub path: String,
    /// Its body; of one that is compressed, what can be read of it.
    pub body: String,
    /// Whether it is gzip.
    pub is_packed: bool,
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

/// What stands behind it.
#[derive(Debug)]
enum Behind {
    /// A folder whose files are handed out under `/files/`, and a page for `/page`; whatever else is
    /// asked, a server answers, where there is one.
    Files(PathBuf, String, Option<String>),
    /// A server.
    Server(String),
}

#[derive(Debug)]
struct State {
    behind: Behind,
    /// What befalls deliveries.
    bad_day: Mutex<BadDay>,
    passed: Mutex<Vec<Passed>>,
    /// How often a browser asked whether it may ask.
    preflights: AtomicUsize,
    /// What runs in pages before their own scripts.
    scripts: Mutex<Vec<String>>,
    http: Http,
}

#[derive(Debug, Default)]
struct BadDay {
    /// What befalls the next ones, each once.
    next: VecDeque<Mishap>,
    /// And all after them.
    lasting: Option<Mishap>,
    /// How many met with one.
    met: usize,
}

impl Front {
    /// One that passes deliveries on, the first of them with these mishaps.
    pub async fn before(server: &str, mishaps: impl IntoIterator<Item = Mishap>) -> Self {
        let front = Self::start(Behind::Server(server.to_owned())).await;
        lock(&front.state.bad_day).next.extend(mishaps);
        front
    }

    /// One that hands out a page under `/page` and a folder's files under `/files/`.
    pub async fn of_files(folder: PathBuf, page: String) -> Self {
        Self::start(Behind::Files(folder, page, None)).await
    }

    /// Likewise, and it passes on to a server whatever else is asked.
    pub async fn of_site(folder: PathBuf, page: String, server: &str) -> Self {
        Self::start(Behind::Files(folder, page, Some(server.to_owned()))).await
    }

    async fn start(behind: Behind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("the port's number"));
        let (bad_day, passed, preflights, scripts) = Default::default();
        let http = Http::default();
        let state = Arc::new(State { behind, bad_day, passed, preflights, scripts, http });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, task }
    }

    /// From here on this befalls every delivery.
    pub fn befalls(&self, mishap: Mishap) {
        *lock(&self.state.bad_day) = BadDay { lasting: Some(mishap), ..BadDay::default() };
    }

    /// From here on all is well again.
    pub fn mends(&self) {
        *lock(&self.state.bad_day) = BadDay::default();
    }

    /// How many requests met with a mishap since the last change.
    pub fn met(&self) -> usize {
        lock(&self.state.bad_day).met
    }

    /// Has a script run in every page from here on, before the page's own.
    pub fn before_pages(&self, script: impl Into<String>) {
        lock(&self.state.scripts).push(script.into());
    }

    /// How often a browser has asked so far whether it may ask at all.
    pub fn preflights(&self) -> usize {
        self.state.preflights.load(Ordering::Relaxed)
    }

    /// The deliveries that passed so far.
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.state.passed).clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move { state.answer(request).await }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl State {
    /// The answer; an error ends the connection without one.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, HttpError> {
        if request.uri().path() == SCRIPT {
            return Ok(self.script());
        }
        let response = match &self.behind {
            Behind::Files(folder, page, server) => {
                let path = request.uri().path();
                match server {
                    Some(server) if path != PAGE && !path.starts_with(FILES) => {
                        self.pass(server, request).await?
                    }
                    _ => file(folder, page, path),
                }
            }
            Behind::Server(server) => self.pass(server, request).await?,
        };
        Ok(self.scripted(response).await)
    }

    async fn pass(
        &self,
        server: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let delivery = head.method == Method::POST;
        let is_preflight = head.method == Method::OPTIONS;
        self.preflights.fetch_add(usize::from(is_preflight), Ordering::Relaxed);
        let mishap = self.mishap(delivery);
        match mishap {
            Some(Mishap::Cut) => return Err("the line is cut".into()),
            Some(Mishap::Silent) => std::future::pending().await,
            Some(Mishap::Answered(status, text)) => {
                return Ok(answered(&head.headers, status, text));
            }
            Some(Mishap::Lost(..) | Mishap::Unheard) | None => {}
        };
        let mut headers = head.headers;
        // Pages are read here.
        headers.remove(ACCEPT_ENCODING);
        let ask = Ask::post(format!("{server}{path}"), body.clone());
        let answer = self.http.open(ask.method(head.method).headers(headers)).await?;
        let (head, answer) = answer.into_parts();
        let status = head.status;
        let mut response =
            Response::from_parts(head, Full::new(answer.collect().await?.to_bytes()));
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().remove(TRANSFER_ENCODING);
        if delivery {
            let is_packed = body.starts_with(&[0x1f, 0x8b]);
            let body = String::from_utf8_lossy(&body).into_owned();
            lock(&self.passed).push(Passed { path, body, is_packed, status });
        }
        match mishap {
            Some(Mishap::Unheard) => return Err("the answer is lost".into()),
            Some(Mishap::Lost(status, seconds)) => {
                *response.status_mut() = status;
                *response.body_mut() = Full::default();
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        Ok(response)
    }

    /// What befalls the next request.
    fn mishap(&self, delivery: bool) -> Option<Mishap> {
        let mut bad_day = lock(&self.bad_day);
        if !delivery && bad_day.lasting != Some(Mishap::Cut) {
            return None;
        }
        let mishap = bad_day.next.pop_front().or(bad_day.lasting);
        bad_day.met += usize::from(mishap.is_some());
        mishap
    }

    fn has_scripts(&self) -> bool {
        !lock(&self.scripts).is_empty()
    }

    /// The script that runs before those of pages.
    fn script(&self) -> Response<Full<Bytes>> {
        let mut text = String::new();
        for script in lock(&self.scripts).iter() {
            // Each in a scope of its own, so that its names are not the page's.
            let _ = writeln!(text, "{{{script}}}");
        }
        let mut response = typed("text/javascript; charset=utf-8", Bytes::from(text));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The same, with the script in it if it is a page.
    async fn scripted(&self, response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let kind = response.headers().get(CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if !is_page || !self.has_scripts() {
            return response;
        }
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        let page = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let at = ["<head", "<html"].into_iter().find_map(|tag| page.find(tag));
        let at = at.and_then(|at| Some(at + page[at..].find('>')? + 1)).unwrap_or(0);
        let (before, after) = page.split_at(at);
        let page = format!("{before}<script src=\"{SCRIPT}\"></script>{after}");
        Response::from_parts(head, Full::new(Bytes::from(page)))
    }
}

/// What something in between says, in a way that lets pages read it.
fn answered(asked: &HeaderMap, status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = typed("text/html; charset=utf-8", Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(origin) = asked.get(ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from(RETRY_AFTER));
    }
    response
}

fn typed(kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn file(folder: &Path, page: &str, path: &str) -> Response<Full<Bytes>> {
    if path == PAGE {
        return typed("text/html; charset=utf-8", Bytes::from(page.to_owned()));
    }
    let name = path.strip_prefix(FILES).filter(|name| !name.contains('/'));
    match name.and_then(|name| std::fs::read(folder.join(name)).ok()) {
        Some(bytes) if path.ends_with(".wasm") => typed("application/wasm", Bytes::from(bytes)),
        Some(bytes) => typed("text/javascript; charset=utf-8", Bytes::from(bytes)),
        None => {
            let mut missing = typed("text/plain", Bytes::new());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}
