//! Promotions: rules from a folder and from the topic, with caps that survive whatever dies.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use clickmill_sdk_core::wire::{Hint, HintKind, Promoted, Topic};
use clickmill_tests::until::until;
use clickmill_tests::{Ask, Http, Lying, Page, Relay, Stream, TENANT, World};
use serde_json::{Value, json};

use crate::{PATIENCE, skus};

/// The relay reads its rules from the folder `rules` of the story, and from the topic.
async fn world(rules: &str) -> World {
    let world = World::builder();
    let folder = world.folder().path().join("rules");
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    std::fs::write(folder.join("shop.toml"), rules).expect("a file of our own");
    let settings = format!("promotions = {{ folder = {folder:?}, topic = true }}");
    let world = world.partitions(4).relay(settings).start().await;
    world.kafka.stock(&[("kettle", 50), ("toaster", 50), ("descaler", 50), ("bread", 50)]);
    world
}

/// A new state of the file of rules, all at once.
fn rewrite(world: &World, rules: &str) {
    let folder = world.folder().path().join("rules");
    std::fs::write(folder.join("next"), rules).expect("a file of our own");
    std::fs::rename(folder.join("next"), folder.join("shop.toml")).expect("the same");
}

fn put(world: &World, name: &str, rule: Option<Value>) {
    let record = (format!("{TENANT}:{name}"), rule.map(|rule| rule.to_string()));
    world.kafka.put(Topic::Promotions.as_str(), &[record]);
}

/// What the relay tells of its rules: those in force, and those refused with the reason.
async fn listed(relay: &Relay) -> (Vec<String>, Vec<String>) {
    let answer = Http::default().ask(Ask::get(format!("{}/promotions", relay.admin))).await;
    let list: Value = serde_json::from_str(&answer.expect("an answer").body).expect("JSON");
    let lines = |part: &str, fields: &[&str]| {
        let rules = list[part].as_array().expect("a list").iter();
        let line = |rule: &Value| {
            let fields = fields.iter().map(|field| rule[*field].as_str().unwrap_or_default());
            fields.collect::<Vec<_>>().join(" ")
        };
        rules.map(line).collect()
    };
    (lines("rules", &["rule"]), lines("refused", &["rule", "field", "why"]))
}

async fn in_force(relay: &Relay, names: &[&str]) {
    until(&format!("the rules {names:?} are in force"), || async {
        (listed(relay).await.0 == names).then_some(())
    })
    .await;
}

/// The next promotion that a stream tells, or that one is taken back.
async fn promotion(stream: &mut Stream) -> Hint {
    loop {
        let (hint, _) = stream.hint(PATIENCE).await.expect("a promotion");
        if hint.slot.as_ref().is_some_and(|slot| slot.as_str() == "banner") {
            return hint;
        }
    }
}

fn rule(name: &str, more: &str) -> String {
    format!(
        "[[rule]]\ntenant = \"{TENANT}\"\nname = \"{name}\"\nslot = \"banner\"\n\
         content = {{ title = \"{name}\" }}\n{more}\n"
    )
}

fn named(hint: &Hint) -> String {
    hint.why.model.split('@').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_come_from_files_and_the_topic_and_a_bad_one_is_refused_by_name() {
    let good = rule("descale", "when = \"product.sku == 'kettle'\"\nproducts = [\"descaler\"]");
    let bad = rule("typo", "when = \"product.skew == 'kettle'\"");
    let mut world = world(&format!("{good}{bad}")).await;
    in_force(&world.relay, &["descale"]).await;
    let (_, refused) = listed(&world.relay).await;
    assert!(refused[0].starts_with("typo when there is no `product.skew`"), "{refused:?}");
    assert!(world.relay.log().contains("typo"), "it is in the log");
    let refusals = world.relay.metric("clickmill_relay_promotion_refusals_total").await;
    assert_eq!(refusals, 1.0);

    let page = world.page();
    let mut stream = page.listen().await;
    page.send(vec![page.views("kettle")]).await;
    let hint = promotion(&mut stream).await;
    assert_eq!(
        (hint.kind, named(&hint), skus(&hint)),
        (HintKind::Promote, "descale".to_owned(), vec!["descaler".to_owned()])
    );

    // The topic adds one and a bad one; the bad one costs nobody anything.
    let toast = json!({"slot": "banner", "priority": 9, "content": {"title": "Bread"},
        "when": "product.sku == 'toaster'", "products": ["bread"]});
    put(&world, "bad-record", Some(json!({"slot": "Banner!"})));
    put(&world, "toast", Some(toast));
    in_force(&world.relay, &["toast", "descale"]).await;
    let (_, refused) = listed(&world.relay).await;
    assert!(refused.iter().any(|line| line.starts_with("bad-record slot")), "{refused:?}");
    page.send(vec![page.views("toaster")]).await;
    let hint = promotion(&mut stream).await;
    assert_eq!((named(&hint), skus(&hint)), ("toast".to_owned(), vec!["bread".to_owned()]));

    // What sells out is taken back; so is what a rule shows that goes, and a file's that is changed.
    world.kafka.levels().say("bread", 0);
    let hint = promotion(&mut stream).await;
    assert_eq!(hint.kind, HintKind::Withdraw);
    assert!(hint.content.as_str().contains("sold_out"), "{:?}", hint.content);
    put(&world, "toast", None);
    in_force(&world.relay, &["descale"]).await;
    let other = world.page();
    let mut stream = other.listen().await;
    other.send(vec![other.views("kettle")]).await;
    assert_eq!(named(&promotion(&mut stream).await), "descale");
    rewrite(&world, &good.replace("title = \"descale\"", "title = \"Now\""));
    let hint = promotion(&mut stream).await;
    assert_eq!(hint.kind, HintKind::Withdraw);
    assert!(hint.content.as_str().contains("\"ended\":\"descale@"), "{:?}", hint.content);
    until("the bad rule is gone", || async {
        let refused = listed(&world.relay).await.1;
        (!refused.iter().any(|line| line.starts_with("typo"))).then_some(())
    })
    .await;
    // A relay that starts has both.
    world.restart_relay().await;
    in_force(&world.relay, &["descale"]).await;
}

/// What was recorded as decided.
async fn decided(world: &World, rule: &str) -> Vec<Promoted> {
    let records = world.kafka.records(Topic::PromotionsDecided).await;
    let read = |lying: &Lying| serde_json::from_str::<Promoted>(&lying.value).expect("a decision");
    records.iter().map(read).filter(|one| one.rule.as_str() == rule).collect()
}

/// How often a relay has come to that outcome for a rule.
async fn outcome(relay: &Relay, rule: &str, outcome: &str) -> f64 {
    let series = format!("clickmill_relay_promotions_total{{rule=\"{rule}\",outcome=\"{outcome}\"");
    relay.metric(&series).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_per_visitor_outlives_a_relay_that_is_killed() {
    let twice = rule("twice", "lifetime = \"1s\"\ncaps.ever = 2");
    let held = rule("held", "priority = 9\nholdout.percent = 100\nlifetime = \"1h\"");
    let mut world = world(&format!("{twice}{held}")).await;
    in_force(&world.relay, &["held", "twice"]).await;
    let page = world.page();
    for shown in 1..=2 {
        until("it is shown once more", || async {
            page.send(vec![page.views("kettle")]).await;
            (decided(&world, "twice").await.len() >= shown).then_some(())
        })
        .await;
        world.relay.kill();
        world.restart_relay().await;
    }
    until("it is not shown a third time", || async {
        page.send(vec![page.views("kettle")]).await;
        (outcome(&world.relay, "twice", "capped").await > 0.0).then_some(())
    })
    .await;
    let shown = decided(&world, "twice").await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown.iter().all(|one| one.visitor == page.visitor() && !one.held_out));
    let held = decided(&world, "held").await;
    assert_eq!(held.len(), 1, "once while it would be shown, whatever dies: {held:?}");
    assert!(held[0].held_out && held[0].event.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_in_total_is_kept_by_two_relays_and_all_of_it_is_shown() {
    const TOTAL: usize = 12;
    let world = world(&rule("few", &format!("caps.total = {TOTAL}"))).await;
    in_force(&world.relay, &["few"]).await;
    let second = world.second_relay().await;
    in_force(&second, &["few"]).await;
    world.is_shared_with(&second).await;
    // Visitors keep coming until the cap is reached, and then some more.
    let pages: Vec<Page> = (0..3 * TOTAL).map(|_| world.page()).collect();
    let spent = async || {
        let (one, two) = (&world.relay, &second);
        outcome(one, "few", "spent_out").await + outcome(two, "few", "spent_out").await
    };
    until("all are shown", || async {
        for page in &pages {
            page.send(vec![page.views("kettle")]).await;
        }
        (decided(&world, "few").await.len() >= TOTAL).then_some(())
    })
    .await;
    let before = spent().await;
    let late: Vec<Page> = (0..TOTAL).map(|_| world.page()).collect();
    for page in &late {
        page.send(vec![page.views("kettle")]).await;
    }
    until("who comes later is told of", || async {
        (spent().await >= before + TOTAL as f64).then_some(())
    })
    .await;
    let shown = decided(&world, "few").await;
    assert_eq!(shown.len(), TOTAL, "no more than the cap, by both together");
    for relay in [&world.relay, &second] {
        assert!(outcome(relay, "few", "spent_out").await > 0.0, "both have visitors");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_in_total_is_kept_though_a_relay_is_killed_with_a_lease() {
    const TOTAL: usize = 60;
    // What a relay has at the most when it is killed: a lease, asked for with one left of the last.
    const LOST_MAX: usize = TOTAL / 20 + 1;
    let mut world = world(&rule("few", &format!("caps.total = {TOTAL}\nlifetime = \"1h\""))).await;
    in_force(&world.relay, &["few"]).await;
    let second = world.second_relay().await;
    in_force(&second, &["few"]).await;
    world.is_shared_with(&second).await;
    let mut pages: Vec<Page> = (0..TOTAL / 2).map(|_| world.page()).collect();
    let all_look = async |pages: &[Page]| {
        for page in pages {
            assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
        }
    };
    until("half of it is shown, by both", || async {
        all_look(&pages).await;
        (decided(&world, "few").await.len() >= TOTAL / 2).then_some(())
    })
    .await;
    for relay in [&world.relay, &second] {
        assert!(outcome(relay, "few", "shown").await > 0.0, "both have visitors");
    }
    world.relay.kill();
    world.restart_relay().await;
    in_force(&world.relay, &["few"]).await;
    world.is_shared_with(&second).await;

    // More come than may be shown it. Whoever was shown it before the kill is not counted again.
    pages.extend((0..TOTAL).map(|_| world.page()));
    until("as good as all of it is shown", || async {
        all_look(&pages).await;
        (decided(&world, "few").await.len() >= TOTAL - LOST_MAX).then_some(())
    })
    .await;
    let settled = async || {
        let mut sum = 0.0;
        for relay in [&world.relay, &second] {
            sum += outcome(relay, "few", "spent_out").await + outcome(relay, "few", "shown").await;
        }
        sum
    };
    let before = settled().await;
    let late: Vec<Page> = (0..TOTAL).map(|_| world.page()).collect();
    all_look(&late).await;
    until("those who come later were decided on", || async {
        (settled().await >= before + TOTAL as f64).then_some(())
    })
    .await;
    let shown = decided(&world, "few").await;
    let visitors: BTreeSet<&str> = shown.iter().map(|one| one.visitor.as_str()).collect();
    eprintln!("{} of {TOTAL} were shown: the rest died with a lease", shown.len());
    assert_eq!(visitors.len(), shown.len(), "each visitor once");
    assert!((TOTAL - LOST_MAX..=TOTAL).contains(&shown.len()), "{}", shown.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shown_counts_in_a_view_that_is_made_anew() {
    const NEXT: &str = "web.sessions.view.pii.v2";
    let mut world = world(&rule("once", "lifetime = \"1s\"\ncaps.ever = 1")).await;
    in_force(&world.relay, &["once"]).await;
    let pages: Vec<Page> = (0..12).map(|_| world.page()).collect();
    let (early, late) = pages.split_at(8);
    let are_shown = async |pages: &[Page], count: usize| {
        until("each is shown it", || async {
            for page in pages {
                page.send(vec![page.views("kettle")]).await;
            }
            (decided(&world, "once").await.len() >= count).then_some(())
        })
        .await;
    };
    are_shown(early, 8).await;
    world.kafka.make(&[NEXT], 4, &[("cleanup.policy", "compact")]).await;
    let (code, said) = world.relay.ask(&["rebuild", "--version", "2"]).await;
    assert_eq!(code, Some(0), "{said}");
    are_shown(late, 12).await;

    assert!(world.relay.stop().await.success());
    let (code, said) = world.relay.ask(&["rebuild", "--version", "2"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = world.relay.ask(&["compare", "--version", "2"]).await;
    assert_eq!(code, Some(0), "both versions hold the same: {said}");
    world.relay.reconfigure(|text| format!("view.version = 2\n{text}"));
    world.restart_relay().await;
    in_force(&world.relay, &["once"]).await;
    until("everybody has had enough of it", || async {
        for page in &pages {
            page.send(vec![page.views("kettle")]).await;
        }
        (outcome(&world.relay, "once", "capped").await >= pages.len() as f64).then_some(())
    })
    .await;
    assert_eq!(decided(&world, "once").await.len(), pages.len(), "nobody a second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_taken_back_when_its_hours_are_over() {
    let world = world("").await;
    let end = SystemTime::now() + Duration::from_secs(15);
    let until = humantime::format_rfc3339_millis(end).to_string();
    let short = json!({"slot": "banner", "content": {}, "schedule": {"until": until}});
    put(&world, "short", Some(short));
    in_force(&world.relay, &["short"]).await;
    let page = world.page();
    let mut stream = page.listen().await;
    page.send(vec![page.views("kettle")]).await;
    let shown = promotion(&mut stream).await;
    let end_ms = end.duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_millis();
    assert_eq!(shown.kind, HintKind::Promote);
    assert_eq!(u128::from(shown.expires_at.0), end_ms);
    let withdrawn = promotion(&mut stream).await;
    assert_eq!(withdrawn.kind, HintKind::Withdraw);
    assert!(withdrawn.content.as_str().contains(&shown.id.to_string()));
    assert!(u128::from(withdrawn.decided_at.0) >= end_ms, "not before");
}
