//! Decides for web servers while they render a page: `POST /v1/decide`.
//!
//! The body is `{"visitor": id, "slots": [slot, …]}` with up to [`SLOTS_MAX`] slots. `"sku"` names
//! the product that the page is about, though its view was not told yet, `"page"` what sort of page it
//! is (as in `page_view`), `"category"` the category that it lists, and `"after": place`, as a receipt
//! tells it, has the answer wait until that event is in it. `Authorization: Bearer <key>` shows the
//! server's key, which names its tenant.
//!
//! The answer is `{"visitor": id, "hints": [{"id", "event", "data"}, …]}`: what a stream would tell,
//! at the most one hint for each slot. What is told here counts as told: other pages of the visitor
//! hear it, and it is taken back when it stops being true. Another instance's visitor is asked of
//! that one, in one hop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    Millis, PageKind, Refusal, RefusalCode, Sku, Slot, Tenant, ToJson as _, VisitorId,
};
use clickmill_streams::NotHere;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::ask::{Place, Told, Unanswered};
use crate::hints::delivery::{Delivery, Way};
use crate::hints::frame::Frame;
use crate::hints::hub::Subject;
use crate::metrics::AskMeters;
use crate::react::Wish;

/// Where servers ask.
pub const PATH: &str = "/v1/decide";

/// The most slots of one page.
pub const SLOTS_MAX: usize = 20;

/// How long an answer may wait for an event, or for a partition that changes hands.
pub const WAIT_MAX: Duration = Duration::from_secs(2);

/// Between two looks at who owns a partition that changes hands.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Decides for web servers.
#[derive(Debug)]
pub struct Render {
    /// Who decides for whom, and what is said.
    pub delivery: Arc<Delivery>,
    /// What is counted.
    pub meters: AskMeters,
}

/// What a server asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    visitor: VisitorId,
    slots: Vec<Slot>,
    #[serde(default)]
    sku: Option<Sku>,
    #[serde(default)]
    page: Option<PageKind>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    after: Option<Place>,
}

/// The same from another instance, which has looked at the server's key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed<'a> {
    tenant: Tenant,
    #[serde(borrow)]
    asked: &'a RawValue,
}

impl Render {
    /// Answers a server of a tenant.
    pub async fn answer(&self, tenant: &Tenant, body: &Bytes) -> Told {
        let Some(asked) = Asked::read(body) else { return malformed() };
        let subject = Subject::new(tenant, &asked.visitor);
        let deadline = Instant::now() + WAIT_MAX;
        let mut news = self.delivery.hub.news();
        let mut refused = None;
        loop {
            news.mark_unchanged();
            match self.delivery.way(&subject) {
                Way::Here => {
                    let told = self.here((tenant, &subject), &asked, deadline).await;
                    if told.status != StatusCode::MISDIRECTED_REQUEST {
                        self.meters.here.increment(1);
                        return told;
                    }
                }
                Way::There(owner) if refused.is_none_or(|epoch| owner.epoch > epoch) => {
                    let told = self.there(&owner.address, (tenant, body), deadline).await;
                    if told.status != StatusCode::MISDIRECTED_REQUEST {
                        return told;
                    }
                    refused = Some(owner.epoch);
                }
                Way::There(_) | Way::Nowhere => {}
            }
            if self.delivery.peers.is_none() && matches!(self.delivery.way(&subject), Way::Nowhere)
            {
                return Unanswered::Elsewhere.into();
            }
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_EVERY), news.changed()).await;
            if Instant::now() >= deadline {
                return Unanswered::NotYet.into();
            }
        }
    }

    /// Answers another instance.
    pub async fn passed(&self, body: &[u8]) -> Told {
        let Ok(Passed { tenant, asked }) = serde_json::from_slice(body) else { return malformed() };
        let Some(asked) = Asked::read(asked.get().as_bytes()) else { return malformed() };
        let subject = Subject::new(&tenant, &asked.visitor);
        self.here((&tenant, &subject), &asked, Instant::now() + WAIT_MAX).await
    }

    async fn here(
        &self,
        (tenant, subject): (&Tenant, &Subject),
        asked: &Asked,
        deadline: Instant,
    ) -> Told {
        let visitors = &self.delivery.visitors;
        let looked = async {
            if !self.delivery.react.is_ready() {
                return Err(NotHere::Restoring);
            }
            let partition = visitors.partition_of(subject.key())?;
            if let Some(after) = asked.after {
                if after.partition != partition {
                    return Ok(Err(Unanswered::OtherPartition));
                }
                visitors.caught_up((after.partition, after.offset), deadline).await?;
            }
            let found = match visitors.find(subject.key(), deadline).await {
                Ok(found) => Some(found.visitor),
                // Nothing is known of a visitor on the first page.
                Err(NotHere::Unknown) => None,
                Err(why) => return Err(why),
            };
            Ok(Ok((partition, found)))
        };
        let (partition, found) = match looked.await {
            Ok(Ok(found)) => found,
            Ok(Err(why)) => return why.into(),
            Err(why) => return Unanswered::from(why).into(),
        };
        let wish = Wish {
            tenant,
            visitor: &asked.visitor,
            slots: &asked.slots,
            sku: asked.sku.as_ref(),
            page: asked.page,
            category: asked.category.as_deref(),
            partition,
        };
        let known = found.map(|visitor| {
            let last = visitor.last_asked((tenant.clone(), asked.visitor.clone()));
            let now = Millis(self.delivery.clock.now_ms());
            let unasked = || wish.of_unasked(visitor.unasked(), now);
            last.map_or_else(unasked, |(_, signals)| signals)
        });
        match self.delivery.react.decide(subject, &wish, known) {
            Some(frames) => {
                Told { status: StatusCode::OK, answer: written(&asked.visitor, &frames) }
            }
            None => Unanswered::Elsewhere.into(),
        }
    }

    async fn there(
        &self,
        address: &str,
        (tenant, body): (&Tenant, &Bytes),
        deadline: Instant,
    ) -> Told {
        let Some(peers) = &self.delivery.peers else { return Unanswered::NotYet.into() };
        self.meters.forwarded.increment(1);
        let mut w = Writer::with_capacity(body.len() + 64);
        w.object(|w| {
            w.field("tenant", Some(tenant));
            // It was read as JSON, so it is text.
            w.key("asked").raw(std::str::from_utf8(body).unwrap_or("null"));
        });
        match peers.decide(address, w.finish().into(), deadline).await {
            Ok(told) => told,
            Err(why) => {
                tracing::debug!(address, %why, "a peer does not answer");
                self.meters.unreached.increment(1);
                Unanswered::NotYet.into()
            }
        }
    }
}

impl Asked {
    fn read(body: &[u8]) -> Option<Self> {
        let asked: Self = serde_json::from_slice(body).ok()?;
        (1..=SLOTS_MAX).contains(&asked.slots.len()).then_some(asked)
    }
}

fn malformed() -> Told {
    let detail = format!(
        "the body must be `{{\"visitor\": id, \"slots\": [slot, …]}}` with 1 to {SLOTS_MAX} slots; \
         \"sku\", \"page\", \"category\" and \"after\" may be in it"
    );
    let refusal = Refusal { error: RefusalCode::Malformed, detail, retry_after_ms: None };
    Told { status: StatusCode::BAD_REQUEST, answer: refusal.to_json() }
}

/// The hints as a stream would tell them.
fn written(visitor: &VisitorId, frames: &[Arc<Frame>]) -> String {
    let bytes: usize = frames.iter().map(|frame| frame.bytes.len() + 32).sum();
    let mut w = Writer::with_capacity(bytes + 64);
    w.object(|w| {
        w.field("visitor", Some(visitor));
        w.key("hints").array(|w| {
            for frame in frames {
                w.object(|w| {
                    w.text_field("id", &frame.id.to_string());
                    w.text_field("event", frame.kind.as_str());
                    w.key("data").raw(frame.data());
                });
            }
        });
    });
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_bounded_and_has_no_unknown_fields() {
        let reads = |body: &str| Asked::read(body.as_bytes()).is_some();
        let all = r#"{"visitor":"v","slots":["a","b"],"sku":"K","page":"home","category":"c","after":"1.2"}"#;
        assert!(reads(all));
        for bad in [
            r#"{"visitor":"v","slots":[]}"#,
            r#"{"visitor":"","slots":["a"]}"#,
            r#"{"visitor":"v","slots":["A b"]}"#,
            r#"{"visitor":"v","slots":["a"],"tenant":"other"}"#,
            r#"{"visitor":"v","slots":["a"],"after":"x"}"#,
            r#"{"visitor":"v","slots":["a"],"page":"arcade"}"#,
            "",
        ] {
            assert!(!reads(bad), "{bad}");
        }
        let many = vec!["\"a\""; SLOTS_MAX + 1].join(",");
        assert!(!reads(&format!(r#"{{"visitor":"v","slots":[{many}]}}"#)));
    }
}
