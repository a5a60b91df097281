//! Which customer a visitor was proven to be, and until when that holds.
//!
//! Only what a collector has checked proves anything. It ends with a log-out, with an event that names
//! another customer, with a withdrawal of consent, and some time after the last proof. When in doubt it
//! has ended: events that come late are not sorted in.

use clickmill_sdk_core::wire::{Consent, Proven, Purpose};

use super::click::Click;

/// The type of the event with which a customer logs out.
const LOGOUT: &str = "logout";

/// Which customer a visitor was proven to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity(pub(super) Option<Proven>);

impl Identity {
    /// Takes what an event says; a proof holds for so long, ms. Whether the visitor was a customer and is
    /// that no more.
    pub(super) fn take(&mut self, click: &Click, proven_ms: u64) -> bool {
        let before = self.0.as_ref().map(|proven| proven.id.clone());
        self.update(click, proven_ms);
        before.is_some_and(|id| self.0.as_ref().is_none_or(|proven| proven.id != id))
    }

    fn update(&mut self, click: &Click, proven_ms: u64) {
        if click.kind.as_str() == LOGOUT || withdraws(click.consent.as_ref()) {
            self.0 = None;
        } else if let Some(id) = &click.proven {
            self.0 = Some(Proven { id: id.clone(), until: click.time + proven_ms });
        } else if let (Some(proven), Some(named)) = (&self.0, &click.customer)
            && proven.id != *named
        {
            self.0 = None;
        }
    }
}

fn withdraws(consent: Option<&Consent>) -> bool {
    consent.is_some_and(|consent| !consent.allows(Purpose::Analytics))
}
