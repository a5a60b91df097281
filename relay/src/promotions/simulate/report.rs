//! What a simulation has found: who would have seen what, for people and as JSON.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use clickmill_sdk_core::wire::Tenant;
use clickmill_sdk_core::wire::json::Writer;

use crate::promotions::decide::Outcome;
use crate::promotions::rule::Refusal;

/// The outcomes whose visitors may be named.
const NAMED: [(&str, Outcome); 2] =
    [("shown_to", Outcome::Shown), ("held_out_of", Outcome::HeldOut)];

/// What became of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    outcomes: BTreeMap<Outcome, u64>,
    visitors: BTreeMap<Outcome, HashSet<String>>,
    /// Shown and held out, by day.
    days: BTreeMap<String, (u64, u64)>,
}

/// What a simulation has found.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) rules: BTreeMap<(Tenant, String), Tally>,
    pub(super) refusals: Vec<Refusal>,
    /// Events that were run.
    pub events: u64,
    /// Lines or records that could not be read.
    pub unread: u64,
    /// How long deciding took, folding included.
    pub spent: Duration,
}

/// How a report is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling<'a> {
    /// Another report, to tell what differs.
    pub against: Option<&'a Report>,
    /// Whether visitors are named.
    pub who: bool,
}

impl Tally {
    pub(super) fn add(&mut self, (outcome, visitor): (Outcome, &str), day: String) {
        *self.outcomes.entry(outcome).or_default() += 1;
        let visitors = self.visitors.entry(outcome).or_default();
        if !visitors.contains(visitor) {
            visitors.insert(visitor.to_owned());
        }
        let (shown, held_out) = self.days.entry(day).or_default();
        *shown += u64::from(outcome == Outcome::Shown);
        *held_out += u64::from(outcome == Outcome::HeldOut);
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or_default()
    }

    fn visitors(&self, outcome: Outcome) -> usize {
        self.visitors.get(&outcome).map_or(0, HashSet::len)
    }

    /// The visitors that it came to this outcome for, in order.
    fn names(&self, outcome: Outcome) -> Vec<&str> {
        let visitors = self.visitors.get(&outcome).into_iter().flatten();
        let mut names: Vec<&str> = visitors.map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn matched(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

impl Report {
    pub(super) fn empty() -> Self {
        Self {
            rules: BTreeMap::new(),
            refusals: Vec::new(),
            events: 0,
            unread: 0,
            spent: Duration::ZERO,
        }
    }

    /// The rules that were refused.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// How many rules were put to events in a second, folding included: rules in force times events, also
    /// where an event is none that a rule answers.
    pub fn rule_events_per_s(&self) -> f64 {
        let pairs = self.events as f64 * self.rules.len() as f64;
        pairs / self.spent.as_secs_f64().max(1e-9)
    }

    /// How often a rule came to an outcome.
    pub fn count(&self, rule: &str, outcome: Outcome) -> u64 {
        let of_rule = self.rules.iter().filter(|((_, name), _)| name == rule);
        of_rule.map(|(_, tally)| tally.count(outcome)).sum()
    }

    /// How often a rule was shown.
    pub fn shown(&self, rule: &str) -> u64 {
        self.count(rule, Outcome::Shown)
    }

    /// A table for people.
    pub fn table(&self, Telling { against, who }: Telling<'_>) -> String {
        let mut text = format!(
            "{} events, {} could not be read; {:.0} rules*events/s\n\n{:<32}",
            self.events,
            self.unread,
            self.rule_events_per_s(),
            "rule"
        );
        let columns = Outcome::ALL;
        text.push_str(&format!("{:>9}", "matched"));
        for outcome in columns {
            text.push_str(&format!("{:>11}", outcome.as_str()));
        }
        text.push_str(&format!("{:>10}\n", "visitors"));
        let empty = Tally::default();
        for key in self.keys(against) {
            let tally = self.rules.get(&key).unwrap_or(&empty);
            text.push_str(&format!("{:<32}{:>9}", format!("{}:{}", key.0, key.1), tally.matched()));
            for outcome in columns {
                text.push_str(&format!("{:>11}", tally.count(outcome)));
            }
            text.push_str(&format!("{:>10}\n", tally.visitors(Outcome::Shown)));
            for (day, (shown, held_out)) in &tally.days {
                text.push_str(&format!("  {day}: {shown} shown, {held_out} held out\n"));
            }
            for (what, outcome) in NAMED.into_iter().filter(|_| who) {
                let names = tally.names(outcome);
                if !names.is_empty() {
                    text.push_str(&format!("  {}: {}\n", what.replace('_', " "), names.join(" ")));
                }
            }
            if let Some(against) = against {
                let (more, fewer) = self.differ(against, &key);
                text.push_str(&format!("  against: {more} visitors more, {fewer} fewer\n"));
            }
        }
        for refusal in &self.refusals {
            text.push_str(&format!("refused: {refusal}\n"));
        }
        for refusal in against.into_iter().flat_map(Self::refusals) {
            text.push_str(&format!("refused of those to compare with: {refusal}\n"));
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self, Telling { against, who }: Telling<'_>) -> String {
        let refused = |report: &Self| -> Vec<String> {
            report.refusals.iter().map(Refusal::to_string).collect()
        };
        let mut w = Writer::default();
        w.object(|w| {
            w.number_field("events", self.events);
            w.number_field("unread", self.unread);
            w.number_field("rule_events_per_s", self.rule_events_per_s() as u64);
            w.key("rules").array(|w| {
                for key in self.keys(against) {
                    let empty = Tally::default();
                    let tally = self.rules.get(&key).unwrap_or(&empty);
                    w.object(|w| {
                        w.field("tenant", Some(&key.0));
                        w.text_field("rule", &key.1);
                        tally.write(w);
                        for (what, outcome) in NAMED.into_iter().filter(|_| who) {
                            w.list_field(what, &tally.names(outcome));
                        }
                        if let Some(against) = against {
                            let (more, fewer) = self.differ(against, &key);
                            w.number_field("visitors_more", more as u64);
                            w.number_field("visitors_fewer", fewer as u64);
                        }
                    });
                }
            });
            w.list_field("refused", &refused(self));
            if let Some(against) = against {
                w.list_field("refused_against", &refused(against));
            }
        });
        w.finish()
    }

    fn keys(&self, against: Option<&Self>) -> BTreeSet<(Tenant, String)> {
        let others = against.into_iter().flat_map(|against| against.rules.keys());
        self.rules.keys().chain(others).cloned().collect()
    }

    /// Visitors that a rule is shown to here and not there, and the other way round.
    fn differ(&self, against: &Self, key: &(Tenant, String)) -> (usize, usize) {
        let empty = HashSet::new();
        let of = |report: &'_ Self| -> HashSet<String> {
            let tally = report.rules.get(key);
            tally.and_then(|tally| tally.visitors.get(&Outcome::Shown)).unwrap_or(&empty).clone()
        };
        let (here, there) = (of(self), of(against));
        (here.difference(&there).count(), there.difference(&here).count())
    }
}

impl Tally {
    fn write(&self, w: &mut Writer) {
        w.number_field("matched", self.matched());
        for outcome in Outcome::ALL {
            w.number_field(outcome.as_str(), self.count(outcome));
        }
        w.number_field("visitors_shown", self.visitors(Outcome::Shown) as u64);
        w.number_field("visitors_held_out", self.visitors(Outcome::HeldOut) as u64);
        w.key("days").array(|w| {
            for (day, (shown, held_out)) in &self.days {
                w.object(|w| {
                    w.text_field("day", day);
                    w.number_field("shown", *shown);
                    w.number_field("held_out", *held_out);
                });
            }
        });
    }
}
