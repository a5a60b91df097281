//! Who may open a stream: the visitor that a signed token names, from an origin that is allowed.

use std::borrow::Cow;

use clickmill_sdk_core::wire::{HintId, Refusal, RefusalCode, Tenant, VisitorId};
use clickmill_server::query;
use clickmill_server::token::{Signer, TokenError};
use hyper::header::{HeaderMap, HeaderName};
use hyper::{StatusCode, Uri};

use super::hub::{Closed, Subject};

/// What a token for a stream is signed for.
pub const PURPOSE: &str = "hints";

/// The last hint that a page or a server has.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream that may be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// For whom.
    pub subject: Subject,
    /// Whose visitor that is.
    pub tenant: Tenant,
    /// The visitor.
    pub visitor: VisitorId,
    /// Until when the token holds, ms since 1970.
    pub expires_at_ms: u64,
    /// The last hint that the page has.
    pub cursor: Option<HintId>,
}

/// Why a request opens no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no room, or not any more.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// Pages of that origin may not.
    #[error("pages of this origin may not open a stream")]
    Origin,
    /// There is no token.
    #[error("the token is missing")]
    TokenMissing,
    /// The token opens nothing.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Refused {
    /// The reason in metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Closed(Closed::Draining) => "draining",
            Self::Closed(Closed::Full) => "full",
            Self::Closed(Closed::VisitorFull) => "visitor_full",
            Self::Closed(Closed::Elsewhere) => "elsewhere",
            Self::Origin => "origin",
            Self::TokenMissing => "token_missing",
            Self::Token(TokenError::Expired) => "token_expired",
            Self::Token(TokenError::Forged) => "token_forged",
            Self::Token(TokenError::Malformed) => "token_malformed",
            Self::Token(TokenError::UnknownKey) => "token_unknown_key",
        }
    }

    /// Every reason there is.
    pub const REASONS: [&'static str; 10] = [
        "draining",
        "elsewhere",
        "full",
        "origin",
        "token_expired",
        "token_forged",
        "token_malformed",
        "token_missing",
        "token_unknown_key",
        "visitor_full",
    ];

    /// What the client is told. A wait is named where another try can help.
    pub fn answer(self) -> (StatusCode, Refusal) {
        let (status, error, retry_after_ms) = match self {
            Self::Closed(Closed::Draining) => {
                (StatusCode::SERVICE_UNAVAILABLE, RefusalCode::Draining, Some(1_000))
            }
            // Another instance is told so, never a page.
            Self::Closed(Closed::Elsewhere) => {
                (StatusCode::MISDIRECTED_REQUEST, RefusalCode::Unavailable, Some(1_000))
            }
            Self::Closed(Closed::Full) => {
                (StatusCode::SERVICE_UNAVAILABLE, RefusalCode::Unavailable, Some(10_000))
            }
            Self::Closed(Closed::VisitorFull) => {
                (StatusCode::TOO_MANY_REQUESTS, RefusalCode::RateLimited, Some(30_000))
            }
            Self::Origin => (StatusCode::FORBIDDEN, RefusalCode::OriginNotAllowed, None),
            Self::TokenMissing | Self::Token(_) => {
                (StatusCode::UNAUTHORIZED, RefusalCode::Unauthorized, None)
            }
        };
        (status, Refusal { error, detail: self.to_string(), retry_after_ms })
    }
}

/// Reads who asks, and where the page stands.
///
/// # Errors
/// When there is no token, or it opens nothing now.
pub fn admit(
    (uri, headers): (&Uri, &HeaderMap),
    signer: &Signer,
    now_ms: u64,
) -> Result<Admitted, Refused> {
    let token = query::find(uri, "token").ok_or(Refused::TokenMissing)?;
    let claims = signer.verify(PURPOSE, &token, now_ms)?;
    // Signed by us, so both are ids; a key shared with something else would show here.
    let tenant = Tenant::parse(claims.tenant()).map_err(|_| TokenError::Malformed)?;
    let visitor = VisitorId::parse(claims.subject()).map_err(|_| TokenError::Malformed)?;
    Ok(Admitted {
        subject: Subject::new(&tenant, &visitor),
        tenant,
        visitor,
        expires_at_ms: claims.expires_at_ms(),
        cursor: cursor(uri, headers),
    })
}

/// The header comes from the browser, which knows better than the address it was opened with.
fn cursor(uri: &Uri, headers: &HeaderMap) -> Option<HintId> {
    let header = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let header = header.filter(|value| !value.is_empty()).map(Cow::Borrowed);
    let given = header.or_else(|| query::find(uri, "last_event_id"))?;
    if given.is_empty() {
        return None;
    }
    // One that cannot be read is as unknown as one that is too old: the page gets a reset.
    Some(HintId::parse(&given).unwrap_or(HintId {
        source: "unknown".to_owned(),
        partition: 0,
        offset: 0,
        n: 0,
    }))
}

#[cfg(test)]
mod tests {
    use clickmill_server::token::{Claims, SigningKey};
    use hyper::header::HeaderValue;

    use super::*;

    fn signer(secret: &str) -> Signer {
        let key = format!(r#"{{"id":"a","secret":"{secret}"}}"#);
        Signer::new(&[serde_json::from_str::<SigningKey>(&key).unwrap()]).unwrap()
    }

    fn token(signer: &Signer, purpose: &str) -> String {
        signer.sign(purpose, &Claims::new("shop", "v1", 1_000).unwrap())
    }

    fn uri(query: &str) -> Uri {
        format!("/v1/hints?{query}").parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    #[test]
    fn only_a_token_of_ours_for_streams_opens_one() {
        let ours = signer("0123456789abcdef");
        let open = |uri: &Uri, headers: &HeaderMap, now_ms| {
            admit((uri, headers), &ours, now_ms).map_err(Refused::reason)
        };
        let none = HeaderMap::new();
        let good = uri(&format!("token={}", token(&ours, PURPOSE)));
        let admitted = open(&good, &none, 999).unwrap();
        let subject =
            Subject::new(&Tenant::parse("shop").unwrap(), &VisitorId::parse("v1").unwrap());
        assert_eq!((admitted.subject, admitted.expires_at_ms), (subject, 1_000));
        assert_eq!(open(&good, &none, 1_000), Err("token_expired"));
        assert_eq!(open(&uri(""), &none, 0), Err("token_missing"));
        assert_eq!(open(&uri("token=1.a.shop"), &none, 0), Err("token_malformed"));
        for forged in [
            token(&signer("fedcba9876543210"), PURPOSE),
            token(&ours, "visitor"),
            token(&ours, PURPOSE).replace(".v1.", ".v2."),
            token(&ours, PURPOSE).replace(".shop.", ".other."),
            token(&ours, PURPOSE).replace(".1000.", ".9000."),
        ] {
            assert_eq!(open(&uri(&format!("token={forged}")), &none, 0), Err("token_forged"));
        }
    }

    #[test]
    fn the_cursor_is_the_browsers_before_the_addresss() {
        let cursor = |query: &str, pairs: &[(&'static str, &str)]| {
            cursor(&uri(query), &headers(pairs)).map(|id| id.to_string())
        };
        assert_eq!(cursor("", &[]), None);
        assert_eq!(cursor("last_event_id=", &[]), None);
        assert_eq!(cursor("last_event_id=clicks.1.2.0", &[]).unwrap(), "clicks.1.2.0");
        let header = [("last-event-id", "clicks.1.3.0")];
        assert_eq!(cursor("last_event_id=clicks.1.2.0", &header).unwrap(), "clicks.1.3.0");
        assert_eq!(cursor("last_event_id=nonsense", &[]).unwrap(), "unknown.0.0.0");
    }

    #[test]
    fn every_reason_is_listed() {
        let all = [
            Refused::Closed(Closed::Draining),
            Refused::Closed(Closed::Elsewhere),
            Refused::Closed(Closed::Full),
            Refused::Closed(Closed::VisitorFull),
            Refused::Origin,
            Refused::TokenMissing,
            Refused::Token(TokenError::Expired),
            Refused::Token(TokenError::Forged),
            Refused::Token(TokenError::Malformed),
            Refused::Token(TokenError::UnknownKey),
        ];
        let mut reasons = all.map(Refused::reason);
        reasons.sort_unstable();
        assert_eq!(reasons, Refused::REASONS);
    }
}
