//! Which customer a visitor was proven to be, and until when that holds.
//!
//! Only what a collector has checked proves anything. It ends with a log-out, with an event that names
//! another customer, with a withdrawal of consent, and some time after the last proof.
//!
//! Events may come late. A proof counts if it happened after what is known, see [`words`]; what ends one
//! counts unless it surely happened before it, in the same queue. When in doubt it has ended.

use clickmill_sdk_core::wire::{Consent, Proven, Purpose, Word};

use super::click::Click;
use super::words;

/// The type of the event with which a customer logs out.
const LOGOUT: &str = "logout";

/// Which customer a visitor was proven to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The customer.
    pub(super) proven: Option<Proven>,
    /// The event by which that is known, or that there is none any more.
    pub(super) word: Option<Word>,
}

impl Identity {
    /// Takes what an event says; a proof holds for so long, ms. Whether the visitor was a customer and is
    /// that no more.
    pub(super) fn take(&mut self, click: &Click, proven_ms: u64) -> bool {
        let before = self.proven.as_ref().map(|proven| proven.id.clone());
        self.update(click, proven_ms);
        before.is_some_and(|id| self.proven.as_ref().is_none_or(|proven| proven.id != id))
    }

    fn update(&mut self, click: &Click, proven_ms: u64) {
        let names_another = || match (&self.proven, &click.customer) {
            (Some(proven), Some(named)) => proven.id != *named,
            _ => false,
        };
        let proven = if click.kind.as_str() == LOGOUT || withdraws(click.consent.as_ref()) {
            None
        } else if let Some(id) = &click.proven {
            Some(Proven { id: id.clone(), until: click.time + proven_ms })
        } else if names_another() {
            None
        } else {
            return;
        };
        let word = words::word(click);
        let counts = self.word.as_ref().is_none_or(|known| match proven {
            Some(_) => words::precedes(known, &word),
            None => !words::surely_precedes(&word, known),
        });
        if counts {
            (self.proven, self.word) = (proven, Some(word));
        }
    }
}

fn withdraws(consent: Option<&Consent>) -> bool {
    consent.is_some_and(|consent| !consent.allows(Purpose::Analytics))
}
