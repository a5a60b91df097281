//! The inspector's routes on the admin listener.

use std::sync::Arc;

use clickmill_server::admin::Guarded;
use clickmill_server::config::Secret;
use clickmill_server::reply::{self, Body, BoxError};
use clickmill_server::shutdown::Shutdown;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::filter::{Form, Wish};
use super::hub::Inspector;
use super::seat::Seat;

/// The routes, behind the token; streams end when `stop` is pressed.
pub(crate) fn guarded(inspector: Inspector, token: Option<Secret>, stop: Shutdown) -> Guarded {
    Guarded {
        prefix: "/inspect/",
        token,
        key: "inspect.token",
        answer: Arc::new(move |head| match head.uri.path() {
            "/inspect/tail" => tail(&inspector, head, &stop),
            _ => reply::text(StatusCode::NOT_FOUND, "here is /inspect/tail\n"),
        }),
    }
}

fn tail(inspector: &Inspector, head: &Parts, stop: &Shutdown) -> Response<Body> {
    let wish = match Wish::read(&head.uri) {
        Ok(wish) => wish,
        Err(problem) => return reply::text(StatusCode::BAD_REQUEST, format!("{problem}\n")),
    };
    let Some(place) = inspector.join() else {
        let text = "as many look already as may (`inspect.readers_max`)\n";
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let form = wish.form.unwrap_or_else(|| accepted(head));
    let seat = Seat::new(place, wish, form, stop);
    let pieces = stream::unfold(seat, |mut seat| async move {
        let piece = seat.next().await?;
        Some((Ok::<_, BoxError>(Frame::data(piece)), seat))
    });
    let media_type = HeaderValue::from_static(match form {
        Form::Json => "application/x-ndjson",
        Form::Sse => "text/event-stream",
    });
    reply::with_type(StatusCode::OK, media_type, StreamBody::new(pieces).boxed_unsync())
}

fn accepted(head: &Parts) -> Form {
    let accepts = head.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let sse = accepts.is_some_and(|accepts| accepts.contains("text/event-stream"));
    if sse { Form::Sse } else { Form::Json }
}
