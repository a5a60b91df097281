//! Compares contracts with a cluster: what is to be made, what is to change, what must not.

use std::collections::BTreeMap;
use std::fmt;

use clickmill_kafka::{TopicSpec, TopicState};

use crate::Contract;
use crate::contract::NAME_BYTES_MAX;

/// What a plan may assume about the cluster it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Comes before every topic's name, so that environments can share a cluster.
    pub topic_prefix: String,
    /// How many replicas new topics get, instead of the contract's number; for small clusters.
    pub replication: Option<u16>,
    /// How many partitions new topics get, instead of the contract's number. One is no number but
    /// an order over all records, and stays.
    pub partitions: Option<u32>,
}

/// What a plan needs to know of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// How many brokers it has.
    pub brokers: usize,
    /// The contracts' topics that are there, by their full names.
    pub topics: BTreeMap<String, TopicState>,
}

/// What there is to do, in the order of the topics' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One or more actions for each contract.
    pub actions: Vec<Action>,
}

/// What there is to do about one topic. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Change settings.
    Change {
        /// The topic, in full.
        topic: String,
        /// The settings that differ.
        changes: Vec<Change>,
    },
    /// Make the topic.
    Create(TopicSpec),
    /// Add partitions, where no key depends on their number.
    Grow {
        /// The topic, in full.
        topic: String,
        /// How many there are.
        from: u32,
        /// How many there will be.
        to: u32,
    },
    /// Nothing: all is as the contract says.
    Keep {
        /// The topic, in full.
        topic: String,
    },
    /// Cannot be done without harm: somebody has to decide.
    Refuse {
        /// The topic, in full.
        topic: String,
        /// Why.
        why: Refused,
    },
}

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The setting, by Kafka's name.
    pub setting: String,
    /// What is in force.
    pub from: Option<String>,
    /// What the contract says.
    pub to: String,
}

/// Why a difference is not simply mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A new topic asks for more replicas than there are brokers.
    #[error(
        "it needs {wants} brokers, the cluster has {has}: name a smaller number with --replication"
    )]
    Brokers {
        /// How many there are.
        has: usize,
        /// On how many the topic is to lie.
        wants: u16,
    },
    /// Switching between deleting and compacting loses records.
    #[error(
        "it is kept by cleanup.policy={has}, the contract says {wants}: records would be lost; \
         make a new major version"
    )]
    Cleanup {
        /// What is in force.
        has: String,
        /// What the contract says.
        wants: String,
    },
    /// The name with its prefix is not one that Kafka takes.
    #[error(
        "the prefix does not make a topic name: at most {NAME_BYTES_MAX} letters, digits, dots, hyphens or underscores"
    )]
    Name,
    /// Keys would move to other partitions, and with them the order of their records.
    #[error(
        "it has {has} partitions, the contract says {wants}: its records are placed by key, which \
         would move; make a new major version, or correct the contract"
    )]
    Partitions {
        /// How many there are.
        has: u32,
        /// How many the contract says.
        wants: u32,
    },
    /// Kafka cannot take partitions away.
    #[error(
        "it has {has} partitions, the contract says {wants}: Kafka cannot take partitions away"
    )]
    PartitionsFewer {
        /// How many there are.
        has: u32,
        /// How many the contract says.
        wants: u32,
    },
    /// Fewer brokers hold the topic than it takes to keep its promise.
    #[error(
        "it has {has} replicas, the contract says {wants}: raise them with Kafka's own \
         reassignment, or name the cluster's number with --replication"
    )]
    Replication {
        /// On how many brokers the topic lies.
        has: u16,
        /// On how many it should.
        wants: u16,
    },
}

/// Compares contracts with a cluster.
pub fn plan<'a>(
    contracts: impl IntoIterator<Item = &'a Contract>,
    cluster: &Cluster,
    options: &PlanOptions,
) -> Plan {
    let actions = contracts
        .into_iter()
        .flat_map(|contract| {
            let wanted = options.spec(contract);
            match cluster.topics.get(&wanted.name) {
                _ if !is_topic_name(&wanted.name) => {
                    vec![Action::Refuse { topic: wanted.name, why: Refused::Name }]
                }
                None if usize::from(wanted.replication) > cluster.brokers => {
                    let why = Refused::Brokers { has: cluster.brokers, wants: wanted.replication };
                    vec![Action::Refuse { topic: wanted.name, why }]
                }
                None => vec![Action::Create(wanted)],
                Some(state) => options.compare(contract, &wanted, state),
            }
        })
        .collect();
    Plan { actions }
}

impl Plan {
    /// Whether something is refused; then nothing of the plan is carried out.
    pub fn is_refused(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Refuse { .. }))
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.actions.iter().all(|action| matches!(action, Action::Keep { .. }))
    }
}

impl PlanOptions {
    /// The full name of a contract's topic.
    pub fn topic(&self, contract: &Contract) -> String {
        format!("{}{}", self.topic_prefix, contract.name)
    }

    /// The topic that a contract asks for on this cluster.
    fn spec(&self, contract: &Contract) -> TopicSpec {
        let replication = self.replication.unwrap_or(contract.replication);
        let min_insync = contract.min_insync_replicas.min(replication);
        let mut config = contract.config.clone();
        config.extend(contract.cleanup.settings().map(|(key, value)| (key.to_owned(), value)));
        config.insert("min.insync.replicas".to_owned(), min_insync.to_string());
        TopicSpec {
            name: self.topic(contract),
            partitions: match contract.partitions {
                1 => 1,
                partitions => self.partitions.unwrap_or(partitions),
            },
            replication,
            config,
        }
    }

    fn compare(&self, contract: &Contract, wanted: &TopicSpec, state: &TopicState) -> Vec<Action> {
        let topic = &wanted.name;
        let mut actions = Vec::new();
        // The overrides are for making topics; one made by the contract's own numbers is as good.
        if state.partitions != wanted.partitions && state.partitions != contract.partitions {
            actions.push(repartition(contract, topic, state.partitions));
        }
        if state.replication < wanted.replication.min(contract.replication) {
            let why = Refused::Replication { has: state.replication, wants: wanted.replication };
            actions.push(Action::Refuse { topic: topic.clone(), why });
        }
        let mut changes = Vec::new();
        for (setting, to) in &wanted.config {
            let from = state.in_force.get(setting);
            if from.is_some_and(|from| same(setting, from, to)) {
                continue;
            }
            match from {
                Some(from) if setting == "cleanup.policy" => {
                    let why = Refused::Cleanup { has: from.clone(), wants: to.clone() };
                    actions.push(Action::Refuse { topic: topic.clone(), why });
                }
                _ => changes.push(Change {
                    setting: setting.clone(),
                    from: from.cloned(),
                    to: to.clone(),
                }),
            }
        }
        if !changes.is_empty() {
            actions.push(Action::Change { topic: topic.clone(), changes });
        }
        if actions.is_empty() {
            actions.push(Action::Keep { topic: topic.clone() });
        }
        actions
    }
}

fn repartition(contract: &Contract, topic: &str, has: u32) -> Action {
    let (topic, wants) = (topic.to_owned(), contract.partitions);
    if contract.is_keyed() {
        Action::Refuse { topic, why: Refused::Partitions { has, wants } }
    } else if has > wants {
        Action::Refuse { topic, why: Refused::PartitionsFewer { has, wants } }
    } else {
        Action::Grow { topic, from: has, to: wants }
    }
}

/// Whether two values of a setting mean the same; lists have no order.
fn same(setting: &str, a: &str, b: &str) -> bool {
    if setting != "cleanup.policy" {
        return a == b;
    }
    let sorted = |list: &str| {
        let mut items: Vec<String> = list.split(',').map(|item| item.trim().to_owned()).collect();
        items.sort();
        items
    };
    sorted(a) == sorted(b)
}

fn is_topic_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change { topic, changes } => {
                write!(f, "change {topic}:")?;
                for (at, change) in changes.iter().enumerate() {
                    let from = change.from.as_deref().unwrap_or("unset");
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma} {} {from} -> {}", change.setting, change.to)?;
                }
                Ok(())
            }
            Self::Create(spec) => {
                let TopicSpec { name, partitions, replication, config } = spec;
                write!(f, "create {name}: partitions={partitions} replication={replication}")?;
                config.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
            Self::Grow { topic, from, to } => {
                write!(f, "grow   {topic}: partitions {from} -> {to}")
            }
            Self::Keep { topic } => write!(f, "keep   {topic}"),
            Self::Refuse { topic, why } => write!(f, "refuse {topic}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    fn options() -> PlanOptions {
        PlanOptions { replication: Some(1), ..PlanOptions::default() }
    }

    fn three_brokers() -> Cluster {
        Cluster { brokers: 3, topics: BTreeMap::new() }
    }

    fn raw() -> Contract {
        Catalogue::builtin().unwrap().get("web.clicks.raw.pii.v1").unwrap().clone()
    }

    /// The cluster after a plan was carried out, as far as plans look at it.
    fn carry_out(plan: &Plan, cluster: &mut Cluster) {
        for action in &plan.actions {
            match action {
                Action::Create(spec) => {
                    let state = TopicState {
                        partitions: spec.partitions,
                        replication: spec.replication,
                        set: spec.config.clone(),
                        in_force: spec.config.clone(),
                    };
                    cluster.topics.insert(spec.name.clone(), state);
                }
                Action::Change { topic, changes } => {
                    let state = cluster.topics.get_mut(topic).unwrap();
                    let changes = changes.iter();
                    state.in_force.extend(changes.map(|c| (c.setting.clone(), c.to.clone())));
                }
                Action::Grow { topic, to, .. } => {
                    cluster.topics.get_mut(topic).unwrap().partitions = *to
                }
                Action::Keep { .. } | Action::Refuse { .. } => {}
            }
        }
    }

    /// Plans for the raw clicks' contract against a topic that was made by it, both altered.
    fn after(
        alter_contract: impl FnOnce(&mut Contract),
        alter_topic: impl FnOnce(&mut TopicState),
    ) -> Plan {
        let mut contract = raw();
        let mut cluster = three_brokers();
        carry_out(&plan([&contract], &cluster, &options()), &mut cluster);
        cluster.topics.values_mut().for_each(alter_topic_once(alter_topic));
        alter_contract(&mut contract);
        plan([&contract], &cluster, &options())
    }

    fn alter_topic_once(alter: impl FnOnce(&mut TopicState)) -> impl FnMut(&mut TopicState) {
        let mut alter = Some(alter);
        move |state| {
            if let Some(alter) = alter.take() {
                alter(state);
            }
        }
    }

    #[test]
    fn a_carried_out_plan_leaves_nothing_to_do() {
        let catalogue = Catalogue::builtin().unwrap();
        let mut cluster = three_brokers();
        let first = plan(catalogue.contracts(), &cluster, &options());
        assert!(first.actions.iter().all(|action| matches!(action, Action::Create(_))));
        carry_out(&first, &mut cluster);
        assert!(plan(catalogue.contracts(), &cluster, &options()).is_done());
    }

    #[test]
    fn an_order_over_all_records_stays_one_partition() {
        let catalogue = Catalogue::builtin().unwrap();
        let options = PlanOptions { partitions: Some(4), ..options() };
        let plan = plan(catalogue.contracts(), &three_brokers(), &options);
        let made = |name: &str| {
            plan.actions.iter().find_map(|action| match action {
                Action::Create(spec) if spec.name.ends_with(name) => Some(spec.partitions),
                _ => None,
            })
        };
        assert_eq!(made("web.clicks.raw.pii.v1"), Some(4));
        assert_eq!(made("promotions.leases.view.open.v1"), Some(1));
    }

    #[test]
    fn a_small_cluster_lowers_what_it_cannot_hold() {
        let plan = plan([&raw()], &three_brokers(), &options());
        let [Action::Create(spec)] = plan.actions.as_slice() else { panic!("{plan:?}") };
        assert_eq!((spec.replication, spec.partitions), (1, 6));
        assert_eq!(spec.config["min.insync.replicas"], "1");
        assert_eq!(spec.config["retention.ms"], "604800000");
    }

    #[test]
    fn more_replicas_than_brokers_are_refused_before_anything_is_made() {
        let one = Cluster { brokers: 1, ..Cluster::default() };
        let refused = plan([&raw()], &one, &PlanOptions::default());
        let why = Refused::Brokers { has: 1, wants: 3 };
        let topic = "web.clicks.raw.pii.v1".to_owned();
        assert_eq!(refused.actions, [Action::Refuse { topic, why }]);
        assert!(!plan([&raw()], &one, &options()).is_refused());
    }

    #[test]
    fn a_prefix_comes_before_every_name() {
        let options = PlanOptions { topic_prefix: "beta.".to_owned(), ..options() };
        let first = plan([&raw()], &three_brokers(), &options);
        assert!(first.actions[0].to_string().starts_with("create beta.web.clicks.raw.pii.v1:"));
        let options = PlanOptions { topic_prefix: "be ta".to_owned(), ..options };
        assert!(plan([&raw()], &three_brokers(), &options).is_refused());
    }

    #[test]
    fn a_keyed_topic_is_never_repartitioned() {
        for has in [5, 7] {
            let plan = after(|_| {}, |state| state.partitions = has);
            let why = Refused::Partitions { has, wants: 6 };
            let topic = "web.clicks.raw.pii.v1".to_owned();
            assert_eq!(plan.actions, [Action::Refuse { topic, why }]);
        }
    }

    #[test]
    fn an_unkeyed_topic_may_grow_but_not_shrink() {
        let unkey = |contract: &mut Contract| contract.key.format = crate::KeyFormat::None;
        let grown = after(unkey, |state| state.partitions = 4);
        assert!(matches!(grown.actions[..], [Action::Grow { from: 4, to: 6, .. }]), "{grown:?}");
        assert!(after(unkey, |state| state.partitions = 8).is_refused());
    }

    #[test]
    fn a_number_given_for_creation_does_not_question_what_is_there() {
        let mut cluster = three_brokers();
        let three = PlanOptions { partitions: Some(3), ..options() };
        carry_out(&plan([&raw()], &cluster, &three), &mut cluster);
        assert!(plan([&raw()], &cluster, &three).is_done());
        assert!(plan([&raw()], &cluster, &options()).is_refused());

        let mut cluster = three_brokers();
        carry_out(&plan([&raw()], &cluster, &options()), &mut cluster);
        assert!(plan([&raw()], &cluster, &three).is_done());
    }

    #[test]
    fn settings_that_differ_are_changed_and_others_left() {
        let shorter = crate::Cleanup::Delete { retention_hours: 24 };
        let plan = after(
            |contract| contract.cleanup = shorter,
            |state| {
                state.in_force.insert("segment.ms".to_owned(), "5".to_owned());
            },
        );
        assert_eq!(
            plan.actions[0].to_string(),
            "change web.clicks.raw.pii.v1: retention.ms 604800000 -> 86400000"
        );
        assert_eq!(plan.actions.len(), 1);
    }

    #[test]
    fn a_change_that_loses_records_is_refused() {
        assert!(after(|contract| contract.cleanup = crate::Cleanup::Compact, |_| {}).is_refused());
        let both = crate::Cleanup::CompactAndDelete { retention_hours: 168 };
        let policy = |state: &mut TopicState| {
            state.in_force.insert("cleanup.policy".to_owned(), "delete,compact".to_owned());
        };
        assert!(after(|contract| contract.cleanup = both, policy).is_done());
    }

    #[test]
    fn too_few_replicas_are_refused_too_many_are_not() {
        let full = PlanOptions::default();
        let mut cluster = three_brokers();
        carry_out(&plan([&raw()], &cluster, &options()), &mut cluster);
        assert!(plan([&raw()], &cluster, &full).is_refused());
        carry_out(&plan([&raw()], &three_brokers(), &full), &mut cluster);
        assert!(!plan([&raw()], &cluster, &options()).is_refused());
    }
}
