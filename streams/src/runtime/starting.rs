//! Where a partition is read from: where the group left off, if that is still there.

use std::time::Duration;

use clickmill_kafka::{Commit, StartAt, TopicPartition};

/// How long Kafka may take to tell committed offsets, and where partitions end.
const ASK_WAIT: Duration = Duration::from_secs(10);

/// Where to start in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// The offset to read next; 0 is the beginning.
    pub(super) next: u64,
    /// Why that is not where the group left off.
    pub(super) misfit: Option<&'static str>,
    /// Whether the group has never committed an offset of it, or Kafka has forgotten that.
    pub(super) is_unknown: bool,
}

impl Start {
    /// As a consumer takes it.
    pub(super) fn at(self) -> StartAt {
        at(self.next)
    }
}

/// The offset to read next as a consumer takes it. Nothing was read before 0: the first record that
/// is still there may be further on.
pub(super) fn at(next: u64) -> StartAt {
    match i64::try_from(next) {
        Ok(from) if from > 0 => StartAt::Offset(from),
        Ok(_) | Err(_) => StartAt::Beginning,
    }
}

/// Where to start in each of these partitions, in their order. Only stable offsets count: one that
/// somebody is still committing is waited for.
pub(super) fn starts(
    group: &dyn Commit,
    of: &[TopicPartition],
) -> Result<Vec<Start>, clickmill_kafka::Error> {
    let committed = group.committed(of, ASK_WAIT)?;
    of.iter()
        .map(|at| {
            let Some(next) = committed.get(at) else {
                return Ok(Start { is_unknown: true, ..Start::default() });
            };
            // Whoever had it had read nothing yet.
            if *next == 0 {
                return Ok(Start::default());
            }
            let (low, high) = group.bounds(at, ASK_WAIT)?;
            let offset = |offset: i64| u64::try_from(offset).unwrap_or_default();
            Ok(start(offset(*next), (offset(low), offset(high))))
        })
        .collect()
}

/// Where to start in a partition of which the group has committed `next`.
fn start(next: u64, (low, high): (u64, u64)) -> Start {
    if next > high {
        // Another topic's records are all new. Those of one that was cut were folded before, and
        // folding them again is what views are made for; passing over new ones is not.
        let misfit =
            Some("the topic is shorter than what was read of it: it was made anew, or cut");
        Start { next: low, misfit, ..Start::default() }
    } else if next < low {
        let misfit = Some("records are gone that were never read");
        Start { next: low, misfit, ..Start::default() }
    } else {
        Start { next, ..Start::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_off_is_gone_on_with_where_it_is_there() {
        let at = |next, bounds| {
            let Start { next, misfit, .. } = start(next, bounds);
            (next, misfit.is_some())
        };
        assert_eq!(at(5, (0, 9)), (5, false));
        assert_eq!(at(9, (0, 9)), (9, false));
        assert_eq!(at(5, (5, 9)), (5, false));
        assert_eq!(at(10, (0, 9)), (0, true));
        assert_eq!(at(10, (3, 9)), (3, true));
        assert_eq!(at(4, (5, 9)), (5, true));
    }
}
