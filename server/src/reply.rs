//! Responses that both services give.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every response. An error in the middle cuts the connection.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response with a JSON text that is already written. It is not cached unless the caller changes
/// that header.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    with_type(status, HeaderValue::from_static("application/json"), whole(text))
}

/// A response for people.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    with_type(status, HeaderValue::from_static("text/plain; charset=utf-8"), whole(text))
}

/// A response whose body has any type.
pub fn with_type(status: StatusCode, media_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = empty(status);
    *response.body_mut() = body;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A response whose body goes on for long, and is written piece by piece. Over HTTP/1 the server
/// keeps as little as it can for it; trailers are not written.
pub fn stream(media_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = with_type(StatusCode::OK, media_type, body);
    response.extensions_mut().insert(Endless);
    response
}

/// Marks a [`stream`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// A body that is there as a whole.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn json_is_typed_and_not_cached() {
        let response = json(StatusCode::TOO_MANY_REQUESTS, r#"{"retry_after_ms":5}"#);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"{"retry_after_ms":5}"#);
    }

    #[test]
    fn an_empty_reply_has_no_type() {
        assert!(!empty(StatusCode::NO_CONTENT).headers().contains_key(CONTENT_TYPE));
    }
}
