//! The topics both services know, and their names in one place.

/// A topic of the route. Its name tells what is in it and whether that is personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What happened, as the collector took it: [`Record`](super::Record).
    ClicksRaw,
    /// What the collector refused: [`DeadLetter`](super::DeadLetter).
    ClicksRejected,
    /// What happened under a type that no schema describes, taken as it is:
    /// [`Record`](super::Record).
    ClicksUnvalidated,
    /// What visitors did who send more than one visitor can, without order:
    /// [`Record`](super::Record). It feeds no visitor's view.
    ClicksOverflow,
    /// What happened, with what was known of the visitor: [`Record`](super::Record).
    ClicksEnriched,
    /// The same without what is personal, under pseudonyms: [`Record`](super::Record).
    ClicksOpen,
    /// Raw records that the relay could not read: [`Poisoned`](super::Poisoned), under the key they
    /// had.
    ClicksPoisoned,
    /// What is remembered of each visitor: [`SessionView`](super::SessionView). The relay's own
    /// changelog: the key `!task` is not a visitor's.
    SessionsView,
    /// Which relay owns which partition of the raw topic, and where the others reach it. The key is
    /// the partition.
    RelayOwners,
    /// Rules of promotions, by tenant and name. The value is a rule as in a file, as JSON.
    Promotions,
    /// Which relay may show how many of a promotion with a cap in total. The key is tenant, rule and
    /// relay.
    PromotionLeases,
    /// What was decided of promotions for whom, shown or held out: [`Promoted`](super::Promoted).
    PromotionsDecided,
    /// The products on sale, by tenant and product number: [`Product`](super::Product).
    Products,
    /// What is in stock, by tenant and product number: [`Stock`](super::Stock).
    Stock,
    /// What the site knows of its customers, by tenant and customer: [`Customer`](super::Customer).
    Customers,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ClicksRaw,
        Self::ClicksRejected,
        Self::ClicksUnvalidated,
        Self::ClicksOverflow,
        Self::ClicksEnriched,
        Self::ClicksOpen,
        Self::ClicksPoisoned,
        Self::SessionsView,
        Self::RelayOwners,
        Self::Promotions,
        Self::PromotionLeases,
        Self::PromotionsDecided,
        Self::Products,
        Self::Stock,
        Self::Customers,
    ];

    /// The topic's name: `<domain>.<dataset>.<stage>.<pii|open>.v<major>`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClicksRaw => "web.clicks.raw.pii.v1",
            Self::ClicksRejected => "web.clicks.rejected.pii.v1",
            Self::ClicksUnvalidated => "web.clicks.unvalidated.pii.v1",
            Self::ClicksOverflow => "web.clicks.overflow.pii.v1",
            Self::ClicksEnriched => "web.clicks.enriched.pii.v1",
            Self::ClicksOpen => "web.clicks.enriched.open.v1",
            Self::ClicksPoisoned => "web.clicks.poisoned.pii.v1",
            Self::SessionsView => "web.sessions.view.pii.v1",
            Self::RelayOwners => "relay.owners.view.open.v1",
            Self::Promotions => "promotions.rules.view.open.v1",
            Self::PromotionLeases => "promotions.leases.view.open.v1",
            Self::PromotionsDecided => "web.promotions.decided.pii.v1",
            Self::Products => "products.catalogue.view.open.v1",
            Self::Stock => "stock.levels.view.open.v1",
            Self::Customers => "customers.profile.view.pii.v1",
        }
    }

    /// The topic of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }

    /// The topic's name on a cluster that several environments share: `prefix` comes first.
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}{}", self.as_str())
    }
}
