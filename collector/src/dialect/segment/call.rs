//! The calls of Segment's SDKs, and what each says in our terms.

use std::borrow::Cow;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{EventType, Json, Rejection, ToJson};

use super::context::PageFacts;
use super::shop::Meaning;
use crate::config::SegmentConfig;
use crate::dialect::fields::Fields;
use crate::dialect::translate::event_type;

/// A call. Each has another first letter, by which short paths name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Alias,
    Group,
    Identify,
    Page,
    Screen,
    Track,
}

impl Call {
    /// All there are.
    pub(crate) const ALL: [Self; 6] =
        [Self::Alias, Self::Group, Self::Identify, Self::Page, Self::Screen, Self::Track];

    /// Its name, in paths and in `type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alias => "alias",
            Self::Group => "group",
            Self::Identify => "identify",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Track => "track",
        }
    }

    /// The type that the call is: `track` is what its event's title names.
    pub(super) fn kind(
        self,
        fields: &mut Fields<'_>,
        config: &SegmentConfig,
    ) -> Result<Kind, Rejection> {
        let name = match self {
            Self::Track => return titled(fields, config),
            Self::Page => "page_view",
            Self::Screen => "screen_view",
            Self::Alias | Self::Group | Self::Identify => self.name(),
        };
        let kind = EventType::parse(name).map_err(|error| fields.wrong("type", error))?;
        Ok(Kind { kind, meaning: None })
    }

    /// The properties that our schema for that type judges. A page's or screen's further properties
    /// stay behind, since `page_view` and `screen_view` know what they have.
    pub(super) fn props(
        self,
        fields: &mut Fields<'_>,
        page: &mut PageFacts,
        meaning: Option<&Meaning>,
    ) -> Result<Json, Rejection> {
        Ok(match self {
            Self::Track => match meaning {
                Some(meaning) => meaning.props(fields),
                None => fields.take("properties").map_or_else(Json::empty, trusted),
            },
            Self::Page => shown(fields, |properties| page.take(properties)),
            Self::Screen => shown(fields, |_| ()),
            Self::Identify => object([("traits", fields.take("traits"))]),
            Self::Group => {
                object([("group", text(fields, "groupId")?), ("traits", fields.take("traits"))])
            }
            Self::Alias => object([("previous", text(fields, "previousId")?)]),
        })
    }
}

/// A type, and where it is one of Segment's own shop events, what that says.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) kind: EventType,
    pub(super) meaning: Option<&'static Meaning>,
}

/// The type of a title, which stays behind where it reads differently. What the configuration says
/// of a title counts, and then its properties are what they are.
fn titled(fields: &mut Fields<'_>, config: &SegmentConfig) -> Result<Kind, Rejection> {
    let Some(title) = fields.label("event")? else {
        return Err(fields.wrong("event", "a track call must name its event"));
    };
    let told = config.types.get(&title).cloned();
    let named = if told.is_none() { event_type(&title) } else { None };
    let meaning = named.as_ref().and_then(Meaning::of);
    let ours = meaning.and_then(|meaning| EventType::parse(meaning.kind()).ok());
    let kind = told.or(ours).or(named).ok_or_else(|| {
        let detail = "no type can be made of this name; give it one in dialects.segment.types";
        fields.wrong("event", detail)
    })?;
    if kind.as_str() != title {
        fields.put("event", title.to_json());
    }
    Ok(Kind { kind, meaning })
}

/// Name and category, which stand beside the properties, among them, or both.
fn shown(fields: &mut Fields<'_>, taker: impl FnOnce(&mut Fields<'_>)) -> Json {
    let (mut name, mut category) = (None, None);
    fields.settle("name", &mut name);
    fields.settle("category", &mut category);
    fields.within("properties", |properties| {
        properties.settle("name", &mut name);
        properties.settle("category", &mut category);
        taker(properties);
    });
    let json = |text: Option<String>| text.map(|text| Cow::Owned(text.to_json()));
    object([("name", json(name)), ("category", json(category))])
}

fn text<'a>(fields: &mut Fields<'a>, key: &str) -> Result<Option<Cow<'a, str>>, Rejection> {
    Ok(fields.label(key)?.map(|text| Cow::Owned(text.to_json())))
}

/// An object of those JSON texts that are there.
fn object<const N: usize>(fields: [(&'static str, Option<Cow<'_, str>>); N]) -> Json {
    let mut w = Writer::default();
    w.object(|w| {
        for (name, value) in fields {
            if let Some(value) = value {
                w.key(name).raw(&value);
            }
        }
    });
    Json::trusted(w.finish())
}

fn trusted(json: Cow<'_, str>) -> Json {
    Json::trusted(json.into_owned())
}
