//! Why a whole delivery is refused, and what that is on the wire: code, status and wait.

use std::time::Duration;

use clickmill_sdk_core::wire::{Refusal, RefusalCode, ToJson};
use clickmill_server::body::BodyError;
use clickmill_server::reply::{self, Body};
use clickmill_server::token::TokenError;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::admit::told;
use crate::decode::DecodeError;
use crate::memory::NoRoom;

/// How long a client waits before it tries a delivery again that its own connection spoiled.
const SOON: Duration = Duration::from_secs(1);

/// How long a client waits until others' deliveries have left.
const CROWDED: Duration = Duration::from_secs(2);

/// Why a delivery is refused as a whole. Its events stay with the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IngestError {
    /// The peer sends more requests than an address may.
    #[error("this address sends more than {per_s} requests/s")]
    AddressOverQuota {
        /// What it may send.
        per_s: u32,
        /// When there is room again.
        wait: Duration,
    },
    /// The body did not come as it should.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is no batch.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The body is packed in a way that is not read.
    #[error("the content encoding is not read here; send gzip or nothing")]
    Encoding,
    /// The key's events are more than it may send.
    #[error("this write key sends more than {per_s} events/s")]
    KeyOverQuota {
        /// What it may send.
        per_s: u32,
        /// When there is room again.
        wait: Duration,
    },
    /// Some events of the batch found no fate yet, and its sender can only send all of it again.
    #[error("not all events of the batch are durable; send it again, what is will be recognised")]
    Incomplete {
        /// When to try again.
        wait: Duration,
    },
    /// The link that was followed says nothing.
    #[error("the link says nothing: {0}")]
    Link(TokenError),
    /// The method does not exist on the path.
    #[error("only {allow} is understood here")]
    Method {
        /// The methods that do.
        allow: &'static str,
    },
    /// Other deliveries hold all the memory there is for them.
    #[error(
        "too much is being taken in at the moment; all events of the batch stay with the sender"
    )]
    NoRoom,
    /// The request names no write key.
    #[error("the write key is missing; append ?k=<write key>")]
    NoWriteKey,
    /// The body asks nothing of a link.
    #[error("the body is no question about a link: {0}")]
    NotLink(String),
    /// Nothing is there.
    #[error("there is nothing at this path")]
    NotFound,
    /// The page's origin is not on the key's list.
    #[error("this write key may not be used from this origin; add it to the key's `origins`")]
    OriginNotAllowed,
    /// Not one event of the batch found its fate.
    #[error("Kafka takes no events at the moment; all events of the batch stay with the sender")]
    Unavailable {
        /// When to try again.
        wait: Duration,
    },
    /// No site has the write key.
    #[error("the write key is not known here")]
    UnknownWriteKey,
}

impl From<NoRoom> for IngestError {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

impl IngestError {
    /// The one place where errors become codes, statuses and waits.
    fn terms(&self) -> (RefusalCode, StatusCode, Option<Duration>) {
        use RefusalCode as Code;
        match self {
            Self::AddressOverQuota { wait, .. } | Self::KeyOverQuota { wait, .. } => {
                (Code::RateLimited, StatusCode::TOO_MANY_REQUESTS, Some(*wait))
            }
            Self::Body(BodyError::Broken) => {
                (Code::BodyBroken, StatusCode::BAD_REQUEST, Some(SOON))
            }
            Self::Body(BodyError::TimedOut(_)) => {
                (Code::BodyTooSlow, StatusCode::REQUEST_TIMEOUT, Some(SOON))
            }
            Self::Body(BodyError::TooLarge(_))
            | Self::Decode(
                DecodeError::InflatedTooLarge(_)
                | DecodeError::TooManyEvents { .. }
                | DecodeError::ContextTooLarge(_),
            ) => (Code::BodyTooLarge, StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Decode(DecodeError::Gzip(_)) => (Code::BodyBroken, StatusCode::BAD_REQUEST, None),
            Self::Decode(
                DecodeError::Empty | DecodeError::NotUtf8(_) | DecodeError::NotBatch(_),
            ) => (Code::Malformed, StatusCode::BAD_REQUEST, None),
            Self::Link(_) => (Code::Unauthorized, StatusCode::UNAUTHORIZED, None),
            Self::NotLink(_) => (Code::Malformed, StatusCode::BAD_REQUEST, None),
            Self::Encoding => (Code::Malformed, StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
            Self::Method { .. } => (Code::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED, None),
            Self::NoRoom => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, Some(CROWDED)),
            Self::NoWriteKey | Self::UnknownWriteKey => {
                (Code::UnknownWriteKey, StatusCode::UNAUTHORIZED, None)
            }
            Self::NotFound => (Code::NotFound, StatusCode::NOT_FOUND, None),
            Self::OriginNotAllowed => (Code::OriginNotAllowed, StatusCode::FORBIDDEN, None),
            Self::Incomplete { wait } | Self::Unavailable { wait } => {
                (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, Some(*wait))
            }
        }
    }

    /// The name and rate of the quota that is used up.
    fn quota(&self) -> Option<(&'static str, u32)> {
        match self {
            Self::AddressOverQuota { per_s, .. } => Some(("address", *per_s)),
            Self::KeyOverQuota { per_s, .. } => Some(("key", *per_s)),
            // Every other refusal is about something else than how much is sent.
            _ => None,
        }
    }

    /// The stable code, as metrics count it.
    pub(crate) fn code(&self) -> RefusalCode {
        self.terms().0
    }

    /// The answer: a refusal in JSON, and the wait as a header too.
    pub(crate) fn response(&self) -> Response<Body> {
        let (error, status, wait) = self.terms();
        let refusal = Refusal {
            error,
            detail: self.to_string(),
            retry_after_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        };
        let mut response = reply::json(status, refusal.to_json());
        if let Some(wait) = wait {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(wait).into());
        }
        if let Some((policy, per_s)) = self.quota() {
            let seconds = wait.map_or(1, whole_seconds);
            told::used_up(policy, per_s, seconds, response.headers_mut());
        }
        if let Self::Method { allow } = self {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// The header knows whole seconds only: at least one, and never sooner than meant.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        error: impl Into<IngestError>,
        status: u16,
        code: RefusalCode,
        retry_after: Option<&str>,
    ) {
        let error = error.into();
        let response = error.response();
        assert_eq!((response.status().as_u16(), error.code()), (status, code), "{error}");
        let header = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!(header, retry_after, "{error}");
    }

    #[test]
    fn every_kind_has_its_terms() {
        use RefusalCode as Code;
        let wait = Duration::from_millis(1_200);
        check(IngestError::AddressOverQuota { per_s: 1, wait }, 429, Code::RateLimited, Some("2"));
        check(IngestError::Incomplete { wait }, 503, Code::Unavailable, Some("2"));
        check(IngestError::Unavailable { wait }, 503, Code::Unavailable, Some("2"));
        check(NoRoom, 503, Code::Unavailable, Some("2"));
        check(BodyError::Broken, 400, Code::BodyBroken, Some("1"));
        check(BodyError::TimedOut(wait), 408, Code::BodyTooSlow, Some("1"));
        check(BodyError::TooLarge(1), 413, Code::BodyTooLarge, None);
        check(DecodeError::InflatedTooLarge(1), 413, Code::BodyTooLarge, None);
        check(DecodeError::Gzip("x".to_owned()), 400, Code::BodyBroken, None);
        check(DecodeError::Empty, 400, Code::Malformed, None);
        check(IngestError::Link(TokenError::Expired), 401, Code::Unauthorized, None);
        check(IngestError::NotLink("x".to_owned()), 400, Code::Malformed, None);
        check(IngestError::Encoding, 415, Code::Malformed, None);
        check(IngestError::UnknownWriteKey, 401, Code::UnknownWriteKey, None);
        check(IngestError::OriginNotAllowed, 403, Code::OriginNotAllowed, None);
        check(IngestError::Method { allow: "POST" }, 405, Code::MethodNotAllowed, None);
    }

    #[test]
    fn who_is_over_a_quota_reads_which_and_for_how_long() {
        let wait = Duration::from_millis(1_200);
        let over = IngestError::KeyOverQuota { per_s: 50, wait }.response();
        assert_eq!(over.headers()["ratelimit-policy"], "\"key\";q=50;w=1");
        assert_eq!(over.headers()["ratelimit"], "\"key\";r=0;t=2");
        let over = IngestError::AddressOverQuota { per_s: 7, wait }.response();
        assert_eq!(over.headers()["ratelimit-policy"], "\"address\";q=7;w=1");
        assert!(!IngestError::from(NoRoom).response().headers().contains_key("ratelimit"));
    }

    #[test]
    fn the_header_never_asks_for_too_early_a_try() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (30_000, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
