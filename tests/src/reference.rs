//! What the visitor view must have said: the same fold, in one thread, over what lies in the raw
//! topic, without any of the machinery that makes it fast and safe.

pub mod joined;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use clickmill_kafka::names;
use clickmill_relay::views::visitor::{Enriched, Seen, VisitorView};
use clickmill_sdk_core::wire::Topic;
use clickmill_streams::{Driver, Place, Raw, State as _};

use crate::kafka::{Kafka, Lying};

/// The key of the changelog's own records.
const TASK_KEY: &str = "!task";

/// How the relay's committed output differs from the reference.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Records compared.
    pub inputs: usize,
    /// States compared.
    pub visitors: usize,
    /// The first few differences, in words; none if all is alike.
    pub found: Vec<String>,
    /// How many there are in all.
    pub count: usize,
}

impl Difference {
    /// Reads the raw topic, the enriched one and the view of sessions, and compares: each
    /// partition's enriched clicks record by record, in their order, with their keys and headers, and
    /// each visitor's newest state byte by byte.
    pub async fn of(kafka: &Kafka) -> Self {
        Self::with_states_of(kafka, Topic::SessionsView.as_str()).await
    }

    /// The same with the states of another version of the view, by its topic's name.
    pub async fn with_states_of(kafka: &Kafka, view: &str) -> Self {
        let mut difference = Self::default();
        let raw = by_partition(kafka.records(Topic::ClicksRaw).await);
        let mut enriched = by_partition(kafka.records(Topic::ClicksEnriched).await);
        let mut states = newest(kafka.records_of(view).await);
        for (partition, records) in raw {
            let said = enriched.remove(&partition).unwrap_or_default();
            difference.inputs += records.len();
            difference.compare(partition, &records, &said, &mut states);
        }
        for (partition, records) in enriched {
            difference.tell(format!("{} records too many in {partition}", records.len()));
        }
        for key in states.keys() {
            difference.tell(format!("a state of {key}, of whom nothing came"));
        }
        difference
    }

    fn compare(
        &mut self,
        partition: i32,
        records: &[Lying],
        said: &[Lying],
        states: &mut BTreeMap<String, String>,
    ) {
        let number = u32::try_from(partition).expect("a partition's number");
        let mut driver = Driver::new(VisitorView::default(), ()).of_partition(number);
        let mut said = said.iter();
        let mut keys = BTreeMap::new();
        for record in records {
            let raw = Raw {
                source: 0,
                place: Place {
                    partition: number,
                    offset: u64::try_from(record.offset).expect("an offset"),
                },
                key: record.key.as_deref().map(str::as_bytes),
                value: Some(record.value.as_bytes()),
                timestamp_ms: u64::try_from(record.timestamp).unwrap_or_default(),
            };
            for seen in driver.feed_raw(&raw).unwrap_or_default() {
                let Seen::Event(expected) = seen else { continue };
                let otherwise = match said.next() {
                    Some(found) => otherwise(found, &expected),
                    None => Some("nothing was said".to_owned()),
                };
                if let Some(what) = otherwise {
                    self.tell(format!("{}: {what}", raw.place));
                }
            }
            keys.extend(record.key.clone().map(|key| (key, ())));
        }
        for more in said {
            self.tell(format!("{partition}: said once too often: {}", more.value));
        }
        for (key, ()) in keys {
            self.visitors += 1;
            let state = driver.state(key.as_bytes()).expect("a state that can be read");
            let mut expected = Vec::new();
            let state = state.expect("a state");
            state.write(&mut expected).expect("a state that can be written");
            match states.remove(&key) {
                Some(found) if found.as_bytes() == expected => {}
                Some(found) => self.tell(format!(
                    "{key}: the state is {found}\n  and not {}",
                    String::from_utf8_lossy(&expected)
                )),
                None => self.tell(format!("{key}: there is no state")),
            }
        }
    }

    fn tell(&mut self, what: String) {
        const TOLD_MAX: usize = 5;
        self.count += 1;
        if self.found.len() < TOLD_MAX {
            self.found.push(what);
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inputs, visitors, count, .. } = self;
        write!(f, "{inputs} clicks and {visitors} visitors compared: {count} differences")?;
        self.found.iter().try_for_each(|found| write!(f, "\n{found}"))
    }
}

/// In what a record is another one than should have been said; none where it is that one. All of it is
/// told by the event: its key, its value and each of its headers.
fn otherwise(found: &Lying, expected: &Enriched) -> Option<String> {
    let Enriched { id, kind, key, text, .. } = expected;
    let headers = [
        (names::CE_SPECVERSION, "1.0"),
        (names::CE_ID, &id.to_string()),
        (names::CE_SOURCE, "/clickmill/relay"),
        (names::CE_TYPE, kind.as_str()),
        (names::CONTENT_TYPE, "application/json"),
    ];
    let headers: HashMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if found.value != *text {
        Some(format!("said {}", found.value))
    } else if found.key.as_deref().map(str::as_bytes) != key.as_deref() {
        Some(format!("said under the key {:?}", found.key))
    } else if found.headers != headers {
        Some(format!("said with the headers {:?}", found.headers))
    } else {
        None
    }
}

fn by_partition(records: Vec<Lying>) -> BTreeMap<i32, Vec<Lying>> {
    let mut sorted = BTreeMap::<_, Vec<_>>::new();
    for record in records {
        sorted.entry(record.partition).or_default().push(record);
    }
    sorted
}

/// The newest state of each key, as a changelog has it; those that are gone are not there.
pub fn newest(records: Vec<Lying>) -> BTreeMap<String, String> {
    let states = records.into_iter().filter_map(|record| Some((record.key?, record.value)));
    let mut states: BTreeMap<_, _> = states.filter(|(key, _)| key != TASK_KEY).collect();
    states.retain(|_, state| !state.is_empty());
    states
}

#[cfg(test)]
mod tests {
    use clickmill_sdk_core::wire::{EventId, EventType};

    use super::*;

    #[test]
    fn a_record_under_another_key_or_with_other_headers_is_found() {
        let (id, kind) = ("018f2f6e-0000-7000-8000-000000000001", "page_view");
        let expected = Enriched {
            id: EventId::parse(id).expect("an id"),
            kind: EventType::parse(kind).expect("a type"),
            key: Some(b"k".to_vec()),
            text: "{}".to_owned(),
            exposed: None,
            signals: None,
        };
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", id),
            ("ce_source", "/clickmill/relay"),
            ("ce_type", kind),
            ("content-type", "application/json"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let said = Lying {
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: Some("k".to_owned()),
            value: "{}".to_owned(),
            headers: headers.into_iter().collect(),
        };
        let check = |change: fn(&mut Lying), word: &str| {
            let mut said = said.clone();
            change(&mut said);
            let found = otherwise(&said, &expected).unwrap_or_default();
            assert!(found.contains(word) && word.is_empty() == found.is_empty(), "{found}");
        };
        check(|_| {}, "");
        check(|said| said.value.push(' '), "said");
        check(|said| said.key = None, "key");
        check(|said| drop(said.headers.remove("ce_type")), "headers");
        check(|said| drop(said.headers.insert("ce_id".to_owned(), "2".to_owned())), "headers");
        check(|said| drop(said.headers.insert("more".to_owned(), String::new())), "headers");
    }
}
