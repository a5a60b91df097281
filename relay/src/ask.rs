//! Answers web servers: what is remembered of a visitor.
//!
//! `GET /v1/visitors/{id}` with `Authorization: Bearer <key>`. The key names its tenant, so a server
//! sees its own visitors alone. `after=<partition>.<offset>`, as a receipt tells it, has the answer
//! wait until that event is in it.

use std::time::Duration;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Refusal, RefusalCode, Tenant, ToJson as _, VisitorId};
use clickmill_server::bearer::bearer;
use clickmill_server::query;
use clickmill_server::reply::{self, Body};
use clickmill_streams::NotHere;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode, Uri};
use tokio::time::Instant;

use crate::config::ServerKey;
use crate::hints::hub::Subject;
use crate::visitors::{Found, Visitors};

/// What comes before the visitor's id in the path.
pub const PATH: &str = "/v1/visitors/";

/// How long an answer may wait for a busy view, or for the event it is to come after.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Why a server gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// There is no key, or it is nobody's.
    #[error("show a server's key: `Authorization: Bearer <key>`")]
    Key,
    /// The path names no visitor.
    #[error("that is no visitor's id")]
    Visitor,
    /// The moment to wait for cannot be read.
    #[error("`after` must be a partition and an offset joined by a dot, as a receipt tells them")]
    After,
    /// Nothing is remembered of the visitor here.
    #[error("nothing is known of this visitor")]
    Unknown,
    /// It cannot be told in time.
    #[error("this cannot be told yet; another try may")]
    NotYet,
}

impl Unanswered {
    /// What the server is told.
    pub fn answer(self) -> (StatusCode, Refusal) {
        let (status, error, retry_after_ms) = match self {
            Self::Key => (StatusCode::UNAUTHORIZED, RefusalCode::Unauthorized, None),
            Self::Visitor | Self::After => (StatusCode::BAD_REQUEST, RefusalCode::Malformed, None),
            Self::Unknown => (StatusCode::NOT_FOUND, RefusalCode::NotFound, None),
            Self::NotYet => {
                (StatusCode::SERVICE_UNAVAILABLE, RefusalCode::Unavailable, Some(1_000))
            }
        };
        (status, Refusal { error, detail: self.to_string(), retry_after_ms })
    }
}

/// Answers `GET /v1/visitors/{id}`: admit → read → find → write.
///
/// # Errors
/// Why there is no answer.
pub async fn visitor(
    id: &str,
    (uri, headers): (&Uri, &HeaderMap),
    keys: &[ServerKey],
    visitors: &Visitors,
) -> Result<Response<Body>, Unanswered> {
    let tenant = admit(headers, keys)?;
    let visitor = VisitorId::parse(id).map_err(|_| Unanswered::Visitor)?;
    let deadline = Instant::now() + WAIT_MAX;
    if let Some(after) = query::find(uri, "after") {
        let after = place(&after).ok_or(Unanswered::After)?;
        visitors.caught_up(after, deadline).await?;
    }
    let subject = Subject::new(tenant, &visitor);
    let found = visitors.find(subject.key(), deadline).await?;
    Ok(reply::json(StatusCode::OK, written(&visitor, &found)))
}

/// Whose key is shown. Every key is looked at, so that time tells nothing.
fn admit<'a>(headers: &HeaderMap, keys: &'a [ServerKey]) -> Result<&'a Tenant, Unanswered> {
    let shown = bearer(headers).ok_or(Unanswered::Key)?;
    let look = |found, key: &'a ServerKey| match key.secret.is(shown) {
        true => Some(&key.tenant),
        false => found,
    };
    keys.iter().fold(None, look).ok_or(Unanswered::Key)
}

fn place(text: &str) -> Option<(u32, u64)> {
    let (partition, offset) = text.split_once('.')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

fn written(visitor: &VisitorId, found: &Found) -> String {
    let mut w = Writer::with_capacity(1024);
    w.object(|w| {
        w.field("visitor", Some(visitor));
        w.field("partition", Some(&found.partition));
        w.number_field("next_offset", found.next);
        found.visitor.parts().write(w.key("state"));
    });
    w.finish()
}

impl From<NotHere> for Unanswered {
    fn from(why: NotHere) -> Self {
        match why {
            NotHere::Unknown => Self::Unknown,
            NotHere::Busy | NotHere::Restoring => Self::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use clickmill_server::config::Secret;
    use hyper::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn a_key_opens_its_own_tenants_visitors() {
        let key = |tenant: &str, secret: &str| ServerKey {
            tenant: Tenant::parse(tenant).unwrap(),
            secret: Secret::new(secret),
        };
        let keys = [key("shop", "first-secret-of-shop"), key("other", "secret-of-other")];
        let whose = |shown: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(AUTHORIZATION, shown.parse().unwrap());
            }
            admit(&headers, &keys).map(Tenant::as_str).map_err(|why| why.answer().0.as_u16())
        };
        assert_eq!(whose(Some("Bearer first-secret-of-shop")), Ok("shop"));
        assert_eq!(whose(Some("bearer secret-of-other")), Ok("other"));
        for shown in [None, Some("Bearer "), Some("Bearer x"), Some("first-secret-of-shop")] {
            assert_eq!(whose(shown), Err(401), "{shown:?}");
        }
    }

    #[test]
    fn a_place_is_two_numbers() {
        assert_eq!(place("3.1234"), Some((3, 1234)));
        for text in ["", "3", "3.", ".4", "3.x", "-1.4", "3.4.5"] {
            assert_eq!(place(text), None, "{text}");
        }
    }
}
