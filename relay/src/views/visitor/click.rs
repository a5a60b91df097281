//! A raw click as the fold takes it: what the fold rests on is read, and the text goes on as it is.

use std::borrow::Cow;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    Campaign, Consent, CustomerId, EventId, EventType, HintId, Millis, PageKind, QueueId,
    SessionId, Sku, Tenant, ToJson, VisitorId,
};
use clickmill_streams::{Poison, Raw};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Lesson;

/// The longest search and referrer that are kept, bytes.
const TEXT_BYTES_MAX: usize = 256;

/// The longest tag of a language that is kept, bytes.
const LOCALE_BYTES_MAX: usize = 16;

/// Room behind a click's text for what is known of its visitor, bytes.
const ENRICHMENT_BYTES: usize = 384;

/// A record of the raw topic. What is not here nobody in the relay needs; the collector has judged
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Click {
    /// The event's own id.
    pub id: EventId,
    /// Whose event it is.
    pub tenant: Tenant,
    /// What happened.
    pub kind: EventType,
    /// What it does, as far as that matters here.
    pub doing: Doing,
    /// When: stream time.
    pub time: Millis,
    /// When the collector received it.
    pub received_at: Millis,
    /// The SDK's queue it stood in.
    pub queue: QueueId,
    /// Its place in that queue.
    pub seq: u64,
    /// Who; none without consent.
    pub visitor: Option<VisitorId>,
    /// In which visit, where the SDK says so.
    pub session: Option<SessionId>,
    /// The address that led to the page.
    pub referrer: Option<String>,
    /// The campaign that led to it.
    pub campaign: Option<Campaign>,
    /// What the visitor has said; none if nothing.
    pub consent: Option<Consent>,
    /// Which customer the sender says that is: a claim.
    pub customer: Option<CustomerId>,
    /// Which customer the collector found that to be.
    pub proven: Option<CustomerId>,
    /// The page's language.
    pub locale: Option<String>,
    /// Kafka's key.
    key: Option<Vec<u8>>,
    /// The record as it came.
    text: String,
}

/// What an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A product is looked at.
    Sees(Sku),
    /// A product is put into the basket.
    Takes(Sku),
    /// A product is taken out of the basket.
    PutsBack(Sku),
    /// The basket is bought.
    Buys(Order),
    /// A page is looked at, and of one that lists a category's products that category.
    Reads(PageKind, Option<String>),
    /// Products of a category are looked at in a list.
    Lists(String),
    /// Something is searched for.
    Searches(String),
    /// A page was engaged with for so long, ms.
    Engages(u64),
    /// A hint was seen.
    Exposes(HintId),
    /// Something else.
    Other,
}

/// What was ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The site's number of it; empty where it has none.
    pub number: String,
    /// The products, each once.
    pub skus: Vec<Sku>,
}

/// The parts of a record that are read; the rest is passed over.
#[derive(Deserialize)]
struct Read<'a> {
    id: EventId,
    tenant: Tenant,
    #[serde(rename = "type")]
    kind: EventType,
    time: Millis,
    queue: QueueId,
    seq: u64,
    arrival: ReadArrival,
    #[serde(default)]
    context: ReadContext<'a>,
    #[serde(borrow, default)]
    props: Option<&'a RawValue>,
    #[serde(default)]
    proven: Option<CustomerId>,
    #[serde(default)]
    enrichment: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ReadArrival {
    received_at: Millis,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadContext<'a> {
    visitor: Option<VisitorId>,
    session: Option<SessionId>,
    #[serde(borrow)]
    customer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    referrer: Option<Cow<'a, str>>,
    campaign: Option<Campaign>,
    consent: Option<Consent>,
    #[serde(borrow)]
    locale: Option<Cow<'a, str>>,
}

impl Click {
    /// Reads a record of the raw topic.
    ///
    /// # Errors
    /// When it is none, or lies under a key that is not its own.
    pub fn read(raw: &Raw<'_>) -> Result<Self, Poison> {
        let value = raw.value.ok_or_else(|| Poison::malformed("a click without a value"))?;
        // What is passed over must be text, too: it goes on.
        let value = std::str::from_utf8(value).map_err(Poison::malformed)?.trim_end();
        let read: Read<'_> = serde_json::from_str(value).map_err(Poison::malformed)?;
        if read.enrichment.is_some() {
            return Err(Poison::malformed("a click that is enriched already"));
        }
        if !read.lies_under(raw.key) {
            let detail = "the key is not the record's tenant and visitor".to_owned();
            return Err(Poison { reason: "wrong_key", detail });
        }
        let mut text = String::with_capacity(value.len() + ENRICHMENT_BYTES);
        text.push_str(value);
        let doing = Doing::of(read.kind.as_str(), read.props.map_or("{}", RawValue::get));
        let ReadContext { visitor, session, customer, referrer, campaign, consent, locale } =
            read.context;
        Ok(Self {
            id: read.id,
            tenant: read.tenant,
            kind: read.kind,
            doing,
            time: read.time,
            received_at: read.arrival.received_at,
            queue: read.queue,
            seq: read.seq,
            visitor,
            session,
            referrer: referrer.map(|referrer| shortened(&referrer).to_owned()),
            campaign,
            consent,
            // One that is none is nobody's whom anything was proven of.
            customer: customer.and_then(|customer| CustomerId::parse(customer).ok()),
            proven: read.proven,
            locale: locale.filter(|locale| is_tag(locale)).map(Cow::into_owned),
            key: raw.key.map(<[u8]>::to_vec),
            text,
        })
    }

    /// Its key and its text, with what is known of its visitor put behind the rest.
    pub(super) fn enriched(self, known: &impl ToJson) -> (Option<Vec<u8>>, String) {
        let mut w = Writer::behind(self.text);
        w.field("enrichment", Some(known));
        (self.key, w.close_object())
    }

    /// Its key and its text as it came.
    pub(super) fn plain(self) -> (Option<Vec<u8>>, String) {
        (self.key, self.text)
    }
}

impl Read<'_> {
    /// A visitor's state lies where the key says. A record under another visitor's key would be
    /// folded into a state that is not its own. Without a visitor nothing is remembered, and an
    /// older collector gave no key then.
    fn lies_under(&self, key: Option<&[u8]>) -> bool {
        let Some(key) = key else { return self.context.visitor.is_none() };
        let behind_tenant = key
            .strip_prefix(self.tenant.as_str().as_bytes())
            .and_then(|rest| rest.strip_prefix(b":"));
        match (behind_tenant, &self.context.visitor, &self.context.customer) {
            (Some(rest), Some(visitor), _) => rest == visitor.as_str().as_bytes(),
            (Some(rest), None, Some(customer)) => {
                rest.strip_prefix(b"customer:") == Some(customer.as_bytes())
            }
            _ => false,
        }
    }
}

impl Doing {
    /// Reads it from an event's type and properties. One that does not name its product as text
    /// does nothing with it.
    pub fn of(kind: &str, props: &str) -> Self {
        let with = |doing: fn(Sku) -> Self| sku(props).map_or(Self::Other, doing);
        match kind {
            // Who asks to be told of a product looks at it.
            "product_view" | "product_click" | "back_in_stock_wanted" => with(Self::Sees),
            "basket_add" => with(Self::Takes),
            "basket_remove" => with(Self::PutsBack),
            "order" => Self::Buys(order(props)),
            "page_view" => match page_kind(props) {
                PageKind::Category => Self::Reads(PageKind::Category, category(props)),
                // There it is the site's name of the sort of page.
                page => Self::Reads(page, None),
            },
            "list_view" => category(props).map_or(Self::Other, Self::Lists),
            "search" => query(props).map_or(Self::Other, Self::Searches),
            "engagement" => Self::Engages(engaged_ms(props)),
            "exposure" => hint(props).map_or(Self::Other, Self::Exposes),
            _ => Self::Other,
        }
    }

    /// The hint that was seen with it.
    pub fn exposes(&self) -> Option<&HintId> {
        match self {
            Self::Exposes(hint) => Some(hint),
            _ => None,
        }
    }

    /// The products that it puts into the basket, or orders.
    pub fn takes(&self) -> &[Sku] {
        match self {
            Self::Takes(sku) => std::slice::from_ref(sku),
            Self::Buys(order) => &order.skus,
            _ => &[],
        }
    }

    /// Whether suggestions answer it.
    pub fn asks(&self) -> bool {
        match self {
            Self::Sees(_) | Self::Takes(_) | Self::Buys(_) | Self::Reads(..) | Self::Lists(_) => {
                true
            }
            Self::PutsBack(_)
            | Self::Searches(_)
            | Self::Engages(_)
            | Self::Exposes(_)
            | Self::Other => false,
        }
    }

    /// The sort of page that it happens on, as far as it tells.
    pub fn page(&self) -> PageKind {
        match self {
            Self::Sees(_) => PageKind::Product,
            Self::Takes(_) | Self::PutsBack(_) => PageKind::Basket,
            Self::Buys(_) => PageKind::Order,
            Self::Reads(page, _) => *page,
            Self::Lists(_) => PageKind::Category,
            Self::Searches(_) => PageKind::Search,
            Self::Engages(_) | Self::Exposes(_) | Self::Other => PageKind::Other,
        }
    }
}

impl Doing {
    /// The category that the page it happens on is about, as far as it tells.
    pub fn category(&self) -> Option<&str> {
        match self {
            Self::Reads(_, category) => category.as_deref(),
            Self::Lists(category) => Some(category),
            _ => None,
        }
    }
}

impl Order {
    /// That its products were bought together. One without a number could be another's copy.
    pub fn lesson(&self) -> Option<Lesson> {
        let teaches = !self.number.is_empty() && self.skus.len() > 1;
        teaches.then(|| Lesson::Bought(self.number.clone(), self.skus.clone()))
    }
}

fn sku(props: &str) -> Option<Sku> {
    #[derive(Deserialize)]
    struct Props<'a> {
        #[serde(borrow)]
        sku: Cow<'a, str>,
    }
    let props: Props<'_> = serde_json::from_str(props).ok()?;
    Sku::parse(props.sku).ok()
}

fn order(props: &str) -> Order {
    #[derive(Deserialize)]
    struct Props {
        #[serde(default)]
        order: String,
        lines: Vec<Line>,
    }
    #[derive(Deserialize)]
    struct Line {
        sku: Sku,
    }
    let Ok(Props { order: number, lines }) = serde_json::from_str(props) else {
        return Order::default();
    };
    let mut skus: Vec<Sku> = Vec::with_capacity(lines.len());
    for Line { sku } in lines {
        if !skus.contains(&sku) {
            skus.push(sku);
        }
    }
    Order { number, skus }
}

fn page_kind(props: &str) -> PageKind {
    #[derive(Deserialize)]
    struct Props<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    serde_json::from_str(props)
        .map_or(PageKind::Other, |props: Props<'_>| PageKind::named(&props.kind))
}

fn category(props: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Props<'a> {
        #[serde(borrow)]
        category: Cow<'a, str>,
    }
    let props: Props<'_> = serde_json::from_str(props).ok()?;
    let category = shortened(&props.category);
    (!category.is_empty()).then(|| category.to_owned())
}

fn query(props: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Props<'a> {
        #[serde(borrow)]
        query: Cow<'a, str>,
    }
    let props: Props<'_> = serde_json::from_str(props).ok()?;
    Some(shortened(&props.query).to_owned())
}

fn hint(props: &str) -> Option<HintId> {
    #[derive(Deserialize)]
    struct Props<'a> {
        #[serde(borrow)]
        hint: Cow<'a, str>,
    }
    let props: Props<'_> = serde_json::from_str(props).ok()?;
    HintId::parse(&props.hint).ok()
}

fn engaged_ms(props: &str) -> u64 {
    #[derive(Deserialize)]
    struct Props {
        engaged_ms: u64,
    }
    serde_json::from_str(props).map_or(0, |props: Props| props.engaged_ms)
}

/// Whether it may be the tag of a language: what strangers write there is kept in the state.
fn is_tag(locale: &str) -> bool {
    (2..=LOCALE_BYTES_MAX).contains(&locale.len())
        && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}
