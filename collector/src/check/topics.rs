//! A topic as it is, against what its contract says and what "accepted" promises.

use clickmill_catalog::Contract;
use clickmill_kafka::TopicState;

use super::Finding;

/// With fewer brokers that hold it, the death of one leaves accepted events on a single disk.
const REPLICATION_MIN: u16 = 3;

/// With fewer, an event counts as accepted while one broker alone has it.
const IN_SYNC_MIN: u16 = 2;

/// What is wrong with a topic; nothing if all is well. `record_bytes_max` is the largest record that
/// will be sent to it.
pub(super) fn judge(
    name: &str,
    contract: &Contract,
    state: Option<&TopicState>,
    record_bytes_max: u32,
) -> Vec<Finding> {
    let Some(state) = state else {
        let missing = format!("the topic {name} is missing; `clickmill-catalog apply` makes it");
        return vec![Finding::Error(missing)];
    };
    let number = |setting: &str| state.in_force.get(setting)?.parse::<u64>().ok();
    let mut found = Vec::new();
    let mut warn = |text: String| found.push(Finding::Warning(format!("the topic {name} {text}")));
    if state.partitions != contract.partitions {
        let (has, wants) = (state.partitions, contract.partitions);
        warn(format!(
            "has {has} partitions, the catalogue says {wants}: clients that go by the catalogue \
             place keys elsewhere; correct the contract (--contracts) or make a new major version"
        ));
    }
    let replication = state.replication;
    if replication < REPLICATION_MIN {
        warn(format!(
            "has replication {replication}: below {REPLICATION_MIN}, brokers that die may take \
             accepted events with them"
        ));
    }
    let in_sync = number("min.insync.replicas");
    if let Some(in_sync) = in_sync.filter(|in_sync| *in_sync < IN_SYNC_MIN.into()) {
        warn(format!(
            "has min.insync.replicas={in_sync}: below {IN_SYNC_MIN}, an event counts as accepted \
             while a single broker has it"
        ));
    } else if let Some(in_sync) = in_sync.filter(|in_sync| *in_sync >= replication.into()) {
        warn(format!(
            "has min.insync.replicas={in_sync} and replication {replication}: it takes nothing as \
             soon as one broker is away"
        ));
    }
    if state.in_force.get("unclean.leader.election.enable").is_some_and(|set| set == "true") {
        warn(
            "has unclean.leader.election.enable=true: a broker that lacks accepted events may \
             take over"
                .to_owned(),
        );
    }
    if let Some(takes) = number("max.message.bytes").filter(|b| *b < record_bytes_max.into()) {
        found.push(Finding::Error(format!(
            "the topic {name} has max.message.bytes={takes}, below producer.record_bytes_max, \
             {record_bytes_max}: it would refuse records that are sent to it"
        )));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clickmill_catalog::Catalogue;

    use super::*;

    /// Judges a topic that is as good as can be, but for these changes: `replication`, `partitions`
    /// or a setting.
    fn check(changes: &[(&str, &str)], says: &[&str]) {
        let catalogue = Catalogue::builtin().unwrap();
        let contract = catalogue.contracts().find(|each| each.name.as_str().contains("raw"));
        let contract = contract.unwrap();
        let settings = [("min.insync.replicas", "2"), ("max.message.bytes", "1048588")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut state = TopicState {
            partitions: contract.partitions,
            replication: 3,
            set: BTreeMap::new(),
            in_force: BTreeMap::from(settings),
        };
        for (key, value) in changes {
            match *key {
                "replication" => state.replication = value.parse().unwrap(),
                "partitions" => state.partitions = value.parse().unwrap(),
                key => drop(state.in_force.insert(key.to_owned(), (*value).to_owned())),
            }
        }
        let found = judge("t", contract, Some(&state), 1_000_000);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), says.len(), "{changes:?}: {lines:?}");
        for (line, says) in lines.iter().zip(says) {
            assert!(line.contains(says), "{changes:?}: {line}");
        }
    }

    #[test]
    fn a_topic_as_its_contract_says_is_good() {
        check(&[], &[]);
        check(&[("replication", "5"), ("min.insync.replicas", "3")], &[]);
    }

    #[test]
    fn what_endangers_accepted_events_is_warned_of() {
        check(
            &[("replication", "2")],
            &["warning  the topic t has replication 2", "takes nothing"],
        );
        check(&[("min.insync.replicas", "1")], &["warning  the topic t has min.insync.replicas=1"]);
        check(&[("min.insync.replicas", "3")], &["takes nothing as soon as one broker is away"]);
        check(&[("unclean.leader.election.enable", "true")], &["unclean.leader"]);
        check(&[("unclean.leader.election.enable", "false")], &[]);
        check(
            &[("replication", "1"), ("min.insync.replicas", "1")],
            &["replication 1", "min.insync.replicas=1"],
        );
    }

    #[test]
    fn another_count_of_partitions_is_told_with_both() {
        check(&[("partitions", "2")], &["has 2 partitions, the catalogue says 6"]);
    }

    #[test]
    fn a_topic_that_refuses_records_is_an_error() {
        check(&[("max.message.bytes", "999999")], &["error    the topic t has max.message.bytes"]);
    }

    #[test]
    fn a_topic_that_is_missing_is_named() {
        let catalogue = Catalogue::builtin().unwrap();
        let contract = catalogue.contracts().next().unwrap();
        let found = judge("dev.t", contract, None, 1);
        assert_eq!(found.len(), 1);
        let line = found[0].to_string();
        assert!(line.starts_with("error    the topic dev.t is missing"), "{line}");
    }
}
