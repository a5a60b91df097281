//! Whatever order things come in, the joined rows are at last what the newest rows say.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::Driver;

/// Orders and their customers, `left` joins say what is to be where there is no customer.
struct Orders {
    is_left_join: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: Option<String>,
    cents: u32,
}

impl Joining for Orders {
    type Left = Order;
    type Right = String;

    fn foreign_key(&self, order: &Order) -> Option<String> {
        order.customer.clone()
    }

    fn join(&self, order: &Order, name: Option<&String>) -> Option<Vec<u8>> {
        let nobody = String::new();
        let name = name.or(self.is_left_join.then_some(&nobody))?;
        Some(format!("{} of {name:?}", order.cents).into_bytes())
    }
}

/// A change of a row on either side.
#[derive(Clone, Debug)]
enum Change {
    Left(u8, Option<Order>),
    Right(u8, Option<String>),
}

fn change() -> impl Strategy<Value = Change> {
    // No row can have the last two as its key.
    let customer = prop_oneof![
        8 => (0u8..4).prop_map(|n| format!("c{n}")),
        1 => Just(String::new()),
        1 => Just("!task".to_owned()),
    ];
    let customer = prop::option::weighted(0.9, customer);
    let order = (customer, 0u32..100).prop_map(|(customer, cents)| Order { customer, cents });
    prop_oneof![
        2 => (0u8..5, prop::option::weighted(0.8, order)).prop_map(|(n, row)| Change::Left(n, row)),
        1 => (0u8..4, prop::option::weighted(0.8, "[a-z]{1,3}"))
            .prop_map(|(n, row)| Change::Right(n, row)),
    ]
}

type Line = VecDeque<(String, Option<Vec<u8>>)>;

/// Both stages with the topics around them. What one key tells another comes in its order; nothing
/// else does, as where each key has a partition of its own.
struct World {
    lefts: Driver<Lefts<Orders>>,
    rights: Driver<Rights<Orders>>,
    left: Line,
    right: Line,
    /// Wishes by foreign key, answers by foreign key and left key.
    wishes: BTreeMap<String, Line>,
    answers: BTreeMap<(String, String), Line>,
    joined: BTreeMap<String, Vec<u8>>,
}

impl World {
    fn of(changes: &[Change], is_left_join: bool) -> Self {
        let lefts = Lefts {
            joining: Orders { is_left_join },
            subscriptions: "wishes".into(),
            joined: "joined".into(),
        };
        let (mut left, mut right) = (Line::new(), Line::new());
        for change in changes {
            match change {
                Change::Left(n, row) => {
                    left.push_back((format!("o{n}"), row.as_ref().map(json)));
                }
                Change::Right(n, row) => {
                    right.push_back((format!("c{n}"), row.as_ref().map(json)));
                }
            }
        }
        Self {
            lefts: Driver::new(lefts, ()).bounded(FOR_EVER).with_siblings(1),
            rights: Driver::new(Rights::new("answers"), ()).bounded(FOR_EVER).with_siblings(1),
            left,
            right,
            wishes: BTreeMap::new(),
            answers: BTreeMap::new(),
            joined: BTreeMap::new(),
        }
    }

    /// Folds one of the records that may come next; none where all is quiet.
    fn step(&mut self, chosen: usize) -> Option<()> {
        let (wishes, answers) = (self.wishes.len(), self.answers.len());
        let [left, right] = [&self.left, &self.right].map(|line| usize::from(!line.is_empty()));
        let all = wishes + answers + left + right;
        let chosen = chosen.checked_rem(all)?;
        if chosen < wishes {
            let of = self.wishes.keys().nth(chosen)?.clone();
            let (key, value) = next(&mut self.wishes, &of)?;
            self.fold_right(1, &key, value.as_deref());
        } else if chosen < wishes + answers {
            let of = self.answers.keys().nth(chosen - wishes)?.clone();
            let (key, value) = next(&mut self.answers, &of)?;
            self.fold_left(1, &key, value.as_deref());
        } else if chosen < wishes + answers + left {
            let (key, value) = self.left.pop_front()?;
            self.fold_left(0, &key, value.as_deref());
        } else {
            let (key, value) = self.right.pop_front()?;
            self.fold_right(0, &key, value.as_deref());
        }
        Some(())
    }

    fn fold_left(&mut self, source: usize, key: &str, value: Option<&[u8]>) {
        for said in self.lefts.feed_from(source, Some(key.as_bytes()), value).unwrap() {
            let key = String::from_utf8(said.key.unwrap()).unwrap();
            match (&*said.topic, said.value) {
                ("joined", Some(value)) => drop(self.joined.insert(key, value)),
                ("joined", None) => {
                    assert!(self.joined.remove(&key).is_some(), "no tombstone without a row");
                }
                (_, value) => {
                    self.wishes.entry(key.clone()).or_default().push_back((key, value));
                }
            }
        }
    }

    fn fold_right(&mut self, source: usize, key: &str, value: Option<&[u8]>) {
        for said in self.rights.feed_from(source, Some(key.as_bytes()), value).unwrap() {
            let who = String::from_utf8(said.key.unwrap()).unwrap();
            let line = self.answers.entry((key.to_owned(), who.clone())).or_default();
            line.push_back((who, said.value));
        }
    }
}

const FOR_EVER: Bounds =
    Bounds { ttl_ms: u64::MAX, state_bytes_max: usize::MAX, published_bytes_max: usize::MAX };

fn json<T: Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).unwrap()
}

fn next<K: Ord>(lines: &mut BTreeMap<K, Line>, of: &K) -> Option<(String, Option<Vec<u8>>)> {
    let line = lines.get_mut(of)?;
    let first = line.pop_front();
    if line.is_empty() {
        lines.remove(of);
    }
    first
}

/// What the newest rows say, joined in the simplest way.
fn reference(changes: &[Change], joining: &Orders) -> BTreeMap<String, Vec<u8>> {
    let (mut lefts, mut rights) = (BTreeMap::new(), BTreeMap::new());
    for change in changes {
        match change {
            Change::Left(n, Some(row)) => drop(lefts.insert(format!("o{n}"), row)),
            Change::Left(n, None) => drop(lefts.remove(&format!("o{n}"))),
            Change::Right(n, Some(row)) => drop(rights.insert(format!("c{n}"), row)),
            Change::Right(n, None) => drop(rights.remove(&format!("c{n}"))),
        }
    }
    let join = |(key, row): (String, &Order)| {
        let right = row.customer.as_ref().and_then(|customer| rights.get(customer).copied());
        Some((key, joining.join(row, right)?))
    };
    lefts.into_iter().filter_map(join).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_joined_rows_are_at_last_what_the_newest_rows_say(
        changes in prop::collection::vec(change(), 0..50),
        choices in prop::collection::vec((any::<usize>(), prop::bool::weighted(0.1)), 1..80),
        is_left_join in any::<bool>(),
    ) {
        let mut world = World::of(&changes, is_left_join);
        // When the choices are through they begin anew: all comes to rest.
        for (choice, restarts) in choices.iter().cycle() {
            if world.step(*choice).is_none() {
                break;
            }
            if *restarts {
                world.lefts.restart().unwrap();
                world.rights.restart().unwrap();
            }
        }
        prop_assert_eq!(&world.joined, &reference(&changes, &Orders { is_left_join }));
    }
}

#[test]
fn nothing_is_left_of_rows_that_are_gone() {
    let order = Order { customer: Some("c0".to_owned()), cents: 1 };
    let changes = [
        Change::Left(0, Some(order)),
        Change::Right(0, Some("ann".to_owned())),
        Change::Right(0, None),
        Change::Left(0, None),
    ];
    let mut world = World::of(&changes, false);
    while world.step(0).is_some() {}
    world.lefts.restart().unwrap();
    world.rights.restart().unwrap();
    assert!(world.lefts.state(b"o0").unwrap().is_none());
    assert!(world.rights.state(b"c0").unwrap().is_none());
}
