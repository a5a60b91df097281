//! The collector's inspector on the live page: asked for whoever shows its token, and passed on as
//! it comes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clickmill_server::reply::{self, Body, BoxError};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the collector may take until it says whether it tells.
const HEAD_MAX: Duration = Duration::from_secs(3);

/// The admin port of a collector: it speaks plain HTTP, and shows events to those who know its token.
/// The token is not kept here: whoever looks shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Inspector(Authority);

/// Not the address of a collector's admin port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a collector's admin port is an address such as http://127.0.0.1:9081, without a path and \
     without a token: whoever looks at the page enters that"
)]
pub struct NoInspector;

impl FromStr for Inspector {
    type Err = NoInspector;

    fn from_str(text: &str) -> Result<Self, NoInspector> {
        let uri: Uri = text.parse().map_err(|_| NoInspector)?;
        let is_whole =
            uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let host =
            uri.into_parts().authority.filter(|host| is_whole && !host.as_str().contains('@'));
        host.map(Self).ok_or(NoInspector)
    }
}

impl TryFrom<String> for Inspector {
    type Error = NoInspector;

    fn try_from(text: String) -> Result<Self, NoInspector> {
        text.parse()
    }
}

impl fmt::Display for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl Inspector {
    /// What the collector answers to this request, with its filters and the token that it shows.
    pub(super) async fn pass_on(self, query: String, token: Option<HeaderValue>) -> Response<Body> {
        match timeout(HEAD_MAX, self.ask(&query, token)).await {
            Ok(Ok(answer)) => passed(answer),
            Ok(Err(error)) => self.away(&error),
            Err(_) => self.away(&"no answer in time"),
        }
    }

    async fn ask(
        &self,
        query: &str,
        token: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, BoxError> {
        let at = (self.0.host().trim_matches(['[', ']']), self.0.port_u16().unwrap_or(80));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(TcpStream::connect(at).await?)).await?;
        // It ends with the answer, which ends with whoever reads it.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the collector's inspector broke");
            }
        });
        let mut request = Request::get(format!("/inspect/tail?{query}"))
            .header(HOST, self.0.as_str())
            .body(Empty::<Bytes>::new())?;
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        Ok(sender.send_request(request).await?)
    }

    fn away(&self, why: &dyn fmt::Display) -> Response<Body> {
        let text = format!("the collector at {self} does not answer: {why}\n");
        reply::text(StatusCode::BAD_GATEWAY, text)
    }
}

/// What a request to the live page asks the inspector for.
pub(super) fn asked(head: &Parts) -> (String, Option<HeaderValue>) {
    let query = head.uri.query().unwrap_or_default().to_owned();
    (query, head.headers.get(AUTHORIZATION).cloned())
}

fn passed(answer: Response<Incoming>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8"));
    let body = body.map_err(|error| Box::new(error) as BoxError).boxed_unsync();
    let mut response = reply::with_type(head.status, kind, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inspector_is_an_address_and_nothing_more() {
        for good in
            ["http://127.0.0.1:9081", "http://collector.internal:9081/", "http://[::1]:9081"]
        {
            assert!(good.parse::<Inspector>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:9081",
            "https://127.0.0.1:9081",
            "javascript:alert(1)",
            "http://127.0.0.1:9081/inspect/tail",
            "http://127.0.0.1:9081?token=secret",
            "http://user@127.0.0.1:9081",
        ] {
            assert_eq!(bad.parse::<Inspector>(), Err(NoInspector), "{bad}");
        }
    }
}
