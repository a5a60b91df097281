//! Link: keeps a visitor the same when they follow a link from one site of a tenant to another, where
//! the browser shows the second site neither the storage nor the cookie of the first.
//!
//! The first page proves its visitor, as for the hint stream, and is given a token to put into the
//! link. The second page shows the token, and is answered as that visitor: with a cookie of its own
//! host and a token for the stream. A link is for two minutes, for sites of one tenant, and for the
//! browser that was given it, told by address and user agent: otherwise somebody else could have
//! visitors follow a link of theirs, and read what is shown to them. A browser whose two requests come
//! from different addresses goes on as a visitor of the second site. The SDK puts it into the address's
//! fragment, which no server sees, and takes it out at once.

use std::net::IpAddr;

use bytes::Bytes;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Consent, Identity, Proof, Purpose, ToJson, VisitorId};
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::reply::{self, Body};
use hyper::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;

use crate::admit::admit;
use crate::collector::Collector;
use crate::dialect::Dialect;
use crate::error::IngestError;
use crate::identity::{self, Evidence, Issued, Standing, Stranger};
use crate::ingest::user_agent;

/// The longest question, in bytes: a token, ids, a list of purposes.
const QUESTION_BYTES_MAX: usize = 4096;

/// What a page asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Question {
    /// The token of the link that was followed; none where one is to be made.
    pub(crate) link: Option<String>,
    /// Whom the page knows.
    visitor: Option<VisitorId>,
    /// The secret behind that.
    proof: Option<Proof>,
    /// What the visitor has allowed; what the site says where that is left out.
    consent: Option<Consent>,
}

impl Question {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, IngestError> {
        serde_json::from_slice(body).map_err(|error| IngestError::NotLink(error.to_string()))
    }
}

/// What it is told: nothing where there is nobody whom it may know.
#[derive(Debug, Default)]
struct Told {
    link: Option<String>,
    identity: Option<Identity>,
}

impl ToJson for Told {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            if let Some(link) = &self.link {
                w.text_field("link", link);
            }
            w.field("identity", self.identity.as_ref());
        });
    }
}

/// Makes a link's token, or takes one.
pub(crate) async fn link<B: hyper::body::Body<Data = Bytes> + Unpin>(
    collector: &Collector,
    request: Request<B>,
    peer: IpAddr,
) -> Result<Response<Body>, IngestError> {
    let (head, body) = request.into_parts();
    let (sites, addresses) = (&collector.sites, &collector.addresses);
    let site = admit(&head, Dialect::Native, peer, sites, addresses)?;
    let site = site.ok_or(IngestError::NoWriteKey)?;
    let limits = BodyLimits { bytes_max: QUESTION_BYTES_MAX, ..collector.body_limits };
    let body = body::read(body, limits).await?;
    let question = Question::read(&body)?;

    let (identities, tenant, now) = (&collector.identities, &site.tenant, collector.now());
    let user_agent = user_agent(&head).unwrap_or_default();
    let asks = Stranger { tenant, address: peer, user_agent: &user_agent };
    let consented = question.consent.as_ref().unwrap_or(&site.consent).allows(Purpose::Analytics);
    let cookie = identities.read_cookie(&head.headers, tenant, now);
    let (told, set_cookie) = if let Some(link) = &question.link {
        let visitor = identities.follow(link, &asks, now).map_err(IngestError::Link)?;
        let standing = if consented { Standing::ByLink(visitor) } else { Standing::Unknown };
        if consented {
            collector.metrics.by_link.increment(1);
        }
        // A cookie that knows somebody else is replaced.
        let cookie = cookie.filter(|cookie| standing.visitor() == Some(cookie.visitor()));
        let issued = identities.issue(&standing, cookie.as_ref(), tenant, now);
        let (identity, set_cookie) =
            issued.map(|Issued { identity, set_cookie }| (identity, set_cookie)).unzip();
        (Told { identity, link: None }, set_cookie.flatten())
    } else {
        let standing = identity::recognise(&Evidence {
            consented,
            claimed: question.visitor.as_ref(),
            proof: question.proof.as_ref(),
            cookie: cookie.as_ref(),
        });
        // Who has just taken another's place in the browser is not the cookie's visitor any more.
        let is_meant =
            |known: &&VisitorId| question.visitor.as_ref().is_none_or(|named| named == *known);
        let link = standing.visitor().filter(is_meant);
        let link = link.and_then(|visitor| identities.lend(visitor, &asks, now));
        (Told { link, identity: None }, None)
    };
    let mut response = reply::json(StatusCode::OK, told.to_json());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(set_cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}
