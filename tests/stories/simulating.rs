//! Rules simulated: `clickmill-relay simulate` over files and topics says what counting by hand says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use clickmill_sdk_core::wire::{BUCKETS, Promoted, Topic, bucket};
use clickmill_tests::child::built;
use clickmill_tests::until::until;
use clickmill_tests::{Folder, Kafka, Lying, Page, TENANT, World};
use serde_json::{Value, json};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Friday, 15 January 2027, 00:00 in UTC.
const FRIDAY: u64 = 1_799_971_200_000;

/// When a visit looks at something.
const LOOKS: [u64; 4] = [0, MINUTE, 45 * MINUTE, 95 * MINUTE];
const VISITORS: u64 = 24;

/// Each of these rules keeps to one limit, and none of them holds until the next look.
const RULES: &str = r#"
tenant = "acme"
[[rule]]
name = "cooling"
slot = "a"
cool_down.rule = "90m"
lifetime = "1s"
content = {}
[[rule]]
name = "evening"
slot = "b"
schedule = { days = ["fri", "sat"], hours = "18:00-02:00", zone = "Europe/Berlin" }
lifetime = "1s"
content = {}
[[rule]]
name = "ever"
slot = "c"
caps.ever = 5
lifetime = "1s"
content = {}
[[rule]]
name = "few"
slot = "d"
caps.total = 7
lifetime = "1s"
content = {}
[[rule]]
name = "half"
slot = "e"
holdout.percent = 50
lifetime = "1s"
content = {}
[[rule]]
name = "second-kettle"
slot = "f"
when = "product.sku == 'kettle' && visit.products >= 2"
lifetime = "1s"
content = {}
[[rule]]
name = "twice-a-visit"
slot = "g"
caps.visit = 2
lifetime = "1s"
content = {}
[[rule]]
name = "typo"
slot = "h"
when = "visit.page > 1"
content = {}
"#;

/// A look at a product.
#[derive(Clone, Debug)]
struct Look {
    visitor: String,
    visit: u64,
    at: u64,
    sku: &'static str,
    /// How many products the visit has seen by then.
    products: usize,
    /// Whether the visitor has consented; the others have said nothing.
    consents: bool,
}

/// All looks in the order of time: everybody comes three times, more than a day apart.
fn looks() -> Vec<Look> {
    let mut all = Vec::new();
    for visitor in 0..VISITORS {
        for visit in 0..3 {
            // A second for each visitor: no two look at once.
            let start = FRIDAY + (visitor * 2 + visit * 31) * HOUR + visitor * 1_000;
            let mut seen = BTreeSet::new();
            for (n, after) in LOOKS.iter().enumerate() {
                let sku = ["kettle", "toaster", "kettle", "mixer"][(visitor as usize + n) % 4];
                seen.insert(sku);
                all.push(Look {
                    visitor: format!("v{visitor:02}"),
                    visit,
                    at: start + after,
                    sku,
                    products: seen.len(),
                    consents: visitor % 6 != 5,
                });
            }
        }
    }
    all.sort_by_key(|look| look.at);
    all
}

/// The look as a collector writes it: key and value.
fn record(look: &Look, n: usize) -> (String, Option<String>) {
    let Look { visitor, visit, at, sku, consents, .. } = look;
    let mut record = json!({
        "id": format!("019abfe2-1c40-7000-a000-{n:012x}"), "tenant": TENANT, "type": "product_view",
        "at": at, "time": at, "queue": visitor, "seq": n + 1,
        "arrival": { "write_key": "wk", "sent_at": at, "received_at": at, "attempt": 1 },
        "context": { "visitor": visitor, "session": format!("{visitor}-{visit}") },
        "props": { "sku": sku },
    });
    if *consents {
        record["context"]["consent"] = json!({ "granted": ["personalization"] });
    }
    (format!("{TENANT}:{visitor}"), Some(record.to_string()))
}

/// What counting by hand says of a rule.
#[derive(Debug, Default, PartialEq)]
struct Count {
    outcomes: BTreeMap<String, u64>,
    shown_to: BTreeSet<String>,
    held_out_of: BTreeSet<String>,
    /// Shown and held out, by day.
    days: BTreeMap<String, (u64, u64)>,
}

impl Count {
    /// Goes through the looks with what the rule says of one, from when it was shown to that visitor before
    /// and how often to anybody.
    fn of(looks: &[Look], says: impl Fn(&Look, &[&Look], u64) -> Option<&'static str>) -> Self {
        let (mut count, mut shown) = (Self::default(), BTreeMap::<&str, Vec<&Look>>::new());
        for look in looks.iter().filter(|look| look.consents) {
            let total = count.outcomes.get("shown").copied().unwrap_or_default();
            let mine = shown.entry(&look.visitor).or_default();
            let Some(outcome) = says(look, mine, total) else { continue };
            *count.outcomes.entry(outcome.to_owned()).or_default() += 1;
            let day = format!("2027-01-{}", 15 + (look.at - FRIDAY) / (24 * HOUR));
            let (day_shown, day_held) = count.days.entry(day).or_default();
            match outcome {
                "shown" => {
                    mine.push(look);
                    *day_shown += 1;
                    count.shown_to.insert(look.visitor.clone());
                }
                "held_out" => {
                    *day_held += 1;
                    count.held_out_of.insert(look.visitor.clone());
                }
                _ => {}
            }
        }
        count
    }

    /// What a report says.
    fn told(rule: &Value) -> Self {
        let names = |field: &str| {
            // An empty list is left out.
            let names = rule[field].as_array().into_iter().flatten();
            names.map(|name| name.as_str().expect("a name").to_owned()).collect()
        };
        let days = rule["days"].as_array().expect("days").iter().map(|day| {
            let number = |field: &str| day[field].as_u64().expect("a number");
            (day["day"].as_str().expect("a day").to_owned(), (number("shown"), number("held_out")))
        });
        let outcomes = rule.as_object().expect("a rule").iter().filter(|(name, _)| {
            let is_other = name.starts_with("visitors") || *name == "matched";
            !is_other
        });
        let outcomes = outcomes.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)));
        Self {
            outcomes: outcomes.filter(|(_, count)| *count > 0).collect(),
            shown_to: names("shown_to"),
            held_out_of: names("held_out_of"),
            days: days.collect(),
        }
    }
}

/// What each rule comes to, by hand.
fn counted(looks: &[Look]) -> BTreeMap<&'static str, Count> {
    let evening = |look: &Look| {
        // In winter Berlin is an hour ahead; hours and weekday, Monday being 0, of the day that has begun.
        let local = look.at + HOUR;
        let (hour, weekday) = (local / HOUR % 24, (local / (24 * HOUR) + 3) % 7);
        let day = if hour < 2 { (weekday + 6) % 7 } else { weekday };
        !(2..18).contains(&hour) && (day == 4 || day == 5)
    };
    let held = |look: &Look| bucket(b"half", look.visitor.as_bytes()) < BUCKETS / 2;
    let cools = |look: &Look, mine: &[&Look]| {
        mine.last().is_some_and(|last| look.at - last.at < 90 * MINUTE)
    };
    let in_visit =
        |look: &Look, mine: &[&Look]| mine.iter().filter(|one| one.visit == look.visit).count();
    let kettle = |look: &Look| look.sku == "kettle" && look.products >= 2;
    let or = |refused: bool, why| Some(if refused { why } else { "shown" });
    [
        ("cooling", Count::of(looks, |look, mine, _| or(cools(look, mine), "cooling"))),
        ("evening", Count::of(looks, |look, _, _| evening(look).then_some("shown"))),
        ("ever", Count::of(looks, |_, mine, _| or(mine.len() >= 5, "capped"))),
        ("few", Count::of(looks, |_, _, total| or(total >= 7, "spent_out"))),
        ("half", Count::of(looks, |look, _, _| or(held(look), "held_out"))),
        ("second-kettle", Count::of(looks, |look, _, _| kettle(look).then_some("shown"))),
        (
            "twice-a-visit",
            Count::of(looks, |look, mine, _| or(in_visit(look, mine) >= 2, "capped")),
        ),
    ]
    .into()
}

/// Runs the program: its exit code, its output, and what it complains of.
fn simulate(options: &[&str]) -> (Option<i32>, String, String) {
    let mut program = Command::new(built("clickmill-relay"));
    let Output { status, stdout, stderr } =
        program.arg("simulate").args(options).env_clear().output().expect("the relay's program");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn told(report: &Value) -> BTreeMap<&str, Count> {
    let rules = report["rules"].as_array().expect("rules").iter();
    rules.map(|rule| (rule["rule"].as_str().expect("a name"), Count::told(rule))).collect()
}

/// A folder of rules in that of the story.
fn rules(folder: &Folder, name: &str, text: &str) -> String {
    let of_rules = folder.path().join(name);
    std::fs::create_dir_all(&of_rules).expect("a folder of our own");
    std::fs::write(of_rules.join("shop.toml"), text).expect("a file of our own");
    of_rules.display().to_string()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn a_simulation_says_what_counting_by_hand_says_from_a_file_and_from_a_topic() {
    let (folder, looks) = (Folder::new("simulating"), looks());
    let kafka = Kafka::start(4);
    let written = RULES.replace("acme", TENANT);
    let rules = rules(&folder, "rules", &written);
    let records: Vec<_> = looks.iter().enumerate().map(|(n, look)| record(look, n)).collect();
    // In a file they need not lie in order.
    let lines = records.iter().rev().filter_map(|(_, value)| value.as_deref());
    let lines = lines.chain(["nonsense"]).collect::<Vec<_>>().join("\n");
    let recording = folder.write("recording.jsonl", &lines);
    let config = folder.write(
        "relay.toml",
        &format!(
            "topic_prefix = {:?}\nkafka.bootstrap = {:?}\nview.state_ttl = \"30days\"\n\
         tokens.keys = [{{ id = \"a\", secret = \"0123456789abcdef0123456789abcdef\" }}]",
            kafka.prefix, kafka.bootstrap,
        ),
    );
    kafka.put(Topic::ClicksRaw.as_str(), &records);
    kafka.put(Topic::ClicksRaw.as_str(), &[(format!("{TENANT}:v99"), Some("nonsense".to_owned()))]);

    // What `simulate` knows it knows of the relay that would serve.
    let run = |config: &str, from: &[&str]| {
        let mut program = Command::new(built("clickmill-relay"));
        program.args(["--config", config, "simulate", "--json", "--who"]).env_clear();
        let ran = program.args(["--rules", &rules]).args(from).output().expect("the program");
        let report: Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
        (ran.status.code(), report)
    };
    let expected = counted(&looks);
    assert!(
        expected.values().all(|count| !count.shown_to.is_empty()),
        "each is shown: {expected:?}"
    );
    for from in [["--recording", path(&recording)], ["--topic", "raw"]] {
        let (code, report) = run(path(&config), &from);
        assert_eq!(code, Some(2), "{from:?}: a rule is refused");
        let refused = report["refused"].as_array().expect("a list");
        assert_eq!(refused.len(), 1, "{refused:?}");
        let refused = refused[0].as_str().expect("a text");
        assert!(
            refused.starts_with("shop.toml: rule `typo`: when: there is no `visit.page`"),
            "{refused}"
        );
        assert_eq!((&report["events"], &report["unread"]), (&looks.len().into(), &1.into()));
        for (rule, count) in &told(&report) {
            assert_eq!(Some(count), expected.get(rule), "{rule}, {from:?}");
        }
        assert_eq!(told(&report).len(), expected.len());
    }
    // A relay that remembers nobody for longer than a day shows it to nobody often enough.
    let short = "view.state_ttl = \"24h\"\n\
                 tokens.keys = [{ id = \"a\", secret = \"0123456789abcdef0123456789abcdef\" }]";
    let short = folder.write("short.toml", short);
    let (_, forgetful) = run(path(&short), &["--recording", path(&recording)]);
    assert!(!told(&forgetful)["ever"].outcomes.contains_key("capped"), "{forgetful}");
}

#[test]
fn rules_are_compared_and_the_exit_code_tells_whether_all_are_good() {
    let folder = Folder::new("simulating");
    // Each session is a visitor: three look, two at a kettle.
    let recording = "SessionId\tItemId\tTime\nv1\tkettle\t1800000000\nv2\tkettle\t1800000060.5\n\
                     v3\ttoaster\t1800090000\n";
    let recording = folder.write("clicks.tsv", recording);
    let rule = |when: &str| {
        format!(
            "[[rule]]\ntenant = \"acme\"\nname = \"kettles\"\nslot = \"a\"\ncontent = {{}}\n{when}\n"
        )
    };
    let kettles = rules(&folder, "kettles", &rule("when = \"product.sku == 'kettle'\""));
    let toasters = rules(&folder, "toasters", &rule("when = \"product.sku == 'toaster'\""));
    let both =
        rule("") + "[[rule]]\ntenant = \"acme\"\nname = \"Bad Name\"\nslot = \"a\"\ncontent = {}\n";
    let bad = rules(&folder, "bad", &both);
    let with = ["--tenant", "acme", "--recording", path(&recording)];
    let run = |options: &[&str]| simulate(&[&with, options].concat());

    let (code, table, _) = run(&["--rules", &kettles, "--who"]);
    assert_eq!(code, Some(0), "{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("3 events, 0 could not be read; "), "{table}");
    let columns: Vec<&str> = lines[2].split_whitespace().collect();
    let figures: Vec<&str> = lines[3].split_whitespace().collect();
    let column = |name: &str| figures[columns.iter().position(|c| *c == name).expect("a column")];
    assert_eq!(
        [column("rule"), column("matched"), column("shown"), column("capped"), column("visitors")],
        ["acme:kettles", "2", "2", "0", "2"]
    );
    assert_eq!(lines[4..], ["  2027-01-15: 2 shown, 0 held out", "  shown to: v1 v2"]);

    let (code, table, _) = run(&["--rules", &kettles, "--against", &toasters]);
    assert_eq!(code, Some(0), "{table}");
    assert!(table.ends_with("  against: 2 visitors more, 1 fewer\n"), "{table}");

    // One that is refused is named, on either side, and the others are run.
    for (options, heading) in [
        (["--rules", &bad, "--against", &kettles], "refused: "),
        (["--rules", &kettles, "--against", &bad], "refused of those to compare with: "),
    ] {
        let (code, table, _) = run(&options);
        assert_eq!(code, Some(2), "{table}");
        let last = table.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("{heading}shop.toml: rule `Bad Name`: name: ")),
            "{table}"
        );
        assert!(table.contains("acme:kettles"), "{table}");
    }

    // What cannot be run says nothing, and why.
    let missing = ["--rules", &kettles, "--recording", "/nowhere/clicks.tsv"];
    let (code, said, complains) = simulate(&missing);
    assert_eq!((code, said.as_str()), (Some(1), ""), "{complains}");
    assert!(complains.contains("/nowhere/clicks.tsv"), "{complains}");
    let (_, said, complains) = run(&["--rules", &kettles, "--topic", "raw"]);
    assert!(said.is_empty() && complains.contains("cannot be used with"), "{complains}");
}

/// What a relay that serves has decided: whom each rule was shown to, and who was held out of it.
fn served(records: &[Lying]) -> BTreeMap<String, [BTreeSet<String>; 2]> {
    let mut all = BTreeMap::<String, [BTreeSet<String>; 2]>::new();
    for lying in records {
        let one: Promoted = serde_json::from_str(&lying.value).expect("a decision");
        let of_rule = all.entry(one.rule.to_string()).or_default();
        of_rule[usize::from(one.held_out)].insert(one.visitor.to_string());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_has_served_is_simulated_from_its_topics_alike() {
    let world = World::builder().partitions(4);
    let text = RULES.replace("acme", TENANT).replace("[\"fri\", \"sat\"]", "[]");
    let of_rules = rules(world.folder(), "rules", &text);
    let world = world.relay(format!("promotions.folder = {of_rules:?}")).start().await;
    world.kafka.stock(&[("kettle", 50), ("toaster", 50)]);
    let pages: Vec<Page> = (0..12).map(|_| world.page()).collect();
    for page in &pages {
        let looks = vec![page.views("kettle"), page.views("toaster"), page.views("kettle")];
        assert_eq!(page.send(looks).await.accepted, 3);
    }
    world.enriched(3 * pages.len()).await;
    let served = until("all is decided", || async {
        let served = served(&world.kafka.records(Topic::PromotionsDecided).await);
        let [shown, held_out] = served.get("half")?;
        (shown.len() + held_out.len() == pages.len()).then_some(served)
    })
    .await;
    for topic in ["raw", "enriched"] {
        let asked = ["simulate", "--rules", &of_rules, "--json", "--who", "--topic", topic];
        let (code, said) = world.relay.ask(&asked).await;
        assert_eq!(code, Some(2), "a rule is refused: {said}");
        let report: Value = serde_json::from_str(&said).expect("a report");
        assert_eq!(report["events"], 3 * pages.len(), "{topic}");
        let simulated = told(&report);
        for (rule, [shown, held_out]) in &served {
            let count = &simulated[rule.as_str()];
            // Of few it is by chance whose look was first.
            if rule == "few" {
                assert_eq!((count.outcomes["shown"], shown.len() <= 7), (7, true), "{topic}");
            } else {
                assert_eq!(
                    (&count.shown_to, &count.held_out_of),
                    (shown, held_out),
                    "{rule}, {topic}"
                );
            }
        }
    }
}
