//! The operators' listener: `/live`, `/ready` and `/metrics`, apart from the public one.
//!
//! `/live` says that the process answers; `/ready` that it should get traffic. A drain makes it
//! not ready and leaves it live, so the listener runs until the service has ended everything else.
//! A service may add routes of its own, which are only answered to those who show a token.

mod guarded;
mod readiness;

use std::fmt;
use std::future::ready;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use crate::metrics::{self, Metrics};
use crate::reply::{self, Body};
use crate::serve::{ConnectionLimits, ConnectionMetrics, Serve, Transport, serve};
use crate::shutdown::Shutdown;

pub use guarded::{Answer, Guarded};
pub use readiness::{Check, Readiness, Report};

/// How long the listener's own connections may take to end.
const GRACE: Duration = Duration::from_millis(500);

/// A page on its way.
pub type Page = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What answers for pages; none where there is no such page.
pub type PageAnswer = Arc<dyn Fn(&Parts) -> Option<Page> + Send + Sync>;

/// Pages of a service, for whoever reaches the admin listener.
#[derive(Clone)]
pub struct Pages(pub PageAnswer);

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// All that the admin listener needs.
#[derive(Debug)]
pub struct Admin {
    /// The bound socket.
    pub listener: TcpListener,
    /// The service's metrics.
    pub metrics: Metrics,
    /// Whether the service should get traffic.
    pub readiness: Readiness,
    /// Routes of the service's own.
    pub guarded: Option<Guarded>,
    /// Pages of the service's own, for whoever reaches this listener.
    pub pages: Option<Pages>,
    /// Ends this listener: pressed by the service as the last step of its drain.
    pub stop: Shutdown,
}

/// Serves until `stop` is pressed.
pub async fn run(admin: Admin) {
    let Admin { listener, metrics, readiness, guarded, pages, stop } = admin;
    let connection_metrics = ConnectionMetrics::new(&metrics, "admin");
    let service = move |request: Request<Incoming>, _: SocketAddr| {
        let (head, _) = request.into_parts();
        let own = guarded.as_ref().filter(|guarded| guarded.covers(head.uri.path()));
        match own {
            Some(guarded) if is_asking(&head) => at_once(guarded.call(&head)),
            Some(_) | None => {
                let page =
                    pages.as_ref().filter(|_| is_asking(&head)).and_then(|pages| (pages.0)(&head));
                page.unwrap_or_else(|| at_once(answer(&head, &metrics, &readiness)))
            }
        }
    };
    serve(Serve {
        listener,
        transport: Transport::default(),
        service,
        limits: limits(),
        shutdown: stop,
        grace: GRACE,
        metrics: connection_metrics,
    })
    .await;
}

/// A page that is there.
pub fn at_once(page: Response<Body>) -> Page {
    Box::pin(ready(page))
}

fn limits() -> ConnectionLimits {
    const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
    ConnectionLimits { connections_max: CONNECTIONS_MAX, ..ConnectionLimits::default() }
}

fn is_asking(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD)
}

fn answer(head: &Parts, metrics: &Metrics, readiness: &Readiness) -> Response<Body> {
    if !is_asking(head) {
        return reply::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match head.uri.path() {
        "/live" => reply::text(StatusCode::OK, "live\n"),
        "/ready" => {
            let report = readiness.report();
            let status =
                if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            reply::text(status, report.to_string())
        }
        "/metrics" => {
            let media_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
            reply::with_type(StatusCode::OK, media_type, reply::whole(metrics.render()))
        }
        _ => reply::text(StatusCode::NOT_FOUND, "here are /live, /ready and /metrics\n"),
    }
}
