//! The tail on the command line: asks a collector's admin listener and prints what it tells.

use std::io;

use bytes::Bytes;
use clickmill_sdk_core::wire::Millis;
use clickmill_server::config::Secret;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::record::rfc3339;

/// Longest line that is taken, in bytes; a collector writes none that comes near it.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What to look at, and how it is shown.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TailOptions {
    /// The collector's admin address, such as http://127.0.0.1:9081; as configured if left out.
    #[arg(long)]
    pub admin: Option<String>,
    /// The token; `inspect.token` as configured if left out.
    #[arg(long)]
    pub token: Option<String>,
    /// Events of this write key only.
    #[arg(long)]
    pub key: Option<String>,
    /// Events of this type only.
    #[arg(long = "type")]
    pub kind: Option<String>,
    /// Events of this visitor only.
    #[arg(long)]
    pub visitor: Option<String>,
    /// Events with this outcome only: accepted, duplicate, rejected, retry.
    #[arg(long)]
    pub outcome: Option<String>,
    /// Rejected events only.
    #[arg(long, conflicts_with = "outcome")]
    pub rejected: bool,
    /// Events rejected for this reason only.
    #[arg(long)]
    pub reason: Option<String>,
    /// Ends after so many events.
    #[arg(long)]
    pub limit: Option<u64>,
    /// Ends after so long, such as 30s.
    #[arg(long = "for")]
    pub span: Option<String>,
    /// Prints each event as the JSON that the collector tells.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing more is told.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// Neither given nor configured.
    #[error("there is no token: give --token, or `inspect.token` by --config")]
    NoToken,
    /// The address is none.
    #[error("{0} is no address such as http://127.0.0.1:9081")]
    NoAddress(String),
    /// Nobody answers there.
    #[error("{0} does not answer: {1}")]
    Away(String, io::Error),
    /// The connection broke.
    #[error("the connection to the collector: {0}")]
    Broken(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("the request: {0}")]
    Unwritable(#[from] hyper::http::Error),
    /// The collector refuses.
    #[error("the collector says: {0}")]
    Refused(String),
    /// A line never ends.
    #[error("the collector sent a line of more than {LINE_BYTES_MAX} bytes")]
    EndlessLine,
    /// What is told finds no reader.
    #[error(transparent)]
    Unheard(#[from] io::Error),
}

/// Looks, and hands each line to `show`, until the collector or the options end it.
///
/// # Errors
/// When nobody answers, the collector refuses, or the connection breaks.
pub async fn tail(
    options: &TailOptions,
    config: Option<&Config>,
    mut show: impl FnMut(&str) -> io::Result<()>,
) -> Result<(), TailError> {
    let configured = config.map(|config| format!("http://{}", config.listen.admin));
    let admin = options.admin.clone().or(configured).unwrap_or_default();
    let token = options.token.as_deref().map(Secret::new);
    let token = token.or_else(|| config?.inspect.token.clone()).ok_or(TailError::NoToken)?;
    // The connection is gone when this is dropped.
    let mut connection = JoinSet::new();
    let response = ask(&admin, &token, options, &mut connection).await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        let said = body.collect().await?.to_bytes();
        let said = String::from_utf8_lossy(&said);
        return Err(TailError::Refused(format!("{status}: {}", said.trim_end())));
    }
    let mut buffer = Vec::new();
    while let Some(frame) = body.frame().await {
        buffer.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match line.trim_end() {
                // A heartbeat.
                "" => {}
                line if options.json => show(line)?,
                line => show(&readable(line))?,
            }
        }
        if buffer.len() > LINE_BYTES_MAX {
            return Err(TailError::EndlessLine);
        }
    }
    Ok(())
}

async fn ask(
    admin: &str,
    token: &Secret,
    options: &TailOptions,
    connection: &mut JoinSet<hyper::Result<()>>,
) -> Result<Response<Incoming>, TailError> {
    let no_address = || TailError::NoAddress(admin.to_owned());
    let uri: Uri = admin.parse().map_err(|_| no_address())?;
    let host = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
    let host = host.ok_or_else(no_address)?;
    let at = (host.host().trim_matches(['[', ']']), host.port_u16().unwrap_or(80));
    let away = |error| TailError::Away(admin.to_owned(), error);
    let stream = TcpStream::connect(at).await.map_err(away)?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    connection.spawn(driver);
    let bearer = [b"Bearer ", token.expose()].concat();
    let request = Request::get(format!("/inspect/tail?{}", query(options)))
        .header(HOST, host.as_str())
        .header(AUTHORIZATION, bearer)
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?)
}

fn query(options: &TailOptions) -> String {
    let limit = options.limit.map(|limit| limit.to_string());
    let outcome = options.rejected.then(|| "rejected".to_owned());
    let pairs = [
        ("key", &options.key),
        ("type", &options.kind),
        ("visitor", &options.visitor),
        ("outcome", &options.outcome.clone().or(outcome)),
        ("reason", &options.reason),
        ("limit", &limit),
        ("for", &options.span),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.as_ref()?)))
    .fold(form_urlencoded::Serializer::new(String::new()), |mut query, (name, value)| {
        query.append_pair(name, value);
        query
    })
    .finish();
    format!("as=json&{pairs}")
}

/// A line for people.
fn readable(line: &str) -> String {
    let Ok(told) = serde_json::from_str::<Value>(line) else { return plain(line) };
    if let Some(lost) = told["lost"].as_u64() {
        return format!("… {lost} events passed unread");
    }
    let received_at = told["received_at"].as_u64().and_then(|ms| rfc3339(Millis(ms)));
    let mut words = vec![received_at.unwrap_or_default()];
    for name in ["outcome", "reason", "type", "schema", "pointer"] {
        words.extend(told[name].as_str().map(str::to_owned));
    }
    for name in ["write_key", "visitor", "id"] {
        words.extend(told[name].as_str().map(|value| format!("{name}={value}")));
    }
    let mut text = words.join(" ");
    for name in ["detail", "note"] {
        if let Some(said) = told[name].as_str() {
            text = format!("{text}: {said}");
        }
    }
    plain(&text)
}

/// Without what could steer a terminal: strangers wrote parts of it.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_happened_and_where() {
        let line = r#"{"outcome":"rejected","reason":"schema_violation","schema":"order/1",
            "pointer":"/props/total","detail":"is no number\u001b[2J","id":"i","type":"order",
            "write_key":"wk","visitor":"v1","received_at":1800000000000,"value":{}}"#;
        let wanted = "2027-01-15T08:00:00.000Z rejected schema_violation order order/1 /props/total \
                      write_key=wk visitor=v1 id=i: is no number\u{fffd}[2J";
        assert_eq!(readable(line), wanted);
        assert_eq!(readable(r#"{"lost":7}"#), "… 7 events passed unread");
    }

    #[test]
    fn options_become_a_query() {
        let options = TailOptions {
            kind: Some("a&b".to_owned()),
            rejected: true,
            limit: Some(2),
            ..TailOptions::default()
        };
        assert_eq!(query(&options), "as=json&type=a%26b&outcome=rejected&limit=2");
    }
}
