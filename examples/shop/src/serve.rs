//! HTTP around the pages: reads requests, writes answers, sets the headers that every page needs.

mod headers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::Customer;
use clickmill_server::body::{self, BodyError, BodyLimits};
use clickmill_server::clock::SharedClock;
use clickmill_server::cookie::{self, Reader, SameSite, SetCookie, Transport};
use clickmill_server::reply::{self, Body};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, SET_COOKIE};
use hyper::{Method, Request, Response, StatusCode};

use crate::answer::{Answer, Content};
use crate::ask::{Ask, Fields, Verb};
use crate::publish::Publisher;
use crate::routes::{self, FORM_BYTES_MAX};
use crate::sessions::SessionId;
use crate::shop::Shop;
use crate::stock::Level;
use crate::{assets, sdk};

use headers::Policy;

const COOKIE: &str = "shop_session";
const COOKIE_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const FORM_WAIT: Duration = Duration::from_secs(10);

const STYLES: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const PICTURE: HeaderValue = HeaderValue::from_static("image/svg+xml");
const PAGE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Pages differ by visitor and must be asked for again; the rest may be kept for long, since its
/// address changes with it, or for a while.
const FRESH: HeaderValue = HeaderValue::from_static("private, no-cache");
const LASTING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const A_WHILE: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("public, no-cache");

/// Everything that answering takes.
#[derive(Clone, Debug)]
pub struct Front {
    shop: Arc<Shop>,
    publisher: Option<Publisher>,
    sdk_dir: Option<PathBuf>,
    clock: SharedClock,
    policy: Policy,
}

impl Front {
    /// Puts HTTP in front of a shop.
    pub fn new(
        shop: Arc<Shop>,
        publisher: Option<Publisher>,
        sdk_dir: Option<PathBuf>,
        clock: SharedClock,
    ) -> Self {
        let policy = Policy::new(shop.tracking.as_ref());
        Self { shop, publisher, sdk_dir, clock, policy }
    }

    /// Answers one request.
    pub async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        let mut response = match request.method() {
            &Method::GET | &Method::HEAD => match fixed(request.uri().path()) {
                Some(asset) => asset,
                None => match request.uri().path().strip_prefix("/sdk/") {
                    Some(path) => self.sdk(path, &request).await,
                    None => self.page(Verb::Get, request).await,
                },
            },
            &Method::POST => self.page(Verb::Post, request).await,
            _ => reply::empty(StatusCode::METHOD_NOT_ALLOWED),
        };
        self.policy.put(response.headers_mut());
        response
    }

    async fn page(&self, verb: Verb, request: Request<Incoming>) -> Response<Body> {
        if verb == Verb::Post && !headers::is_own(request.headers()) {
            return write(Content::Forbidden);
        }
        let (parts, body) = request.into_parts();
        let form = match verb {
            Verb::Get => Fields::default(),
            Verb::Post => {
                let limits = BodyLimits { bytes_max: FORM_BYTES_MAX, timeout: FORM_WAIT };
                match body::read(body, limits).await {
                    Ok(bytes) => Fields::read(&bytes),
                    Err(error) => return unread(error),
                }
            }
        };
        let ask = Ask {
            verb,
            path: parts.uri.path().to_owned(),
            query: Fields::read(parts.uri.query().unwrap_or("").as_bytes()),
            form,
            session: cookie::find(&parts.headers, COOKIE).and_then(SessionId::parse),
            random: uuid::Uuid::new_v4().as_u128(),
            now_ms: self.clock.now_ms(),
        };
        let Answer { content, session, levels, customer } = routes::answer(&self.shop, &ask);
        self.publish(levels);
        self.publish_customer(customer);
        let mut response = write(content);
        if let Some(cookie) = session.and_then(set_cookie) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }

    async fn sdk(&self, path: &str, request: &Request<Incoming>) -> Response<Body> {
        let Some(folder) = self.sdk_dir.clone() else {
            return reply::empty(StatusCode::NOT_FOUND);
        };
        let path = path.to_owned();
        let file = tokio::task::spawn_blocking(move || sdk::read(&folder, &path)).await;
        let Ok(Some(file)) = file else { return reply::empty(StatusCode::NOT_FOUND) };
        let known = request.headers().get(IF_NONE_MATCH);
        let mut response = match known.is_some_and(|tag| tag.as_bytes() == file.tag.as_bytes()) {
            true => reply::empty(StatusCode::NOT_MODIFIED),
            false => {
                let media_type = HeaderValue::from_static(file.media_type);
                reply::with_type(StatusCode::OK, media_type, reply::whole(file.bytes))
            }
        };
        response.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
        if let Ok(tag) = HeaderValue::try_from(file.tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }

    /// Tells Kafka in the background, like levels: what got lost is told again at the next log-in or order.
    fn publish_customer(&self, customer: Option<Customer>) {
        let Some((publisher, customer)) = self.publisher.clone().zip(customer) else { return };
        tokio::spawn(async move {
            if let Err(error) = publisher.customer(&customer).await {
                tracing::warn!(%error, "what is known of a customer is not published");
            }
        });
    }

    /// Tells Kafka in the background: somebody who orders does not wait for it. A level that got
    /// lost is mended by the next publication of all levels.
    fn publish(&self, levels: Vec<Level>) {
        let Some(publisher) = self.publisher.clone().filter(|_| !levels.is_empty()) else { return };
        let now_ms = self.clock.now_ms();
        tokio::spawn(async move {
            if let Err(error) = publisher.levels(&levels, now_ms).await {
                tracing::warn!(%error, "stock levels not published; the next round repeats them");
            }
        });
    }
}

/// Styles, script and icon.
fn fixed(path: &str) -> Option<Response<Body>> {
    let (media_type, text) = match path {
        "/assets/shop.css" => (STYLES, assets::STYLES),
        "/assets/shop.js" => (SCRIPT, assets::SCRIPT),
        "/assets/icon.svg" => (PICTURE, assets::ICON),
        _ => return None,
    };
    let mut response = reply::with_type(StatusCode::OK, media_type, reply::whole(text));
    response.headers_mut().insert(CACHE_CONTROL, LASTING);
    Some(response)
}

/// Content as HTTP: one status for each kind.
fn write(content: Content) -> Response<Body> {
    let page = |status, markup: maud::Markup| {
        cached(reply::with_type(status, PAGE, reply::whole(markup.into_string())), FRESH)
    };
    match content {
        Content::Forbidden => {
            reply::text(StatusCode::FORBIDDEN, "this form was sent from elsewhere\n")
        }
        Content::Missing(markup) => page(StatusCode::NOT_FOUND, markup),
        Content::Page(markup) => page(StatusCode::OK, markup),
        Content::Picture(svg) => {
            cached(reply::with_type(StatusCode::OK, PICTURE, reply::whole(svg)), A_WHILE)
        }
        Content::See(path) => see(path),
        Content::Text(text) => reply::text(StatusCode::OK, text),
        Content::Unfit(markup) => page(StatusCode::UNPROCESSABLE_ENTITY, markup),
        Content::WrongVerb => reply::text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n"),
    }
}

fn cached(mut response: Response<Body>, how: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, how);
    response
}

fn see(path: String) -> Response<Body> {
    let mut response = reply::empty(StatusCode::SEE_OTHER);
    // Paths are our own; one that is no header value leads home.
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

fn unread(error: BodyError) -> Response<Body> {
    let status = match error {
        BodyError::Broken => StatusCode::BAD_REQUEST,
        BodyError::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    reply::text(status, format!("{error}\n"))
}

fn set_cookie(session: SessionId) -> Option<HeaderValue> {
    let value = session.to_string();
    SetCookie {
        name: COOKIE,
        value: &value,
        domain: None,
        path: "/",
        max_age: COOKIE_AGE,
        reader: Reader::Server,
        same_site: SameSite::Lax,
        transport: Transport::Any,
    }
    .header()
    .ok()
}
