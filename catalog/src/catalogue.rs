//! The contracts of all streams together: Clickmill's own, and those of the teams' folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::registry::check_schema_file;
use crate::{Contract, ContractError, SchemaReference};

/// Clickmill's own contracts.
const BUILTIN: [(&str, &str); 13] = [
    ("web.clicks.raw.pii.v1.toml", include_str!("../contracts/web.clicks.raw.pii.v1.toml")),
    (
        "web.clicks.rejected.pii.v1.toml",
        include_str!("../contracts/web.clicks.rejected.pii.v1.toml"),
    ),
    (
        "web.clicks.unvalidated.pii.v1.toml",
        include_str!("../contracts/web.clicks.unvalidated.pii.v1.toml"),
    ),
    (
        "web.clicks.overflow.pii.v1.toml",
        include_str!("../contracts/web.clicks.overflow.pii.v1.toml"),
    ),
    (
        "web.clicks.enriched.pii.v1.toml",
        include_str!("../contracts/web.clicks.enriched.pii.v1.toml"),
    ),
    (
        "web.clicks.enriched.open.v1.toml",
        include_str!("../contracts/web.clicks.enriched.open.v1.toml"),
    ),
    (
        "web.clicks.poisoned.pii.v1.toml",
        include_str!("../contracts/web.clicks.poisoned.pii.v1.toml"),
    ),
    ("web.sessions.view.pii.v1.toml", include_str!("../contracts/web.sessions.view.pii.v1.toml")),
    ("relay.owners.view.open.v1.toml", include_str!("../contracts/relay.owners.view.open.v1.toml")),
    (
        "promotions.rules.view.open.v1.toml",
        include_str!("../contracts/promotions.rules.view.open.v1.toml"),
    ),
    (
        "promotions.leases.view.open.v1.toml",
        include_str!("../contracts/promotions.leases.view.open.v1.toml"),
    ),
    (
        "web.promotions.decided.pii.v1.toml",
        include_str!("../contracts/web.promotions.decided.pii.v1.toml"),
    ),
    (
        "customers.profile.view.pii.v1.toml",
        include_str!("../contracts/customers.profile.view.pii.v1.toml"),
    ),
];

/// The contracts of all streams, one for each topic.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    contracts: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    contract: Contract,
    file: String,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    Builtin,
    Folder,
}

impl Catalogue {
    /// Clickmill's own contracts.
    ///
    /// # Errors
    /// Never in a released build: a test reads the same files.
    pub fn builtin() -> Result<Self, ContractError> {
        let mut catalogue = Self::default();
        for (file, toml) in BUILTIN {
            let file = format!("built-in {file}");
            let contract = Contract::read(&file, toml)?;
            catalogue.add(Entry { contract, file, origin: Origin::Builtin })?;
        }
        Ok(catalogue)
    }

    /// Adds every `*.toml` of a folder. A contract for a built-in topic replaces the built-in one:
    /// that is how a site sets its own partitions and retention.
    ///
    /// # Errors
    /// Names the file, and the key where one is wrong. A file must be named after its topic, a
    /// `file:` schema must be there and compile, and no two folders may hold one topic.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), ContractError> {
        let unreadable = |path: &Path, source| ContractError::Unreadable {
            file: path.display().to_string(),
            source,
        };
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut files: Vec<_> = listed
            .map_err(|source| unreadable(folder, source))?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        files.sort();
        for path in files {
            let file = path.display().to_string();
            let toml = fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
            let contract = Contract::read(&file, &toml)?;
            let wrong = |key: &str, problem| ContractError::Wrong {
                file: file.clone(),
                key: key.to_owned(),
                problem,
            };
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if stem != contract.name.as_str() {
                return Err(wrong("name", format!("is {}, unlike the file", contract.name)));
            }
            if let SchemaReference::File(schema) = &contract.value.schema {
                check_schema_file(&folder.join(schema))
                    .map_err(|problem| wrong("value.schema", problem))?;
            }
            self.add(Entry { contract, file, origin: Origin::Folder })?;
        }
        Ok(())
    }

    /// The contracts, in the order of their names.
    pub fn contracts(&self) -> impl Iterator<Item = &Contract> {
        self.contracts.values().map(|entry| &entry.contract)
    }

    /// The contract of a topic, by its name without prefix.
    pub fn get(&self, name: &str) -> Option<&Contract> {
        self.contracts.get(name).map(|entry| &entry.contract)
    }

    fn add(&mut self, entry: Entry) -> Result<(), ContractError> {
        let name = entry.contract.name.as_str();
        match self.contracts.get(name) {
            Some(present) if present.origin == entry.origin => Err(ContractError::Twice {
                name: name.to_owned(),
                first: present.file.clone(),
                second: entry.file,
            }),
            _ => {
                self.contracts.insert(name.to_owned(), entry);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clickmill_sdk_core::wire::Topic;

    use super::*;
    use crate::testing::Scratch;

    fn shop() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop/contracts")
    }

    #[test]
    fn every_topic_of_the_route_has_a_contract() {
        let mut catalogue = Catalogue::builtin().unwrap();
        catalogue.add_folder(&shop()).unwrap();
        for topic in Topic::ALL {
            assert!(catalogue.get(topic.as_str()).is_some(), "{}", topic.as_str());
        }
        assert_eq!(catalogue.contracts().count(), Topic::ALL.len());
    }

    #[test]
    fn raw_and_enriched_clicks_are_split_alike() {
        let catalogue = Catalogue::builtin().unwrap();
        let partitions = |topic: Topic| catalogue.get(topic.as_str()).unwrap().partitions;
        assert_eq!(partitions(Topic::ClicksRaw), partitions(Topic::ClicksEnriched));
        assert_eq!(partitions(Topic::ClicksRaw), partitions(Topic::SessionsView));
    }

    #[test]
    fn a_folder_may_replace_a_builtin_contract_but_not_another_folders() {
        let scratch = Scratch::new();
        let file = "web.clicks.raw.pii.v1.toml";
        let twelve = BUILTIN[0].1.replace("partitions = 6", "partitions = 12");
        scratch.write(file, &twelve);
        let mut catalogue = Catalogue::builtin().unwrap();
        catalogue.add_folder(scratch.path()).unwrap();
        assert_eq!(catalogue.get("web.clicks.raw.pii.v1").unwrap().partitions, 12);

        let error = catalogue.add_folder(scratch.path()).unwrap_err();
        assert!(matches!(error, ContractError::Twice { .. }), "{error}");
    }

    #[test]
    fn a_file_must_be_named_after_its_topic() {
        let scratch = Scratch::new();
        scratch.write("clicks.toml", BUILTIN[0].1);
        let error = Catalogue::default().add_folder(scratch.path()).unwrap_err();
        assert!(error.to_string().contains("clicks.toml: `name` is web.clicks.raw"), "{error}");
    }

    #[test]
    fn a_schema_file_must_be_there_and_compile() {
        let scratch = Scratch::new();
        let toml = BUILTIN[0].1.replace("wire:Record", "file:values/click.json");
        scratch.write("web.clicks.raw.pii.v1.toml", &toml);
        let read = || Catalogue::default().add_folder(scratch.path());
        let error = read().unwrap_err().to_string();
        assert!(error.contains("`value.schema`") && error.contains("click.json"), "{error}");

        scratch.write("values/click.json", r#"{"type":"no such type"}"#);
        assert!(read().unwrap_err().to_string().contains("no such type"));
        scratch.write("values/click.json", r#"{"type":"object"}"#);
        read().unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Catalogue::default().add_folder(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.to_string().starts_with("/no/such/folder cannot be read"), "{error}");
    }
}
