//! A shop's server that is told what is said to its visitors.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use crate::http::{Ask, Http};
use crate::service::Relay;

/// One thing that a server is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It is told everything from here on.
    Open,
    /// Something may be missing here.
    Gap(Value),
    /// What was said to a visitor.
    Hint {
        /// The hint's id.
        id: String,
        /// What it is.
        kind: String,
        /// The visitor.
        visitor: String,
        /// The hint.
        hint: Value,
    },
}

/// An open feed.
#[derive(Debug)]
pub struct Feed {
    body: Incoming,
    pending: Vec<u8>,
}

impl Feed {
    /// Asks for one; `query` says what is chosen. The status where there is none.
    ///
    /// # Errors
    /// The status and the body of a refusal.
    pub async fn open(relay: &Relay, (query, key): (&str, &str)) -> Result<Self, (u16, String)> {
        let ask = Ask::get(format!("{}/v1/hints{query}", relay.url));
        let ask = ask.header("authorization", &format!("Bearer {key}"));
        let response = Http::default().open(ask).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body();
        if status == 200 {
            return Ok(Self { body, pending: Vec::new() });
        }
        let body = body.collect().await.expect("a body").to_bytes();
        Err((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// What is told next; none when the feed has ended, or nothing is told in time.
    pub async fn next(&mut self, patience: Duration) -> Option<Told> {
        timeout(patience, self.read()).await.ok().flatten()
    }

    async fn read(&mut self) -> Option<Told> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                match parse(&String::from_utf8_lossy(&block)) {
                    Some(told) => return Some(told),
                    None => continue,
                }
            }
            let data = self.body.frame().await?.ok()?.into_data().ok()?;
            self.pending.extend_from_slice(&data);
        }
    }
}

/// None is a heartbeat, or the wait before a reconnect.
fn parse(block: &str) -> Option<Told> {
    if block == ": open\n\n" {
        return Some(Told::Open);
    }
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data: Value = serde_json::from_str(field("data: ")?).expect("JSON");
    let kind = field("event: ").expect("a kind").to_owned();
    if kind == "gap" {
        return Some(Told::Gap(data));
    }
    Some(Told::Hint {
        id: field("id: ").expect("an id").to_owned(),
        kind,
        visitor: data["visitor"].as_str().expect("a visitor").to_owned(),
        hint: data["hint"].clone(),
    })
}
