//! Says again what holds of what was said before: by a relay that ran before, or before a partition
//! came back.

use clickmill_streams::{At, Place};

use super::{React, Silence, Stem};
use crate::hints::frame::CLICKS;
use crate::hints::hub::{Subject, Telling};
use crate::learn::Taught;
use crate::views::visitor::Signals;

impl React {
    /// Says again what a relay that ran before said to a visitor, if it would still hold: for a
    /// page that connects to one that has just started. `asked` is the newest event that asked.
    ///
    /// What was said meanwhile to another page of the visitor stays.
    pub fn recall(&self, subject: &Subject, (place, signals): (Place, Signals)) {
        let mut state = self.lock();
        // Said meanwhile, by a click of now.
        if self.means.hub.is_whole(subject) {
            return;
        }
        if !signals.personalization.unwrap_or(self.policy.personalizes_unasked) {
            // There is nothing to say again. A stream that is open is of one who allows it by now.
            return;
        }
        let Some(epoch) = state.epochs.get(&place.partition).copied() else { return };
        let at = At { place, now_ms: self.means.clock.now_ms() };
        let told = self.answer(&mut state, (&signals, Telling::Again), at);
        // Otherwise it is no matter whether there is a hint: it is no click of now, so it counts
        // nowhere.
        if told == Err(Silence::Late) {
            // Who has not moved for long waits on.
            let stem = Stem::of_click((&signals, at), (CLICKS, epoch));
            let shelf = self.means.tables.shelf(&signals.tenant, stem.now);
            self.tell_stock((&signals, subject), (&shelf, stem), Telling::Again);
        }
        self.means.hub.note_whole(subject);
    }

    /// Learns from an enriched click of before this relay ran, or of another one.
    pub fn recall_lesson(&self, taught: &Taught) {
        let Taught { tenant, time, lesson, personalization } = taught;
        if personalization.unwrap_or(self.policy.personalizes_unasked) {
            self.lock().learner(tenant, self.policy.learning).learn(lesson, *time);
        }
    }
}
