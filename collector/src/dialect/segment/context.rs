//! The circumstances of a Segment event. What does not fit our terms stays where it was.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::{Campaign, Consent, Context, Page, Purpose, Screen, Sdk, SessionId};

use crate::config::SegmentConfig;
use crate::dialect::fields::Fields;

/// Names under which consent tools list the purposes we know, in lower case and without anything
/// but letters and digits. The `c000…` are OneTrust's own.
const CATEGORIES: &[(&str, Purpose)] = &[
    ("advertising", Purpose::Advertising),
    ("ads", Purpose::Advertising),
    ("marketing", Purpose::Advertising),
    ("targeting", Purpose::Advertising),
    ("c0004", Purpose::Advertising),
    ("analytics", Purpose::Analytics),
    ("measurement", Purpose::Analytics),
    ("performance", Purpose::Analytics),
    ("statistics", Purpose::Analytics),
    ("c0002", Purpose::Analytics),
    ("experimentation", Purpose::Experiments),
    ("experiments", Purpose::Experiments),
    ("functional", Purpose::Personalization),
    ("personalisation", Purpose::Personalization),
    ("personalization", Purpose::Personalization),
    ("preferences", Purpose::Personalization),
    ("c0003", Purpose::Personalization),
];

/// What is told of a page, by a page call's own properties and then by its context.
#[derive(Debug, Default)]
pub(super) struct PageFacts {
    url: Option<String>,
    title: Option<String>,
    referrer: Option<String>,
}

impl PageFacts {
    /// Takes what agrees with what is known already.
    pub(super) fn take(&mut self, fields: &mut Fields<'_>) {
        fields.settle("referrer", &mut self.referrer);
        fields.settle("url", &mut self.url);
        let Some(url) = &self.url else { return };
        fields.settle("title", &mut self.title);
        // They repeat parts of the address.
        for key in ["path", "search"] {
            if fields.peek::<String>(key).is_some_and(|part| url.contains(&part)) {
                fields.take(key);
            }
        }
    }

    fn tell(self, context: &mut Context) {
        let Self { url, title, referrer } = self;
        let url = url.map(|url| url.split('#').next().unwrap_or_default().to_owned());
        context.page = url.map(|url| Page { url, title });
        context.referrer = referrer;
    }
}

/// Takes what fits out of `context` into ours. An address is never taken from there: it would get
/// around what `privacy.address` says.
pub(super) fn take(
    fields: &mut Fields<'_>,
    mut page: PageFacts,
    context: &mut Context,
    config: &SegmentConfig,
) {
    fields.within("context", |theirs| {
        theirs.take("ip");
        theirs.within("page", |fields| page.take(fields));
        context.campaign = campaign(theirs);
        context.screen = theirs.within("screen", screen).flatten();
        context.locale = theirs.fit("locale");
        context.time_zone = theirs.fit("timezone");
        context.sdk = theirs.within("library", sdk).flatten();
        context.session = session(theirs);
        context.consent = theirs.within("consent", |fields| consent(fields, config)).flatten();
    });
    page.tell(context);
}

fn campaign(fields: &mut Fields<'_>) -> Option<Campaign> {
    let told = fields.within("campaign", |fields| Campaign {
        source: fields.fit("source"),
        medium: fields.fit("medium"),
        name: fields.fit("name"),
        term: fields.fit("term"),
        content: fields.fit("content"),
    });
    told.filter(|told| *told != Campaign::default())
}

/// Apps have no window: theirs is the screen.
fn screen(fields: &mut Fields<'_>) -> Option<Screen> {
    let (width, height) = (fields.peek("width")?, fields.peek("height")?);
    fields.take("width");
    fields.take("height");
    let view_width = fields.fit("innerWidth").unwrap_or(width);
    let view_height = fields.fit("innerHeight").unwrap_or(height);
    Some(Screen { width, height, view_width, view_height })
}

fn sdk(fields: &mut Fields<'_>) -> Option<Sdk> {
    let (name, version) = (fields.peek("name")?, fields.peek("version")?);
    fields.take("name");
    fields.take("version");
    Some(Sdk { name, version, books: None })
}

/// Segment knows no sessions; RudderStack's SDKs number theirs.
fn session(fields: &mut Fields<'_>) -> Option<SessionId> {
    let session = fields
        .peek("sessionId")
        .or_else(|| fields.peek::<u64>("sessionId").map(|number| number.to_string()))
        .and_then(|text: String| SessionId::parse(text).ok())?;
    fields.take("sessionId");
    Some(session)
}

/// What was granted, as a consent tool's categories tell it: a purpose is granted where a category
/// stands for it and none that does was refused. The categories stay, too, as they were told.
fn consent(fields: &mut Fields<'_>, config: &SegmentConfig) -> Option<Consent> {
    let told: BTreeMap<String, bool> = fields.peek("categoryPreferences")?;
    let said = |purpose: Purpose, granted: bool| {
        told.iter()
            .any(|(name, answer)| *answer == granted && purpose_of(name, config) == Some(purpose))
    };
    let granted = Purpose::ALL.into_iter();
    let granted = granted.filter(|purpose| said(*purpose, true) && !said(*purpose, false));
    Some(Consent { granted: granted.collect(), gpc: false })
}

fn purpose_of(category: &str, config: &SegmentConfig) -> Option<Purpose> {
    let plain = category.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase());
    let plain: String = plain.collect();
    let usual = || CATEGORIES.iter().find(|(name, _)| *name == plain).map(|(_, purpose)| *purpose);
    config.consent.get(category).copied().or_else(usual)
}
