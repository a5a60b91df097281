//! A web server that has the hints of a page decided while it renders it, and writes them into the
//! HTML. Beside the demo: `cargo run -p clickmill-relay --example rendered_page -- --listen
//! 127.0.0.1:8090 --relay 127.0.0.1:8082 --key <a key of servers.keys>`, then
//! `curl -H 'cookie: visitor=<id>' http://127.0.0.1:8090/p/KET-1`.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::COOKIE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A page waits no longer than this for its hints.
const PATIENCE: Duration = Duration::from_millis(50);

/// A web server that writes hints into its pages.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// The relay's public address, host and port.
    #[arg(long)]
    relay: String,
    /// This server's key (`servers.keys` of the relay).
    #[arg(long)]
    key: String,
}

#[derive(Debug, Default, Deserialize)]
struct Told {
    hints: Vec<Hint>,
}

#[derive(Debug, Deserialize)]
struct Hint {
    id: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    content: Content,
}

#[derive(Debug, Deserialize)]
struct Content {
    title: String,
    items: Vec<Product>,
}

#[derive(Debug, Deserialize)]
struct Product {
    name: String,
    url: String,
}

/// Asks the relay. A real server keeps the connection open.
async fn decide(
    to: &Arguments,
    visitor: &str,
    sku: &str,
) -> Result<Told, Box<dyn Error + Send + Sync>> {
    let body = serde_json::json!({ "visitor": visitor, "slots": ["suggested"], "sku": sku });
    let stream = TcpStream::connect(&to.relay).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("/v1/decide")
        .header("host", &to.relay)
        .header("authorization", format!("Bearer {}", to.key))
        .body(Full::new(Bytes::from(body.to_string())))?;
    let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&answer)?)
}

/// What has a meaning in HTML, written so that it has none.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

async fn page(
    to: Arc<Arguments>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let sku = request.uri().path().strip_prefix("/p/").unwrap_or("nothing");
    let cookies = request.headers().get(COOKIE).and_then(|cookies| cookies.to_str().ok());
    let visitor = cookies
        .and_then(|cookies| cookies.split("; ").find_map(|cookie| cookie.strip_prefix("visitor=")));
    let told = match visitor {
        Some(visitor) => timeout(PATIENCE, decide(&to, visitor, sku)).await,
        None => Ok(Ok(Told::default())),
    };
    // Late or not at all: the page is worth more than its hints, and the stream brings them.
    let told = told.ok().and_then(Result::ok).unwrap_or_default();
    let mut html = format!("<!DOCTYPE html><title>A page</title><h1>{}</h1>", plain(sku));
    for Hint { id, data: Data { content } } in told.hints {
        // Writing to a text always succeeds.
        let _ = write!(
            html,
            "<h2>{}</h2><ul data-cm-slot=\"suggested\" data-cm-hint=\"{}\">",
            plain(&content.title),
            plain(&id)
        );
        for Product { name, url } in content.items {
            let _ = write!(html, "<li><a href=\"{}\">{}</a></li>", plain(&url), plain(&name));
        }
        html.push_str("</ul>");
    }
    let response = Response::builder().header("content-type", "text/html; charset=utf-8");
    Ok(response.body(Full::new(html.into())).unwrap_or_default())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arc::new(Arguments::parse());
    let listener = TcpListener::bind(arguments.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let to = Arc::clone(&arguments);
        let serve = service_fn(move |request| page(Arc::clone(&to), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
    }
}
