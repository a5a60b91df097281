//! Which dead letters are put through again.

use std::time::{Duration, UNIX_EPOCH};

use clickmill_sdk_core::wire::Reason;

use crate::inspect::filter;

/// Which dead letters.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ReplayOptions {
    /// From this moment on: how long ago, such as 2h, or a time such as 2026-11-24T10:00:00Z. From
    /// the beginning if left out.
    #[arg(long, value_parser = since)]
    pub since: Option<Since>,
    /// Those refused for this reason only.
    #[arg(long, value_parser = filter::reason)]
    pub reason: Option<Reason>,
    /// Those of events of this type only.
    #[arg(long = "type")]
    pub kind: Option<String>,
    /// Those of events of this write key only.
    #[arg(long)]
    pub key: Option<String>,
    /// Ends once it has found so many events that are good now; run it again for more.
    #[arg(long, default_value_t = 10_000)]
    pub limit: usize,
    /// Only counts what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// A moment to begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// Milliseconds since 1970.
    At(u64),
}

impl ReplayOptions {
    /// The moment to begin at, in milliseconds since 1970.
    pub(super) fn since_ms(&self, now_ms: u64) -> Option<i64> {
        let ms = match self.since? {
            Since::Ago(span) => now_ms.saturating_sub(millis(span)),
            Since::At(ms) => ms,
        };
        i64::try_from(ms).ok()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(Since::Ago(span));
    }
    let time = humantime::parse_rfc3339_weak(text).ok();
    let since_epoch = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_epoch
        .map(|span| Since::At(millis(span)))
        .ok_or_else(|| "must be like 2h or 2026-11-24T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7_200))));
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Since::At(1_000)));
        assert!(since("yesterday").is_err());
        let options =
            ReplayOptions { since: Some(Since::Ago(Duration::from_secs(1))), ..Default::default() };
        assert_eq!(options.since_ms(5_000), Some(4_000));
    }
}
