//! What promotions rest on, taken from a visitor's state.

use clickmill_sdk_core::wire::{Millis, Visit};

use super::Visitor;
use super::click::{Click, Doing};
use super::products::Products;
use crate::promotions::promoter::Standing;
use crate::promotions::scene::Facts;

/// What is known when a click comes: of its visit, which is one of so many.
pub(super) fn facts(click: &Click, (visit, visits): (&Visit, u32), products: &Products) -> Facts {
    let (sku, query) = match &click.doing {
        Doing::Sees(sku) | Doing::Takes(sku) | Doing::PutsBack(sku) => (Some(sku.clone()), None),
        Doing::Searches(query) => (None, Some(query.clone())),
        _ => (None, None),
    };
    let consent = super::personalization(click.consent.as_ref()).unwrap_or(false);
    Facts {
        event: click.kind.as_str().to_owned(),
        sku,
        query,
        consent,
        ..of_visit((visit, visits), products, click.time)
    }
}

fn of_visit((visit, visits): (&Visit, u32), products: &Products, now: Millis) -> Facts {
    Facts {
        visits,
        visit_ms: now.since(visit.started),
        events: visit.events,
        pages: visit.pages,
        products: visit.products,
        engaged_ms: visit.engaged_ms,
        searches: visit.searches.clone(),
        referrer: visit.referrer.clone(),
        campaign: visit.campaign.clone(),
        seen: products.seen().cloned().collect(),
        basket: products.basket().to_vec(),
        ..Facts::default()
    }
}

impl Visitor {
    /// What is known of the visitor apart from an event.
    pub(super) fn standing(&self, personalization: Option<bool>) -> Standing {
        let nothing = Visit::default();
        let visit = self.sessions.known.first().unwrap_or(&nothing);
        let facts = of_visit((visit, self.sessions.visits), &self.products, visit.last);
        Standing {
            facts: Facts {
                consent: personalization.unwrap_or(false),
                customer: self.identity.proven.clone(),
                ..facts
            },
            history: self.promotions.clone(),
            visit: visit.number,
        }
    }
}
