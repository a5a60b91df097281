//! Trace: a span for each request that is sampled, and for each that fails. All others cost a look
//! at one header.

use std::sync::Arc;
use std::time::Instant;

use clickmill_sdk_core::wire::Outcome;
use clickmill_server::metrics::Counter;
use clickmill_server::trace::{TraceIds, TraceParent};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use tracing::Span;
use tracing::field::{Empty, display};

use crate::config::{Sampling, TracesConfig};
use crate::produce::Landed;
use crate::site::Site;

/// Begins and ends the spans of requests.
#[derive(Debug)]
pub(crate) struct Tracer {
    sample: Sampling,
    /// Strangers set the flag that samples, so the number of spans is bounded.
    room: DefaultDirectRateLimiter,
    ids: TraceIds,
    left_out: Counter,
}

/// One request. A client that leaves drops it unended, which is a line of its own.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) started: Instant,
    /// What its events carry: our own place if it has a span, else what the request came with.
    pub(crate) parent: Option<TraceParent>,
    /// Disabled unless it is sampled.
    pub(crate) span: Span,
    noted: Option<Noted>,
    ended: bool,
}

/// What became of its events.
#[derive(Debug)]
struct Noted {
    site: Arc<Site>,
    accepted: u64,
    duplicate: u64,
    rejected: u64,
    retry: u64,
}

impl Tracer {
    /// Spans that find no room are counted.
    pub(crate) fn new(config: &TracesConfig, left_out: Counter) -> Self {
        Self {
            sample: config.sample,
            room: RateLimiter::direct(Quota::per_second(config.spans_per_s_max)),
            ids: TraceIds::default(),
            left_out,
        }
    }

    /// Begins a request.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Trace {
        let parent = TraceParent::of(headers);
        let started = Instant::now();
        let sampled = match self.sample {
            Sampling::All => true,
            Sampling::Flagged => parent.is_some_and(|parent| parent.is_sampled()),
            Sampling::Off => false,
        };
        if sampled && self.has_room() {
            let (span, own) = self.open(parent);
            if !span.is_disabled() {
                return Trace { started, parent: Some(own), span, noted: None, ended: false };
            }
        }
        Trace { started, parent, span: Span::none(), noted: None, ended: false }
    }

    /// Ends a request; one that failed has a span by now.
    pub(crate) fn end(&self, mut trace: Trace, status: StatusCode) {
        trace.ended = true;
        let failed = status.is_server_error() && self.sample != Sampling::Off;
        if trace.span.is_none() && failed && self.has_room() {
            trace.span = self.open(trace.parent).0;
        }
        if !trace.span.is_disabled() {
            trace.tell(status);
        }
    }

    fn has_room(&self) -> bool {
        let has_room = self.room.check().is_ok();
        if !has_room {
            self.left_out.increment(1);
        }
        has_room
    }

    /// A span and its place in the trace.
    fn open(&self, parent: Option<TraceParent>) -> (Span, TraceParent) {
        let own = match parent {
            Some(parent) => parent.child(&self.ids),
            None => TraceParent::root(&self.ids),
        };
        // A warning, so that a span is there for whatever is logged inside it.
        let span = tracing::warn_span!(
            "request",
            trace_id = own.trace_id(),
            span_id = own.span_id(),
            parent_id = Empty,
            key = Empty,
            accepted = Empty,
            duplicate = Empty,
            rejected = Empty,
            retry = Empty,
            status = Empty,
            duration_us = Empty,
        );
        if let Some(parent) = parent {
            span.record("parent_id", parent.span_id());
        }
        (span, own)
    }
}

impl Trace {
    /// Notes what became of a request's events.
    pub(crate) fn note(&mut self, site: &Arc<Site>, landed: &[Landed]) {
        let mut noted =
            Noted { site: Arc::clone(site), accepted: 0, duplicate: 0, rejected: 0, retry: 0 };
        for landed in landed {
            *match landed.outcome {
                Outcome::Accepted => &mut noted.accepted,
                Outcome::Duplicate => &mut noted.duplicate,
                Outcome::Rejected(_) => &mut noted.rejected,
                Outcome::Retry { .. } => &mut noted.retry,
            } += 1;
        }
        self.noted = Some(noted);
    }

    fn tell(&self, status: StatusCode) {
        let span = &self.span;
        self.measure();
        span.record("status", status.as_u16());
        if status.is_server_error() {
            tracing::warn!(parent: span, "request failed");
        } else {
            tracing::info!(parent: span, "request answered");
        }
    }

    /// Records what is known of it, and how long it took.
    fn measure(&self) {
        let span = &self.span;
        if let Some(noted) = &self.noted {
            span.record("key", display(&noted.site.write_key));
            span.record("accepted", noted.accepted);
            span.record("duplicate", noted.duplicate);
            span.record("rejected", noted.rejected);
            span.record("retry", noted.retry);
        }
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        span.record("duration_us", duration_us);
    }
}

impl Drop for Trace {
    /// Nobody is left to answer: the span ends here, without a status.
    fn drop(&mut self) {
        if !self.ended && !self.span.is_disabled() {
            self.measure();
            tracing::info!(parent: &self.span, "client left before its answer");
        }
    }
}
