//! What the visitor view must have said: the same fold, in one thread, over what lies in the raw
//! topic, without any of the machinery that makes it fast and safe.

pub mod joined;

use std::collections::BTreeMap;
use std::fmt;

use clickmill_relay::views::visitor::{Seen, VisitorView};
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
    /// partition's enriched clicks record by record, in their order, and each visitor's newest
    /// state byte by byte.
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
                let place = raw.place;
                match said.next() {
                    Some(found) if found.value == expected.text => {}
                    Some(found) => self.tell(format!("{place}: said {}", found.value)),
                    None => self.tell(format!("{place}: nothing was said")),
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
