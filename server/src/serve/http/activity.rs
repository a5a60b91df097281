//! Whether an HTTP/2 connection has an open request, which hyper does not tell.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::service::Service;
use hyper::{Request, Response};
use tokio::time::sleep;

use crate::reply::{Body, BoxError};
use http_body_util::BodyExt;

/// The requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    /// Resolves once there was no open request for that long; at the latest after twice the time.
    pub(super) fn idle(self: &Arc<Self>, time: Duration) -> impl Future<Output = ()> + use<> {
        let activity = Arc::clone(self);
        async move {
            let mut seen = None;
            loop {
                let begun = activity.begun.load(Ordering::Relaxed);
                let is_idle = begun == activity.ended.load(Ordering::Relaxed);
                if is_idle && seen == Some(begun) {
                    return;
                }
                seen = is_idle.then_some(begun);
                sleep(time).await;
            }
        }
    }
}

/// One open request, until its answer is out or given up.
struct Open(Arc<Activity>);

impl Open {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A service whose requests are counted as long as they are open.
pub(super) struct Attended<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S> Attended<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }
}

impl<B, S> Service<Request<B>> for Attended<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let open = Open::new(&self.activity);
        let answering = self.inner.call(request);
        Box::pin(async move {
            let response = answering.await?;
            Ok(response.map(|body| Held { body, _open: open }.boxed_unsync()))
        })
    }
}

/// A body whose request is open until it is dropped.
struct Held {
    body: Body,
    _open: Open,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_after_a_while_without_an_open_request() {
        let activity = Arc::new(Activity::default());
        let started = Instant::now();
        activity.idle(TIME).await;
        assert_eq!(started.elapsed(), TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_keeps_it_and_so_does_a_short_one_in_between() {
        let activity = Arc::new(Activity::default());
        let open = Open::new(&activity);
        let idle = tokio::spawn(activity.idle(TIME));
        sleep(10 * TIME).await;
        assert!(!idle.is_finished());
        drop(open);
        for _ in 0..10 {
            sleep(TIME / 2).await;
            drop(Open::new(&activity));
        }
        assert!(!idle.is_finished());
        let started = Instant::now();
        idle.await.unwrap();
        assert!(started.elapsed() >= TIME / 2 && started.elapsed() <= 2 * TIME);
    }
}
