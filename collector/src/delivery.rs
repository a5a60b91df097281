//! A delivery: what all events of one batch have in common once they are in.

use std::sync::Arc;

use clickmill_kafka::{Headers, names};
use clickmill_sdk_core::wire::{Arrival, Consent, Context, CustomerId, Purpose, ToJson, VisitorId};
use clickmill_server::trace::TraceParent;
use hyper::header::{HeaderMap, HeaderName};

use crate::site::Site;

/// How a browser says that its visitor does not want to be sold or shared.
const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");

/// Room for the headers of one record, in bytes.
const HEADERS_BYTES: usize = 384;

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
    /// The place in a trace that its events carry.
    pub(crate) traceparent: Option<TraceParent>,
    /// Whom the cookie knows.
    pub(crate) by_cookie: Option<VisitorId>,
    /// Who the visitor is for today, where the site asks for that.
    pub(crate) of_today: Option<VisitorId>,
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
        let consent = context.consent.as_ref().unwrap_or(&self.site.consent);
        consent.allows(Purpose::Analytics)
    }

    /// Writes what was allowed into the context, so that nobody downstream needs the site's default,
    /// and takes out what was not: without consent to analytics, every id that outlives the page.
    /// What an address says of somebody goes in any case. The SDK's books end here, where they are counted.
    pub(crate) fn enforce(&self, context: &mut Context) {
        let consent = self.consent(context);
        if !consent.allows(Purpose::Analytics) {
            // Who has refused is not even known for a day.
            let may_be_counted = context.consent.is_none() && !consent.gpc;
            context.visitor = self.of_today.clone().filter(|_| may_be_counted);
            context.session = None;
            context.customer = None;
        }
        context.consent = Some(consent);
        let urls = [context.page.as_mut().map(|page| &mut page.url), context.referrer.as_mut()];
        for url in urls.into_iter().flatten() {
            if let Some(cleaned) = self.site.query.cleaned(url) {
                *url = cleaned;
            }
        }
        if let Some(sdk) = &mut context.sdk {
            sdk.books = None;
        }
    }

    /// The parts of records that this delivery's events share, written once.
    pub(crate) fn common(&self) -> Common {
        let site = &self.site;
        let mut headers = Headers::with_capacity(HEADERS_BYTES);
        headers.push(names::CE_SPECVERSION, "1.0");
        headers.push(names::CE_SOURCE, format!("/{}/{}", site.tenant, site.write_key));
        headers.push(names::CONTENT_TYPE, "application/json");
        if let Some(trace) = &self.traceparent {
            headers.push(names::TRACEPARENT, trace.as_str());
        }
        let arrival = Written(self.arrival.to_json());
        Common { circumstances: self.circumstances(&self.shared), arrival, headers }
    }

    /// What an event with that context carries, written.
    pub(crate) fn circumstances(&self, context: &Context) -> Circumstances {
        let mut context = context.clone();
        self.enforce(&mut context);
        self.written(&context)
    }

    /// The same for a visitor's decision about consent. Also one that refuses tells whose it is, or
    /// nobody downstream could carry it out; it names the visitor and nothing else.
    pub(crate) fn decision(&self, context: &Context) -> Circumstances {
        let mut kept = context.clone();
        self.enforce(&mut kept);
        if !self.may_recognise(&kept) {
            kept.visitor = self.by_cookie.as_ref().or(context.visitor.as_ref()).cloned();
        }
        self.written(&kept)
    }

    fn written(&self, context: &Context) -> Circumstances {
        Circumstances {
            recognised: self.may_recognise(context),
            key: context.key(&self.site.tenant).map(Arc::from),
            visitor: context.visitor.clone(),
            customer: context.customer.clone(),
            context: Written(context.to_json()),
        }
    }
}

/// A JSON text that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written(pub(crate) String);

impl ToJson for Written {
    fn write(&self, w: &mut clickmill_sdk_core::wire::json::Writer) {
        w.raw(&self.0);
    }
}

/// The parts of records that one batch's events share.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) arrival: Written,
    /// Those of an event that tells nothing of its own.
    pub(crate) circumstances: Circumstances,
    /// The headers that do not depend on the event; the others follow.
    pub(crate) headers: Headers,
}

/// What an event carries of who, where and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// The context, after what was not allowed is gone.
    pub(crate) context: Written,
    /// The record's key: tenant and visitor. Whoever shares it shares an order.
    pub(crate) key: Option<Arc<str>>,
    /// Whose it is.
    pub(crate) visitor: Option<VisitorId>,
    /// Whom the sender says the visitor is.
    pub(crate) customer: Option<CustomerId>,
    /// Whether the visitor may be known again.
    pub(crate) recognised: bool,
}

/// Whether the browser sends the privacy signal.
pub(crate) fn gpc(headers: &HeaderMap) -> bool {
    headers.get(SEC_GPC).is_some_and(|value| value.as_bytes() == b"1")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_privacy_signal_is_a_one() {
        assert!(gpc(&headers(SEC_GPC, "1")));
        assert!(!gpc(&headers(SEC_GPC, "0")));
        assert!(!gpc(&HeaderMap::new()));
    }
}
