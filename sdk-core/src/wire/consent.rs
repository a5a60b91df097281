//! What a visitor has allowed.

use super::json::{ToJson, Writer};

/// What an event or a decision is for. The site's consent tool maps its own categories to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Purpose {
    /// Ads and measuring them.
    Advertising,
    /// Counting and understanding use; a stable visitor id rests on this.
    Analytics,
    /// Being placed in an arm of an experiment.
    Experiments,
    /// Hints made from what this visitor did.
    Personalization,
}

impl Purpose {
    /// All purposes there are.
    pub const ALL: [Self; 4] =
        [Self::Advertising, Self::Analytics, Self::Experiments, Self::Personalization];

    /// The purpose's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Advertising => "advertising",
            Self::Analytics => "analytics",
            Self::Experiments => "experiments",
            Self::Personalization => "personalization",
        }
    }

    /// The purpose of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }
}

impl ToJson for Purpose {
    fn write(&self, w: &mut Writer) {
        w.text(self.as_str());
    }
}

/// What the visitor said, or what the browser says for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Consent {
    /// The purposes that were granted; what is not named is refused. A purpose that is not known here,
    /// of a later sender's or misspelt, grants nothing, and costs nothing else.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "known"))]
    pub granted: Vec<Purpose>,
    /// The browser asks not to be sold or shared (Global Privacy Control).
    pub gpc: bool,
}

/// The purposes of a list that are known.
#[cfg(feature = "serde")]
fn known<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<Purpose>, D::Error> {
    use std::fmt;

    use serde::de::{Deserialize, Error, Visitor};

    /// A purpose by name, where it is known.
    struct Named(Option<Purpose>);

    struct Name;

    impl Visitor<'_> for Name {
        type Value = Named;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a purpose")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Named, E> {
            Ok(Named(Purpose::parse(name)))
        }
    }

    impl<'de> Deserialize<'de> for Named {
        fn deserialize<D: serde::Deserializer<'de>>(name: D) -> Result<Self, D::Error> {
            name.deserialize_str(Name)
        }
    }

    let all = Vec::<Named>::deserialize(list)?;
    Ok(all.into_iter().filter_map(|Named(purpose)| purpose).collect())
}

impl Consent {
    /// Everything granted, as for a server's own events.
    pub fn full() -> Self {
        Self { granted: Purpose::ALL.to_vec(), gpc: false }
    }

    /// Whether this purpose may be served. The browser's privacy signal overrules a grant of
    /// advertising, since that is what it is about.
    pub fn allows(&self, purpose: Purpose) -> bool {
        self.granted.contains(&purpose) && !(self.gpc && purpose == Purpose::Advertising)
    }
}

impl ToJson for Consent {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.key("granted").array(|w| self.granted.iter().for_each(|p| p.write(w)));
            if self.gpc {
                w.field("gpc", Some(&true));
            }
        });
    }
}
