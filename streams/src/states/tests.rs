//! States in memory and on a disk.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::sealed::Published;
use super::*;
use crate::store::{Extent, Store};
use crate::task::Refused;
use crate::testing::{Count, Folder};
use crate::{Around, Place, Raw, Task};

/// A partition's states beside a disk, as the runtime uses them.
struct Partition {
    states: States<u64>,
    extent: Extent,
    /// Where the changelog ended when the round began.
    round: Option<u64>,
    changelog: Vec<(Vec<u8>, Option<Vec<u8>>, u64)>,
    folder: Folder,
}

impl Partition {
    fn new(bounds: Bounds) -> Self {
        let folder = Folder::new();
        let (shelf, _) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
        let states = States::new(bounds, Some(shelf));
        let (extent, round) = (Extent::default(), None);
        Self { states, extent, round, changelog: Vec::new(), folder }
    }

    fn add(&mut self, key: &[u8], time_ms: u64) -> u64 {
        let state = self.states.change(key, time_ms).unwrap();
        *state += 1;
        *state
    }

    fn commit(&mut self) {
        let (sealed, poison) = self.states.seal(&Count);
        assert!(poison.is_empty());
        let record = |(key, value, touched_ms): Published<'_>| {
            (key.to_vec(), value.map(<[u8]>::to_vec), touched_ms)
        };
        self.changelog.extend((0..sealed.len()).filter_map(|at| sealed.get(at)).map(record));
    }

    fn write_down(&mut self) {
        self.write_some(usize::MAX);
        assert!(!self.states.is_in_round());
    }

    /// One batch of a round.
    fn write_some(&mut self, bytes_max: usize) {
        if self.round.is_none() {
            self.states.begin_round();
            self.round = Some(self.changelog.len() as u64);
        }
        self.extent.batches += 1;
        let entries = self.states.take_leaving(self.extent.batches, bytes_max);
        if !self.states.is_in_round() {
            self.extent.next = self.round.take().unwrap();
        }
        self.states.shelf().unwrap().put(&entries, &self.extent).unwrap();
        self.states.make_room();
    }

    fn alive(&self) -> usize {
        self.states.slots.iter().flatten().filter(|slot| slot.live.is_some()).count()
    }

    fn value(&mut self, key: &[u8]) -> Option<u64> {
        self.states.look(key).unwrap().copied()
    }
}

fn tight() -> Bounds {
    Bounds { state_bytes_max: 20 * SLOT_BYTES, ..Bounds::default() }
}

#[test]
fn a_state_that_is_as_it_was_sealed_is_not_packed_again_to_be_woken() {
    let mut partition = Partition::new(Bounds::default());
    partition.add(b"a", 1);
    partition.commit();
    let sealed = |partition: &Partition| {
        let at = partition.states.index[b"a".as_slice()];
        partition.states.slots[at].as_ref().and_then(|slot| slot.sealed.clone()).unwrap()
    };
    let (before, state) = partition.states.wake(b"a").unwrap().unwrap();
    *state = 5;
    assert!(Arc::ptr_eq(&before, &sealed(&partition)));
    // Woken once more before the next seal, it is what it was made meanwhile.
    let (before, state) = partition.states.wake(b"a").unwrap().unwrap();
    *state = 6;
    assert_eq!(*before, *b"5");
    partition.states.put_back(b"a", &before).unwrap();
    assert_eq!(partition.value(b"a"), Some(5));
    partition.commit();
    assert_eq!(*sealed(&partition), *b"5");
}

#[test]
fn a_state_that_cannot_be_put_back_is_what_was_sealed_last() {
    let mut partition = Partition::new(Bounds::default());
    partition.add(b"a", 1);
    partition.commit();
    for key in [b"a", b"b"] {
        partition.add(key, 2);
        partition.states.wake(key).unwrap().unwrap();
        assert_eq!(partition.states.put_back(key, b"?").unwrap_err().reason, "malformed");
    }
    assert_eq!((partition.value(b"a"), partition.value(b"b")), (Some(1), None));
    partition.commit();
    partition.write_down();
    // Nothing of it is published, and what never was a state is forgotten.
    let one = |key: &[u8], value: Option<&[u8]>, at| (key.to_vec(), value.map(<[u8]>::to_vec), at);
    assert_eq!(partition.changelog, [one(b"a", Some(b"1"), 1), one(b"b", None, 2)]);
    assert_eq!(partition.add(b"a", 3), 2);
    assert_eq!(partition.add(b"b", 3), 1);
}

#[test]
fn what_memory_has_no_room_for_is_read_back() {
    let mut partition = Partition::new(tight());
    for round in 1..=3_u64 {
        for key in 0..500_u32 {
            assert_eq!(partition.add(&key.to_be_bytes(), round), round);
        }
        partition.commit();
        partition.write_down();
        assert!(partition.states.len() <= 20, "{} keys in memory", partition.states.len());
        assert!(partition.states.bytes() <= tight().state_bytes_max);
    }
    assert_eq!(partition.changelog.len(), 1_500);
}

#[test]
fn nothing_leaves_memory_before_it_is_on_the_disk() {
    let mut partition = Partition::new(tight());
    for key in 0..500_u32 {
        partition.add(&key.to_be_bytes(), 1);
    }
    partition.states.make_room();
    partition.commit();
    partition.states.make_room();
    assert_eq!(partition.states.len(), 500);
    // Handed to the disk, not written yet.
    partition.states.begin_round();
    let entries = partition.states.take_leaving(1, usize::MAX);
    partition.states.make_room();
    assert_eq!((entries.len(), partition.states.len()), (500, 500));
}

#[test]
fn values_that_are_quiet_are_kept_as_bytes_alone() {
    let bounds = Bounds { state_bytes_max: 4_000 * SLOT_BYTES, ..Bounds::default() };
    let mut partition = Partition::new(bounds);
    for round in 1..=20_u64 {
        for key in 0..20_u32 {
            partition.add(&(key + 100 * (round as u32)).to_be_bytes(), round);
        }
        assert_eq!(partition.add(b"busy", round), round);
        partition.commit();
        partition.states.make_room();
        let busy = partition.states.index[&b"busy"[..]];
        assert!(partition.states.slots[busy].as_ref().unwrap().live.is_some());
    }
    assert_eq!(partition.states.len(), 401);
    assert!(partition.alive() < 100, "{} values", partition.alive());
    assert_eq!(partition.value(&99_u32.to_be_bytes()), None);
    assert_eq!(partition.value(&205_u32.to_be_bytes()), Some(1));
}

#[test]
fn a_key_that_is_over_leaves_a_tombstone_and_nothing_else() {
    let mut partition = Partition::new(Bounds::default());
    partition.add(b"k", 5);
    partition.commit();
    partition.write_down();
    *partition.states.change(b"k", 6).unwrap() = 0;
    partition.commit();
    partition.write_down();
    assert_eq!(partition.changelog.last(), Some(&(b"k".to_vec(), None, 6)));
    assert_eq!(partition.value(b"k"), None);
    assert_eq!(partition.states.shelf().unwrap().get(b"k").unwrap(), None);
}

#[test]
fn keys_that_were_quiet_too_long_are_swept_from_the_disk() {
    let mut partition = Partition::new(Bounds { ttl_ms: 100, ..tight() });
    for key in 0..300_u32 {
        partition.add(&key.to_be_bytes(), if key < 200 { 1_000 } else { 1_150 });
        partition.commit();
        partition.write_down();
    }
    partition.changelog.clear();
    for _ in 0..30 {
        partition.states.sweep(1_200, (16, 16)).unwrap();
        partition.commit();
        partition.write_down();
    }
    let forgotten = partition.changelog.iter().filter(|(_, bytes, _)| bytes.is_none()).count();
    assert_eq!((forgotten, partition.changelog.len()), (200, 200));
    assert_eq!(partition.value(&7_u32.to_be_bytes()), None);
    assert_eq!(partition.value(&207_u32.to_be_bytes()), Some(1));
}

#[test]
fn without_a_disk_too_what_was_quiet_too_long_is_forgotten_and_takes_no_room() {
    let bounds = Bounds { ttl_ms: 100, ..Bounds::default() };
    let mut states = States::<u64>::new(bounds, None);
    for key in 0..300_u32 {
        let time_ms = if key < 200 { 1_000 } else { 1_150 };
        *states.change(&key.to_be_bytes(), time_ms).unwrap() = 1;
    }
    let seal = |states: &mut States<u64>| {
        let (sealed, _) = states.seal(&Count);
        (0..sealed.len()).filter_map(|at| sealed.get(at)).filter(|row| row.1.is_none()).count()
    };
    assert_eq!(seal(&mut states), 0);
    let full = states.bytes();
    let (mut forgotten, mut told) = (0, 0);
    for _ in 0..20 {
        forgotten += states.sweep(1_200, (16, 16)).unwrap();
        told += seal(&mut states);
    }
    assert_eq!((forgotten, told, states.len()), (200, 200, 100));
    assert_eq!(3 * states.bytes(), full);
    assert_eq!(states.unwritten(), 0);
    // The changelog says it again to whoever restores.
    states.restore(&207_u32.to_be_bytes(), None, 1_300);
    assert_eq!(states.len(), 99);
}

#[test]
fn memory_above_its_bound_with_a_disk_that_takes_nothing_is_not_gone_through_each_time() {
    let mut partition = Partition::new(tight());
    for key in 0..500_u32 {
        partition.add(&key.to_be_bytes(), 1);
    }
    partition.commit();
    partition.states.make_room();
    assert_eq!(partition.states.stuck_at, Some(0));
    let hand = partition.states.hand;
    partition.states.make_room();
    assert_eq!(partition.states.hand.abs_diff(hand) % 500, STUCK_LOOKS);
    partition.write_down();
    assert!(partition.states.len() <= 20 && partition.states.stuck_at.is_none());
}

/// Kept as one byte, published as text.
#[derive(Default)]
struct Short(u8);

impl State for Short {
    const FORM: u8 = 1;

    fn write(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        into.extend_from_slice(self.0.to_string().as_bytes());
        Ok(())
    }

    fn pack(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        into.push(0x80 | self.0);
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, Poison> {
        match bytes {
            [packed] if *packed >= 0x80 => Ok(Self(packed & 0x7f)),
            text => String::from_utf8_lossy(text).parse().map(Self).map_err(Poison::malformed),
        }
    }
}

/// Adds nothing up; only its state matters.
struct Shorts;

impl View for Shorts {
    type Input = ();
    type State = Short;
    type Tables = ();
    type Output = ();

    fn decode(&self, _: &Raw<'_>) -> Result<(), Poison> {
        Ok(())
    }

    fn time_ms(&self, (): &()) -> u64 {
        0
    }

    fn fold(&self, _: &mut Short, (): (), _: &Around<'_, ()>) -> Vec<()> {
        Vec::new()
    }
}

#[test]
fn a_state_is_published_in_one_form_and_kept_in_another() {
    let folder = Folder::new();
    let (shelf, _) = Store::open(folder.path(), 1).unwrap().shelf(0).unwrap();
    let mut states = States::<Short>::new(Bounds::default(), Some(shelf));
    states.restore(b"a", Some(b"40"), 1);
    states.change(b"a", 2).unwrap().0 += 2;
    states.change(b"b", 2).unwrap().0 = 7;
    let (sealed, poison) = states.seal(&Shorts);
    assert_eq!(
        (sealed.get(0), sealed.get(1)),
        (Some((&b"a"[..], Some(&b"42"[..]), 2)), Some((&b"b"[..], Some(&b"7"[..]), 2)))
    );
    assert!(poison.is_empty() && sealed.get(2).is_none());
    states.begin_round();
    let kept: Vec<_> =
        states.take_leaving(1, usize::MAX).into_iter().map(|entry| entry.bytes).collect();
    assert_eq!(kept, [Some(Arc::from(&[0x80 | 7][..])), Some(Arc::from(&[0x80 | 42][..]))]);
    // Made of what is kept.
    states.slots.iter_mut().flatten().for_each(|slot| slot.live = None);
    assert_eq!(states.look(b"a").unwrap().map(|state| state.0), Some(42));
}

/// A state that panics in the middle of what it says.
#[derive(Default)]
struct Touchy(&'static str);

impl Touchy {
    fn does(&self, what: &str) {
        assert!(self.0 != what, "no state should do this");
    }
}

impl State for Touchy {
    const FORM: u8 = 1;

    fn write(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        into.extend_from_slice(b"half a");
        self.does("write");
        Ok(())
    }

    fn pack(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        self.does("pack");
        into.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, Poison> {
        Self(if bytes == b"read" { "read" } else { "fine" }).does("read");
        Ok(Self("fine"))
    }
}

/// Only its states matter.
struct Touched;

impl View for Touched {
    type Input = ();
    type State = Touchy;
    type Tables = ();
    type Output = ();

    fn decode(&self, _: &Raw<'_>) -> Result<(), Poison> {
        Ok(())
    }

    fn time_ms(&self, (): &()) -> u64 {
        0
    }

    fn fold(&self, _: &mut Touchy, (): (), _: &Around<'_, ()>) -> Vec<()> {
        Vec::new()
    }

    fn is_over(&self, state: &Touchy) -> bool {
        state.does("is_over");
        false
    }
}

#[test]
fn a_state_that_panics_is_one_that_cannot_be_read_or_written() {
    const BAD: [&str; 3] = ["is_over", "pack", "write"];
    let mut states = States::<Touchy>::new(Bounds::default(), None);
    for bad in BAD {
        states.restore(bad.as_bytes(), Some(b"fine"), 1);
        states.change(bad.as_bytes(), 2).unwrap().0 = bad;
    }
    states.change(b"fine", 2).unwrap().0 = "fine";
    // Woken before it is sealed, it would be packed.
    assert!(matches!(states.wake(b"pack"), Err(Trouble::Poison(_))));
    let (sealed, poison) = states.seal(&Touched);
    let reasons: Vec<_> = poison.iter().map(|poison| poison.reason).collect();
    assert_eq!(reasons, ["state_panicked"; 3]);
    // Nothing of them is published, and they are as they were sealed last.
    assert_eq!(sealed.get(0), Some((&b"fine"[..], Some(&b"half a"[..]), 2)));
    assert_eq!(sealed.len(), 1);
    for bad in BAD {
        assert_eq!(states.look(bad.as_bytes()).unwrap().map(|state| state.0), Some("fine"));
    }
    // As a restore reads all of them, for their alarms, and a record its own.
    states.restore(b"read", Some(b"read"), 1);
    let mut seen = 0;
    states.each(|_, _| seen += 1).unwrap();
    assert_eq!(seen, 4);
    assert!(matches!(states.change(b"read", 2), Err(Trouble::Poison(_))));
}

#[test]
fn a_key_that_no_disk_takes_is_poison_and_costs_nobody_else_their_state() {
    let folder = Folder::new();
    let (shelf, _) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
    let mut task = Task::<Count>::on(Bounds::default(), Some(shelf.clone()));
    let longest = [b'k'; 65_535];
    let keys = [&b""[..], &[b'k'; 65_536], b"!task", &longest, b"a"];
    let mut feed = |(offset, key)| {
        let place = Place { partition: 0, offset };
        let raw = Raw { source: 0, place, key: Some(key), value: Some(b"1"), timestamp_ms: 1 };
        match task.feed(&Count, &raw, (&(), 1), &mut |_| {}) {
            Ok(_) => "folded",
            Err(Refused::Poison(poison)) => poison.reason,
            Err(Refused::Disk(error)) => panic!("{error}"),
        }
    };
    let fates: Vec<_> = (0..).zip(keys).map(&mut feed).collect();
    assert_eq!(fates, ["empty_key", "long_key", "reserved_key", "folded", "folded"]);
    task.states.seal(&Count);
    task.states.begin_round();
    let entries = task.states.take_leaving(1, usize::MAX);
    shelf.put(&entries, &Extent { batches: 1, ..Extent::default() }).unwrap();
    assert!(shelf.get(b"a").unwrap().is_some() && shelf.get(&longest).unwrap().is_some());
    // Somebody may ask for them all the same.
    assert!(keys[..3].iter().all(|key| task.look(key).unwrap().is_none()));
}

#[test]
fn a_look_at_what_is_not_there_leaves_nothing() {
    let mut partition = Partition::new(Bounds::default());
    assert_eq!(partition.value(b"nobody"), None);
    assert_eq!(partition.states.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is folded, sealed, written and put aside: each key's count is that of a map, and a
    /// new process that reads the disk, and the changelog from where the disk is, has the same.
    #[test]
    fn as_a_map_and_as_the_changelog(steps in prop::collection::vec((0..40_u8, 0..7_u8), 1..300)) {
        let mut partition = Partition::new(tight());
        let mut reference = BTreeMap::new();
        for (time, (key, step)) in steps.into_iter().enumerate() {
            match step {
                0 => partition.commit(),
                1 => {
                    partition.commit();
                    partition.write_some(usize::MAX);
                }
                2 => {
                    partition.commit();
                    partition.write_some(3 * SLOT_BYTES);
                }
                _ => {
                    let count = reference.entry(key).or_insert(0);
                    *count += 1;
                    prop_assert_eq!(partition.add(&[key], time as u64), *count);
                }
            }
        }
        partition.commit();
        let Partition { states, changelog, folder, .. } = partition;
        drop(states);
        let (shelf, extent) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
        let mut again = States::<u64>::new(tight(), Some(shelf));
        let from = usize::try_from(extent.map_or(0, |extent| extent.next)).unwrap();
        for (key, bytes, touched_ms) in &changelog[from..] {
            again.restore(key, bytes.as_deref(), *touched_ms);
        }
        for (key, count) in reference {
            prop_assert_eq!(again.look(&[key]).unwrap().copied(), Some(count));
        }
    }
}

#[test]
fn a_state_that_no_record_takes_stays_as_it_was_in_memory_and_in_the_changelog() {
    let mut partition = Partition::new(Bounds { published_bytes_max: 2, ..Bounds::default() });
    for _ in 0..9 {
        partition.add(b"k", 1);
        partition.commit();
    }
    partition.add(b"k", 1);
    partition.add(b"l", 1);
    let (sealed, poison) = partition.states.seal(&Count);
    assert_eq!(poison.iter().map(|why| why.reason).collect::<Vec<_>>(), ["state_too_large"]);
    let rows: Vec<_> = (0..sealed.len()).filter_map(|at| sealed.get(at)).collect();
    assert_eq!(rows, [(&b"l"[..], Some(&b"1"[..]), 1)]);
    assert_eq!((partition.value(b"k"), partition.value(b"l")), (Some(9), Some(1)));
    // What it says next goes on from there.
    assert_eq!(partition.add(b"k", 2), 10);
}
