//! The topics around a view and between stages: made where they are missing, written down as
//! contracts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use clickmill_kafka::{Admin, Creation, KafkaConfig, TopicSpec};
use tracing::info;

use super::{Arguments, Failure, Through};

/// How long Kafka may take to tell of topics.
const ADMIN_WAIT: Duration = Duration::from_secs(10);

/// How long the contract of a topic between stages keeps its records, hours: ten years. They go once
/// they were folded; time alone must not take any, however long the stage that reads them is away.
const KEPT_HOURS: u32 = 10 * 365 * 24;

/// The topics around a view, without the prefix.
pub(super) struct Topics {
    pub(super) driving: &'static str,
    pub(super) beside: Vec<&'static str>,
    pub(super) changelog: String,
    pub(super) writes: Vec<&'static str>,
    pub(super) tables: Vec<&'static str>,
}

/// Makes what is missing, with as many partitions as the topic that drives the view: the changelog,
/// what the view writes, and the tables that it looks into. The topics that it is fed by must be
/// there.
pub(super) async fn make(arguments: &Arguments, topics: &Topics) -> Result<(), Failure> {
    let Arguments { prefix, topic, .. } = arguments;
    let admin = admin(arguments)?;
    let full = |name: &str| format!("{prefix}{name}");
    let driving = full(topic.as_deref().unwrap_or(topics.driving));
    let read = topics.beside.iter().map(|topic| full(topic)).chain([driving]);
    let mut partitions = 0;
    for name in read {
        let found = admin.partitions(&name).await?;
        partitions = found.ok_or(Failure::NoTopic(name))?;
    }
    let compacted: BTreeMap<_, _> = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
    let tables = topics.tables.iter().map(|name| spec(full(name), 1, compacted.clone()));
    let mut wanted: Vec<_> = tables.collect();
    wanted.push(spec(full(&topics.changelog), partitions, compacted));
    let writes = topics.writes.iter().map(|name| spec(full(name), partitions, BTreeMap::new()));
    wanted.extend(writes);
    create(&admin, &wanted).await
}

/// Makes the topics between stages that are missing.
pub(super) async fn make_throughs(
    arguments: &Arguments,
    throughs: &[Through],
) -> Result<(), Failure> {
    let specs = throughs.iter().map(|through| {
        let kept = (u64::from(KEPT_HOURS) * 3_600_000).to_string();
        let name = format!("{}{}", arguments.prefix, through.topic);
        spec(name, through.partitions, [("retention.ms".to_owned(), kept)].into())
    });
    create(&admin(arguments)?, &specs.collect::<Vec<_>>()).await
}

fn admin(arguments: &Arguments) -> Result<Admin, Failure> {
    let bootstrap = arguments.bootstrap.clone();
    Ok(Admin::new(&KafkaConfig { bootstrap, ..KafkaConfig::default() }, ADMIN_WAIT)?)
}

fn spec(name: String, partitions: u32, config: BTreeMap<String, String>) -> TopicSpec {
    TopicSpec { name, partitions, replication: 1, config }
}

async fn create(admin: &Admin, wanted: &[TopicSpec]) -> Result<(), Failure> {
    for (spec, creation) in wanted.iter().zip(admin.create(wanted).await?) {
        match creation {
            Creation::Made => info!(topic = spec.name, "made"),
            Creation::Existed => {}
            Creation::Failed(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Writes a contract for each topic between stages, as the catalogue reads it.
pub(super) fn write_contracts(
    folder: &Path,
    program: &str,
    throughs: &[Through],
) -> Result<(), io::Error> {
    fs::create_dir_all(folder)?;
    for through in throughs {
        fs::write(folder.join(format!("{}.toml", through.topic)), contract(program, through))?;
    }
    Ok(())
}

fn contract(program: &str, through: &Through) -> String {
    let Through { topic, partitions, owner, holds, schema } = through;
    let is_pii = topic.split('.').any(|part| part == "pii");
    format!(
        r#"# Between two stages of {program}, and nobody else's: records go once they were folded.
name = {topic:?}
owner = {owner:?}
description = "What one stage of {program} hands on to the next, under the key that it needs."
pii = {is_pii}
produced_by = [{program:?}]
consumed_by = [{program:?}]

[key]
format = "text"
holds = {holds:?}

[value]
format = "json"
schema = {schema:?}

[topic]
partitions = {partitions}
replication = 3
min_insync_replicas = 2
cleanup = "delete"
retention_hours = {KEPT_HOURS}
"#
    )
}
