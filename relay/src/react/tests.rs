//! From a click to what is said, without Kafka: the view's outputs go in by hand.

use std::collections::BTreeSet;
use std::task::{Context, Poll, Waker};

use clickmill_sdk_core::wire::{
    Arrival, Context as Circumstances, Event, EventId, EventType, Json, QueueId, Record, SessionId,
    VisitorId, WriteKey,
};
use clickmill_server::clock::ManualClock;
use clickmill_server::metrics::Metrics;
use clickmill_streams::{Driver, Watch as _};

use super::*;
use crate::decide::plan::Plan;
use crate::hints::hub::{Limits, Subscription};
use crate::hints::outbox::Taken;
use crate::learn::Taught;
use crate::metrics::{HubMeters, StockMeters, TABLE};
use crate::stock::{AgeWatch, StockWatch};
use crate::tables::StockRule;
use crate::tables::tests::offer;
use crate::views::visitor::VisitorView;
use crate::views::visitor::waits::Stock;

const NOW: u64 = 1_000_000_000;

/// A relay's inner part, fed like partition 0 of the raw topic.
struct Inner {
    driver: Driver<VisitorView>,
    react: React,
    metrics: Metrics,
    clock: ManualClock,
    offset: u64,
}

impl Inner {
    fn new() -> Self {
        let metrics = Metrics::new(TABLE).unwrap();
        let clock = ManualClock::at(NOW);
        let policy = Policy {
            enriched: "enriched".into(),
            open: None,
            poisoned: "poisoned".into(),
            rules: Rules {
                slots: vec![Slot::parse("suggested").unwrap(), Slot::parse("more").unwrap()],
                plan: Plan::default(),
                products_max: 2,
                category_max: 2,
                ordered_rest_ms: 600_000,
                consumables: BTreeSet::new(),
            },
            lifetime_ms: 600_000,
            personalizes_unasked: true,
            learning: learned::Limits { order_half_life_ms: 600_000, ..Default::default() },
            stock: StockPolicy {
                rule: StockRule::default(),
                low_at: 1,
                slot: Slot::parse("stock").unwrap(),
                lifetime_ms: 600_000,
            },
            headings: Headings::default(),
        };
        let means = Means {
            tables: Tables::detached(),
            hub: Hub::new(Limits::default(), HubMeters::new(&metrics)),
            meters: ReactMeters::new(&metrics),
            clock: clock.shared(),
            promoter: None,
        };
        for sku in ["A", "B", "C", "D"] {
            offer(&means.tables, (sku, "x"), 5);
        }
        let react = React::new(policy, means);
        let view = view_of(&react, VisitorView::default());
        Self { driver: Driver::new(view, ()), react, metrics, clock, offset: 0 }
    }

    /// Another relay takes over: it has the states and the tables, and knows of nothing that was said.
    fn hand_over(&mut self, epoch: u64) {
        self.driver.restart().unwrap();
        self.react.means.hub = Hub::new(Limits::default(), HubMeters::new(&self.metrics));
        self.react.state = Mutex::default();
        self.react.opened(0, epoch);
    }

    /// A visitor's event about a product, as the next record of the partition.
    fn event(&mut self, what: (&str, &str, &str)) -> (At, Vec<Seen>) {
        let record = self.about(what);
        self.record(&record)
    }

    fn about(&self, (visitor, kind, sku): (&str, &str, &str)) -> Record {
        let at = Millis(self.clock_ms());
        let event = Event {
            id: EventId::mint(at, &[7; 10]),
            queue: QueueId::parse("q").unwrap(),
            seq: self.offset,
            kind: EventType::parse(kind).unwrap(),
            version: None,
            at,
            props: Json::trusted(format!(r#"{{"sku":"{sku}"}}"#)),
            context: Circumstances {
                visitor: Some(VisitorId::parse(visitor).unwrap()),
                session: Some(SessionId::parse(format!("s-{visitor}")).unwrap()),
                ..Circumstances::default()
            },
            sample: None,
        };
        let arrival = Arrival {
            write_key: WriteKey::parse("wk").unwrap(),
            sent_at: at,
            received_at: at,
            attempt: 0,
            address: None,
            user_agent: None,
        };
        let tenant = Tenant::parse("shop").unwrap();
        Record::new(event, &Circumstances::default(), tenant, arrival)
    }

    fn record(&mut self, record: &Record) -> (At, Vec<Seen>) {
        let key = record.key().unwrap();
        let said = self.driver.feed(Some(key.as_bytes()), Some(record.to_json().as_bytes()));
        let place = Place { partition: 0, offset: self.offset };
        self.offset += 1;
        (At { place, now_ms: self.clock_ms() }, said.unwrap())
    }

    fn clock_ms(&self) -> u64 {
        self.react.means.clock.now_ms()
    }

    fn live(&mut self, what: (&str, &str, &str)) -> Vec<Produce> {
        let (at, seen) = self.event(what);
        self.react.live(at, seen)
    }

    fn open(&self, visitor: &str) -> Subscription {
        let tenant = Tenant::parse("shop").unwrap();
        let subject = Subject::new(&tenant, &VisitorId::parse(visitor).unwrap());
        let now = Millis(self.clock_ms());
        let hub = &self.react.means.hub;
        hub.subscribe(&subject, (&hub.outbox(), None), (0, now)).unwrap()
    }

    /// A page of the visitor connects, and what the view remembers is said again.
    fn recall(&mut self, visitor: &str) {
        let (tenant, visitor) =
            (Tenant::parse("shop").unwrap(), VisitorId::parse(visitor).unwrap());
        let subject = Subject::new(&tenant, &visitor);
        let state = self.driver.state(subject.key().as_bytes()).unwrap();
        if let Some(asked) = state.and_then(|state| state.last_asked((tenant, visitor))) {
            self.react.recall(&subject, asked);
        }
    }

    fn stock_policy(&self) -> StockPolicy {
        StockPolicy { rule: self.react.means.tables.rule, ..self.react.policy.stock.clone() }
    }

    fn ages(&self) -> AgeWatch {
        let (means, meters) = (&self.react.means, StockMeters::new(&self.metrics));
        let to = (Arc::clone(&means.hub), meters);
        AgeWatch::new(means.tables.clone(), self.stock_policy(), to)
    }

    fn watch(&self) -> StockWatch {
        let means = &self.react.means;
        StockWatch {
            policy: self.stock_policy(),
            products: means.tables.products.clone(),
            hub: Arc::clone(&means.hub),
            meters: means.meters.clone(),
            clock: Arc::clone(&means.clock),
        }
    }

    /// A stock record comes in.
    fn tell_stock(&self, (sku, available): (&str, i64), offset: u64) {
        self.tell_stock_of((sku, available, self.clock_ms()), offset);
    }

    /// A stock record comes in that was true at a moment.
    fn tell_stock_of(&self, (sku, available, at): (&str, i64, u64), offset: u64) {
        let (means, watch) = (&self.react.means, self.watch());
        let value = format!(r#"{{"sku":"{sku}","available":{available},"at":{at}}}"#);
        let (key, place) = (format!("shop:{sku}"), Place { partition: 0, offset });
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let raw = Raw { source: 0, place, key, value, timestamp_ms: at };
        means.tables.stock.apply(&raw).unwrap();
        watch.applied(&means.tables.stock, &raw);
    }

    /// The source of the stock says that nothing has changed.
    fn beat(&self, offset: u64) {
        let at = self.clock_ms();
        let value = format!(r#"{{"at":{at}}}"#);
        let place = Place { partition: 0, offset };
        let (key, value) = (Some(&b"shop!"[..]), Some(value.as_bytes()));
        let raw = Raw { source: 0, place, key, value, timestamp_ms: at };
        self.react.means.tables.stock.apply(&raw).unwrap();
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.render().lines().any(|shown| shown == line)
    }
}

fn hints(stream: &Subscription) -> Vec<Hint> {
    let mut context = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    while let Poll::Ready(Taken::Frame(frame)) = stream.outbox().poll_take(&mut context) {
        let text = String::from_utf8(frame.bytes.to_vec()).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        all.push(Hint::from_parts(frame.id.clone(), frame.kind, data).unwrap());
    }
    all
}

/// A view that looks up in the relay's tables what can be had.
fn view_of(react: &React, view: VisitorView) -> VisitorView {
    let (tables, lifetime_ms) = (react.means.tables.clone(), react.policy.lifetime_ms);
    VisitorView { stock: Some(Stock { tables, lifetime_ms }), ..view }
}

/// Slot and products of each hint.
fn shown(hints: &[Hint]) -> Vec<String> {
    let one = |hint: &Hint| {
        let content: serde_json::Value = serde_json::from_str(hint.content.as_str()).unwrap();
        let items = content["items"].as_array().cloned().unwrap_or_default();
        let skus = items.iter().filter_map(|item| item["sku"].as_str());
        let slot = hint.slot.as_ref().map_or("", Slot::as_str);
        [slot].into_iter().chain(skus).collect::<Vec<_>>().join(" ")
    };
    hints.iter().map(one).collect()
}

#[test]
fn a_click_is_answered_and_enriched() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    let produced = inner.live(("v", "product_view", "A"));
    let said = hints(&stream);
    assert_eq!(shown(&said), ["suggested B C", "more D"]);
    let first = &said[0];
    assert_eq!((first.id.to_string().as_str(), said[1].id.n), ("clicks.0.0.0", 1));
    assert_eq!(
        (first.why.model.as_str(), first.why.inputs.as_slice()),
        ("category_popular", &["A".to_owned()][..])
    );
    assert_eq!(first.cause.unwrap().received_at, Millis(NOW));
    assert_eq!((first.decided_at, first.expires_at), (Millis(NOW), Millis(NOW + 600_000)));
    assert_eq!((first.stock_version, said[1].stock_version), (Some(2), Some(3)));
    assert!(first.epoch >= NOW);
    let [record] = produced.as_slice() else { panic!("{produced:?}") };
    assert_eq!((&*record.topic, record.key.as_deref()), ("enriched", Some(&b"shop:v"[..])));
    let enriched: Record = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    assert_eq!(enriched.enrichment.unwrap().recent[0].as_str(), "A");
    assert_eq!(record.headers.first("ce_type"), Some(&b"product_view"[..]));
    assert!(inner.counts("clickmill_relay_hints_total{kind=\"suggest\",slot=\"suggested\"} 1"));
}

#[test]
fn a_page_that_a_server_renders_is_of_the_category_that_it_names_or_else_of_the_last_event() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    for sku in ["E", "F"] {
        offer(&inner.react.means.tables, (sku, "y"), 5);
    }
    let tenant = Tenant::parse("shop").unwrap();
    let told = |inner: &mut Inner, visitor: &str, category: Option<&str>| {
        let visitor = VisitorId::parse(visitor).unwrap();
        let subject = Subject::new(&tenant, &visitor);
        let slots = [Slot::parse("suggested").unwrap()];
        let wish = Wish {
            tenant: &tenant,
            visitor: &visitor,
            slots: &slots,
            sku: None,
            page: None,
            category,
            partition: 0,
        };
        let state = inner.driver.state(subject.key().as_bytes()).unwrap();
        let known = state.and_then(|state| state.last_asked((tenant.clone(), visitor.clone())));
        let known = known.map(|(_, signals)| signals);
        let frames = inner.react.decide(&subject, &wish, known).unwrap();
        let hint = |frame: &Arc<Frame>| {
            Hint::from_parts(frame.id.clone(), frame.kind, frame.data()).unwrap()
        };
        shown(&frames.iter().map(hint).collect::<Vec<_>>())
    };
    let does = |inner: &mut Inner, kind: &str, props: &str| {
        let mut record = inner.about(("v", kind, "A"));
        record.props = Json::trusted(props.to_owned());
        inner.record(&record);
    };
    assert_eq!(told(&mut inner, "nobody", Some("y")), ["suggested E F"]);
    does(&mut inner, "list_view", r#"{"category":"y"}"#);
    assert_eq!(told(&mut inner, "v", None), ["suggested E F"]);
    // Whatever the last page was, one that names a category is no home page.
    does(&mut inner, "product_view", r#"{"sku":"A"}"#);
    does(&mut inner, "page_view", r#"{"kind":"home"}"#);
    assert_eq!(told(&mut inner, "v", Some("y")), ["suggested E F"]);
}

#[test]
fn what_others_saw_together_is_suggested() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    for (visitor, sku) in [("u", "A"), ("u", "D"), ("w", "A"), ("w", "D")] {
        inner.live((visitor, "product_view", sku));
    }
    let stream = inner.open("v");
    inner.live(("v", "product_click", "A"));
    let said = hints(&stream);
    assert_eq!(
        (said[0].why.model.as_str(), shown(&said)[0].as_str()),
        ("nearest_visits", "suggested D B")
    );
    assert!(
        said[0]
            .content
            .as_str()
            .starts_with(r#"{"title":"Often seen together","items":[{"sku":"D","#)
    );
}

#[test]
fn a_click_that_comes_again_after_a_failure_is_not_learned_from_twice() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let mut records = Vec::new();
    for (visitor, sku) in [("u", "A"), ("u", "D"), ("w", "A"), ("w", "D")] {
        records.push(inner.event((visitor, "product_view", sku)));
    }
    let learned = |inner: &Inner| {
        let state = inner.react.lock();
        let learned = &state.learned[&Tenant::parse("shop").unwrap()];
        ["A", "D"].map(|sku| learned.visits.seen(&Sku::parse(sku).unwrap()))
    };
    for (at, seen) in &records[..3] {
        inner.react.live(*at, seen.clone());
    }
    assert_eq!(learned(&inner), [2.0, 1.0]);
    inner.react.closed(0);
    inner.react.opened(0, NOW + 1);
    // The third was not committed, so it comes again; the fourth is new.
    for (at, seen) in &records[2..] {
        assert_eq!(inner.react.live(*at, seen.clone()).len(), 1);
    }
    assert_eq!(learned(&inner), [2.0, 2.0]);
}

#[test]
fn what_was_learned_before_a_restart_is_learned_from_the_enriched_clicks() {
    let mut before = Inner::new();
    before.react.opened(0, NOW);
    let mut enriched = Vec::new();
    for (visitor, sku) in [("u", "A"), ("u", "D"), ("w", "A"), ("w", "D"), ("w", "D")] {
        enriched.extend(before.live((visitor, "product_view", sku)));
    }
    let mut after = Inner::new();
    for record in &enriched {
        let taught = Taught::read(record.value.as_deref().unwrap()).unwrap();
        after.react.recall_lesson(&taught);
    }
    after.react.opened(0, NOW);
    let said = |inner: &mut Inner| {
        let stream = inner.open("v");
        inner.live(("v", "product_click", "A"));
        let said = hints(&stream);
        (said[0].why.model.clone(), shown(&said))
    };
    assert_eq!(said(&mut after), said(&mut before));
    assert_eq!(said(&mut after).0, "nearest_visits");
}

#[test]
fn a_record_that_cannot_be_read_goes_to_the_dead_letters() {
    let inner = Inner::new();
    let at = At { place: Place { partition: 2, offset: 9 }, now_ms: NOW };
    let poison = Poison::malformed("not JSON");
    let letter = |value: &[u8]| {
        let (key, place) = (Some(&b"k"[..]), at.place);
        let raw = Raw { source: 0, place, key, value: Some(value), timestamp_ms: NOW };
        let letter = inner.react.poisoned(at, Some(&raw), &poison).unwrap();
        assert_eq!((&*letter.topic, letter.key.as_deref()), ("poisoned", Some(&b"k"[..])));
        serde_json::from_slice::<Poisoned>(letter.value.as_deref().unwrap()).unwrap()
    };
    let text = letter(b"<xml/>");
    assert_eq!((text.partition, text.offset, text.reason.as_str()), (2, 9, "malformed"));
    assert_eq!((text.original.as_deref(), text.original_hex), (Some("<xml/>"), None));
    let bytes = letter(b"\xff\x00");
    assert_eq!((bytes.original, bytes.original_hex.as_deref()), (None, Some("ff00")));
    // Of what was never read there is the place.
    let letter = inner.react.poisoned(at, None, &poison).unwrap();
    let place = serde_json::from_slice::<Poisoned>(letter.value.as_deref().unwrap()).unwrap();
    assert_eq!((letter.key, place.partition, place.offset), (None, 2, 9));
    assert_eq!((place.original, place.original_hex), (None, None));
}

#[test]
fn a_duplicate_is_counted_and_nothing_else() {
    let inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    assert!(
        inner
            .react
            .live(
                At { place: Place { partition: 0, offset: 5 }, now_ms: NOW },
                vec![Seen::Duplicate]
            )
            .is_empty()
    );
    assert!(hints(&stream).is_empty());
    assert!(inner.counts("clickmill_relay_duplicates_total 1"));
}

#[test]
fn who_refuses_personalization_gets_no_hint_and_loses_those_shown() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert_eq!(hints(&stream).len(), 2);
    let (at, mut seen) = inner.event(("v", "product_view", "B"));
    let [Seen::Event(enriched)] = seen.as_mut_slice() else { panic!("{seen:?}") };
    enriched.signals.as_mut().unwrap().personalization = Some(false);
    assert_eq!(inner.react.live(at, seen).len(), 1, "the click itself is enriched");
    let said: Vec<HintKind> = hints(&stream).iter().map(|hint| hint.kind).collect();
    assert_eq!(said, [HintKind::Reset]);
    assert!(inner.counts("clickmill_relay_silent_total{why=\"consent\"} 1"));
}

#[test]
fn an_old_click_gets_no_hint() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    let (at, seen) = inner.event(("v", "product_view", "A"));
    let produced = inner.react.live(At { now_ms: NOW + 600_000, ..at }, seen);
    assert_eq!((hints(&stream).len(), produced.len()), (0, 1));
    assert!(inner.counts("clickmill_relay_silent_total{why=\"late\"} 1"));
}

#[test]
fn a_relay_that_starts_says_again_what_holds_under_the_same_ids() {
    let mut inner = Inner::new();
    for (visitor, sku) in [("old", "A"), ("v", "A"), ("v", "B")] {
        // Folded by the relay before.
        inner.event((visitor, "product_view", sku));
        if visitor == "old" {
            inner.clock.advance_ms(599_000);
        }
    }
    inner.driver.restart().unwrap();
    inner.clock.advance_ms(5_000);
    inner.recall("v");
    inner.react.opened(0, NOW + 700_000);
    let page = inner.open("v");
    assert!(hints(&page).is_empty(), "nothing is said before the partition is ours");
    inner.recall("v");
    let said = hints(&page);
    assert_eq!(shown(&said), ["suggested C D"]);
    assert_eq!((said[0].id.to_string().as_str(), said[0].epoch), ("clicks.0.2.0", NOW + 700_000));
    assert_eq!(hints(&inner.open("v")), said);
    inner.recall("old");
    assert!(hints(&inner.open("old")).is_empty(), "its hint would have expired");
}

#[test]
fn a_page_that_comes_after_a_restart_finds_its_hint_unless_the_visitor_went_on() {
    let mut inner = Inner::new();
    for visitor in ["v", "w"] {
        inner.event((visitor, "product_view", "A"));
    }
    inner.react.opened(0, NOW);
    let page = inner.open("v");
    assert!(hints(&page).is_empty(), "nobody asked yet");
    inner.recall("v");
    inner.recall("v");
    assert_eq!(hints(&page).len(), 2, "once, to the stream that is open");
    let ids = |inner: &Inner, visitor| {
        hints(&inner.open(visitor)).iter().map(|h| h.id.offset).collect::<Vec<_>>()
    };
    assert_eq!(ids(&inner, "v"), [0, 0], "one hint for each slot");
    inner.live(("w", "product_view", "B"));
    inner.recall("w");
    assert_eq!(ids(&inner, "w"), [2], "the newer click's");
}

#[test]
fn what_sells_out_is_taken_back() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert_eq!(shown(&hints(&stream)), ["suggested B C", "more D"]);
    inner.tell_stock(("C", 2), 10);
    assert!(hints(&stream).is_empty(), "still there");
    inner.tell_stock(("C", 0), 11);
    let [withdrawn] = hints(&stream).try_into().unwrap();
    assert_eq!((withdrawn.kind, withdrawn.stock_version), (HintKind::Withdraw, Some(11)));
    assert_eq!(withdrawn.slot, Some(Slot::parse("suggested").unwrap()));
}

#[test]
fn who_saw_it_sold_out_hears_that_it_is_back_and_who_sees_the_last_one_that_it_is() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.tell_stock(("C", 0), 10);
    inner.live(("v", "product_view", "C"));
    assert_eq!(shown(&hints(&stream)), ["suggested A B", "more D"]);
    inner.tell_stock(("C", 4), 11);
    let [back] = hints(&stream).try_into().unwrap();
    // Under the record that it was sold out by.
    assert_eq!((back.kind, back.id.to_string().as_str()), (HintKind::Stock, "back.0.10.0"));
    assert_eq!(back.stock_version, Some(11));
    let content = back.content.as_str();
    assert!(
        content.starts_with(r#"{"state":"back","available":4,"product":{"sku":"C","#),
        "{content}"
    );
    // It is told once, and what runs low in front of somebody is told with the figure.
    inner.tell_stock(("C", 3), 12);
    assert!(hints(&stream).is_empty());
    inner.tell_stock(("C", 1), 13);
    let [low] = hints(&stream).try_into().unwrap();
    assert!(low.content.as_str().starts_with(r#"{"state":"low","available":1,"#));
    let other = inner.open("w");
    inner.live(("w", "product_click", "C"));
    let said = hints(&other);
    assert_eq!((said[0].kind, said[0].id.to_string().as_str()), (HintKind::Stock, "clicks.0.1.2"));
}

#[test]
fn a_product_whose_source_is_silent_is_not_shown_and_taken_back() {
    let mut inner = Inner::new();
    inner.react.means.tables.rule.age_ms_max = Some(1_000);
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    for (offset, sku) in ["A", "B", "C", "D"].into_iter().enumerate() {
        inner.tell_stock((sku, 5), offset as u64);
    }
    inner.live(("v", "product_view", "A"));
    assert_eq!(hints(&stream).len(), 2);
    let mut ages = inner.ages();
    let mut look = |inner: &Inner| ages.look(Millis(inner.clock_ms()));
    inner.clock.advance_ms(1_000);
    assert!(!look(&inner));
    inner.clock.advance_ms(1);
    assert!(look(&inner));
    let gone = hints(&stream);
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(gone.iter().all(|hint| hint.kind == HintKind::Withdraw && hint.why.model == "stale"));
    inner.live(("v", "product_view", "A"));
    assert!(hints(&stream).is_empty());
    assert!(inner.counts("clickmill_relay_silent_total{why=\"stale\"} 1"));
    assert!(inner.counts("clickmill_relay_stock_age_seconds 1.001"));
    inner.tell_stock(("B", 5), 9);
    assert!(!look(&inner));
    inner.live(("v", "product_view", "A"));
    assert_eq!(hints(&stream).len(), 2);
}

mod basket;
mod promotions;
mod stock;
