//! One rule: as it is written, in a file or in a record of the topic, and as it is checked.

use std::fmt;
use std::time::Duration;

use clickmill_sdk_core::wire::{
    BUCKETS, EventType, Millis, Product, RuleName, Sku, Slot, Tenant, VisitorId, bucket, hex,
};
use clickmill_server::config::duration;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::expression::{Expression, Language};
use super::schedule::{self, Schedule};
use crate::tables::Shelf;

/// The most that a rule's content may take, bytes of JSON.
pub const CONTENT_BYTES_MAX: usize = 8_192;

/// The most products that a rule may name.
pub const PRODUCTS_MAX: usize = 20;

/// How long a promotion holds where its rule does not say.
const LIFETIME: Duration = Duration::from_secs(600);

/// A rule as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    name: RuleName,
    slot: Slot,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    on: Vec<EventType>,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    audience: Option<String>,
    #[serde(default)]
    schedule: schedule::Draft,
    #[serde(default)]
    caps: Caps,
    #[serde(default)]
    cool_down: CoolDown,
    #[serde(default)]
    holdout: Option<HoldoutDraft>,
    #[serde(default, with = "duration::optional")]
    lifetime: Option<Duration>,
    #[serde(default)]
    products: ProductsDraft,
    content: Map<String, Value>,
}

/// How often it may be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// To one visitor in one visit.
    pub visit: Option<u32>,
    /// To one visitor on one day, in the schedule's time zone.
    pub day: Option<u32>,
    /// To one visitor, ever.
    pub ever: Option<u32>,
    /// To all visitors together.
    pub total: Option<u64>,
}

/// How long nothing is shown after something was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CoolDown {
    #[serde(with = "duration::optional")]
    rule: Option<Duration>,
    #[serde(with = "duration::optional")]
    any: Option<Duration>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldoutDraft {
    percent: f64,
    #[serde(default)]
    salt: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum ProductsDraft {
    #[default]
    None,
    Named(Vec<Sku>),
    Word(String),
}

/// Who is not shown it, so that it can be told what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holdout {
    salt: String,
    /// Of [`BUCKETS`].
    buckets: u32,
}

/// The products that a promotion shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Products {
    /// None.
    None,
    /// Those of them that can be had; at least one.
    Named(Vec<Sku>),
    /// The one that the event is about.
    Seen,
}

/// A rule that is good.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whose visitors it is for.
    pub tenant: Tenant,
    /// Its name: what is counted under it stays when the rule is changed.
    pub name: RuleName,
    /// A hash of its text.
    pub version: String,
    /// The higher one is shown.
    pub priority: i32,
    /// The place on the page.
    pub slot: Slot,
    /// The events that it answers; none are those that hints answer: views and clicks of products and
    /// pages, and what goes into the basket.
    pub on: Vec<EventType>,
    /// When it applies.
    pub when: Option<Expression>,
    /// To whom it applies.
    pub audience: Option<Expression>,
    /// The hours.
    pub schedule: Schedule,
    /// How often.
    pub caps: Caps,
    /// How long after it was shown it is not shown again, ms.
    pub cool_down_ms: u64,
    /// How long after any promotion was shown it is not, ms.
    pub cool_down_any_ms: u64,
    /// How long it holds, ms.
    pub lifetime_ms: u64,
    /// The products.
    pub products: Products,
    /// What the page shows: an object, without the products.
    pub content: Map<String, Value>,
    holdout: Option<Holdout>,
}

/// Why a rule is refused: in words that name it, the field and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it lies: a file, or a key of the topic.
    pub place: String,
    /// Its name, as far as it has one.
    pub rule: String,
    /// The field.
    pub field: String,
    /// The reason.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, rule, field, why } = self;
        write!(f, "{place}: rule `{rule}`: {field}: {why}")
    }
}

/// The products that are shown, and the newest stock record that they rest on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picked {
    /// The products, whole.
    pub products: Vec<Product>,
    /// The newest stock record: its offset.
    pub stock_version: Option<u64>,
    /// The product that was seen, where the rule is about that.
    pub seen: Option<Sku>,
}

impl Rule {
    /// Reads and checks a rule from its JSON.
    ///
    /// # Errors
    /// The field that is wrong, and why.
    pub fn read(
        tenant: &Tenant,
        value: Value,
        language: &Language,
    ) -> Result<Self, (String, String)> {
        let version = Self::version_of(tenant, &value);
        let draft: Draft = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = match error.path().to_string() {
                // As a whole, or a field whose name is empty.
                path if path.is_empty() || path == "." => "rule".to_owned(),
                path => path,
            };
            (path, error.into_inner().to_string())
        })?;
        draft.check(tenant, version, language).map_err(|(field, why)| (field.to_owned(), why))
    }

    /// The version that a rule's JSON has.
    pub fn version_of(tenant: &Tenant, value: &Value) -> String {
        // Keys of an object are sorted, so the same rule has the same text.
        let digest = Sha256::digest(format!("{tenant}:{value}"));
        hex(digest.get(..6).unwrap_or_default())
    }

    /// Whether it answers an event. `asks` is whether hints answer it.
    pub fn answers(&self, event: &str, asks: bool) -> bool {
        if self.on.is_empty() { asks } else { self.on.iter().any(|kind| kind.as_str() == event) }
    }

    /// Whether how often a visitor was shown it matters for longer than a while.
    pub fn counts_for_longer(&self, span_ms: u64) -> bool {
        self.caps.ever.is_some() || self.holdout.is_some() || self.cool_down_ms > span_ms
    }

    /// Whether a visitor is held out.
    pub fn holds_out(&self, visitor: &VisitorId) -> bool {
        self.holdout.as_ref().is_some_and(|holdout| {
            bucket(holdout.salt.as_bytes(), visitor.as_str().as_bytes()) < holdout.buckets
        })
    }

    /// When it ends that is shown now.
    pub fn end(&self, now: Millis) -> Millis {
        let lived = now + self.lifetime_ms;
        self.schedule.end(now).map_or(lived, |end| end.min(lived))
    }

    /// The products to show, that can be had; none where the rule wants some and there are none.
    pub fn pick(&self, seen: Option<&Sku>, shelf: &Shelf<'_>) -> Option<Picked> {
        let mut picked = Picked::default();
        let wanted = match &self.products {
            Products::None => return Some(picked),
            Products::Named(skus) => skus.as_slice(),
            Products::Seen => {
                picked.seen = seen.cloned();
                std::slice::from_ref(seen?)
            }
        };
        for (product, level) in wanted.iter().filter_map(|sku| shelf.in_stock(sku)) {
            picked.products.push(product.clone());
            picked.stock_version = picked.stock_version.max(Some(level.place.offset));
        }
        (!picked.products.is_empty()).then_some(picked)
    }

    /// The most work that its conditions can be.
    pub fn cost(&self) -> u64 {
        self.when.iter().chain(&self.audience).map(Expression::cost).sum()
    }

    /// What its conditions look at, each name once.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for name in self.when.iter().chain(&self.audience).flat_map(Expression::names) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        names
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        (&self.tenant, &self.name, &self.version) == (&other.tenant, &other.name, &other.version)
    }
}

impl Draft {
    fn check(
        self,
        tenant: &Tenant,
        version: String,
        language: &Language,
    ) -> Result<Rule, (&'static str, String)> {
        let condition = |field: &'static str, text: &Option<String>| {
            let compiled = text.as_deref().map(|text| Expression::compile(text, language));
            compiled.transpose().map_err(|unfit| (field, unfit.to_string()))
        };
        let when = condition("when", &self.when)?;
        let audience = condition("audience", &self.audience)?;
        let schedule = Schedule::read(&self.schedule)?;
        let caps = [
            ("caps.visit", self.caps.visit.map(u64::from)),
            ("caps.day", self.caps.day.map(u64::from)),
            ("caps.ever", self.caps.ever.map(u64::from)),
            ("caps.total", self.caps.total),
        ];
        if let Some((field, _)) = caps.into_iter().find(|(_, cap)| *cap == Some(0)) {
            return Err((field, "must not be 0: take the rule away instead".to_owned()));
        }
        let lifetime_ms = millis(self.lifetime.unwrap_or(LIFETIME));
        if lifetime_ms == 0 {
            return Err(("lifetime", "must not be zero".to_owned()));
        }
        if self.content.contains_key("items") || self.content.contains_key("rule") {
            return Err(("content", "`items` and `rule` are put in by the relay".to_owned()));
        }
        let bytes = Value::Object(self.content.clone()).to_string().len();
        if bytes > CONTENT_BYTES_MAX {
            return Err((
                "content",
                format!("takes {bytes} bytes, and {CONTENT_BYTES_MAX} may be"),
            ));
        }
        Ok(Rule {
            tenant: tenant.clone(),
            version,
            priority: self.priority,
            slot: self.slot,
            on: self.on,
            when,
            audience,
            schedule,
            caps: self.caps,
            cool_down_ms: millis(self.cool_down.rule.unwrap_or_default()),
            cool_down_any_ms: millis(self.cool_down.any.unwrap_or_default()),
            lifetime_ms,
            products: self.products.check()?,
            content: self.content,
            holdout: self.holdout.map(|holdout| holdout.check(&self.name)).transpose()?,
            name: self.name,
        })
    }
}

impl HoldoutDraft {
    fn check(self, name: &RuleName) -> Result<Holdout, (&'static str, String)> {
        if !(0.0..=100.0).contains(&self.percent) {
            return Err(("holdout.percent", format!("{} is not 0 to 100", self.percent)));
        }
        let buckets = (self.percent * f64::from(BUCKETS) / 100.0).round() as u32;
        let salt = self.salt.unwrap_or_else(|| name.as_str().to_owned());
        if salt.is_empty() || salt.len() > 64 || !salt.is_ascii() {
            return Err(("holdout.salt", "must be 1 to 64 ASCII letters".to_owned()));
        }
        Ok(Holdout { salt, buckets })
    }
}

impl ProductsDraft {
    fn check(self) -> Result<Products, (&'static str, String)> {
        match self {
            Self::None => Ok(Products::None),
            Self::Word(word) if word == "seen" => Ok(Products::Seen),
            Self::Word(word) => Err((
                "products",
                format!("`{word}` is neither `seen` nor a list of product numbers"),
            )),
            Self::Named(skus) if (1..=PRODUCTS_MAX).contains(&skus.len()) => {
                Ok(Products::Named(skus))
            }
            Self::Named(skus) => {
                Err(("products", format!("has {}, and 1 to {PRODUCTS_MAX} may be", skus.len())))
            }
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn shop() -> Tenant {
        Tenant::parse("shop").unwrap()
    }

    /// A rule, from what is said beside name, slot and content.
    #[expect(clippy::needless_pass_by_value, reason = "so that a rule is said in one go")]
    pub(crate) fn rule(name: &str, more: Value) -> Rule {
        read(name, &more).unwrap()
    }

    fn read(name: &str, more: &Value) -> Result<Rule, (String, String)> {
        let mut value = json!({ "name": name, "slot": "banner", "content": { "title": name } });
        let fields = value.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        Rule::read(&shop(), value, &Language::default())
    }

    #[test]
    fn what_is_wrong_is_named_by_field() {
        for (more, field, says) in [
            (json!({"when": "visit.page > 1"}), "when", "there is no `visit.page`"),
            (json!({"audience": "1 +"}), "audience", "cannot be read"),
            (json!({"slot": "A"}), "slot", "slot name"),
            (json!({"prio": 3}), "prio", "unknown field"),
            (json!({"priority": "high"}), "priority", "invalid type"),
            (json!({"caps": {"visit": 0}}), "caps.visit", "must not be 0"),
            (json!({"caps": {"hour": 1}}), "caps.hour", "unknown field"),
            (json!({"cool_down": {"rule": 5}}), "cool_down.rule", "duration"),
            (json!({"holdout": {"percent": 101}}), "holdout.percent", "is not 0 to 100"),
            (json!({"holdout": {"percent": 1, "salt": ""}}), "holdout.salt", "1 to 64"),
            (json!({"schedule": {"zone": "Mars"}}), "schedule.zone", "no time zone `Mars`"),
            (json!({"schedule": {"form": "x"}}), "schedule.form", "unknown field"),
            (json!({"lifetime": "0s"}), "lifetime", "must not be zero"),
            (json!({"products": "all"}), "products", "neither `seen`"),
            (json!({"products": []}), "products", "has 0"),
            (json!({"on": ["Product View"]}), "on[0]", "event type"),
            (json!({"content": {"items": []}}), "content", "put in by the relay"),
            (json!({"content": "Hello"}), "content", "invalid type"),
            (json!({"content": {"t": "x".repeat(9_000)}}), "content", "9008 bytes"),
        ] {
            let (named, why) = read("r", &more).unwrap_err();
            assert!(named == field && why.contains(says), "{more}: {named}: {why}");
        }
        let (field, why) =
            Rule::read(&shop(), json!({"name": "r"}), &Language::default()).unwrap_err();
        assert!(field == "rule" && why.contains("missing field"), "{field}: {why}");
    }

    #[test]
    fn a_version_is_of_the_text_and_not_of_the_order() {
        let text = r#"{"slot":"banner","content":{"title":"a"},"name":"a","priority":0}"#;
        let value = serde_json::from_str(text).unwrap();
        let same = Rule::read(&shop(), value, &Language::default()).unwrap();
        assert_eq!(rule("a", json!({"priority": 0})).version, same.version);
        assert_ne!(rule("a", json!({"priority": 1})).version, same.version);
    }

    #[test]
    fn who_is_held_out_is_so_for_ever_and_as_many_as_are_said() {
        let ten = rule("a", json!({"holdout": {"percent": 10.5}}));
        let more = rule("a", json!({"holdout": {"percent": 20}}));
        let other = rule("b", json!({"holdout": {"percent": 10.5}}));
        let (mut held, mut both) = (0, 0);
        for n in 0..20_000 {
            let visitor = VisitorId::parse(format!("v{n}")).unwrap();
            let is_held = ten.holds_out(&visitor);
            held += u32::from(is_held);
            both += u32::from(is_held && other.holds_out(&visitor));
            // Raising the share moves nobody out of it.
            assert!(!is_held || more.holds_out(&visitor));
        }
        assert!((1_900..2_300).contains(&held), "{held} of 20,000 at 10.5 %");
        assert!((140..310).contains(&both), "{both} of both: the salts are not independent");
    }

    #[test]
    fn an_event_is_answered_by_the_rules_that_name_it() {
        let (plain, own) = (rule("a", json!({})), rule("b", json!({"on": ["search"]})));
        assert!(plain.answers("page_view", true) && !plain.answers("search", false));
        assert!(own.answers("search", false) && !own.answers("page_view", true));
    }
}
