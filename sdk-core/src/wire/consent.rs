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
    /// The purposes that were granted; what is not named is refused.
    pub granted: Vec<Purpose>,
    /// The browser asks not to be sold or shared (Global Privacy Control).
    pub gpc: bool,
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
