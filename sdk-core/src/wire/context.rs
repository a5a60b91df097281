//! The circumstances that the events of a batch share.

use super::id::{CustomerId, PageViewId, SessionId, Tenant, VisitorId};
use super::json::{Json, ToJson, Writer};
use super::{Consent, Millis};

/// Circumstances of an event. A batch carries them once; an event carries only what differs.
///
/// Unknown fields are passed over, so that an older collector takes a newer SDK's batches; what a
/// site wants to add goes into `custom`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Context {
    /// Who; absent without consent.
    pub visitor: Option<VisitorId>,
    /// In which visit.
    pub session: Option<SessionId>,
    /// On which page view.
    pub page_view: Option<PageViewId>,
    /// Who the browser says is logged in: a claim.
    pub customer: Option<CustomerId>,
    /// The page.
    pub page: Option<Page>,
    /// The address that led to the page.
    pub referrer: Option<String>,
    /// The marks of a campaign in the address of the landing page.
    pub campaign: Option<Campaign>,
    /// The screen.
    pub screen: Option<Screen>,
    /// The browser's language, such as `en-GB`.
    pub locale: Option<String>,
    /// The browser's time zone, such as `Europe/London`.
    pub time_zone: Option<String>,
    /// What the visitor has allowed; absent means: as the site's configuration says.
    pub consent: Option<Consent>,
    /// The SDK and its books.
    pub sdk: Option<Sdk>,
    /// What the site adds on its own: one JSON object.
    pub custom: Option<Json>,
}

impl Context {
    /// This context with the fields that `over` has in place of its own.
    pub fn overlaid(&self, over: &Self) -> Self {
        fn pick<T: Clone>(over: &Option<T>, under: &Option<T>) -> Option<T> {
            over.as_ref().or(under.as_ref()).cloned()
        }
        Self {
            visitor: pick(&over.visitor, &self.visitor),
            session: pick(&over.session, &self.session),
            page_view: pick(&over.page_view, &self.page_view),
            customer: pick(&over.customer, &self.customer),
            page: pick(&over.page, &self.page),
            referrer: pick(&over.referrer, &self.referrer),
            campaign: pick(&over.campaign, &self.campaign),
            screen: pick(&over.screen, &self.screen),
            locale: pick(&over.locale, &self.locale),
            time_zone: pick(&over.time_zone, &self.time_zone),
            consent: pick(&over.consent, &self.consent),
            sdk: pick(&over.sdk, &self.sdk),
            custom: pick(&over.custom, &self.custom),
        }
    }

    /// The key in Kafka of a record with this context: tenant and visitor, so that a visitor's events
    /// keep their order. What comes from elsewhere than a browser may know the customer alone; then
    /// that is whose order it is. None without either: such events belong together with nothing.
    pub fn key(&self, tenant: &Tenant) -> Option<String> {
        match (&self.visitor, &self.customer) {
            (Some(visitor), _) => Some(format!("{tenant}:{visitor}")),
            // No visitor's id holds a colon.
            (None, Some(customer)) => Some(format!("{tenant}:customer:{customer}")),
            (None, None) => None,
        }
    }

    /// What all of `contexts` agree on: the part that a batch may carry once. A field in which
    /// they differ stays out, since an event cannot take a shared field away.
    pub fn shared<'a>(contexts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut contexts = contexts.into_iter();
        let Some(first) = contexts.next() else {
            return Self::default();
        };
        let mut shared = first.clone();
        for other in contexts {
            shared.retain(|same| same, other);
        }
        shared
    }

    /// What is left of this context where `shared` stands behind it.
    pub fn beyond(&self, shared: &Self) -> Self {
        let mut rest = self.clone();
        rest.retain(|same| !same, shared);
        rest
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Keeps the fields for which `keep(same)` holds, `same` telling whether `other` has
    /// the same value.
    fn retain(&mut self, keep: impl Fn(bool) -> bool + Copy, other: &Self) {
        fn one<T: PartialEq>(
            mine: &mut Option<T>,
            theirs: &Option<T>,
            keep: impl Fn(bool) -> bool,
        ) {
            if !keep(mine == theirs) {
                *mine = None;
            }
        }
        one(&mut self.visitor, &other.visitor, keep);
        one(&mut self.session, &other.session, keep);
        one(&mut self.page_view, &other.page_view, keep);
        one(&mut self.customer, &other.customer, keep);
        one(&mut self.page, &other.page, keep);
        one(&mut self.referrer, &other.referrer, keep);
        one(&mut self.campaign, &other.campaign, keep);
        one(&mut self.screen, &other.screen, keep);
        one(&mut self.locale, &other.locale, keep);
        one(&mut self.time_zone, &other.time_zone, keep);
        one(&mut self.consent, &other.consent, keep);
        one(&mut self.sdk, &other.sdk, keep);
        one(&mut self.custom, &other.custom, keep);
    }
}

impl ToJson for Context {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("visitor", self.visitor.as_ref());
            w.field("session", self.session.as_ref());
            w.field("page_view", self.page_view.as_ref());
            w.field("customer", self.customer.as_ref());
            w.field("page", self.page.as_ref());
            w.field("referrer", self.referrer.as_ref());
            w.field("campaign", self.campaign.as_ref());
            w.field("screen", self.screen.as_ref());
            w.field("locale", self.locale.as_ref());
            w.field("time_zone", self.time_zone.as_ref());
            w.field("consent", self.consent.as_ref());
            w.field("sdk", self.sdk.as_ref());
            w.field("custom", self.custom.as_ref());
        });
    }
}

/// A page, as its visitor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Page {
    /// Address without fragment.
    pub url: String,
    /// Title of the document.
    #[cfg_attr(feature = "serde", serde(default))]
    pub title: Option<String>,
}

impl ToJson for Page {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("url", &self.url);
            w.field("title", self.title.as_ref());
        });
    }
}

/// Where a visit was bought, as the usual `utm_` parameters tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Campaign {
    /// `utm_source`
    pub source: Option<String>,
    /// `utm_medium`
    pub medium: Option<String>,
    /// `utm_campaign`
    pub name: Option<String>,
    /// `utm_term`
    pub term: Option<String>,
    /// `utm_content`
    pub content: Option<String>,
}

impl ToJson for Campaign {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("source", self.source.as_ref());
            w.field("medium", self.medium.as_ref());
            w.field("name", self.name.as_ref());
            w.field("term", self.term.as_ref());
            w.field("content", self.content.as_ref());
        });
    }
}

/// Screen and window, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Screen {
    /// Width of the screen.
    pub width: u32,
    /// Height of the screen.
    pub height: u32,
    /// Width of the window.
    pub view_width: u32,
    /// Height of the window.
    pub view_height: u32,
}

impl ToJson for Screen {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("width", Some(&self.width));
            w.field("height", Some(&self.height));
            w.field("view_width", Some(&self.view_width));
            w.field("view_height", Some(&self.view_height));
        });
    }
}

/// The SDK that sends, and its books.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Sdk {
    /// Which SDK, such as `web` or `web-stub`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its books at the time of sending.
    #[cfg_attr(feature = "serde", serde(default))]
    pub books: Option<Books>,
}

impl ToJson for Sdk {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("name", &self.name);
            w.text_field("version", &self.version);
            w.field("books", self.books.as_ref());
        });
    }
}

/// The SDK's account of its own events since its queue was created:
/// `created = settled + dropped + still queued`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Books {
    /// Events that were put into the queue.
    pub created: u64,
    /// Events that left it with a final verdict.
    pub settled: u64,
    /// Events dropped since the queue was full.
    pub dropped_full: u64,
    /// Events dropped since they were older than the queue keeps.
    pub dropped_old: u64,
    /// Events dropped since they alone are larger than a batch may be.
    pub dropped_large: u64,
    /// Events dropped since consent was withdrawn.
    pub dropped_consent: u64,
    /// Moment the queue was created.
    pub since: Millis,
}

impl Books {
    /// Events dropped for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_full + self.dropped_old + self.dropped_large + self.dropped_consent
    }
}

impl ToJson for Books {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("created", Some(&self.created));
            w.field("settled", Some(&self.settled));
            w.field("dropped_full", Some(&self.dropped_full));
            w.field("dropped_old", Some(&self.dropped_old));
            w.field("dropped_large", Some(&self.dropped_large));
            w.field("dropped_consent", Some(&self.dropped_consent));
            w.field("since", Some(&self.since));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_beyond_put_together_are_the_whole() {
        let at = |url: &str, visitor: Option<&str>| Context {
            visitor: visitor.map(|v| VisitorId::parse(v).unwrap()),
            page: Some(Page { url: url.into(), title: None }),
            locale: Some("en-GB".into()),
            ..Context::default()
        };
        let all = [at("/a", Some("v1")), at("/b", Some("v1")), at("/b", None)];
        let shared = Context::shared(&all);
        assert_eq!(shared.to_json(), r#"{"locale":"en-GB"}"#);
        for one in &all {
            assert_eq!(&shared.overlaid(&one.beyond(&shared)), one);
        }
    }
}
