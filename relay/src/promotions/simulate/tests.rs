//! Rules, recordings, and what comes of them.

use serde_json::Value;

use super::*;
use crate::promotions::decide::Outcome;
use crate::promotions::rules::read_bytes;

const RULES: &str = r#"
    tenant = "shop"
    [[rule]]
    name = "third-look"
    slot = "banner"
    when = "visit.products >= 3"
    caps = { visit = 1, total = 2 }
    holdout = { percent = 0 }
    content = { title = "Look" }
    [[rule]]
    name = "seen"
    slot = "aside"
    when = "product.category == 'kettles'"
    products = "seen"
    lifetime = "10s"
    cool_down = { rule = "30s" }
    content = {}
    [[rule]]
    name = "typo"
    slot = "aside"
    when = "visit.page > 1"
    content = {}
"#;

fn shop() -> Tenant {
    Tenant::parse("shop").unwrap()
}

fn run(rules: &str, recording: &str) -> Report {
    let kettle = Product { category: "kettles".into(), ..unknown(&Sku::parse("K").unwrap()) };
    let entries = read_bytes("a.toml", rules.as_bytes());
    let mut simulation = Simulation::new(entries, (&shop(), &[kettle]));
    let (recorded, unread) = read_recording(recording.as_bytes(), &shop()).unwrap();
    recorded.iter().for_each(|recorded| simulation.run(recorded));
    simulation.unread += unread;
    simulation.report()
}

#[test]
fn rules_run_by_the_clock_of_the_recording() {
    let mut lines = vec!["SessionId\tItemId\tTime".to_owned()];
    for session in ["a", "b", "c"] {
        for (n, item) in ["K", "B", "C", "D", "K"].iter().enumerate() {
            lines.push(format!("{session}\t{item}\t{}", 1_800_000_000 + n * 20));
        }
    }
    lines.push("nonsense".to_owned());
    let report = run(RULES, &lines.join("\n"));
    assert_eq!((report.events, report.unread), (15, 1));
    let counts = |rule: &str, outcomes: &[Outcome]| {
        outcomes.iter().map(|outcome| report.count(rule, *outcome)).collect::<Vec<_>>()
    };
    use Outcome::{Cooling, Holds, Shown, SpentOut};
    // The total of two is shown to two visitors; the third is told so at each look.
    assert_eq!(counts("third-look", &[Shown, Holds, SpentOut]), [2, 4, 3]);
    // 80 seconds later it is neither held nor cooling.
    assert_eq!(counts("seen", &[Shown, Cooling]), [6, 0]);
    assert!(report.refusals()[0].to_string().contains("rule `typo`: when"));
    let json: Value = serde_json::from_str(&report.json(Telling::default())).unwrap();
    assert_eq!(json["rules"][1]["visitors_shown"], 2);
    assert_eq!(json["rules"][0]["days"][0]["day"], "2027-01-15");
    let table = report.table(Telling::default());
    assert!(table.contains("shop:third-look") && !table.contains("shown to"), "{table}");
    assert!(report.table(Telling { who: true, ..Telling::default() }).contains("shown to: a b\n"));
}

#[test]
fn two_sets_of_rules_are_compared_by_who_sees_them() {
    let recording = r#"
        {"session":"a","at":1800000000000,"type":"product_view","props":{"sku":"K"}}
        {"session":"b","at":1800000000000,"type":"product_view","props":{"sku":"B"}}
        {"session":"c","at":1800000000000,"type":"page_view"}"#;
    let first = run(RULES, recording);
    let second = run(&RULES.replace("== 'kettles'", "!= 'kettles'"), recording);
    let json: Value =
        serde_json::from_str(&second.json(Telling { against: Some(&first), who: false })).unwrap();
    let seen = &json["rules"][0];
    assert_eq!((&seen["visitors_more"], &seen["visitors_fewer"]), (&1.into(), &1.into()));
}

#[test]
fn an_audience_of_customers_is_those_who_are_proven_to_be_such() {
    let rules = r#"
        tenant = "shop"
        [[rule]]
        name = "win-back"
        slot = "banner"
        when = "visit.pages >= 0"
        audience = "customer.segment == 'gold' && customer.orders > 1 && customer.days_since_order > 90"
        content = {}
        [[rule]]
        name = "log-in"
        slot = "aside"
        when = "!customer.is_proven"
        content = {}
        [[rule]]
        name = "typo"
        slot = "aside"
        when = "customer.segmnt == 'gold'"
        content = {}
    "#;
    let recording = r#"
        {"session":"a","at":1800000000000,"type":"page_view","customer":"ada"}
        {"session":"b","at":1800000000000,"type":"page_view","customer":"bob"}
        {"session":"c","at":1800000000000,"type":"page_view","customer":"nobody"}
        {"session":"d","at":1800000000000,"type":"page_view"}"#;
    let entries = read_bytes("a.toml", rules.as_bytes());
    let mut simulation = Simulation::new(entries, (&shop(), &[]));
    for (id, segment) in [("ada", "gold"), ("bob", "silver")] {
        let known = json!({"customer": id, "segment": segment, "orders": 2,
                           "last_order_at": 1_790_000_000_000_u64});
        simulation.know(&shop(), &serde_json::from_value(known).unwrap());
    }
    let (recorded, unread) = read_recording(recording.as_bytes(), &shop()).unwrap();
    assert_eq!(unread, 0);
    recorded.iter().for_each(|recorded| simulation.run(recorded));
    let report = simulation.report();
    let shown = |rule: &str| report.count(rule, Outcome::Shown);
    assert_eq!((shown("win-back"), shown("log-in")), (1, 1));
    let refusal = report.refusals()[0].to_string();
    assert!(refusal.contains("rule `typo`: when") && refusal.contains("customer.segment"));
}

#[test]
fn enriched_records_are_run_like_raw_ones() {
    let enriched = include_str!("../../../../sdk-core/golden/record_enriched.json");
    let raw = include_str!("../../../../sdk-core/golden/record_raw.json");
    for text in [enriched, raw] {
        let value: Value = serde_json::from_str(text).unwrap();
        let report = run(RULES, &value.to_string());
        assert_eq!((report.events, report.unread), (1, 0));
    }
}

#[test]
fn what_came_late_is_decided_when_it_came_or_not_at_all() {
    let record = |visitor: &str, (time, received_at): (u64, u64), seq: u64| {
        json!({
            "id": format!("019abfe2-1c40-7000-a000-{seq:012x}"), "tenant": "shop",
            "type": "product_view", "at": time, "time": time, "queue": visitor, "seq": seq,
            "arrival": { "write_key": "k", "sent_at": time, "received_at": received_at, "attempt": 0 },
            "context": { "visitor": visitor, "session": visitor,
                "consent": { "granted": ["analytics", "personalization"] } },
            "props": { "sku": "K" },
        })
        .to_string()
    };
    const DAY: u64 = 24 * 3_600_000;
    let noon = 20_000 * DAY + DAY / 2;
    let lifetime = Config::default().lifetime_ms();
    let lines = [
        // From a queue that was offline for two hours: no page of then is open any more.
        record("late", (noon - 2 * 3_600_000, noon), 1),
        record("timely", (noon, noon + 50), 2),
        // Of before midnight, and answered after it.
        record("slow", (noon + DAY / 2 - lifetime / 2, noon + DAY / 2 + 1), 3),
    ];
    let report = run(RULES, &lines.join("\n"));
    assert_eq!((report.events, report.count("seen", Outcome::Shown)), (3, 2));
    let json: Value = serde_json::from_str(&report.json(Telling::default())).unwrap();
    let days = json["rules"][0]["days"].as_array().unwrap();
    let days: Vec<&str> = days.iter().filter_map(|day| day["day"].as_str()).collect();
    assert_eq!(days, ["2024-10-04", "2024-10-05"]);
}
