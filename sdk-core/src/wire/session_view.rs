//! What the relay remembers of a visitor, as it lies in the view of sessions: for other teams to
//! read, and for the relay itself after a restart.

use super::json::{ToJson, Writer};
use super::{Campaign, EventId, Millis, PageKind, PromotionMark, Proven, QueueId, SessionId, Sku};

/// A visitor's state. Its key is that of the visitor's records; no value once it is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct SessionView {
    /// Visits so far, the running one included.
    pub visits: u32,
    /// The running visit, then the one before it: late events may still belong to it.
    pub sessions: Vec<Visit>,
    /// The products seen last, newest first, each once.
    pub seen: Vec<Sight>,
    /// The products in the basket, newest last.
    pub basket: Vec<Sku>,
    /// The products ordered last, newest first, each once.
    pub bought: Vec<Sight>,
    /// The newest event that asked for a hint.
    pub asked: Option<Asked>,
    /// Which events were seen. Of no use to anybody but the relay.
    pub queues: Vec<QueueMark>,
    /// What was shown of promotions, one mark for each rule.
    pub promotions: Vec<PromotionMark>,
    /// The products that were sold out when the visitor wanted them, newest last, each once.
    pub waits: Vec<Wait>,
    /// The customer that the visitor was proven to be.
    pub customer: Option<Proven>,
    /// The last words about products in the basket or taken out of it, newest last, each product once.
    /// Of no use to anybody but the relay.
    pub basket_words: Vec<BasketWord>,
    /// The last word about which customer it is, or that it is none. Likewise.
    pub customer_word: Option<Word>,
}

/// Which event something is known by: what an earlier one says comes too late. A list in JSON, since each
/// click writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(from = "(Millis, u32, u64)"))]
pub struct Word {
    /// When it happened.
    pub at: Millis,
    /// The queue it stood in: a hash of the name.
    pub queue: u32,
    /// Its place in that queue.
    pub seq: u64,
}

/// The last word about a product in the basket or taken out of it; likewise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(from = "(Sku, Millis, u32, u64)"))]
pub struct BasketWord {
    /// The product.
    pub sku: Sku,
    /// The word.
    pub word: Word,
}

impl From<(Millis, u32, u64)> for Word {
    fn from((at, queue, seq): (Millis, u32, u64)) -> Self {
        Self { at, queue, seq }
    }
}

impl From<(Sku, Millis, u32, u64)> for BasketWord {
    fn from((sku, at, queue, seq): (Sku, Millis, u32, u64)) -> Self {
        Self { sku, word: Word { at, queue, seq } }
    }
}

/// One visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Visit {
    /// The SDK's id, or one that the relay gave.
    pub id: Option<SessionId>,
    /// Which of the visitor's visits it is, counted from 1.
    pub number: u32,
    /// Its first event's time.
    pub started: Millis,
    /// Its last event's time.
    pub last: Millis,
    /// Events in it.
    pub events: u32,
    /// Page views in it.
    pub pages: u32,
    /// Products seen in it for the first time.
    pub products: u32,
    /// How long its pages were engaged with, as the SDK measured, ms.
    pub engaged_ms: u64,
    /// Where it came from: the first page's referrer.
    pub referrer: Option<String>,
    /// The campaign that led to it.
    pub campaign: Option<Campaign>,
    /// What was searched for, newest first, each once.
    pub searches: Vec<String>,
}

/// A product that was seen, or ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Sight {
    /// The product.
    pub sku: Sku,
    /// When.
    pub at: Millis,
    /// In which of the visitor's visits.
    pub visit: u32,
}

/// A product that was sold out when a visitor looked at it or asked for it: it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Wait {
    /// The product.
    pub sku: Sku,
    /// The partition of the stock record that it is sold out by.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// When an event of the visitor first came while it could be had again; none before.
    #[cfg_attr(feature = "serde", serde(default))]
    pub back: Option<Millis>,
}

/// An event that asked for a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Asked {
    /// The event.
    pub event: EventId,
    /// The partition of the raw topic it lies in.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// When the collector received it.
    pub received_at: Millis,
    /// When it happened.
    pub time: Millis,
    /// What the visitor said about personalization; none if nothing.
    #[cfg_attr(feature = "serde", serde(default))]
    pub personalization: Option<bool>,
    /// On what sort of page.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "page_kind"))]
    pub page: PageKind,
    /// The page's language, as the browser names it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub locale: Option<String>,
    /// The category that the page is about.
    #[cfg_attr(feature = "serde", serde(default))]
    pub category: Option<String>,
}

/// A kind that a later relay knows and this one does not is another one.
#[cfg(feature = "serde")]
fn page_kind<'de, D: serde::Deserializer<'de>>(source: D) -> Result<PageKind, D::Error> {
    <String as serde::Deserialize>::deserialize(source).map(|name| PageKind::named(&name))
}

/// Which events of one of the SDK's queues were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct QueueMark {
    /// The queue.
    pub id: QueueId,
    /// The highest number that was seen.
    pub highest: u64,
    /// Numbers below it that were not: ranges, ends excluded, in ascending order.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gaps: Vec<Gap>,
}

/// Numbers that were not seen: from the first one up to the second one, which was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Gap(pub u64, pub u64);

/// The parts of a [`SessionView`], to be written from where they are.
#[derive(Clone, Copy, Debug)]
pub struct SessionViewParts<'a> {
    /// See [`SessionView::visits`].
    pub visits: u32,
    /// See [`SessionView::sessions`].
    pub sessions: &'a [Visit],
    /// See [`SessionView::seen`].
    pub seen: &'a [Sight],
    /// See [`SessionView::basket`].
    pub basket: &'a [Sku],
    /// See [`SessionView::bought`].
    pub bought: &'a [Sight],
    /// See [`SessionView::asked`].
    pub asked: Option<&'a Asked>,
    /// See [`SessionView::queues`].
    pub queues: &'a [QueueMark],
    /// See [`SessionView::promotions`].
    pub promotions: &'a [PromotionMark],
    /// See [`SessionView::waits`].
    pub waits: &'a [Wait],
    /// See [`SessionView::customer`].
    pub customer: Option<&'a Proven>,
    /// See [`SessionView::basket_words`].
    pub basket_words: &'a [BasketWord],
    /// See [`SessionView::customer_word`].
    pub customer_word: Option<&'a Word>,
}

impl ToJson for SessionView {
    fn write(&self, w: &mut Writer) {
        SessionViewParts {
            visits: self.visits,
            sessions: &self.sessions,
            seen: &self.seen,
            basket: &self.basket,
            bought: &self.bought,
            asked: self.asked.as_ref(),
            queues: &self.queues,
            promotions: &self.promotions,
            waits: &self.waits,
            customer: self.customer.as_ref(),
            basket_words: &self.basket_words,
            customer_word: self.customer_word.as_ref(),
        }
        .write(w);
    }
}

impl ToJson for SessionViewParts<'_> {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("visits", Some(&self.visits));
            w.list_field("sessions", self.sessions);
            w.list_field("seen", self.seen);
            w.list_field("basket", self.basket);
            w.list_field("bought", self.bought);
            w.field("asked", self.asked);
            w.list_field("queues", self.queues);
            w.list_field("promotions", self.promotions);
            w.list_field("waits", self.waits);
            w.field("customer", self.customer);
            w.list_field("basket_words", self.basket_words);
            w.field("customer_word", self.customer_word);
        });
    }
}

impl ToJson for Visit {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("id", self.id.as_ref());
            w.field("number", Some(&self.number));
            w.field("started", Some(&self.started));
            w.field("last", Some(&self.last));
            w.field("events", Some(&self.events));
            w.field("pages", Some(&self.pages));
            w.field("products", Some(&self.products));
            w.number_field("engaged_ms", self.engaged_ms);
            w.field("referrer", self.referrer.as_ref());
            w.field("campaign", self.campaign.as_ref());
            w.list_field("searches", &self.searches);
        });
    }
}

impl ToJson for Sight {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("sku", Some(&self.sku));
            w.field("at", Some(&self.at));
            w.field("visit", Some(&self.visit));
        });
    }
}

impl ToJson for Wait {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("sku", Some(&self.sku));
            w.field("partition", Some(&self.partition));
            w.number_field("offset", self.offset);
            w.field("back", self.back.as_ref());
        });
    }
}

impl ToJson for Asked {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("event", Some(&self.event));
            w.field("partition", Some(&self.partition));
            w.number_field("offset", self.offset);
            w.field("received_at", Some(&self.received_at));
            w.field("time", Some(&self.time));
            w.field("personalization", self.personalization.as_ref());
            w.field("page", Some(&self.page).filter(|page| **page != PageKind::Other));
            w.field("locale", self.locale.as_ref());
            w.field("category", self.category.as_ref());
        });
    }
}

impl Word {
    fn write_parts(self, w: &mut Writer) {
        [self.at.0, self.queue.into(), self.seq].iter().for_each(|number| number.write(w));
    }
}

impl ToJson for Word {
    fn write(&self, w: &mut Writer) {
        w.array(|w| self.write_parts(w));
    }
}

impl ToJson for BasketWord {
    fn write(&self, w: &mut Writer) {
        w.array(|w| {
            self.sku.write(w);
            self.word.write_parts(w);
        });
    }
}

impl ToJson for QueueMark {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("id", Some(&self.id));
            w.number_field("highest", self.highest);
            w.list_field("gaps", &self.gaps);
        });
    }
}

impl ToJson for Gap {
    fn write(&self, w: &mut Writer) {
        w.array(|w| [self.0, self.1].iter().for_each(|number| number.write(w)));
    }
}
