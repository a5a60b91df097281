//! Reads a contract file: TOML in, checked contract out, errors that name file and key.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{
    Cleanup, Contract, ContractError, Key, KeyFormat, Privacy, SchemaReference, TopicName, Value,
    ValueFormat,
};

/// Settings that a contract states in keys of its own.
const STATED: [(&str, &str); 3] = [
    ("cleanup.policy", "topic.cleanup"),
    ("min.insync.replicas", "topic.min_insync_replicas"),
    ("retention.ms", "topic.retention_hours"),
];

pub(super) fn contract(file: &str, toml: &str) -> Result<Contract, ContractError> {
    let wrong = |key: &str, problem: String| ContractError::Wrong {
        file: file.to_owned(),
        key: key.to_owned(),
        problem,
    };
    let raw: Raw = toml::from_str(toml).map_err(|error| {
        let (key, problem) = located(toml, &error);
        wrong(&key, problem)
    })?;

    let name = TopicName::parse(&raw.name).map_err(|problem| wrong("name", problem))?;
    if raw.pii != (name.privacy() == Privacy::Pii) {
        let says = format!("is {}, but the name {name} says otherwise", raw.pii);
        return Err(wrong("pii", says));
    }
    for (key, text) in [("owner", &raw.owner), ("description", &raw.description)] {
        if text.trim().is_empty() {
            return Err(wrong(key, "is empty".to_owned()));
        }
    }
    let key = raw.key.check().map_err(|(key, problem)| wrong(key, problem))?;
    let schema = reference(&raw.value.schema).map_err(|problem| wrong("value.schema", problem))?;
    let cleanup = raw.topic.cleanup(&key).map_err(|(key, problem)| wrong(key, problem))?;
    raw.topic.check().map_err(|(key, problem)| wrong(&key, problem))?;
    Ok(Contract {
        name,
        owner: raw.owner,
        description: raw.description,
        produced_by: raw.produced_by,
        consumed_by: raw.consumed_by,
        key,
        value: Value { format: raw.value.format, schema },
        partitions: raw.topic.partitions,
        replication: raw.topic.replication,
        min_insync_replicas: raw.topic.min_insync_replicas,
        cleanup,
        config: raw.topic.config,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    owner: String,
    description: String,
    pii: bool,
    produced_by: Vec<String>,
    consumed_by: Vec<String>,
    key: RawKey,
    value: RawValue,
    topic: RawTopic,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    format: KeyFormat,
    #[serde(default)]
    holds: String,
    #[serde(default)]
    nullable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawValue {
    format: ValueFormat,
    schema: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTopic {
    partitions: u32,
    replication: u16,
    min_insync_replicas: u16,
    cleanup: RawCleanup,
    retention_hours: Option<u32>,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawCleanup {
    Compact,
    CompactAndDelete,
    Delete,
}

impl RawKey {
    fn check(self) -> Result<Key, (&'static str, String)> {
        let keyless = self.format == KeyFormat::None;
        if keyless && self.nullable {
            return Err(("key.nullable", "makes no sense where there is no key".to_owned()));
        }
        if keyless != self.holds.trim().is_empty() {
            let problem = if keyless { "is set, but there is no key" } else { "is missing" };
            return Err(("key.holds", problem.to_owned()));
        }
        Ok(Key { format: self.format, holds: self.holds, nullable: self.nullable })
    }
}

impl RawTopic {
    fn cleanup(&self, key: &Key) -> Result<Cleanup, (&'static str, String)> {
        let compacts = self.cleanup != RawCleanup::Delete;
        if compacts && (key.nullable || key.format == KeyFormat::None) {
            let problem = "compacts, which needs a key in every record".to_owned();
            return Err(("topic.cleanup", problem));
        }
        let hours = "topic.retention_hours";
        match (self.cleanup, self.retention_hours) {
            (_, Some(0)) => Err((hours, "must be at least 1".to_owned())),
            (RawCleanup::Compact, None) => Ok(Cleanup::Compact),
            (RawCleanup::Compact, Some(_)) => {
                Err((hours, "is set, but compacting keeps the newest records for ever".to_owned()))
            }
            (_, None) => Err((hours, "is missing".to_owned())),
            (RawCleanup::CompactAndDelete, Some(retention_hours)) => {
                Ok(Cleanup::CompactAndDelete { retention_hours })
            }
            (RawCleanup::Delete, Some(retention_hours)) => Ok(Cleanup::Delete { retention_hours }),
        }
    }

    fn check(&self) -> Result<(), (String, String)> {
        let at_least_one = "must be at least 1".to_owned();
        if self.partitions == 0 {
            return Err(("topic.partitions".to_owned(), at_least_one));
        }
        if self.replication == 0 {
            return Err(("topic.replication".to_owned(), at_least_one));
        }
        if !(1..=self.replication).contains(&self.min_insync_replicas) {
            let problem = format!("must lie between 1 and topic.replication, {}", self.replication);
            return Err(("topic.min_insync_replicas".to_owned(), problem));
        }
        for (setting, instead) in STATED {
            if self.config.contains_key(setting) {
                return Err((format!("topic.config.{setting}"), format!("belongs in `{instead}`")));
            }
        }
        Ok(())
    }
}

fn reference(text: &str) -> Result<SchemaReference, String> {
    match text.split_once(':') {
        Some(("file", path)) => {
            let inside = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
            if path.is_empty() || !inside {
                return Err(format!("names `{path}`, which must be a path below the contract"));
            }
            Ok(SchemaReference::File(PathBuf::from(path)))
        }
        Some(("subject", subject)) if !subject.is_empty() => {
            Ok(SchemaReference::Subject(subject.to_owned()))
        }
        Some(("wire", name)) if SchemaReference::WIRE_TYPES.contains(&name) => {
            Ok(SchemaReference::Wire(name.to_owned()))
        }
        Some(("wire", name)) => Err(format!(
            "names the wire type `{name}`, but there are only {}",
            SchemaReference::WIRE_TYPES.join(", ")
        )),
        _ => Err(format!("is `{text}`, but must be file:…, subject:… or wire:…")),
    }
}

/// The key that a TOML error is about, and what is wrong with it.
fn located(toml: &str, error: &toml::de::Error) -> (String, String) {
    let message = error.message().trim().replace('\n', "; ");
    if let Some(rest) = message.strip_prefix("missing field `") {
        let key = rest.split('`').next().unwrap_or_default();
        return (key.to_owned(), "is missing".to_owned());
    }
    let at = error.span().map_or(0, |span| span.start.min(toml.len()));
    let (before, after) = toml.split_at_checked(at).unwrap_or((toml, ""));
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before[line_start..].to_owned() + after.lines().next().unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim().trim_matches(['[', ']', '"']);
    let number = before.matches('\n').count() + 1;
    (key.to_owned(), format!("in line {number} is wrong: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "web.clicks.raw.pii.v1"
owner = "web"
description = "clicks"
pii = true
produced_by = ["collector"]
consumed_by = []

[key]
format = "text"
holds = "tenant:visitor"
nullable = true

[value]
format = "json"
schema = "wire:Record"

[topic]
partitions = 6
replication = 3
min_insync_replicas = 2
cleanup = "delete"
retention_hours = 24

[topic.config]
"max.message.bytes" = "2000000"
"#;

    /// Reads the good contract with one text in it replaced; returns the error as people see it.
    fn problem(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        contract("c.toml", &GOOD.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn a_good_contract_is_read_whole() {
        let contract = contract("c.toml", GOOD).unwrap();
        assert!(contract.is_keyed());
        assert_eq!(contract.cleanup, Cleanup::Delete { retention_hours: 24 });
        assert_eq!(contract.value.schema, SchemaReference::Wire("Record".to_owned()));
        assert_eq!(contract.config["max.message.bytes"], "2000000");
    }

    #[test]
    fn every_error_names_file_and_key() {
        for (from, to, says) in [
            ("owner = \"web\"\n", "", "c.toml: `owner` is missing"),
            ("owner", "ower", "c.toml: `ower` in line 3 is wrong: unknown field `ower`"),
            ("partitions = 6", "partitions = \"6\"", "c.toml: `partitions` in line 19 is wrong"),
            ("partitions = 6", "partitions = 0", "c.toml: `topic.partitions` must be at least 1"),
            ("format = \"json\"", "format = \"avro\"", "c.toml: `format` in line 15 is wrong"),
            ("pii = true", "pii = false", "c.toml: `pii` is false, but the name"),
            ("clicks.raw", "clicks", "c.toml: `name` must have five parts"),
            ("\"web\"", "\" \"", "c.toml: `owner` is empty"),
            ("wire:Record", "wire:Rec", "c.toml: `value.schema` names the wire type `Rec`"),
            ("wire:Record", "file:../x", "c.toml: `value.schema` names `../x`"),
            ("wire:Record", "Record", "c.toml: `value.schema` is `Record`"),
            ("\"delete\"", "\"compact\"", "c.toml: `topic.cleanup` compacts, which needs a key"),
            ("retention_hours = 24", "", "c.toml: `topic.retention_hours` is missing"),
            ("replicas = 2", "replicas = 4", "c.toml: `topic.min_insync_replicas` must lie"),
            ("max.message.bytes", "retention.ms", "`topic.config.retention.ms` belongs in"),
            ("holds = \"tenant:visitor\"", "", "c.toml: `key.holds` is missing"),
            ("\"text\"", "\"none\"", "c.toml: `key.nullable` makes no sense"),
        ] {
            let problem = problem(from, to);
            assert!(problem.contains(says), "{problem}\nshould say\n{says}");
        }
    }

    #[test]
    fn text_that_is_not_toml_is_located() {
        assert!(problem("pii = true", "pii = ").starts_with("c.toml: `pii` in line 5 is wrong"));
    }

    #[test]
    fn a_compacted_topic_has_no_retention() {
        let compacted = GOOD.replace("nullable = true", "").replace("\"delete\"", "\"compact\"");
        let error = contract("c.toml", &compacted).unwrap_err().to_string();
        assert!(error.contains("`topic.retention_hours` is set"), "{error}");
        let compacted = compacted.replace("retention_hours = 24", "");
        assert_eq!(contract("c.toml", &compacted).unwrap().cleanup, Cleanup::Compact);
    }
}
