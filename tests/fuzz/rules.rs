//! Rules of promotions: whoever may write a file or a record must not be able to stop a relay.

use clickmill_relay::promotions::expression::{COST_MAX, Language};
use clickmill_relay::promotions::report;
use clickmill_relay::promotions::rules::{Rules, read_bytes};
use clickmill_relay::promotions::scene::Scene;
use clickmill_sdk_core::wire::Millis;
use serde_json::Value;

use crate::Target;

const RULES: Target = Target {
    name: "rules",
    words: &[
        b"[[rule]]\n",
        b"tenant = \"shop\"\n",
        b"name = \"a\"\n",
        b"slot = \"banner\"\n",
        b"content = {}\n",
        b"when = '",
        b"visitor.seen.exists(s, s == product.sku)",
        b".map(x, x + x)",
        b"visit.pages > 1",
        b" && ",
        b" ? true : false",
        b"size(visitor.basket)",
        b"((((",
        b"-9223372036854775808",
        b"[0]",
        b"'",
        b"\\u0000",
        b"schedule.hours = \"22:00-02:00\"\n",
        b"caps = { visit = 1, total = 18446744073709551615 }\n",
        b"holdout = { percent = 50.0 }\n",
        b"products = \"seen\"\n",
        b"lifetime = \"1h\"\n",
    ],
    bytes_max: 4_096,
    packed: false,
};

#[test]
fn a_rule_is_good_or_refused_by_name_and_no_condition_runs_away() {
    let language = Language::default();
    RULES.run(|bytes| {
        let mut came = Vec::new();
        for place in ["a.toml", "a.json"] {
            let entries = read_bytes(place, bytes);
            let rules = Rules::of(&entries, (&language, &Rules::default()));
            for refusal in rules.refusals() {
                assert!(!refusal.why.is_empty() && !refusal.field.is_empty(), "{refusal:?}");
                assert!(!refusal.rule.chars().any(char::is_control), "{refusal:?}");
            }
            for rule in rules.all() {
                assert!(rule.cost() <= 2 * COST_MAX, "{rule:?}");
                for scene in [Scene::sample(), Scene::blank()] {
                    for condition in rule.when.iter().chain(&rule.audience) {
                        condition.holds(&scene).expect("it was tried when it was read");
                    }
                }
                for now in [0, 1_800_000_000_000, u64::MAX] {
                    let now = Millis(now);
                    assert!(rule.end(now) >= now || !rule.schedule.holds(now), "{rule:?} {now:?}");
                }
            }
            // Read again it is the same, and the list is JSON.
            let again = Rules::of(&entries, (&language, &rules));
            assert_eq!(again.refusals(), rules.refusals());
            let list = report::written(&rules, Millis(0));
            serde_json::from_str::<Value>(&list).expect("the list is JSON");
            let fields: Vec<&str> = rules.refusals().iter().map(|r| r.field.as_str()).collect();
            came.push(format!("{} {fields:?}", rules.all().count()));
        }
        came.join(" ")
    });
}
