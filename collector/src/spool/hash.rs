//! Which lane a message lies in: Kafka's own hash of its key.

use clickmill_kafka::partition_of;

use super::{KEYED_LANES, LANES};

/// The lane of a key; messages without one have the last.
pub(crate) fn lane_of(key: Option<&str>) -> usize {
    let Some(key) = key else { return LANES - 1 };
    // Lossless: there are few lanes.
    partition_of(key.as_bytes(), KEYED_LANES as u32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_without_a_key_hold_no_visitor_up() {
        assert_eq!(lane_of(None), LANES - 1);
        let used: std::collections::BTreeSet<usize> =
            (0..1_000).map(|number| lane_of(Some(&format!("v{number}")))).collect();
        assert_eq!(used.len(), KEYED_LANES);
        assert!(!used.contains(&(LANES - 1)));
    }
}
