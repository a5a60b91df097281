//! A plain HTTP client: what a browser or a web server would say to our services.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A request body of any making.
pub type Body = BoxBody<Bytes, Infallible>;

/// Anything that kept a request from being answered.
pub type HttpError = Box<dyn std::error::Error + Send + Sync>;

/// A client that keeps its connections open.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpConnector, Body>,
}

/// An answer with its whole body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as text.
    pub body: String,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    /// A `GET` of this address.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A `POST` of this body to this address, as the browser sends it: plain text, no preflight.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let ask = Self { method: Method::POST, body: body.into(), ..Self::get(url) };
        ask.header("content-type", "text/plain;charset=UTF-8")
    }

    /// With this method instead.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With these headers alone.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// With this header.
    ///
    /// # Panics
    /// When the value is no header value.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector) }
    }
}

impl Http {
    /// Asks and reads the whole answer.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, HttpError> {
        let response = self.open(ask).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Asks and gives the answer back as soon as its head is there.
    pub async fn open(&self, ask: Ask) -> Result<Response<Incoming>, HttpError> {
        let mut request = Request::builder().method(ask.method).uri(ask.url);
        if let Some(headers) = request.headers_mut() {
            *headers = ask.headers;
        }
        Ok(self.client.request(request.body(Full::new(ask.body).boxed())?).await?)
    }
}
