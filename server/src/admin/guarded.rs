//! Routes of a service's own on the admin listener, behind a token.

use std::fmt;
use std::sync::Arc;

use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use crate::bearer::bearer;
use crate::config::Secret;
use crate::query;
use crate::reply::{self, Body};

/// What answers them.
pub type Answer = Arc<dyn Fn(&Parts) -> Response<Body> + Send + Sync>;

/// Routes that only those are answered who know the token.
#[derive(Clone)]
pub struct Guarded {
    /// What their paths begin with.
    pub prefix: &'static str,
    /// The token; without one the routes are off.
    pub token: Option<Secret>,
    /// The configuration key of the token, for those who find the routes off.
    pub key: &'static str,
    /// What answers.
    pub answer: Answer,
}

impl Guarded {
    pub(super) fn covers(&self, path: &str) -> bool {
        path.starts_with(self.prefix)
    }

    pub(super) fn call(&self, head: &Parts) -> Response<Body> {
        let Some(token) = &self.token else {
            let text = format!("off: no token is configured (`{}`)\n", self.key);
            return reply::text(StatusCode::NOT_FOUND, text);
        };
        if is_shown(head, token) {
            return (self.answer)(head);
        }
        let text = "show the token: `Authorization: Bearer <token>` or `?token=<token>`\n";
        let mut response = reply::text(StatusCode::UNAUTHORIZED, text);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        response
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Whether the request shows the token. How long the answer takes tells nothing of it but its
/// length.
fn is_shown(head: &Parts, token: &Secret) -> bool {
    let same = |shown: &[u8]| token.is(shown);
    bearer(&head.headers).is_some_and(same)
        || query::find(&head.uri, "token").is_some_and(|t| same(t.as_bytes()))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn status(token: Option<&str>, request: hyper::http::request::Builder) -> u16 {
        let guarded = Guarded {
            prefix: "/own/",
            token: token.map(Secret::new),
            key: "own.token",
            answer: Arc::new(|_| reply::text(StatusCode::OK, "")),
        };
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert!(guarded.covers(head.uri.path()));
        guarded.call(&head).status().as_u16()
    }

    #[test]
    fn only_who_shows_the_token_is_answered() {
        let get = |path: &str| Request::get(path.to_owned());
        let with = |value: &str| get("/own/a").header("authorization", value.to_owned());
        for (request, wanted) in [
            (get("/own/a"), 401),
            (get("/own/a?token="), 401),
            (get("/own/a?token=secre"), 401),
            (get("/own/a?token=secret2"), 401),
            (with("secret"), 401),
            (with("Basic secret"), 401),
            (with("Bearer other"), 401),
            (get("/own/a?token=secret"), 200),
            (with("Bearer secret"), 200),
            (with("bearer  secret"), 200),
        ] {
            let shown = format!("{request:?}");
            assert_eq!(status(Some("secret"), request), wanted, "{shown}");
        }
        assert_eq!(status(None, with("Bearer ")), 404);
    }
}
