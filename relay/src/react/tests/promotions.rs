//! Promotions in the stream: decided within the fold, said beside suggestions, and taken back.

use std::task::{Context, Poll, Waker};

use clickmill_sdk_core::wire::{Promoted, SessionView};

use super::*;
use crate::hints::feed::{Choice, Queue};
use crate::promotions::promoter::{Promoter, Setting};
use crate::promotions::rules::read_bytes;
use crate::promotions::watch::{alive, take_back};

const RULES: &str = r#"
    tenant = "shop"
    [[rule]]
    name = "kettles"
    slot = "suggested"
    when = "product.sku == 'A'"
    products = ["D"]
    lifetime = "1m"
    caps = { ever = 2 }
    content = { title = "Descale it" }
"#;

fn promoting(rules: &str) -> Inner {
    let mut inner = Inner::new();
    let promoter = Arc::new(Promoter::new(Setting {
        folder: None,
        topic: None,
        tables: inner.react.means.tables.clone(),
        personalizes_unasked: true,
        late_ms: 600_000,
        decided: Some("decided".into()),
        leases: None,
        meters: Some(crate::metrics::PromotionMeters::new(&inner.metrics)),
    }));
    promoter.set(read_bytes("rules.toml", rules.as_bytes()));
    assert!(promoter.rules().refusals().is_empty(), "{:?}", promoter.rules().refusals());
    let view = VisitorView { promoter: Some(Arc::clone(&promoter)), ..VisitorView::default() };
    let view = view_of(&inner.react, view);
    inner.driver = Driver::new(view, ());
    inner.driver.set_now_ms(NOW);
    inner.react.means.promoter = Some(promoter);
    inner.react.opened(0, NOW);
    inner
}

impl Inner {
    /// So much later.
    fn later(&mut self, span_ms: u64) {
        self.clock.advance_ms(span_ms);
        self.driver.set_now_ms(self.clock_ms());
    }

    fn promoter(&self) -> &Arc<Promoter> {
        self.react.means.promoter.as_ref().unwrap()
    }

    /// What is recorded of a look at a product, as `rule` or `rule held out`.
    fn recorded(&mut self, visitor: &str, sku: &str) -> Vec<String> {
        let produced = self.live((visitor, "product_view", sku));
        let decided = produced.iter().filter(|record| *record.topic == *"decided");
        let read = |record: &Produce| {
            let decided: Promoted = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            assert_eq!(record.key, Some(format!("shop:{}", decided.visitor).into_bytes()));
            format!("{}{}", decided.rule, if decided.held_out { " held out" } else { "" })
        };
        decided.map(read).collect()
    }
}

/// The kinds of the hints of a slot on a page about a product, that a server renders for a visitor of whom
/// this is known.
fn page(
    inner: &Inner,
    (visitor, sku, slot): (&str, &str, &str),
    known: impl FnOnce(&Wish<'_>) -> Option<Signals>,
) -> Vec<&'static str> {
    let (tenant, visitor) = (Tenant::parse("shop").unwrap(), VisitorId::parse(visitor).unwrap());
    let wish = Wish {
        tenant: &tenant,
        visitor: &visitor,
        slots: &[Slot::parse(slot).unwrap()],
        sku: Some(&Sku::parse(sku).unwrap()),
        page: None,
        category: None,
        partition: 0,
    };
    let known = known(&wish);
    let frames = inner.react.decide(&Subject::new(&tenant, &visitor), &wish, known).unwrap();
    frames.iter().map(|frame| frame.kind.as_str()).collect()
}

/// Kind, slot and products of each hint.
fn told(stream: &Subscription) -> Vec<String> {
    let hints = hints(stream);
    let kinds: Vec<&str> = hints.iter().map(|hint| hint.kind.as_str()).collect();
    let shows = |hint: &&Hint| !matches!(hint.kind, HintKind::Withdraw | HintKind::Reset);
    let mut shown = shown(&hints.iter().filter(shows).cloned().collect::<Vec<_>>()).into_iter();
    let line = |kind: &&str| match *kind {
        "withdraw" | "reset" => (*kind).to_owned(),
        kind => format!("{kind} {}", shown.next().unwrap_or_default()),
    };
    kinds.iter().map(line).collect()
}

#[test]
fn a_promotion_holds_its_slot_and_suggestions_take_the_others() {
    let mut inner = promoting(RULES);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    let hints = hints(&stream);
    assert_eq!(shown(&hints), ["suggested D", "more B C"]);
    let promotion = &hints[0];
    let rule = inner.promoter().rules().all().next().unwrap().tag();
    assert_eq!((promotion.kind, &promotion.why.model), (HintKind::Promote, &rule));
    assert_eq!(promotion.why.inputs, ["product.sku=A"]);
    assert!(promotion.why.tables.iter().any(|table| table.table == "stock"));
    assert_eq!(promotion.expires_at, Millis(NOW + 60_000));
    let content: serde_json::Value = serde_json::from_str(promotion.content.as_str()).unwrap();
    assert_eq!((&content["title"], &content["rule"]), (&"Descale it".into(), &"kettles".into()));

    // Its rule does not apply to what comes next, and it holds its slot all the same.
    inner.live(("v", "product_view", "B"));
    assert_eq!(told(&stream), ["suggest more C D"]);
    inner.later(60_000);
    inner.live(("v", "product_view", "B"));
    assert_eq!(told(&stream), ["suggest suggested C D"]);
    assert!(inner.counts(r#"clickmill_relay_promotions_total{rule="kettles",outcome="shown"} 1"#));
}

#[test]
fn what_was_shown_is_in_the_state_and_counts_after_a_restart() {
    let mut inner = promoting(RULES);
    let stream = inner.open("v");
    for expected in [vec!["kettles"], vec!["kettles"], vec![]] {
        assert_eq!(inner.recorded("v", "A"), expected);
        inner.later(60_000);
        inner.driver.restart().unwrap();
    }
    let said = told(&stream);
    assert_eq!(said.iter().filter(|line| line.starts_with("promote")).count(), 2, "{said:?}");
    let state = inner.driver.state(b"shop:v").unwrap().unwrap();
    let mut bytes = Vec::new();
    clickmill_streams::State::write(state, &mut bytes).unwrap();
    let view: SessionView = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((view.promotions.len(), view.promotions[0].times), (1, 2));
    // Another visitor is another one.
    assert_eq!(inner.recorded("w", "A"), ["kettles"]);
}

#[test]
fn it_is_taken_back_when_it_sells_out_and_comes_again_when_it_is_back() {
    let mut inner = promoting(RULES);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert_eq!(told(&stream), ["promote suggested D", "suggest more B C"]);
    inner.tell_stock(("D", 0), 20);
    assert_eq!(told(&stream), ["withdraw"]);
    // The slot is free meanwhile.
    inner.live(("v", "product_view", "B"));
    assert_eq!(told(&stream), ["suggest suggested C"]);
    inner.tell_stock(("D", 4), 21);
    inner.live(("v", "product_view", "C"));
    assert_eq!(told(&stream)[0], "promote suggested D");
    let state = inner.driver.state(b"shop:v").unwrap().unwrap();
    assert_eq!(state.parts().promotions[0].times, 1, "it is the same showing");
}

#[test]
fn a_rule_that_goes_changes_or_whose_hours_are_over_takes_its_promotion_along() {
    let hours = RULES.replace("lifetime", "schedule.until = 1970-01-12T13:46:50Z\nlifetime");
    let edited = RULES.replace("Descale it", "Descale it now");
    for (first, then, later_ms) in
        [(RULES, "", 0), (RULES, edited.as_str(), 0), (hours.as_str(), hours.as_str(), 10_000)]
    {
        let mut inner = promoting(first);
        let stream = inner.open("v");
        inner.live(("v", "product_view", "A"));
        assert_eq!(told(&stream)[0], "promote suggested D");
        let look = |inner: &Inner| {
            let now = Millis(inner.clock_ms());
            take_back(&inner.react.means.hub, &alive(inner.promoter(), now), now)
        };
        assert_eq!(look(&inner), 0);
        inner.promoter().set(read_bytes("rules.toml", then.as_bytes()));
        inner.later(later_ms);
        assert_eq!(look(&inner), 1);
        assert_eq!(told(&stream), ["withdraw"]);
        assert_eq!(look(&inner), 0);
    }
}

#[test]
fn who_is_held_out_gets_no_hint_and_a_record() {
    let mut inner = promoting(&RULES.replace("caps", "holdout = { percent = 100 }\ncaps"));
    let stream = inner.open("v");
    assert_eq!(inner.recorded("v", "A"), ["kettles held out"]);
    assert_eq!(told(&stream), ["suggest suggested B C", "suggest more D"]);
    assert!(inner.recorded("v", "A").is_empty(), "once while it would be shown");
}

/// What was decided of promotions with an event.
fn promoted(seen: Vec<Seen>) -> Told {
    let signals = seen.into_iter().find_map(|seen| match seen {
        Seen::Event(enriched) => enriched.signals,
        Seen::Duplicate => None,
    });
    signals.unwrap().promotions
}

#[test]
fn who_refuses_personalization_is_shown_no_promotion() {
    let mut inner = promoting(RULES);
    let (_, seen) = inner.event(("v", "product_view", "A"));
    assert_eq!(promoted(seen).verdicts.len(), 1);
    let refusing = Promoter::new(Setting {
        folder: None,
        topic: None,
        tables: inner.react.means.tables.clone(),
        personalizes_unasked: false,
        late_ms: 600_000,
        decided: None,
        leases: None,
        meters: None,
    });
    refusing.set(read_bytes("rules.toml", RULES.as_bytes()));
    let view = VisitorView { promoter: Some(Arc::new(refusing)), ..VisitorView::default() };
    inner.driver = Driver::new(view, ());
    let (_, seen) = inner.event(("w", "product_view", "A"));
    assert_eq!(promoted(seen), Told::default());
}

#[test]
fn a_relay_that_starts_says_again_what_is_promoted_and_does_not_count_it() {
    let mut inner = promoting(RULES);
    inner.event(("v", "product_view", "A"));
    inner.driver.restart().unwrap();
    inner.later(5_000);
    inner.recall("v");
    assert_eq!(told(&inner.open("v")), ["promote suggested D", "suggest more B C"]);
    let state = inner.driver.state(b"shop:v").unwrap().unwrap();
    assert_eq!(state.parts().promotions[0].times, 1);
}

#[test]
fn a_promotion_of_a_rendered_page_is_told_to_the_servers_of_that_page() {
    let inner = promoting(RULES);
    let (tenant, visitor) = (Tenant::parse("shop").unwrap(), VisitorId::parse("v").unwrap());
    let sku = Sku::parse("A").unwrap();
    let (queue, choice) = (Arc::default(), Choice { sku: Some(sku.clone()), ..Choice::default() });
    let feeds = inner.react.means.hub.feeds();
    let _entry = feeds.enter((&tenant, &choice), &queue, false).unwrap();
    let wish = Wish {
        tenant: &tenant,
        visitor: &visitor,
        slots: &[Slot::parse("suggested").unwrap()],
        sku: Some(&sku),
        page: None,
        category: None,
        partition: 0,
    };
    inner.react.decide(&Subject::new(&tenant, &visitor), &wish, None).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(event)) = Queue::poll_take(&queue, &mut context) else {
        panic!("nothing is told")
    };
    let event = String::from_utf8_lossy(&event).into_owned();
    assert!(event.contains("event: promote\n"), "{event}");
}

#[test]
fn a_page_that_a_server_renders_is_promoted_and_counts_with_the_next_event() {
    let mut inner = promoting(&RULES.replace("ever = 2", "ever = 1"));
    let decide = |inner: &Inner| page(inner, ("v", "A", "suggested"), |_| None);
    assert_eq!(decide(&inner), ["promote"]);
    assert_eq!(decide(&inner), ["promote"], "the same, since it holds");
    assert_eq!(told(&inner.open("v")), ["promote suggested D"]);
    // The event that follows takes it into the state: it is recorded, and it counts.
    assert_eq!(inner.recorded("v", "B"), ["kettles"]);
    assert!(inner.recorded("v", "B").is_empty(), "once");
    inner.later(60_000);
    assert_eq!(decide(&inner), ["suggest"]);
    assert!(inner.recorded("v", "A").is_empty());
}

#[test]
fn what_a_click_shows_while_a_page_is_rendered_counts_for_that_page() {
    let mut inner = promoting(&RULES.replace("ever = 2", "ever = 1"));
    // As the state was before the click.
    let decide = |inner: &Inner, visitor, sku| page(inner, (visitor, sku, "suggested"), |_| None);
    decide(&inner, "other", "B");
    assert_eq!(inner.recorded("v", "A"), ["kettles"]);
    inner.later(60_000);
    assert_eq!(decide(&inner, "v", "A"), ["suggest"], "it was shown as often as may be");
    assert!(inner.recorded("v", "B").is_empty());
}

#[test]
fn a_visitor_who_has_only_searched_is_no_stranger_to_a_page() {
    let on = r#"on = ["search", "product_view"]"#;
    let rules = RULES.replace("when = \"product.sku == 'A'\"", on).replace("ever = 2", "ever = 1");
    let mut inner = promoting(&rules);
    let mut record = inner.about(("v", "search", "A"));
    record.props = Json::trusted(r#"{"query":"kettle"}"#.to_owned());
    let (_, seen) = inner.record(&record);
    assert_eq!(promoted(seen).verdicts.len(), 1);
    inner.later(60_000);
    let state = inner.driver.state(b"shop:v").unwrap().unwrap().clone();
    let kinds = page(&inner, ("v", "A", "suggested"), |wish| {
        assert_eq!(state.last_asked((wish.tenant.clone(), wish.visitor.clone())), None);
        Some(wish.of_unasked(state.unasked(), Millis(inner.clock_ms())))
    });
    assert_eq!(kinds, ["suggest"], "it was shown as often as may be");
}

#[test]
fn who_has_refused_gets_nothing_on_a_page_though_the_site_would_promote_unasked() {
    let mut inner = promoting(RULES);
    inner.react.policy.personalizes_unasked = true;
    inner.live(("v", "product_view", "A"));
    let consent = |inner: &mut Inner, granted: &[&str]| {
        let mut record = inner.about(("v", "consent", "A"));
        record.props = Json::empty();
        let text = serde_json::json!({ "granted": granted }).to_string();
        record.context.consent = Some(serde_json::from_str(&text).unwrap());
        inner.record(&record);
    };
    let decide = |inner: &mut Inner| {
        let state = inner.driver.state(b"shop:v").unwrap().unwrap().clone();
        page(inner, ("v", "B", "more"), |wish| {
            let asked = state.last_asked((wish.tenant.clone(), wish.visitor.clone()));
            Some(asked.unwrap().1)
        })
    };
    assert_eq!(decide(&mut inner), ["suggest"]);
    consent(&mut inner, &["analytics"]);
    assert!(decide(&mut inner).is_empty());
    consent(&mut inner, &["analytics", "personalization"]);
    assert_eq!(decide(&mut inner), ["suggest"]);
}
