//! A delivery: what all events of one batch have in common once they are in.

use std::sync::Arc;

use clickmill_sdk_core::wire::{Arrival, Consent, Context, Purpose, QueueId, Record};
use hyper::header::{HeaderMap, HeaderName};

use crate::memory::Share;
use crate::site::Site;

/// How a browser says that its visitor does not want to be sold or shared.
const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");

/// W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What all events of one batch have in common.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Where it came from.
    pub(crate) site: Arc<Site>,
    /// How it came.
    pub(crate) arrival: Arrival,
    /// The context that its events share, as it was sent.
    pub(crate) shared: Context,
    /// Whether the browser sent the privacy signal along.
    pub(crate) gpc: bool,
    /// The trace that the request belongs to.
    pub(crate) traceparent: Option<String>,
    /// The memory that its events take. Its flight holds on to it until it has landed, even when
    /// the request is long gone.
    #[expect(dead_code, reason = "it is held and not read")]
    pub(crate) memory: Share,
}

impl Delivery {
    /// What the visitor has allowed, as that context tells it or else the site's default, with the
    /// browser's signal on top.
    pub(crate) fn consent(&self, context: &Context) -> Consent {
        let mut consent = context.consent.clone().unwrap_or_else(|| self.site.consent.clone());
        consent.gpc |= self.gpc;
        consent
    }

    /// Whether a stable id may be kept for a visitor with that context.
    pub(crate) fn may_recognise(&self, context: &Context) -> bool {
        self.consent(context).allows(Purpose::Analytics)
    }

    /// Writes what was allowed into the context, so that nobody downstream needs the site's default,
    /// and takes out what was not: without consent to analytics, every id that outlives the page.
    pub(crate) fn enforce(&self, context: &mut Context) {
        let consent = self.consent(context);
        if !consent.allows(Purpose::Analytics) {
            context.visitor = None;
            context.session = None;
            context.customer = None;
        }
        context.consent = Some(consent);
    }

    /// The same for a whole record: its queue outlives the page too, so without consent it stands
    /// in one of its own.
    pub(crate) fn enforce_on(&self, record: &mut Record) {
        if !self.may_recognise(&record.context) {
            record.queue = QueueId::of(record.id);
            record.seq = 0;
        }
        self.enforce(&mut record.context);
    }
}

/// Whether the browser sends the privacy signal.
pub(crate) fn gpc(headers: &HeaderMap) -> bool {
    headers.get(SEC_GPC).is_some_and(|value| value.as_bytes() == b"1")
}

/// The trace of a request, if it is written as version 00 has it.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else { return None };
    let lawful = *version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    lawful.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_trace_is_carried_only_in_its_own_form() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(&headers(TRACEPARENT, good)).as_deref(), Some(good));
        for bad in ["", "00-x-y-01", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
            assert_eq!(traceparent(&headers(TRACEPARENT, bad)), None, "{bad}");
        }
    }

    #[test]
    fn the_privacy_signal_is_a_one() {
        assert!(gpc(&headers(SEC_GPC, "1")));
        assert!(!gpc(&headers(SEC_GPC, "0")));
        assert!(!gpc(&HeaderMap::new()));
    }
}
