//! What views may rely on, shown without Kafka.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::testing::Count;
use crate::{Around, Due};

#[test]
fn keys_are_apart_and_poison_costs_only_itself() {
    let mut driver = Driver::new(Count, ());
    let mut feed = |key: Option<&str>, value: &str| {
        let said = driver.feed(key.map(str::as_bytes), Some(value.as_bytes()));
        said.map(|outputs| outputs.into_iter().map(|(place, n)| (place.offset, n)).collect())
            .map_err(|poison| poison.reason)
    };
    assert_eq!(feed(Some("a"), "1"), Ok(vec![(0, 1)]));
    assert_eq!(feed(Some("b"), "2"), Ok(vec![(1, 1)]));
    assert_eq!(feed(Some("a"), "not a number"), Err("malformed"));
    assert_eq!(feed(Some("a"), "3"), Ok(vec![(3, 2)]));
    assert_eq!(feed(None, "4"), Ok(vec![(4, 1)]));
    assert_eq!(feed(None, "5"), Ok(vec![(5, 1)]));
    assert_eq!(driver.state(b"a"), Ok(Some(&2)));
    driver.restart().unwrap();
    assert_eq!(driver.state(b"a"), Ok(Some(&2)));
}

#[test]
fn a_record_that_was_folded_is_not_folded_again() {
    let mut task = Task::new(Bounds::default());
    let place = Place { partition: 0, offset: 7 };
    let raw = Raw { source: 0, place, key: Some(b"a"), value: Some(b"1"), timestamp_ms: 1 };
    let mut feed = || task.feed(&Count, &raw, (&(), 0), &mut |_| {}).unwrap().len();
    assert_eq!(feed(), 1);
    assert_eq!(feed(), 0);
    assert_eq!(task.next_offset(), 8);
    assert_eq!(task.look(b"a").unwrap(), Some(&1));
}

#[test]
fn a_key_that_was_quiet_for_too_long_begins_anew() {
    let bounds = Bounds { ttl_ms: 100, ..Bounds::default() };
    let mut driver = Driver::new(Count, ()).bounded(bounds);
    let mut feed = |key: &str, at: &str| {
        let said = driver.feed(Some(key.as_bytes()), Some(at.as_bytes())).unwrap();
        said.first().map(|(_, n)| *n)
    };
    assert_eq!(feed("quiet", "1000"), Some(1));
    assert_eq!(feed("busy", "1050"), Some(1));
    assert_eq!(feed("quiet", "1100"), Some(2));
    assert_eq!(feed("busy", "1150"), Some(2));
    assert_eq!(feed("busy", "1201"), Some(3));
    assert_eq!(feed("quiet", "1201"), Some(1));
}

#[test]
fn a_record_from_the_future_expires_nobody() {
    const NOW_MS: u64 = 1_800_000_000_000;
    const YEAR_2099_MS: u64 = 4_070_908_800_000;
    let bounds = Bounds { ttl_ms: 24 * 3_600_000, ..Bounds::default() };
    let mut driver = Driver::new(Count, ()).bounded(bounds);
    driver.set_now_ms(NOW_MS);
    let mut offset = 0;
    let mut feed = |driver: &mut Driver<Count>, key: &str, at_ms: u64| {
        let (place, value) = (Place { partition: 0, offset }, at_ms.to_string());
        offset += 1;
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let raw = Raw { source: 0, place, key, value, timestamp_ms: at_ms };
        let said = driver.feed_raw(&raw).unwrap();
        said.first().map(|(_, n)| *n)
    };
    assert_eq!(feed(&mut driver, "quiet", NOW_MS - 1_000), Some(1));
    // Record and Kafka's timestamp alike: whoever wrote it has a wrong clock.
    assert_eq!(feed(&mut driver, "wrong", YEAR_2099_MS), Some(1));
    assert_eq!(feed(&mut driver, "quiet", NOW_MS), Some(2), "nobody is forgotten for it");
    assert_eq!(feed(&mut driver, "wrong", NOW_MS), Some(2));
    // A day later the quiet go as always.
    driver.set_now_ms(NOW_MS + 2 * 24 * 3_600_000);
    assert_eq!(feed(&mut driver, "busy", NOW_MS + 26 * 3_600_000), Some(1));
    assert_eq!(feed(&mut driver, "quiet", NOW_MS + 26 * 3_600_000), Some(1));
}

/// Visits end half an hour after their last record; a record is its time.
struct Visits;

const IDLE_MS: u64 = 30 * 60 * 1000;

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Visit {
    #[serde(default)]
    first_ms: u64,
    last_ms: u64,
    records: u32,
}

impl View for Visits {
    const WAKES: bool = true;
    type Input = u64;
    type State = Visit;
    type Tables = ();
    type Output = (String, Visit);

    fn decode(&self, raw: &Raw<'_>) -> Result<u64, Poison> {
        Count.decode(raw)
    }

    fn time_ms(&self, at_ms: &u64) -> u64 {
        *at_ms
    }

    fn fold(&self, visit: &mut Visit, at_ms: u64, _: &Around<'_, ()>) -> Vec<(String, Visit)> {
        visit.first_ms = if visit.records == 0 { at_ms } else { visit.first_ms.min(at_ms) };
        visit.last_ms = visit.last_ms.max(at_ms);
        visit.records += 1;
        Vec::new()
    }

    fn is_over(&self, visit: &Visit) -> bool {
        visit.records == 0
    }

    fn due(&self, visit: &Visit) -> Option<Due> {
        (visit.records > 0).then_some(Due::Stream(visit.last_ms + IDLE_MS))
    }

    fn wake(&self, visit: &mut Visit, around: &Around<'_, ()>) -> Vec<(String, Visit)> {
        let key = String::from_utf8_lossy(around.key.unwrap_or_default()).into_owned();
        vec![(key, std::mem::take(visit))]
    }
}

fn visit(key: &str, (first_ms, last_ms): (u64, u64), records: u32) -> (String, Visit) {
    (key.to_owned(), Visit { first_ms, last_ms, records })
}

#[test]
fn a_visit_ends_once_half_an_hour_after_its_last_record() {
    let mut driver = Driver::new(Visits, ());
    let feed = |driver: &mut Driver<Visits>, key: &str, at_ms: u64| {
        let at = at_ms.to_string();
        driver.feed(Some(key.as_bytes()), Some(at.as_bytes())).unwrap()
    };
    assert_eq!(feed(&mut driver, "a", 0), []);
    assert_eq!(feed(&mut driver, "b", 1_000), []);
    assert_eq!(feed(&mut driver, "a", IDLE_MS - 1), []);
    driver.restart().unwrap();
    // Not a: it had a record since.
    assert_eq!(feed(&mut driver, "c", 1_000 + IDLE_MS), [visit("b", (1_000, 1_000), 1)]);
    driver.restart().unwrap();
    // The record that shows it is late belongs to the next visit already.
    let last_ms = 2 * IDLE_MS - 1;
    assert_eq!(feed(&mut driver, "a", last_ms), [visit("a", (0, IDLE_MS - 1), 2)]);
    driver.restart().unwrap();
    // Both at once: in the order of their time.
    let (c, a) =
        (visit("c", (1_000 + IDLE_MS, 1_000 + IDLE_MS), 1), visit("a", (last_ms, last_ms), 1));
    assert_eq!(feed(&mut driver, "d", 9 * IDLE_MS), [c, a]);
    driver.restart().unwrap();
    assert_eq!(feed(&mut driver, "d", 9 * IDLE_MS + 1), []);
    assert_eq!(driver.state(b"a"), Ok(None));
    // The clock on the wall wakes nobody whose time is that of the stream.
    assert_eq!(driver.wait_until(u64::MAX), Ok(vec![]));
}

#[test]
fn a_producer_whose_clock_is_ahead_ends_nobodys_visit() {
    const NOW_MS: u64 = 1_800_000_000_000;
    const AHEAD_MS: u64 = 59 * 60 * 1000;
    let mut driver = Driver::new(Visits, ());
    driver.set_now_ms(NOW_MS);
    let mut offset = 0;
    let mut feed = |driver: &mut Driver<Visits>, key: &str, at_ms: u64| {
        let (place, value) = (Place { partition: 0, offset }, at_ms.to_string());
        offset += 1;
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        driver.feed_raw(&Raw { source: 0, place, key, value, timestamp_ms: at_ms }).unwrap()
    };
    assert_eq!(feed(&mut driver, "a", NOW_MS - 1_000), []);
    assert_eq!(feed(&mut driver, "b", NOW_MS - 1_000), []);
    assert_eq!(feed(&mut driver, "wrong", NOW_MS + AHEAD_MS), [], "nobody's half hour is over");
    driver.set_now_ms(NOW_MS + 60_000);
    assert_eq!(feed(&mut driver, "a", NOW_MS + 60_000), []);
    // Half an hour on, who was quiet has ended, and who was not goes on.
    driver.set_now_ms(NOW_MS + IDLE_MS);
    let ended = visit("b", (NOW_MS - 1_000, NOW_MS - 1_000), 1);
    assert_eq!(feed(&mut driver, "c", NOW_MS + IDLE_MS), [ended]);
    assert_eq!(driver.state(b"a").unwrap().map(|visit| visit.records), Some(2));
}

proptest! {
    /// Whenever it is restarted, a view says the same, in the same order.
    #[test]
    fn who_is_woken_does_not_depend_on_restarts(
        records in prop::collection::vec((0u8..5, 0u64..IDLE_MS, any::<bool>()), 1..60),
    ) {
        let run = |restarts: bool| {
            let (mut driver, mut now_ms, mut said) = (Driver::new(Visits, ()), 0, Vec::new());
            for (key, pause_ms, restart) in &records {
                now_ms += pause_ms;
                let at = now_ms.to_string();
                said.push(driver.feed(Some(&[b'a' + key]), Some(at.as_bytes())).unwrap());
                if restarts && *restart {
                    driver.restart().unwrap();
                }
            }
            let ends = (9 * IDLE_MS + now_ms).to_string();
            said.push(driver.feed(Some(b"end"), Some(ends.as_bytes())).unwrap());
            said
        };
        let said = run(false);
        prop_assert_eq!(&said, &run(true));
        let told: u32 = said.iter().flatten().map(|(_, visit)| visit.records).sum();
        prop_assert_eq!(told as usize, records.len(), "each record is in one visit");
    }
}

/// Says so when nothing was heard of a key for a second by the clock on the wall; and again and
/// again.
struct Silence;

impl View for Silence {
    const WAKES: bool = true;
    type Input = u64;
    type State = u64;
    type Tables = ();
    type Output = (u64, u64);

    fn decode(&self, raw: &Raw<'_>) -> Result<u64, Poison> {
        Count.decode(raw)
    }

    fn time_ms(&self, at_ms: &u64) -> u64 {
        *at_ms
    }

    fn fold(&self, heard_ms: &mut u64, _: u64, around: &Around<'_, ()>) -> Vec<(u64, u64)> {
        *heard_ms = around.now_ms;
        Vec::new()
    }

    fn due(&self, heard_ms: &u64) -> Option<Due> {
        Some(Due::Wall(heard_ms + 1_000))
    }

    fn wake(&self, heard_ms: &mut u64, around: &Around<'_, ()>) -> Vec<(u64, u64)> {
        *heard_ms += 1_000;
        vec![(around.place.offset, *heard_ms)]
    }
}

#[test]
fn the_clock_on_the_wall_wakes_as_often_as_it_is_time() {
    let mut driver = Driver::new(Silence, ());
    driver.set_now_ms(10_000);
    assert_eq!(driver.feed(Some(b"a"), Some(b"1")), Ok(vec![]));
    assert_eq!(driver.wait_until(10_999), Ok(vec![]));
    assert_eq!(driver.wait_until(11_000), Ok(vec![(1, 11_000)]));
    assert_eq!(driver.wait_until(11_500), Ok(vec![]));
    driver.restart().unwrap();
    assert_eq!(driver.wait_until(13_700), Ok(vec![(1, 12_000), (1, 13_000)]));
    // A record puts it off.
    assert_eq!(driver.feed(Some(b"a"), Some(b"2")), Ok(vec![]));
    assert_eq!(driver.wait_until(14_699), Ok(vec![]));
    assert_eq!(driver.wait_until(14_700), Ok(vec![(2, 14_700)]));
}

/// Sums, and says a second later by the clock on the wall what became of it; panics at some sums, half
/// done.
struct Reports;

const CURSED: u64 = 13;

/// A sum that is told, and then nobody can say when it is due again.
const UNDUE: u64 = 17;

impl View for Reports {
    const WAKES: bool = true;
    type Input = u64;
    type State = (u64, Option<u64>);
    type Tables = ();
    type Output = u64;

    fn decode(&self, raw: &Raw<'_>) -> Result<u64, Poison> {
        Count.decode(raw)
    }

    fn time_ms(&self, _: &u64) -> u64 {
        1
    }

    fn fold(&self, (sum, due_ms): &mut Self::State, more: u64, at: &Around<'_, ()>) -> Vec<u64> {
        *sum += more;
        due_ms.get_or_insert(at.now_ms + 1_000);
        Vec::new()
    }

    fn due(&self, (sum, due_ms): &Self::State) -> Option<Due> {
        assert!(*sum != UNDUE || due_ms.is_some(), "no view should do this");
        due_ms.map(Due::Wall)
    }

    fn wake(&self, (sum, due_ms): &mut Self::State, _: &Around<'_, ()>) -> Vec<u64> {
        *due_ms = None;
        assert!(*sum != CURSED, "no view should do this");
        let told = *sum;
        *sum = if told == UNDUE { told } else { 0 };
        vec![told]
    }
}

fn told<V: View>(driver: &mut Driver<V>) -> Vec<(Vec<u8>, &'static str)> {
    let told = driver.take_unwoken().into_iter();
    told.map(|unwoken| (unwoken.key.to_vec(), unwoken.poison.reason)).collect()
}

#[test]
fn a_key_that_panics_when_it_is_woken_is_told_and_stays_as_it_was() {
    // In the wake itself, or when it is asked for the next one.
    for bad in [CURSED, UNDUE] {
        let mut driver = Driver::new(Reports, ());
        driver.set_now_ms(5_000);
        for (key, more) in [(b"a", 1), (b"b", bad), (b"c", 3)] {
            assert_eq!(driver.feed(Some(key), Some(more.to_string().as_bytes())), Ok(vec![]));
        }
        // It costs nobody else anything, and leaves nothing half done.
        assert_eq!(driver.wait_until(6_000), Ok(vec![1, 3]));
        assert_eq!(told(&mut driver), [(b"b".to_vec(), "wake_panicked")]);
        assert_eq!(driver.state(b"b"), Ok(Some(&(bad, Some(6_000)))));
        // It is left alone, until something has changed: a record of its own, or a new beginning.
        assert_eq!(driver.wait_until(7_000), Ok(vec![]));
        assert_eq!(told(&mut driver), []);
        driver.restart().unwrap();
        assert_eq!(driver.wait_until(7_000), Ok(vec![]));
        assert_eq!(told(&mut driver), [(b"b".to_vec(), "wake_panicked")]);
        assert_eq!(driver.feed(Some(b"b"), Some(b"1")), Ok(vec![]));
        assert_eq!(driver.wait_until(7_000), Ok(vec![bad + 1]));
        assert_eq!(told(&mut driver), []);
    }
}

#[test]
fn a_key_whose_wake_nobody_can_tell_of_is_as_it_was_and_costs_nobody_else_theirs() {
    let mut task = Task::new(Bounds::default());
    for (offset, key) in (0..).zip([b"a", b"b", b"c"]) {
        let (place, value) = (Place { partition: 0, offset }, [b'1' + offset as u8]);
        let raw = Raw { source: 0, place, key: Some(key), value: Some(&value), timestamp_ms: 1 };
        task.feed(&Reports, &raw, (&(), 5_000), &mut |_| {}).unwrap();
    }
    let mut said = Vec::new();
    let mut say = |more: Vec<u64>| {
        assert!(more != [2], "no sink should do this");
        said.extend(more);
    };
    task.wake_by_the_clock(&Reports, (0, &(), 6_000), &mut say).unwrap();
    assert_eq!(said, [1, 3]);
    let unwoken: Vec<_> = task.take_unwoken().into_iter().map(|one| one.key).collect();
    assert_eq!(unwoken, [Arc::from(&b"b"[..])]);
    assert_eq!(task.look(b"b").unwrap(), Some(&(2, Some(6_000))));
}

#[test]
fn a_state_of_which_nobody_can_say_when_it_is_due_does_not_keep_the_others_from_coming_back() {
    let mut driver = Driver::new(Reports, ());
    driver.restore(b"a", format!("[{UNDUE},null]").as_bytes(), 1).unwrap();
    assert_eq!(told(&mut driver), [(b"a".to_vec(), "wake_panicked")]);
    driver.restore(b"b", b"[3,6000]", 1).unwrap();
    assert_eq!(driver.wait_until(6_000), Ok(vec![3]));
}

/// Sums what comes; one sum is none that JSON can tell, and panics when it is woken, half done.
struct Broken;

impl View for Broken {
    const WAKES: bool = true;
    type Input = u64;
    type State = f64;
    type Tables = ();
    type Output = f64;

    fn decode(&self, raw: &Raw<'_>) -> Result<u64, Poison> {
        Count.decode(raw)
    }

    fn time_ms(&self, _: &u64) -> u64 {
        1
    }

    fn fold(&self, sum: &mut f64, more: u64, _: &Around<'_, ()>) -> Vec<f64> {
        *sum = if more == CURSED { f64::NAN } else { *sum + more as f64 };
        vec![*sum]
    }

    fn due(&self, sum: &f64) -> Option<Due> {
        sum.is_nan().then_some(Due::Wall(0))
    }

    fn wake(&self, sum: &mut f64, _: &Around<'_, ()>) -> Vec<f64> {
        *sum = -1.0;
        panic!("no view should do this");
    }
}

#[test]
fn a_state_that_cannot_be_put_back_after_a_wake_is_as_it_was_sealed_last() {
    let mut driver = Driver::new(Broken, ());
    driver.restore(b"a", b"2.5", 1).unwrap();
    for key in [b"a", b"b"] {
        assert!(driver.feed(Some(key), Some(b"13")).unwrap()[0].is_nan());
    }
    assert_eq!(driver.wait_until(1), Ok(vec![]));
    let both = [(b"a".to_vec(), "wake_panicked"), (b"b".to_vec(), "wake_panicked")];
    assert_eq!(told(&mut driver), both);
    assert_eq!(driver.state(b"a"), Ok(Some(&2.5)));
    assert_eq!(driver.state(b"b"), Ok(None), "it was never sealed");
    assert_eq!(driver.feed(Some(b"a"), Some(b"1")), Ok(vec![3.5]));
    assert_eq!(driver.feed(Some(b"b"), Some(b"1")), Ok(vec![1.0]));
}

/// The newest name and the newest price of each product, out of two topics.
struct Offers;

impl View for Offers {
    type Input = (usize, String);
    type State = (Option<String>, Option<String>);
    type Tables = ();
    type Output = String;

    fn decode(&self, raw: &Raw<'_>) -> Result<(usize, String), Poison> {
        let text = String::from_utf8_lossy(raw.value.unwrap_or_default()).into_owned();
        Ok((raw.source, text))
    }

    fn time_ms(&self, _: &(usize, String)) -> u64 {
        1
    }

    fn fold(
        &self,
        (name, price): &mut Self::State,
        (source, text): (usize, String),
        _: &Around<'_, ()>,
    ) -> Vec<String> {
        *(if source == 0 { &mut *name } else { &mut *price }) = Some(text);
        name.iter().zip(price).map(|(name, price)| format!("{name} {price}")).collect()
    }
}

#[test]
fn topics_side_by_side_feed_one_state_each_at_its_own_offset() {
    let mut driver = Driver::new(Offers, ()).with_siblings(1);
    let mut feed =
        |source, value: &str| driver.feed_from(source, Some(b"k"), Some(value.as_bytes()));
    assert_eq!(feed(0, "kettle"), Ok(vec![]));
    assert_eq!(feed(0, "red kettle"), Ok(vec![]));
    assert_eq!(feed(1, "20"), Ok(vec!["red kettle 20".to_owned()]));
    assert_eq!(feed(0, "blue kettle"), Ok(vec!["blue kettle 20".to_owned()]));
    driver.restart().unwrap();
    // Offsets of one topic say nothing about the other's: a record that was folded is known as such.
    let at = |source, offset| Raw {
        source,
        place: Place { partition: 0, offset },
        key: Some(b"k"),
        value: Some(b"30"),
        timestamp_ms: 1,
    };
    assert_eq!(driver.feed_raw(&at(1, 0)), Ok(vec![]));
    assert_eq!(driver.feed_raw(&at(1, 1)), Ok(vec!["blue kettle 30".to_owned()]));
    assert_eq!(driver.feed_raw(&at(2, 0)), Ok(vec![]), "there is no such topic");
}

/// The state of [`Visits`] as it was before it had a first record.
#[derive(Default, serde::Serialize)]
struct YesterdaysVisit {
    last_ms: u64,
    records: u32,
}

#[test]
fn a_state_of_yesterday_is_read_and_its_alarm_goes_off() {
    let yesterday = serde_json::to_vec(&YesterdaysVisit { last_ms: 5, records: 3 }).unwrap();
    let mut driver = Driver::new(Visits, ());
    driver.restore(b"a", &yesterday, 5).unwrap();
    let at = (5 + IDLE_MS).to_string();
    let said = driver.feed(Some(b"b"), Some(at.as_bytes()));
    assert_eq!(said, Ok(vec![visit("a", (0, 5), 3)]));
    // What is no state at all is told as poison, and costs only itself.
    assert_eq!(driver.restore(b"c", b"{", 5).unwrap_err().reason, "malformed");
    assert_eq!(driver.feed(Some(b"c"), Some(at.as_bytes())).unwrap_err().reason, "malformed");
    assert_eq!(driver.feed(Some(b"d"), Some(at.as_bytes())), Ok(vec![]));
}
