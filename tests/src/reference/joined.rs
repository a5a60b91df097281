//! What a view that joins clicks to a table must have said: one thing for each click, at a price that
//! the product has had; and at rest, the last click of everybody at the price of now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::kafka::Lying;

/// The prices that each product has had, the newest last.
pub type Prices = BTreeMap<String, Vec<u64>>;

/// What does not lie in the view's output for each click of its input, once and in their order: as
/// sentences.
///
/// # Panics
/// When something else than JSON lies there.
pub fn said_otherwise(clicks: &[Lying], said: &[Lying], prices: &Prices) -> Vec<String> {
    let mut found = Vec::new();
    let mut left: BTreeMap<i32, Vec<&Lying>> = BTreeMap::new();
    for record in said.iter().rev() {
        left.entry(record.partition).or_default().push(record);
    }
    for click in clicks {
        let at = format!("{}@{}", click.partition, click.offset);
        let click_value = json(&click.value);
        let Some(record) = left.get_mut(&click.partition).and_then(Vec::pop) else {
            found.push(format!("{at}: nothing was said"));
            continue;
        };
        if record.key != click.key || !record.headers.is_empty() {
            found.push(format!("{at}: said under {:?}, with {:?}", record.key, record.headers));
        }
        let priced = json(&record.value);
        if priced["id"] != click_value["id"] {
            found.push(format!("{at}: {} and not of {}", priced, click_value["id"]));
            continue;
        }
        let had = prices.get(sku(&click_value)).into_iter().flatten();
        if !had.map(|cents| Value::from(*cents)).any(|cents| cents == priced["cents"]) {
            found.push(format!("{at}: a price that it never had, {priced}"));
        }
    }
    for (partition, more) in left {
        let tell = |more: &&Lying| format!("{partition}: once too often, {}", more.value);
        found.extend(more.iter().map(tell));
    }
    found
}

/// Whose state is not what one thread makes of all their clicks, with the newest prices: as sentences.
///
/// # Panics
/// When something else than JSON lies there.
pub fn states_otherwise(
    clicks: &[Lying],
    states: &BTreeMap<String, String>,
    prices: &Prices,
) -> Vec<String> {
    let mut expected: BTreeMap<&str, (u64, Value)> = BTreeMap::new();
    for click in clicks {
        let (looks, last) = expected.entry(click.key.as_deref().unwrap_or_default()).or_default();
        (*looks, *last) = (*looks + 1, json(&click.value));
    }
    let keys: BTreeSet<&str> =
        expected.keys().copied().chain(states.keys().map(String::as_str)).collect();
    let differs = |key: &str| {
        let wanted = expected.get(key).map(|(looks, last)| {
            let cents = prices.get(sku(last)).and_then(|all| all.last());
            serde_json::json!({ "looks": looks, "sku": sku(last), "cents": cents })
        });
        let found = states.get(key).map(|state| json(state));
        (wanted != found).then(|| format!("{key}: the state is {found:?} and not {wanted:?}"))
    };
    keys.into_iter().filter_map(differs).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn sku(click: &Value) -> &str {
    click["props"]["sku"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn lying(key: &str, offset: i64, value: String) -> Lying {
        let (key, headers) = (Some(key.to_owned()), HashMap::new());
        Lying { partition: 0, offset, timestamp: 0, key, value, headers }
    }

    fn click(key: &str, n: i64) -> Lying {
        lying(key, n, format!(r#"{{"id":"{n}","props":{{"sku":"mug"}}}}"#))
    }

    fn priced(n: i64, cents: u64) -> Lying {
        let key = if n == 1 { "b" } else { "a" };
        lying(key, n, format!(r#"{{"id":"{n}","cents":{cents}}}"#))
    }

    #[test]
    fn what_is_missing_doubled_out_of_order_or_of_no_price_is_found() {
        let prices = Prices::from([("mug".to_owned(), vec![5, 7])]);
        let clicks = [click("a", 0), click("b", 1), click("a", 2)];
        let check = |said: &[Lying], count: usize| {
            let found = said_otherwise(&clicks, said, &prices);
            assert_eq!(found.len(), count, "{found:?}");
        };
        check(&[priced(0, 5), priced(1, 7), priced(2, 5)], 0);
        check(&[priced(0, 5), priced(1, 7)], 1);
        check(&[priced(0, 5), priced(1, 7), priced(2, 5), priced(2, 5)], 1);
        let keyless = Lying { key: None, ..priced(2, 5) };
        check(&[priced(0, 5), priced(1, 7), keyless], 1);
        let headed = HashMap::from([("more".to_owned(), String::new())]);
        check(&[priced(0, 5), priced(1, 7), Lying { headers: headed, ..priced(2, 5) }], 1);
        // Two of other clicks, under other keys.
        check(&[priced(1, 5), priced(0, 7), priced(2, 5)], 4);
        check(&[priced(0, 6), priced(1, 7), priced(2, 5)], 1);
    }

    #[test]
    fn a_state_that_is_behind_or_nobodys_is_found() {
        let prices = Prices::from([("mug".to_owned(), vec![5, 7])]);
        let clicks = [click("a", 0), click("b", 1), click("a", 2)];
        let state =
            |looks: u64, cents: u64| format!(r#"{{"looks":{looks},"sku":"mug","cents":{cents}}}"#);
        let check = |states: &[(&str, String)], count: usize| {
            let states = states.iter().map(|(key, state)| ((*key).to_owned(), state.clone()));
            let found = states_otherwise(&clicks, &states.collect(), &prices);
            assert_eq!(found.len(), count, "{found:?}");
        };
        check(&[("a", state(2, 7)), ("b", state(1, 7))], 0);
        check(&[("a", state(1, 7)), ("b", state(1, 5))], 2);
        check(&[("a", state(2, 7))], 1);
        check(&[("a", state(2, 7)), ("b", state(1, 7)), ("c", state(1, 7))], 1);
    }
}
