//! Which hints a feed tells, and what of a visitor that is told by.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Sku, Slot, ToJson};
use clickmill_server::query;
use hyper::Uri;
use serde::Deserialize;

use crate::tables::Shelf;
use crate::views::visitor::Signals;

/// A named part of all visitors: those for whom every condition that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// What servers ask for.
    pub name: String,
    /// So many products in the basket, or more.
    #[serde(default)]
    pub basket_min: usize,
    /// So many products seen of late, or more.
    #[serde(default)]
    pub seen_min: usize,
    /// A product of this category seen of late, or in the basket.
    #[serde(default)]
    pub category: Option<String>,
}

impl Segment {
    /// Whether a visitor belongs to it.
    fn has(&self, signals: &Signals, shelf: &Shelf<'_>) -> bool {
        let is_of = |sku: &Sku, category: &str| {
            shelf.product(sku).is_some_and(|product| product.category == category)
        };
        let mut known = signals.seen.iter().chain(&signals.basket);
        signals.basket.len() >= self.basket_min
            && signals.seen.len() >= self.seen_min
            && self.category.as_ref().is_none_or(|wanted| known.any(|sku| is_of(sku, wanted)))
    }
}

/// What a visitor is chosen by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The product looked at last: the page about it is the one that is open.
    pub sku: Option<Sku>,
    /// The segments that the visitor belongs to.
    pub segments: BTreeSet<String>,
}

impl Marks {
    /// Those of a visitor by what is known now.
    pub fn of(segments: &[Segment], signals: &Signals, shelf: &Shelf<'_>) -> Self {
        let has = segments.iter().filter(|segment| segment.has(signals, shelf));
        Self {
            sku: signals.seen.first().cloned(),
            segments: has.map(|segment| segment.name.clone()).collect(),
        }
    }
}

/// Which hints a feed tells: where every part that is given fits; all without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choice {
    /// Hints for this place on a page.
    pub slot: Option<Slot>,
    /// Hints to visitors on the page about this product.
    pub sku: Option<Sku>,
    /// Hints to visitors of this segment.
    pub segment: Option<String>,
}

/// A choice that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// What is chosen by is not known: everything would be told.
    #[error("{0:?} is nothing to choose by: that is slot, sku or segment")]
    Name(String),
    /// The value is no slot or product.
    #[error("{0} has a value that is none")]
    Value(&'static str),
    /// There is no such segment.
    #[error("there is no segment {0:?}: name one of those in hints.segments")]
    Segment(String),
}

impl Choice {
    /// Reads it from a query.
    ///
    /// # Errors
    /// When something in it is not known.
    pub fn read(uri: &Uri, segments: &[Segment]) -> Result<Self, NoChoice> {
        let mut choice = Self::default();
        for (name, value) in query::all(uri) {
            let value = value.into_owned();
            match name.as_ref() {
                "slot" => {
                    let slot = Slot::parse(value).map_err(|_| NoChoice::Value("slot"))?;
                    choice.slot = Some(slot);
                }
                "sku" => {
                    let sku = Sku::parse(value).map_err(|_| NoChoice::Value("sku"))?;
                    choice.sku = Some(sku);
                }
                "segment" if segments.iter().any(|known| known.name == value) => {
                    choice.segment = Some(value);
                }
                "segment" => return Err(NoChoice::Segment(value)),
                name => return Err(NoChoice::Name(name.to_owned())),
            }
        }
        Ok(choice)
    }

    /// Whether it takes a hint for a slot, to a visitor with these marks.
    pub fn takes(&self, slot: Option<&Slot>, marks: Option<&Marks>) -> bool {
        let has = |holds: &dyn Fn(&Marks) -> bool| marks.is_some_and(holds);
        self.slot.as_ref().is_none_or(|wanted| slot == Some(wanted))
            && self.sku.as_ref().is_none_or(|sku| has(&|marks| marks.sku.as_ref() == Some(sku)))
            && self.segment.as_ref().is_none_or(|name| has(&|marks| marks.segments.contains(name)))
    }
}

impl ToJson for Choice {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("slot", self.slot.as_ref());
            w.field("sku", self.sku.as_ref());
            w.field("segment", self.segment.as_ref());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Choice, String> {
        let segments = [Segment { name: "buyers".to_owned(), ..Segment::default() }];
        let uri = format!("/v1/hints{query}").parse().unwrap();
        Choice::read(&uri, &segments).map_err(|error| error.to_string())
    }

    #[test]
    fn a_choice_that_cannot_be_read_chooses_nothing_rather_than_all() {
        assert_eq!(read(""), Ok(Choice::default()));
        let chosen = read("?slot=top&sku=K%201&segment=buyers").unwrap();
        assert_eq!(chosen.to_json(), r#"{"slot":"top","sku":"K 1","segment":"buyers"}"#);
        assert_eq!(serde_json::from_str::<Choice>(&chosen.to_json()).unwrap(), chosen);
        for (bad, named) in
            [("?segmnt=buyers", "segmnt"), ("?segment=sellers", "sellers"), ("?slot=A b", "slot")]
        {
            let why = read(bad.replace(' ', "%20").as_str()).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn every_part_has_to_fit() {
        let slot = |name: &str| Slot::parse(name).unwrap();
        let marks = Marks {
            sku: Some(Sku::parse("A").unwrap()),
            segments: BTreeSet::from(["buyers".to_owned()]),
        };
        let takes = |query: &str, name: &str, marks: Option<&Marks>| {
            read(query).unwrap().takes(Some(&slot(name)), marks)
        };
        assert!(takes("", "top", None));
        assert!(takes("?slot=top", "top", None) && !takes("?slot=top", "side", None));
        assert!(takes("?sku=A", "top", Some(&marks)) && !takes("?sku=B", "top", Some(&marks)));
        assert!(!takes("?sku=A", "top", None));
        assert!(takes("?sku=A&segment=buyers&slot=top", "top", Some(&marks)));
        assert!(!takes("?segment=buyers", "top", Some(&Marks::default())));
    }
}
