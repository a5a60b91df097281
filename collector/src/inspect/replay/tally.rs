//! What became of the dead letters of one replay.

use std::collections::BTreeMap;
use std::fmt;

use clickmill_sdk_core::wire::Reason;

/// What became of the dead letters that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Dead letters that were asked for.
    pub letters: usize,
    /// Events that were put through, or would have been.
    pub replayed: usize,
    /// Events that lie in their topic already.
    pub there: usize,
    /// Further letters of an event that has one here.
    pub copies: usize,
    /// Events that are still bad, by reason.
    pub bad: BTreeMap<Reason, usize>,
    /// Letters of a site that the configuration does not name.
    pub no_site: usize,
    /// Letters that keep nothing of the event, or that cannot be read.
    pub not_replayable: usize,
    /// Events that Kafka did not take: run it again.
    pub failed: usize,
    /// Whether it ended early because it had found as many as may be.
    pub more: bool,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dead letters looked at: {}", self.letters)?;
        writeln!(f, "put through: {}", self.replayed)?;
        writeln!(f, "there already: {}", self.there)?;
        writeln!(f, "further letters of the same event: {}", self.copies)?;
        writeln!(f, "still bad: {}", self.bad.values().sum::<usize>())?;
        for (reason, count) in &self.bad {
            writeln!(f, "  {}: {count}", reason.as_str())?;
        }
        writeln!(f, "of a site that is not configured: {}", self.no_site)?;
        writeln!(f, "not replayable, nothing of the event is kept: {}", self.not_replayable)?;
        write!(f, "not taken by Kafka: {}", self.failed)?;
        if self.more {
            write!(f, "\nthere may be more: run it again")?;
        }
        Ok(())
    }
}
