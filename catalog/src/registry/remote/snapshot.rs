//! What a registry holds for us at one moment: its versions, and what they refer to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jsonschema::{Uri, uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::folder::is_event_type;
use super::client::brief;
use crate::schema::SUBJECT_PREFIX;
use crate::{Document, Refusal, SchemaText};

/// The one type of schema that events are judged by.
const JSON: &str = "JSON";

/// How deep references may go.
const DEPTH_MAX: u32 = 16;

/// How many documents one schema may refer to, directly or not.
const DOCUMENTS_MAX: usize = 100;

/// Where a document lies that says nothing of it.
const ROOT: &str = "json-schema:///";

/// One version of one subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(super) struct Name {
    pub(super) subject: String,
    pub(super) version: u32,
}

/// A name that a schema uses in `$ref`, and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Reference {
    name: String,
    #[serde(flatten)]
    pub(super) to: Name,
}

/// A version as a registry answers with it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Registered {
    id: u32,
    schema: Arc<str>,
    /// A registry leaves it out for Avro.
    #[serde(rename = "schemaType", default = "avro")]
    schema_type: String,
    #[serde(default)]
    pub(super) references: Vec<Reference>,
}

fn avro() -> String {
    "AVRO".to_owned()
}

impl Registered {
    pub(super) fn bytes(&self) -> usize {
        self.schema.len()
    }
}

/// What is told of a problem, which may have a name of any length in it.
const PROBLEM_CHARS_MAX: usize = 1_000;

/// Versions by their names.
pub(super) type Known = BTreeMap<Name, Arc<Registered>>;

/// What a registry holds for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The versions of event types.
    pub(super) listed: BTreeSet<Name>,
    /// Those, and what they refer to.
    pub(super) known: Known,
}

/// The event type that a subject is for; none if it is for something else.
pub(super) fn kind(subject: &str) -> Option<&str> {
    subject.strip_prefix(SUBJECT_PREFIX).filter(|kind| is_event_type(kind))
}

/// A refusal of one version. Addresses that strangers wrote may be in the problem.
pub(super) fn refusal(name: &Name, problem: &str) -> Refusal {
    let Name { subject, version } = name;
    Refusal {
        origin: format!("the registry's {subject} version {version}"),
        problem: brief(problem, PROBLEM_CHARS_MAX),
        schema: kind(subject).map(|kind| (kind.to_owned(), *version)),
    }
}

impl Snapshot {
    /// What is listed of all that is known, with what it refers to and nothing else.
    pub(super) fn of(listed: BTreeSet<Name>, all: &Known) -> Self {
        let mut known = Known::new();
        let mut open: Vec<&Name> = listed.iter().collect();
        while let Some(name) = open.pop() {
            if let (Some(found), Entry::Vacant(place)) = (all.get(name), known.entry(name.clone()))
            {
                place.insert(Arc::clone(found));
                open.extend(found.references.iter().map(|reference| &reference.to));
            }
        }
        Self { listed, known }
    }

    /// Its schemas, and why others of it are none.
    pub(super) fn schemas(&self) -> (Vec<SchemaText>, Vec<Refusal>) {
        let (mut schemas, mut refused) = (Vec::new(), Vec::new());
        for name in &self.listed {
            let (Some(kind), Some(found)) = (kind(&name.subject), self.known.get(name)) else {
                continue;
            };
            match self.documents(found) {
                Ok(documents) => schemas.push(SchemaText {
                    kind: kind.to_owned(),
                    version: name.version,
                    origin: refusal(name, "").origin,
                    text: Arc::clone(&found.schema),
                    id: Some(found.id),
                    documents,
                }),
                Err(problem) => refused.push(refusal(name, &problem)),
            }
        }
        (schemas, refused)
    }

    /// All documents that a schema's references name, by the addresses that `$ref` makes of the
    /// names. Names are relative to the `$id` of the document that uses them.
    fn documents(&self, root: &Registered) -> Result<Vec<Document>, String> {
        is_json_schema(root)?;
        let address = uri::from_str(ROOT).map_err(|error| error.to_string())?;
        let mut found: BTreeMap<String, &Name> = BTreeMap::new();
        let mut aliases = Vec::new();
        let mut open = VecDeque::from([(root, address, 0)]);
        while let Some((from, address, depth)) = open.pop_front() {
            let base = base(&address, from)?;
            for Reference { name, to } in &from.references {
                aliases.push((resolve(&address, name)?.into_string(), to));
                let address = resolve(&base, name)?;
                match found.entry(address.to_string()) {
                    Entry::Occupied(known) if *known.get() == to => continue,
                    Entry::Occupied(_) => return Err(format!("means two things by {address}")),
                    Entry::Vacant(place) => place.insert(to),
                };
                if depth >= DEPTH_MAX || found.len() > DOCUMENTS_MAX {
                    return Err(format!(
                        "refers to more than {DOCUMENTS_MAX} documents or through more than \
                         {DEPTH_MAX}"
                    ));
                }
                open.push_back((self.target(to)?, address, depth + 1));
            }
        }
        // The validator looks for the names of a document whose `$id` differs from its address
        // under both before it decides for the `$id`.
        for (address, to) in aliases {
            found.entry(address).or_insert(to);
        }
        let document = |(uri, to)| {
            let text = Arc::clone(&self.target(to)?.schema);
            Ok(Document { uri, text })
        };
        found.into_iter().map(document).collect()
    }

    fn target(&self, to: &Name) -> Result<&Registered, String> {
        let Name { subject, version } = to;
        let found = self.known.get(to).ok_or_else(|| {
            format!("refers to {subject} version {version}, which could not be read")
        })?;
        is_json_schema(found)
            .map_err(|problem| format!("refers to {subject} version {version}: {problem}"))?;
        Ok(found)
    }
}

fn is_json_schema(found: &Registered) -> Result<(), String> {
    match found.schema_type.as_str() {
        JSON => Ok(()),
        other => Err(format!("is of type {other}, and events are judged by JSON Schema")),
    }
}

/// Where the names in a document begin: its `$id`, or where it lies. One that is no JSON is refused
/// when it is compiled.
fn base(address: &Uri<String>, found: &Registered) -> Result<Uri<String>, String> {
    let document: Value = serde_json::from_str(&found.schema).unwrap_or_default();
    match document.get("$id").and_then(Value::as_str) {
        Some(id) => resolve(address, id),
        None => Ok(address.clone()),
    }
}

fn resolve(base: &Uri<String>, name: &str) -> Result<Uri<String>, String> {
    let (name, _) = name.split_once('#').unwrap_or((name, ""));
    uri::resolve_against(&base.borrow(), name)
        .map_err(|error| format!("has a name {name} that is no address: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{Formats, compile};
    use crate::{Tree, Violation};

    fn name(subject: &str, version: u32) -> Name {
        Name { subject: subject.to_owned(), version }
    }

    /// A registered schema; references are written `name subject version`.
    fn registered(schema: &Value, references: &[&str]) -> Arc<Registered> {
        let reference = |text: &&str| {
            let [name, subject, version] = text.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{text}")
            };
            json!({"name": name, "subject": subject, "version": version.parse::<u32>().unwrap()})
        };
        let references: Vec<Value> = references.iter().map(reference).collect();
        let answer = json!({"subject": "x", "version": 1, "id": 7, "schema": schema.to_string(),
            "schemaType": "JSON", "references": references});
        Arc::new(serde_json::from_value(answer).unwrap())
    }

    fn snapshot(all: &[(Name, Arc<Registered>)]) -> Snapshot {
        let known = all.iter().cloned().collect::<Known>();
        let listed = known.keys().filter(|name| kind(&name.subject).is_some()).cloned().collect();
        Snapshot::of(listed, &known)
    }

    /// Judges `props` by the one event type of these.
    fn judged(all: &[(Name, Arc<Registered>)], props: &Value) -> Result<(), Violation> {
        let (schemas, refused) = snapshot(all).schemas();
        assert_eq!(refused, []);
        compile(&schemas[0], Formats::default()).unwrap().validate(&Tree::from(props))
    }

    fn refused(all: &[(Name, Arc<Registered>)]) -> String {
        snapshot(all).schemas().1[0].to_string()
    }

    #[test]
    fn a_subject_is_for_an_event_type_or_for_something_else() {
        assert_eq!(kind("web.clicks.wish"), Some("wish"));
        for other in ["web.clicks.raw.pii.v1-value", "web.clicks.", "orders", "web.clicks.Wish"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn references_are_followed_by_name_and_marks_behind_them_are_found() {
        let all = [
            (
                name("web.clicks.wish", 3),
                registered(
                    &json!({"properties": {"home": {"$ref": "address.json#/$defs/home"}}}),
                    &["address.json common.address 2"],
                ),
            ),
            (
                name("common.address", 2),
                registered(
                    &json!({"$id": "https://shop.example/a/address.json", "$defs": {"home": {
                        "properties": {"street": {"$ref": "street.json"}}}}}),
                    &["street.json common.street 1"],
                ),
            ),
            (name("common.street", 1), registered(&json!({"type": "string", "x-pii": true}), &[])),
            (name("common.unused", 1), registered(&json!({}), &[])),
        ];
        assert_eq!(judged(&all, &json!({"home": {"street": "x"}})), Ok(()));
        let violation = judged(&all, &json!({"home": {"street": 5}})).unwrap_err();
        assert_eq!(violation.pointer, "/home/street");
        let snapshot = snapshot(&all);
        assert_eq!(snapshot.known.len(), 3, "what nobody refers to is left out");
        let schema = compile(&snapshot.schemas().0[0], Formats::default()).unwrap();
        assert_eq!(schema.pii_pointers(), ["/home/street"]);
        assert_eq!(schema.id(), clickmill_kafka::SchemaId::Number(7));
    }

    #[test]
    fn what_is_not_among_the_references_is_not_followed() {
        let all = [(
            name("web.clicks.wish", 1),
            registered(&json!({"$ref": "https://shop.example/a.json"}), &[]),
        )];
        let (schemas, _) = snapshot(&all).schemas();
        let refusal = compile(&schemas[0], Formats::default()).unwrap_err().to_string();
        assert!(refusal.contains("https://shop.example/a.json would have to be fetched"));
        assert!(refusal.starts_with("the registry's web.clicks.wish version 1: "), "{refusal}");
    }

    #[test]
    fn references_that_make_no_sense_are_refused_by_name() {
        let wish =
            |references: &[&str]| (name("web.clicks.wish", 1), registered(&json!({}), references));
        assert!(refused(&[wish(&["a.json gone 4"])]).contains("gone version 4"));
        let common = |version| (name("common", version), registered(&json!({}), &[]));
        let twice = [wish(&["a.json common 1", "./a.json common 2"]), common(1), common(2)];
        assert!(refused(&twice).contains("two things"), "{}", refused(&twice));
        let avro: Registered =
            serde_json::from_value(json!({"id": 1, "schema": "\"string\""})).unwrap();
        let avro = Arc::new(avro);
        assert!(refused(&[(name("web.clicks.wish", 1), Arc::clone(&avro))]).contains("AVRO"));
        assert!(refused(&[wish(&["a.json common 1"]), (name("common", 1), avro)]).contains("AVRO"));
        assert!(refused(&[wish(&["http://[ common 1"]), common(1)]).contains("http://["));
    }

    #[test]
    fn references_are_bounded_in_depth_and_in_number() {
        let link = |to: u32| registered(&json!({}), &[&format!("{to}.json chain {to}")]);
        let chain = |depth: u32| {
            let mut all = vec![(name("web.clicks.wish", 1), link(1))];
            all.extend((1..depth).map(|at| (name("chain", at), link(at + 1))));
            all.push((name("chain", depth), registered(&json!({}), &[])));
            snapshot(&all).schemas().1.len()
        };
        assert_eq!((chain(DEPTH_MAX), chain(DEPTH_MAX + 1)), (0, 1));
        let wide = |width: usize| {
            let references: Vec<String> =
                (1..=width).map(|at| format!("{at}.json common {at}")).collect();
            let references: Vec<&str> = references.iter().map(String::as_str).collect();
            let wish = (name("web.clicks.wish", 1), registered(&json!({}), &references));
            let common =
                (1..=width as u32).map(|at| (name("common", at), registered(&json!({}), &[])));
            snapshot(&[wish].into_iter().chain(common).collect::<Vec<_>>()).schemas().1.len()
        };
        assert_eq!((wide(DOCUMENTS_MAX), wide(DOCUMENTS_MAX + 1)), (0, 1));
    }

    #[test]
    fn references_in_a_circle_end() {
        let all = [
            (name("web.clicks.wish", 1), registered(&json!({}), &["a.json a 1"])),
            (name("a", 1), registered(&json!({}), &["b.json b 1"])),
            (name("b", 1), registered(&json!({}), &["a.json a 1"])),
        ];
        assert_eq!(judged(&all, &json!({})), Ok(()));
    }
}
