//! A subscriber of the hint stream that sees every byte: hints, heartbeats, retries, the end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clickmill_sdk_core::wire::{Hint, HintId, HintKind};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// One thing that came down the stream.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A hint, and when it was here.
    Hint(Box<Hint>, Instant),
    /// `reset`: forget what was shown.
    Reset(String),
    /// A comment line, as heartbeats are.
    Comment,
    /// The wait before a reconnect that the server asks for, ms.
    Retry(u64),
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    pending: Vec<u8>,
    /// The id of the last hint that came, as the browser would send it on reconnect.
    pub last_event_id: Option<String>,
}

impl Stream {
    /// Takes over the body of an answered `GET /v1/hints`.
    pub fn new(body: Incoming) -> Self {
        Self { body, pending: Vec::new(), last_event_id: None }
    }

    /// The next frame; none when the server ended the stream or nothing came in time.
    pub async fn next(&mut self, patience: Duration) -> Option<Frame> {
        tokio::time::timeout(patience, self.read()).await.ok().flatten()
    }

    /// The next hint, passing over everything else.
    pub async fn hint(&mut self, patience: Duration) -> Option<(Hint, Instant)> {
        let read = async {
            loop {
                if let Frame::Hint(hint, at) = self.read().await? {
                    return Some((*hint, at));
                }
            }
        };
        tokio::time::timeout(patience, read).await.ok().flatten()
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                if let Some(frame) = self.parse(&String::from_utf8_lossy(&block)) {
                    return Some(frame);
                }
                continue;
            }
            let data: Bytes = self.body.frame().await?.ok()?.into_data().ok()?;
            self.pending.extend_from_slice(&data);
        }
    }

    /// Reads one block of lines, by the rules of the server-sent events format.
    fn parse(&mut self, block: &str) -> Option<Frame> {
        let (mut id, mut event, mut data, mut retry) = (None, "message", String::new(), None);
        let mut comment = false;
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => comment = true,
                "id" => id = Some(value.to_owned()),
                "event" => event = value,
                "data" => data.push_str(value),
                "retry" => retry = value.parse().ok(),
                _ => {}
            }
        }
        if let Some(id) = &id {
            self.last_event_id = Some(id.clone());
        }
        if let Some(retry) = retry.filter(|_| data.is_empty()) {
            return Some(Frame::Retry(retry));
        }
        if data.is_empty() {
            return comment.then_some(Frame::Comment);
        }
        let kind = HintKind::parse(event)?;
        if kind == HintKind::Reset {
            return Some(Frame::Reset(data));
        }
        let id = HintId::parse(&id?).ok()?;
        let hint = Hint::from_parts(id, kind, &data).ok()?;
        Some(Frame::Hint(Box::new(hint), Instant::now()))
    }
}
