//! Identity: whom a delivery may be answered as, the token for that visitor, and the cookie.
//!
//! The rule, in this order:
//! 1. Without consent to analytics there is no stable id, so nobody is known.
//! 2. The cookie wins. It bears our own MAC and was only ever set on a proof, so its visitor is
//!    older than anything the page can show. If the page shows another visitor, with a proof of it
//!    or without, the page has lost its storage and minted a new secret since: the receipt names
//!    the older visitor, and the SDK takes that id for its new events. Only a batch that says with
//!    its proof that the visitor took another's place, as after a log-out, goes over the cookie.
//! 3. Without a cookie, a proof counts if it belongs to the visitor that the batch names, or if the
//!    batch names none. From then on there is a cookie.
//! 4. A visitor id alone proves nothing: it is readable in every page.
//!
//! Who follows a link from another site of the tenant is who they were there: see `link`. Such a link
//! goes over the cookie too, and is for the browser that was given it alone.
//!
//! A visitor who withdraws consent loses the cookie. Where a site asks for it, a visitor who has said
//! nothing yet is known for a day by a number that neither the browser nor anybody else could tell.
//!
//! A cookie counts for its tenant alone; each tenant has a cookie name of its own, so that two of
//! them behind one host do not take turns.

use std::net::IpAddr;
use std::time::Duration;

use clickmill_sdk_core::wire::{Identity, Millis, Proof, Tenant, VisitorId};
use clickmill_server::cookie::{self, Reader, SetCookie, Transport};
use clickmill_server::token::{Claims, KeyError, Signer, TokenError};
use hyper::header::{HeaderMap, HeaderValue};

use crate::config::{Config, CookieConfig, SameSite};

/// What the relay accepts a token for.
pub(crate) const HINTS: &str = "hints";

/// What the cookie is signed for.
const VISITOR: &str = "visitor";

/// What the token of a link to another site is made for.
const LINK: &str = "link";

/// How long a link may be followed.
const LINK_LIFETIME_MS: u64 = 120_000;

/// What a day's salt is made for, and then a visitor's number of that day.
const DAY: &str = "cookieless day";
const DAILY_VISITOR: &str = "cookieless visitor";

const DAY_MS: u64 = 24 * 3_600_000;

/// What a delivery shows of its visitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// Whether the visitor has consented to analytics.
    pub(crate) consented: bool,
    /// Whom the batch says it is from.
    pub(crate) claimed: Option<&'a VisitorId>,
    /// The secret that the batch shows.
    pub(crate) proof: Option<&'a Proof>,
    /// The cookie of this tenant, if it is ours and in force.
    pub(crate) cookie: Option<&'a CookieRead>,
}

/// A cookie that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieRead {
    visitor: VisitorId,
    expires_at_ms: u64,
}

impl CookieRead {
    /// Whose it is.
    pub(crate) fn visitor(&self) -> &VisitorId {
        &self.visitor
    }
}

/// Who the visitor is, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The cookie says so.
    ByCookie(VisitorId),
    /// The link that was followed says so.
    ByLink(VisitorId),
    /// The batch proves it.
    ByProof(VisitorId),
    /// Nobody we know.
    Unknown,
}

impl Standing {
    /// Who it is.
    pub(crate) fn visitor(&self) -> Option<&VisitorId> {
        match self {
            Self::ByCookie(visitor) | Self::ByLink(visitor) | Self::ByProof(visitor) => {
                Some(visitor)
            }
            Self::Unknown => None,
        }
    }
}

/// Applies the rule above.
pub(crate) fn recognise(evidence: &Evidence<'_>) -> Standing {
    if !evidence.consented {
        return Standing::Unknown;
    }
    if let Some(cookie) = evidence.cookie {
        return Standing::ByCookie(cookie.visitor.clone());
    }
    match (evidence.proof.map(Proof::visitor), evidence.claimed) {
        (Some(proven), None) => Standing::ByProof(proven),
        (Some(proven), Some(claimed)) if proven == *claimed => Standing::ByProof(proven),
        (Some(_) | None, _) => Standing::Unknown,
    }
}

/// What a receipt says about the visitor, and the cookie to set with it.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) identity: Identity,
    pub(crate) set_cookie: Option<HeaderValue>,
}

/// Signs tokens and cookies, and reads cookies.
#[derive(Debug)]
pub(crate) struct Identities {
    signer: Signer,
    token_lifetime: Duration,
    cookie: CookieConfig,
}

impl Identities {
    pub(crate) fn new(config: &Config) -> Result<Self, KeyError> {
        Ok(Self {
            signer: Signer::new(&config.tokens.keys)?,
            token_lifetime: config.tokens.lifetime,
            cookie: config.cookie.clone(),
        })
    }

    /// The cookie of that tenant in a request, if it is ours and in force.
    pub(crate) fn read_cookie(
        &self,
        headers: &HeaderMap,
        tenant: &Tenant,
        now: Millis,
    ) -> Option<CookieRead> {
        let text = cookie::find(headers, &self.cookie_name(tenant))?;
        let claims = self.signer.verify(VISITOR, text, now.0).ok()?;
        let visitor = VisitorId::parse(claims.subject()).ok()?;
        (claims.tenant() == tenant.as_str())
            .then(|| CookieRead { visitor, expires_at_ms: claims.expires_at_ms() })
    }

    /// The token for a visitor who is known, and the cookie if it is new or has grown old.
    pub(crate) fn issue(
        &self,
        standing: &Standing,
        read: Option<&CookieRead>,
        tenant: &Tenant,
        now: Millis,
    ) -> Option<Issued> {
        let visitor = standing.visitor()?;
        let expires_at = now + millis(self.token_lifetime);
        let claims = Claims::new(tenant.as_str(), visitor.as_str(), expires_at.0).ok()?;
        let token = self.signer.sign(HINTS, &claims);
        let identity = Identity { visitor: visitor.clone(), token, expires_at };
        let young = read.is_some_and(|read| !self.has_aged(read, now));
        let set_cookie = if young { None } else { self.cookie(visitor, tenant, now) };
        Some(Issued { identity, set_cookie })
    }

    /// A token for a link, with which another site of the tenant knows that visitor: of the same
    /// browser, as far as its requests show.
    pub(crate) fn lend(
        &self,
        visitor: &VisitorId,
        to: &Stranger<'_>,
        now: Millis,
    ) -> Option<String> {
        let until = now + LINK_LIFETIME_MS;
        let claims = Claims::new(to.tenant.as_str(), visitor.as_str(), until.0).ok()?;
        Some(self.signer.sign(&to.link(), &claims))
    }

    /// Whom the token of a link is about, where that browser was given it.
    pub(crate) fn follow(
        &self,
        link: &str,
        by: &Stranger<'_>,
        now: Millis,
    ) -> Result<VisitorId, TokenError> {
        let claims = self.signer.verify(&by.link(), link, now.0)?;
        if claims.tenant() != by.tenant.as_str() {
            return Err(TokenError::Forged);
        }
        VisitorId::parse(claims.subject()).map_err(|_| TokenError::Malformed)
    }

    /// The header that takes the cookie away.
    pub(crate) fn clear(&self, tenant: &Tenant) -> Option<HeaderValue> {
        self.set("", Duration::ZERO, tenant)
    }

    /// Who a visitor of that address and browser is today (UTC), without anything that is kept:
    /// salted by the day and our own key, so that no two days can be joined, not even by us once
    /// the key is gone.
    pub(crate) fn of_today(&self, who: &Stranger<'_>, now: Millis) -> VisitorId {
        let day = self.signer.derive(DAY, &(now.0 / DAY_MS).to_string());
        let Stranger { tenant, address, user_agent } = who;
        let text = format!("{}\n{tenant}\n{address}\n{user_agent}", hex(&day));
        let number = hex(&self.signer.derive(DAILY_VISITOR, &text)[..16]);
        // 33 letters and digits are a lawful id; the other arm is never taken.
        VisitorId::parse(format!("d{number}")).unwrap_or_else(|_| Proof::mint(&day).visitor())
    }

    /// Whether a cookie was set so long ago that it is set anew.
    fn has_aged(&self, read: &CookieRead, now: Millis) -> bool {
        let left_ms = read.expires_at_ms.saturating_sub(now.0);
        left_ms.saturating_add(millis(self.cookie.refresh_after)) <= millis(self.cookie.lifetime)
    }

    fn cookie(&self, visitor: &VisitorId, tenant: &Tenant, now: Millis) -> Option<HeaderValue> {
        let expires_at_ms = (now + millis(self.cookie.lifetime)).0;
        let claims = Claims::new(tenant.as_str(), visitor.as_str(), expires_at_ms).ok()?;
        self.set(&self.signer.sign(VISITOR, &claims), self.cookie.lifetime, tenant)
    }

    fn set(&self, value: &str, max_age: Duration, tenant: &Tenant) -> Option<HeaderValue> {
        let set = SetCookie {
            name: &self.cookie_name(tenant),
            value,
            domain: self.cookie.domain.as_deref(),
            path: "/",
            max_age,
            reader: Reader::Server,
            same_site: match self.cookie.same_site {
                SameSite::Lax => cookie::SameSite::Lax,
                SameSite::None => cookie::SameSite::None,
                SameSite::Strict => cookie::SameSite::Strict,
            },
            transport: if self.cookie.secure { Transport::Https } else { Transport::Any },
        };
        set.header()
            .inspect_err(|error| tracing::error!(%error, "the cookie's settings make no cookie"))
            .ok()
    }

    fn cookie_name(&self, tenant: &Tenant) -> String {
        format!("{}_{tenant}", self.cookie.name)
    }
}

/// Somebody as no more than their request shows them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stranger<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) address: IpAddr,
    pub(crate) user_agent: &'a str,
}

impl Stranger<'_> {
    /// What the token of a link is signed for. Who makes others follow a link of their own is in
    /// another place than they are, so it is no link for them. Neither part holds a line break.
    fn link(&self) -> String {
        format!("{LINK} {} {}", self.address, self.user_agent)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clickmill_server::config::Secret;
    use clickmill_server::token::SigningKey;
    use hyper::header::COOKIE;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn a_visitor_of_today_is_another_one_tomorrow() {
        let (identities, tenant) = (identities(), Tenant::parse("shop").unwrap());
        let id = |address: &str, user_agent: &str, now| {
            let address = address.parse().unwrap();
            identities.of_today(&Stranger { tenant: &tenant, address, user_agent }, now)
        };
        let today = id("192.0.2.1", "ua", NOW);
        assert_eq!(id("192.0.2.1", "ua", NOW + 1_000), today);
        assert!(today.as_str().starts_with('d') && today.as_str().len() == 33);
        for other in [
            id("192.0.2.1", "ua", NOW + DAY_MS),
            id("192.0.2.2", "ua", NOW),
            id("192.0.2.1", "another", NOW),
        ] {
            assert_ne!(other, today);
        }
    }

    #[test]
    fn a_link_is_for_the_browser_that_was_given_it() {
        let (identities, tenant) = (identities(), Tenant::parse("shop").unwrap());
        let visitor = proof(1).visitor();
        let stranger = |address: &str, user_agent| Stranger {
            tenant: &tenant,
            address: address.parse().unwrap(),
            user_agent,
        };
        let link = identities.lend(&visitor, &stranger("192.0.2.1", "ua"), NOW).unwrap();
        let follow =
            |address, user_agent| identities.follow(&link, &stranger(address, user_agent), NOW);
        assert_eq!(follow("192.0.2.1", "ua"), Ok(visitor));
        assert_eq!(follow("192.0.2.2", "ua"), Err(TokenError::Forged));
        assert_eq!(follow("192.0.2.1", "another"), Err(TokenError::Forged));
        let other = Tenant::parse("other").unwrap();
        let other = Stranger { tenant: &other, ..stranger("192.0.2.1", "ua") };
        assert_eq!(identities.follow(&link, &other, NOW), Err(TokenError::Forged));
    }

    #[test]
    fn a_cookie_can_be_taken_away() {
        let tenant = Tenant::parse("shop").unwrap();
        let header = identities().clear(&tenant).unwrap();
        let header = header.to_str().unwrap();
        assert!(
            header.starts_with("cm_visitor_shop=;") && header.contains("Max-Age=0"),
            "{header}"
        );
    }

    fn proof(seed: u8) -> Proof {
        Proof::mint(&[seed; 32])
    }

    fn cookie_of(seed: u8) -> CookieRead {
        CookieRead { visitor: proof(seed).visitor(), expires_at_ms: NOW.0 + 365 * DAY_MS }
    }

    /// Who is recognised: the number of the proof, and whether by cookie or proof.
    fn check(claimed: Option<u8>, shown: Option<u8>, cookie: Option<u8>, expected: &str) {
        let (claimed, shown) = (claimed.map(|seed| proof(seed).visitor()), shown.map(proof));
        let cookie = cookie.map(cookie_of);
        let evidence = Evidence {
            consented: true,
            claimed: claimed.as_ref(),
            proof: shown.as_ref(),
            cookie: cookie.as_ref(),
        };
        let number = |visitor: &VisitorId| (1..=9).find(|seed| proof(*seed).visitor() == *visitor);
        let standing = match recognise(&evidence) {
            Standing::ByCookie(visitor) => format!("cookie {}", number(&visitor).unwrap()),
            Standing::ByProof(visitor) => format!("proof {}", number(&visitor).unwrap()),
            Standing::ByLink(_) | Standing::Unknown => "unknown".to_owned(),
        };
        assert_eq!(standing, expected);
        let refused = Evidence { consented: false, ..evidence };
        assert_eq!(recognise(&refused), Standing::Unknown);
    }

    #[test]
    fn an_id_alone_proves_nothing() {
        check(Some(1), None, None, "unknown");
        check(None, None, None, "unknown");
    }

    #[test]
    fn a_proof_counts_for_its_own_visitor() {
        check(Some(1), Some(1), None, "proof 1");
        check(None, Some(1), None, "proof 1");
        check(Some(2), Some(1), None, "unknown");
    }

    #[test]
    fn the_cookie_wins_since_it_is_older() {
        check(Some(1), None, Some(1), "cookie 1");
        check(Some(1), Some(1), Some(1), "cookie 1");
        check(None, None, Some(1), "cookie 1");
        // Storage was lost; the page goes on with a new id, with or without its proof.
        check(Some(2), None, Some(1), "cookie 1");
        check(Some(2), Some(2), Some(1), "cookie 1");
        // The id was restored; the page's secret is still that of the id it minted meanwhile.
        check(Some(1), Some(2), Some(1), "cookie 1");
    }

    fn identities() -> Identities {
        let mut config = Config::default();
        let secret = Secret::new("0123456789abcdef");
        config.tokens.keys = vec![SigningKey { id: "k".to_owned(), secret }];
        config.cookie.secure = false;
        Identities::new(&config).unwrap()
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name).unwrap()
    }

    /// The request that a browser makes after it was told to set that cookie.
    fn browser(set_cookie: &HeaderValue) -> HeaderMap {
        let text = set_cookie.to_str().unwrap();
        let pair = text.split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).unwrap())])
    }

    #[test]
    fn a_proof_sets_the_cookie_that_is_recognised_next_time() {
        let identities = identities();
        let (shop, visitor) = (tenant("shop"), proof(1).visitor());
        let standing = Standing::ByProof(visitor.clone());
        let issued = identities.issue(&standing, None, &shop, NOW).unwrap();
        assert_eq!(issued.identity.expires_at, NOW + 3_600_000);
        let claims = identities.signer.verify(HINTS, &issued.identity.token, NOW.0).unwrap();
        assert_eq!((claims.tenant(), claims.subject()), ("shop", visitor.as_str()));

        let set = issued.set_cookie.unwrap();
        let text = set.to_str().unwrap();
        assert!(text.starts_with("cm_visitor_shop=") && text.contains("; HttpOnly"), "{text}");
        assert!(text.contains("; Max-Age=31536000") && text.contains("SameSite=Lax"), "{text}");
        let headers = browser(&set);
        let read = identities.read_cookie(&headers, &shop, NOW).unwrap();
        assert_eq!(read.visitor, visitor);
        assert_eq!(identities.read_cookie(&headers, &tenant("other"), NOW), None);
        assert_eq!(identities.read_cookie(&headers, &shop, NOW + 365 * DAY_MS), None);
    }

    #[test]
    fn a_cookie_is_set_anew_once_a_day() {
        let identities = identities();
        let read = cookie_of(1);
        let standing = Standing::ByCookie(read.visitor.clone());
        let set_after = |ms: u64| {
            let issued = identities.issue(&standing, Some(&read), &tenant("shop"), NOW + ms);
            issued.unwrap().set_cookie.is_some()
        };
        assert!(!set_after(0));
        assert!(!set_after(DAY_MS - 1));
        assert!(set_after(DAY_MS));
    }

    #[test]
    fn a_token_is_no_cookie_and_another_tenants_cookie_is_none() {
        let identities = identities();
        let shop = tenant("shop");
        let standing = Standing::ByProof(proof(1).visitor());
        let issued = identities.issue(&standing, None, &shop, NOW).unwrap();
        for (name, value) in [
            ("cm_visitor_shop", issued.identity.token.as_str()),
            ("cm_visitor_shop", "1.k.shop.v.9999999999999.AAAA"),
        ] {
            let cookie = format!("{name}={value}");
            let headers = HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())]);
            assert_eq!(identities.read_cookie(&headers, &shop, NOW), None);
        }
        // Another tenant's cookie under this tenant's name.
        let foreign = issued.set_cookie.unwrap();
        let renamed = foreign.to_str().unwrap().replacen("_shop", "_b", 1);
        let headers = browser(&HeaderValue::from_str(&renamed).unwrap());
        assert_eq!(identities.read_cookie(&headers, &tenant("b"), NOW), None);
    }

    #[test]
    fn nobody_gets_nothing() {
        assert!(identities().issue(&Standing::Unknown, None, &tenant("shop"), NOW).is_none());
    }
}
