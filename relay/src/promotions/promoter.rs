//! Holds the rules in force, and applies them to events and to pages.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    EventId, Json, Millis, Product, Promoted, RuleName, Sku, Slot, Tenant, VisitorId,
};
use clickmill_streams::{Table, Version};
use serde_json::Value;
use tracing::warn;

use super::decide::{Case, Outcome, Quota, Verdict, decide, running};
use super::expression::Language;
use super::grants::{Grant, Grants, Held, Who};
use super::history::{History, Showing};
use super::leases::{Alone, Leases};
use super::rule::Rule;
use super::rules::{Entry, Records, Rules, read_folder};
use super::scene::{Facts, Scene};
use crate::metrics::PromotionMeters;
use crate::tables::{Shelf, Tables};

/// What promotions rest on and how they are told.
#[derive(Debug)]
pub struct Setting {
    /// A folder with files of rules.
    pub folder: Option<PathBuf>,
    /// The rules of the topic.
    pub topic: Option<Table<Records>>,
    /// Products and stock.
    pub tables: Tables,
    /// Whether a visitor who has said nothing is shown promotions.
    pub personalizes_unasked: bool,
    /// An event that is older is not answered any more, ms.
    pub late_ms: u64,
    /// The topic of what was decided, in full; none records nothing.
    pub decided: Option<Arc<str>>,
    /// Leases of caps in total; none where this process is alone.
    pub leases: Option<Arc<Leases>>,
    /// What is counted; none counts nothing.
    pub meters: Option<PromotionMeters>,
}

/// Holds the rules in force.
#[derive(Debug)]
pub struct Promoter {
    setting: Setting,
    language: Language,
    rules: ArcSwap<Rules>,
    read: Mutex<Read>,
    /// Whether the rules of the topic are in force.
    has_topic: AtomicBool,
    alone: Alone,
    grants: Grants,
}

/// What the rules in force were made from.
#[derive(Debug, Default)]
struct Read {
    files: Vec<Entry>,
    versions: Vec<Version>,
}

/// An event that may be answered.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Whose.
    pub tenant: &'a Tenant,
    /// Who.
    pub visitor: &'a VisitorId,
    /// Which of the visitor's visits.
    pub visit: u32,
    /// The event; none where a page is decided for.
    pub event: Option<EventId>,
    /// When it happened.
    pub time: Millis,
    /// Now.
    pub now: Millis,
    /// Whether hints answer it.
    pub asks: bool,
    /// What the visitor said about personalization; none if nothing.
    pub personalization: Option<bool>,
}

/// What was decided with an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What became of the rules that applied.
    pub verdicts: Vec<Verdict>,
    /// What the visitor is shown now, what was decided just now included.
    pub holding: Vec<Holding>,
    /// What is to be recorded.
    pub records: Vec<Promoted>,
}

/// A promotion that a visitor is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The product it is about, where it is about the one that was seen.
    pub sku: Option<Sku>,
    /// Since when.
    pub at: Millis,
    /// Up to when.
    pub until: Millis,
}

/// What is known of a visitor apart from an event: for a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What is known.
    pub facts: Facts,
    /// What was shown.
    pub history: History,
    /// The running visit.
    pub visit: u32,
}

impl Told {
    /// Whether there is nothing to say.
    pub fn is_silent(&self) -> bool {
        self.holding.is_empty()
    }
}

impl Promoter {
    /// Without rules, until they are read.
    pub fn new(setting: Setting) -> Self {
        Self {
            setting,
            language: Language::default(),
            rules: ArcSwap::default(),
            read: Mutex::default(),
            has_topic: AtomicBool::new(false),
            alone: Alone::default(),
            grants: Grants::default(),
        }
    }

    /// Whether the topics were read, and the rules in them are in force.
    pub fn is_ready(&self) -> bool {
        (self.setting.topic.is_none() || self.has_topic.load(Ordering::Acquire))
            && self.setting.leases.as_ref().is_none_or(|leases| leases.is_ready())
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Leases of caps in total.
    pub fn leases(&self) -> Option<&Arc<Leases>> {
        self.setting.leases.as_ref()
    }

    /// The folder of files, where there is one.
    pub fn folder(&self) -> Option<&PathBuf> {
        self.setting.folder.as_ref()
    }

    /// The topic of what was decided.
    pub fn decided(&self) -> Option<&Arc<str>> {
        self.setting.decided.as_ref()
    }

    /// Reads the files anew.
    pub fn read_files(&self) {
        let files = self.setting.folder.as_deref().map(read_folder).unwrap_or_default();
        self.make(Some(files));
    }

    /// Takes what has changed in the topic. Whether there was something.
    pub fn read_topic(&self) -> bool {
        let Some(topic) = &self.setting.topic else { return false };
        let (is_ready, versions) = (topic.is_ready(), topic.read().versions().to_vec());
        let is_new = self.lock_read().versions != versions;
        if is_new {
            self.make(None);
        }
        self.has_topic.fetch_or(is_ready, Ordering::AcqRel);
        is_new
    }

    /// Puts rules in force as they were found elsewhere.
    pub fn set(&self, entries: Vec<Entry>) {
        self.make(Some(entries));
    }

    fn make(&self, files: Option<Vec<Entry>>) {
        let mut read = self.lock_read();
        if let Some(files) = files {
            read.files = files;
        }
        let mut entries = Vec::new();
        if let Some(topic) = &self.setting.topic {
            let topic = topic.read();
            read.versions = topic.versions().to_vec();
            entries.extend(topic.entries());
        }
        entries.extend(read.files.iter().cloned());
        let before = self.rules.load_full();
        let rules = Rules::of(&entries, (&self.language, &before));
        for refusal in rules.refusals() {
            if !before.refusals().contains(refusal) {
                warn!(%refusal, "a rule of promotions is refused");
                self.count(|meters| meters.refused(&refusal.field));
            }
        }
        self.count(|meters| meters.rules(rules.all().count(), rules.refusals().len()));
        self.rules.store(Arc::new(rules));
    }

    /// Applies the rules to an event of a visitor. `facts` is asked only where there is a rule for it.
    pub fn answer(
        &self,
        (history, asking): (&mut History, &Asking<'_>),
        (event, facts): (&str, impl FnOnce() -> Facts),
    ) -> Told {
        let mut told = Told::default();
        if !asking.personalization.unwrap_or(self.setting.personalizes_unasked) {
            return told;
        }
        let rules = self.rules.load();
        let rules = rules.of_tenant(asking.tenant);
        if rules.is_empty() {
            told.records = self.end_grants(history, asking);
            return told;
        }
        let shelf = self.setting.tables.shelf(asking.tenant, asking.now);
        // Held until it is decided: a page that is rendered at this moment knows of this, or this of it.
        let mut grants = self.grants.for_event();
        told.records = noted(&mut grants, history, asking);
        let is_late = asking.now.since(asking.time) >= self.setting.late_ms;
        if !is_late && rules.iter().any(|rule| rule.answers(event, asking.asks)) {
            let mut scene = Scene::new(facts(), &shelf);
            told.verdicts = self.decide((rules, asking, None), &mut scene, (history, &shelf));
            told.records.extend(told.verdicts.iter().filter_map(|verdict| {
                let showing = verdict.showing.as_ref()?;
                Some(recorded(asking, showing, (&verdict.rule.version, &verdict.rule.slot)))
            }));
            if let Some(grants) = &mut grants {
                self.grant(grants, asking, &told.verdicts);
            }
        }
        drop(grants);
        told.holding = self.holding_of(rules, history, (asking.now, &shelf));
        told
    }

    /// Ends what a visitor is shown, what pages were told included, since it may have been for the
    /// customer whom they are not any more. Returns what is to be recorded.
    pub fn end(&self, history: &mut History, asking: &Asking<'_>) -> Vec<Promoted> {
        let records = self.end_grants(history, asking);
        history.end(asking.now);
        records
    }

    fn end_grants(&self, history: &mut History, asking: &Asking<'_>) -> Vec<Promoted> {
        noted(&mut self.grants.for_event(), history, asking)
    }

    /// What was shown is known to whoever decides next, before it is in a state.
    fn grant(&self, grants: &mut Held, asking: &Asking<'_>, verdicts: &[Verdict]) {
        let shown = verdicts.iter().filter_map(|verdict| {
            let (showing, rule) = (verdict.showing.clone()?, &verdict.rule);
            Some(Grant {
                showing,
                version: rule.version.clone(),
                slot: rule.slot.clone(),
                event: asking.event,
                noted: asking.event.map(|_| asking.now),
            })
        });
        let lost = grants.put(who(asking), shown.collect(), asking.now);
        self.count(|meters| meters.grants_lost(lost));
    }

    /// Applies the rules to a page that a server renders, about a product or none, for these slots.
    pub fn page(
        &self,
        asking: &Asking<'_>,
        (standing, sku, slots): (&Standing, Option<&Sku>, &[Slot]),
        shelf: &Shelf<'_>,
    ) -> Told {
        let mut told = Told::default();
        let rules = self.rules.load();
        let rules = rules.of_tenant(asking.tenant);
        let mut history = standing.history.clone();
        let mut grants = self.grants.for_page();
        grants.note(&who(asking), &mut history, (None, asking.now));
        if !rules.is_empty() && grants.has_room(&who(asking), asking.now) {
            let event = if sku.is_some() { "product_view" } else { "page_view" };
            let facts = Facts {
                event: event.to_owned(),
                sku: sku.cloned(),
                query: None,
                ..standing.facts.clone()
            };
            let mut scene = Scene::new(facts, shelf);
            let case = (rules, asking, Some(slots));
            told.verdicts = self.decide(case, &mut scene, (&mut history, shelf));
            self.grant(&mut grants, asking, &told.verdicts);
        }
        drop(grants);
        told.holding = self.holding_of(rules, &history, (asking.now, shelf));
        told
    }

    /// What a visitor is shown at a moment.
    pub fn holding(&self, tenant: &Tenant, history: &History, at: (Millis, &Shelf<'_>)) -> Told {
        let rules = self.rules.load();
        let holding = self.holding_of(rules.of_tenant(tenant), history, at);
        Told { holding, ..Told::default() }
    }

    /// Whether a rule is in force as it is.
    pub fn is_current(&self, rule: &Rule, now: Millis) -> bool {
        let rules = self.rules.load();
        let current = rules.find(&rule.tenant, &rule.name);
        current.is_some_and(|current| **current == *rule && current.schedule.holds(now))
    }

    /// How far the topic was read.
    pub fn versions(&self) -> Vec<Version> {
        self.setting
            .topic
            .as_ref()
            .map(|topic| topic.read().versions().to_vec())
            .unwrap_or_default()
    }

    fn holding_of(
        &self,
        rules: &[Arc<Rule>],
        history: &History,
        at: (Millis, &Shelf<'_>),
    ) -> Vec<Holding> {
        let held = running(rules, history, at).into_iter().filter_map(|rule| {
            let mark = history.mark(&rule.name)?;
            Some(Holding { sku: mark.sku.clone(), at: mark.at, until: mark.until, rule })
        });
        held.collect()
    }

    fn decide(
        &self,
        (rules, asking, slots): (&[Arc<Rule>], &Asking<'_>, Option<&[Slot]>),
        scene: &mut Scene,
        (history, shelf): (&mut History, &Shelf<'_>),
    ) -> Vec<Verdict> {
        let Asking { visitor, visit, now, asks, .. } = *asking;
        let case = Case { visitor, visit, now, asks, slots };
        let verdicts = decide(rules, (&case, scene), (history, shelf), self);
        self.count(|meters| {
            for verdict in &verdicts {
                meters.verdict(&verdict.rule.name, verdict.outcome);
            }
        });
        verdicts
    }

    fn count(&self, count: impl FnOnce(&PromotionMeters)) {
        if let Some(meters) = &self.setting.meters {
            count(meters);
        }
    }

    fn lock_read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quota for Promoter {
    fn take(&self, rule: &Rule) -> bool {
        match &self.setting.leases {
            Some(leases) => leases.take(rule),
            None => self.alone.take(rule),
        }
    }
}

impl Verdict {
    /// Whether it is shown.
    pub fn is_shown(&self) -> bool {
        self.outcome == Outcome::Shown
    }
}

impl Rule {
    /// How a hint names the rule that decided it: name and version.
    pub fn tag(&self) -> String {
        tag(&self.name, &self.version)
    }

    /// What a page shows: the rule's own content, its name, and the products.
    pub fn shown(&self, products: &[Product]) -> Json {
        let text = Value::Object(self.content.clone()).to_string();
        let mut w = Writer::behind(text);
        w.field("rule", Some(&self.name));
        w.list_field("items", products);
        Json::trusted(w.close_object())
    }
}

fn tag(name: &RuleName, version: &str) -> String {
    format!("{name}@{version}")
}

fn recorded(asking: &Asking<'_>, showing: &Showing, (version, slot): (&str, &Slot)) -> Promoted {
    Promoted {
        tenant: asking.tenant.clone(),
        visitor: asking.visitor.clone(),
        rule: showing.rule.clone(),
        version: version.to_owned(),
        slot: slot.clone(),
        held_out: showing.held_out,
        at: showing.at,
        event: asking.event,
    }
}

fn who(asking: &Asking<'_>) -> Who {
    (asking.tenant.clone(), asking.visitor.clone())
}

/// Puts what a visitor was shown elsewhere into their state; what is to be recorded of it.
fn noted(
    grants: &mut Option<MutexGuard<'_, Held>>,
    history: &mut History,
    asking: &Asking<'_>,
) -> Vec<Promoted> {
    let Some(grants) = grants else { return Vec::new() };
    let new = grants.note(&who(asking), history, (asking.event, asking.now));
    let record = |Grant { showing, version, slot, event, .. }: &Grant| {
        recorded(&Asking { event: *event, ..*asking }, showing, (version, slot))
    };
    new.iter().map(record).collect()
}
