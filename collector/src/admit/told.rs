//! What senders are told of a quota: the two headers of the IETF's draft on rate limits. A quota is so
//! many in any second; what is left is what may be sent now, of which no more than that is told.

use std::num::NonZeroU32;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Which quotas there are.
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left of them.
pub(crate) const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Tells that nothing is left of that quota for so many seconds.
pub(crate) fn used_up(quota: &str, per_s: u32, seconds: u64, headers: &mut HeaderMap) {
    headers.insert(POLICY, value(format!("\"{quota}\";q={per_s};w=1")));
    headers.insert(LEFT, value(format!("\"{quota}\";r=0;t={seconds}")));
}

/// What is told of the quota of a write key; its unchanging half is written once.
#[derive(Clone, Debug)]
pub(super) struct KeyQuotaTold {
    per_s: NonZeroU32,
    policy: HeaderValue,
}

impl KeyQuotaTold {
    pub(super) fn new(per_s: NonZeroU32) -> Self {
        Self { per_s, policy: value(format!("\"key\";q={per_s};w=1")) }
    }

    /// Tells how many events may be sent now.
    pub(super) fn tell(&self, left: u32, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy.clone());
        headers.insert(LEFT, value(format!("\"key\";r={}", left.min(self.per_s.get()))));
    }
}

fn value(text: String) -> HeaderValue {
    // Letters, digits and marks of ASCII are always a valid header.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}
