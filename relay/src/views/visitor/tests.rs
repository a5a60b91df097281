//! The visitor view fed by a driver, without Kafka.

use clickmill_sdk_core::wire::{
    Arrival, Campaign, Context, CustomerId, Enrichment, Event, EventType, Json, QueueId, Record,
    SessionId, ToJson, WriteKey,
};
use clickmill_streams::{Bounds, Driver};

use super::*;
use crate::learn::Taught;

const MINUTE: u64 = 60_000;

/// One visitor's events, each with the next number of one queue.
struct Visit {
    driver: Driver<VisitorView>,
    seq: u64,
}

/// What a test says of an event.
#[derive(Clone, Default)]
struct Say {
    seq: Option<u64>,
    session: Option<&'static str>,
    campaign: Option<&'static str>,
    sku: Option<&'static str>,
    consent: Option<Consent>,
}

impl Visit {
    fn new() -> Self {
        Self { driver: Driver::new(VisitorView::default(), ()), seq: 0 }
    }

    fn record(&mut self, kind: &str, minute: u64, say: &Say) -> Record {
        let seq = say.seq.unwrap_or(self.seq);
        self.seq = self.seq.max(seq + 1);
        let at = Millis(1_000_000_000 + minute * MINUTE);
        let event = Event {
            id: EventId::mint(at, &[u8::try_from(seq % 256).unwrap(); 10]),
            queue: QueueId::parse("q-1").unwrap(),
            seq,
            kind: EventType::parse(kind).unwrap(),
            version: None,
            at,
            props: say.sku.map_or_else(Json::empty, |sku| {
                Json::trusted(format!(r#"{{"list":["x"],"sku":"{sku}","price_cents":100}}"#))
            }),
            context: Context {
                visitor: Some(VisitorId::parse("5d1c0d8a").unwrap()),
                session: say.session.map(|id| SessionId::parse(id).unwrap()),
                campaign: say
                    .campaign
                    .map(|name| Campaign { name: Some(name.into()), ..Campaign::default() }),
                consent: say.consent.clone(),
                ..Context::default()
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
        Record::new(event, &Context::default(), Tenant::parse("shop").unwrap(), arrival)
    }

    fn feed(&mut self, record: &Record) -> Option<Enriched> {
        let key = record.key();
        let key = key.as_deref().map(str::as_bytes);
        let said = self.driver.feed(key, Some(record.to_json().as_bytes())).unwrap();
        match said.as_slice() {
            [Seen::Event(enriched)] => Some((**enriched).clone()),
            [Seen::Duplicate] => None,
            other => panic!("{other:?}"),
        }
    }

    fn say(&mut self, kind: &str, minute: u64, say: &Say) -> Option<Enriched> {
        let record = self.record(kind, minute, say);
        self.feed(&record)
    }

    fn enrichment(&mut self, kind: &str, minute: u64, say: &Say) -> Enrichment {
        read(&self.say(kind, minute, say).unwrap()).enrichment.unwrap()
    }
}

/// The record that goes out.
fn read(enriched: &Enriched) -> Record {
    serde_json::from_str(&enriched.text).unwrap()
}

fn sku(sku: &'static str) -> Say {
    Say { sku: Some(sku), ..Say::default() }
}

fn session(session: &'static str) -> Say {
    Say { session: Some(session), ..Say::default() }
}

fn names(skus: &[Sku]) -> Vec<&str> {
    skus.iter().map(Sku::as_str).collect()
}

/// Session id, events, pages, visits of an event's enrichment.
fn counts(enrichment: &Enrichment) -> (Option<&str>, u32, u32, u32) {
    let id = enrichment.session.as_ref().map(SessionId::as_str);
    (id, enrichment.session_events, enrichment.session_pages, enrichment.visits)
}

#[test]
fn a_visit_without_the_sdks_session_follows_the_rule() {
    let mut visit = Visit::new();
    let none = Say::default();
    let first = visit.enrichment("page_view", 0, &none);
    let id = first.session.clone().unwrap();
    assert_eq!(id.as_str(), format!("r-{:x}-5d1c0d8a", 1_000_000_000));
    assert_eq!(counts(&first), (Some(id.as_str()), 1, 1, 1));
    assert_eq!(counts(&visit.enrichment("click", 30, &none)), (Some(id.as_str()), 2, 1, 1));
    let second = visit.enrichment("page_view", 61, &none);
    assert_ne!(second.session, Some(id));
    assert_eq!((second.session_events, second.visits), (1, 2));
    assert_eq!(second.session_started, Millis(1_000_000_000 + 61 * MINUTE));
}

#[test]
fn another_campaign_begins_a_visit() {
    let mut visit = Visit::new();
    let spring = Say { campaign: Some("spring"), ..Say::default() };
    assert_eq!(visit.enrichment("page_view", 0, &spring).visits, 1);
    assert_eq!(visit.enrichment("page_view", 1, &Say::default()).visits, 1);
    assert_eq!(visit.enrichment("page_view", 2, &spring).visits, 1);
    let autumn = Say { campaign: Some("autumn"), ..Say::default() };
    assert_eq!(visit.enrichment("page_view", 3, &autumn).visits, 2);
}

#[test]
fn the_sdks_session_is_honoured() {
    let mut visit = Visit::new();
    assert_eq!(counts(&visit.enrichment("page_view", 0, &session("s1"))), (Some("s1"), 1, 1, 1));
    // Longer than the rule's rest, but the SDK knows better.
    assert_eq!(counts(&visit.enrichment("page_view", 90, &session("s1"))), (Some("s1"), 2, 2, 1));
    assert_eq!(counts(&visit.enrichment("page_view", 91, &session("s2"))), (Some("s2"), 1, 1, 2));
    // One that does not say belongs to the running one.
    let none = Say::default();
    assert_eq!(counts(&visit.enrichment("click", 92, &none)), (Some("s2"), 2, 1, 2));
}

#[test]
fn a_late_event_counts_in_its_own_visit() {
    let mut visit = Visit::new();
    visit.enrichment("page_view", 0, &session("s1"));
    visit.enrichment("page_view", 60, &session("s2"));
    assert_eq!(counts(&visit.enrichment("page_view", 5, &session("s1"))), (Some("s1"), 2, 2, 2));
    assert_eq!(counts(&visit.enrichment("page_view", 61, &session("s2"))), (Some("s2"), 2, 2, 2));
    // A visit that was never heard of, from before.
    assert_eq!(counts(&visit.enrichment("page_view", 3, &session("s0"))), (Some("s0"), 1, 1, 3));
    assert_eq!(counts(&visit.enrichment("page_view", 62, &session("s2"))), (Some("s2"), 3, 3, 3));
}

#[test]
fn an_event_from_before_the_running_visit_ends_nothing() {
    let mut visit = Visit::new();
    let begun = visit.enrichment("page_view", 100, &Say::default());
    let spring = Say { campaign: Some("spring"), ..Say::default() };
    let late = visit.enrichment("page_view", 99, &spring);
    assert_eq!((late.session, late.visits), (begun.session, 1));
    assert_eq!(late.session_started, Millis(1_000_000_000 + 99 * MINUTE));
}

#[test]
fn a_duplicate_says_nothing_and_changes_nothing() {
    let mut visit = Visit::new();
    let first = visit.record("product_view", 0, &sku("A"));
    let second = visit.record("product_view", 1, &sku("B"));
    assert!(visit.feed(&first).is_some() && visit.feed(&second).is_some());
    let before = format!("{:?}", visit.driver.state(b"shop:5d1c0d8a"));
    assert!(visit.feed(&first).is_none() && visit.feed(&second).is_none());
    assert_eq!(format!("{:?}", visit.driver.state(b"shop:5d1c0d8a")), before);
}

#[test]
fn late_numbers_are_taken_once() {
    let mut visit = Visit::new();
    let at = |seq| Say { seq: Some(seq), ..Say::default() };
    let new = [4, 2, 2, 3, 4, 0].map(|seq| visit.say("click", 0, &at(seq)).is_some());
    assert_eq!(new, [true, true, false, true, false, true]);
}

#[test]
fn products_are_remembered_newest_first_and_once() {
    let mut visit = Visit::new();
    visit.say("product_view", 0, &sku("A"));
    visit.say("product_click", 1, &sku("B"));
    visit.say("product_view", 2, &sku("A"));
    // Late: between the two sights of A.
    visit.say("basket_add", 1, &sku("C"));
    let known = visit.say("page_view", 3, &Say::default()).unwrap();
    let signals = known.signals.as_ref().unwrap();
    assert_eq!(names(&signals.seen), ["A", "C", "B"]);
    assert_eq!(names(&read(&known).enrichment.unwrap().recent), ["A", "C", "B"]);
    assert_eq!(names(&signals.basket), ["C"]);
    assert!(signals.asks);
}

#[test]
fn recent_products_are_bounded() {
    let mut visit = Visit::new();
    for (minute, name) in
        ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"].into_iter().enumerate()
    {
        visit.say("product_view", minute as u64, &sku(name));
    }
    let signals = visit.say("page_view", 13, &Say::default()).unwrap().signals.unwrap();
    assert_eq!(names(&signals.seen), ["L", "K", "J", "I", "H", "G", "F", "E", "D", "C"]);
}

#[test]
fn a_lesson_is_taught_once_a_visit() {
    let mut visit = Visit::new();
    let mut lesson = |minute, name| {
        let signals = visit.say("product_view", minute, &sku(name)).unwrap().signals.unwrap();
        signals.lesson.map(|lesson| match lesson {
            Lesson::Saw(visit, sku) => (visit, sku.as_str().to_owned()),
            Lesson::Bought(..) => panic!("{lesson:?}"),
        })
    };
    let (first, sku) = lesson(0, "A").unwrap();
    assert_eq!(sku, "A");
    assert_eq!(lesson(1, "B"), Some((first.clone(), "B".to_owned())));
    assert_eq!(lesson(2, "A"), None);
    let (second, sku) = lesson(90, "A").unwrap();
    assert_eq!(sku, "A", "another visit");
    assert_ne!(first, second);
}

#[test]
fn the_basket_empties_by_taking_out_and_by_buying() {
    let mut visit = Visit::new();
    for name in ["A", "B", "C"] {
        visit.say("basket_add", 0, &sku(name));
    }
    visit.say("basket_remove", 1, &sku("A"));
    let mut order = visit.record("order", 2, &Say::default());
    order.props = Json::trusted(
        r#"{"order":"1","lines":[{"sku":"B","price_cents":1},{"sku":"D","price_cents":1},
            {"sku":"B","price_cents":2}],"total_cents":1,"currency":"EUR"}"#
            .to_owned(),
    );
    order.context.locale = Some("de-CH".into());
    let enriched = visit.feed(&order).unwrap();
    let signals = enriched.signals.as_ref().unwrap();
    assert_eq!(names(&signals.basket), ["C"]);
    let bought = |signals: &Signals| {
        signals.bought.iter().map(|one| one.sku.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bought(signals), ["D", "B"]);
    assert_eq!((signals.asks, signals.page), (true, PageKind::Order));
    assert_eq!(signals.locale.as_deref(), Some("de-CH"));
    let together = Lesson::Bought("1".into(), vec![sku_of("B"), sku_of("D")]);
    assert_eq!(signals.lesson.as_ref(), Some(&together));
    let taught = Taught::read(enriched.text.as_bytes()).unwrap();
    assert_eq!(taught.lesson, together, "and again after a restart");
    // It is remembered, and on which page that was.
    visit.driver.restart().unwrap();
    let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap().clone();
    let (tenant, visitor) = (Tenant::parse("shop").unwrap(), VisitorId::parse("5d1c0d8a").unwrap());
    let (_, again) = state.last_asked((tenant, visitor)).unwrap();
    assert_eq!(
        (bought(&again), again.page, again.locale),
        (bought(signals), PageKind::Order, Some("de-CH".into()))
    );
    let home = visit.record("page_view", 3, &Say::default());
    let home = Record { props: Json::trusted(r#"{"kind":"home"}"#.into()), ..home };
    assert_eq!(visit.feed(&home).unwrap().signals.unwrap().page, PageKind::Home);
}

#[test]
fn only_what_may_teach_is_read_to_learn_from() {
    let lines = r#"{"sku":"A","order":"1","lines":[{"sku":"A"},{"sku":"B"}],"query":"q"}"#;
    for kind in [
        "product_view",
        "product_click",
        "basket_add",
        "basket_remove",
        "order",
        "search",
        "back_in_stock_wanted",
        "page_view",
        "engagement",
        "exposure",
        "click",
    ] {
        let teaches = lesson((kind, lines), SessionId::parse("s").ok()).is_some();
        assert_eq!(teaches, may_teach(kind), "{kind}");
    }
}

fn sku_of(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}

#[test]
fn a_language_is_kept_only_where_it_may_be_one() {
    let mut visit = Visit::new();
    let mut kept = |locale: &str| {
        let mut record = visit.record("page_view", 0, &Say::default());
        record.context.locale = Some(locale.into());
        visit.feed(&record).unwrap().signals.unwrap().locale
    };
    assert_eq!(kept("en-GB"), Some("en-GB".into()));
    for none in ["", "x", "de\u{1}CH", "<script>", "a-very-long-tag-that-is-no-language"] {
        assert_eq!(kept(none), None, "{none}");
    }
}

#[test]
fn consent_is_told_as_it_was_said() {
    let mut visit = Visit::new();
    let mut told = |consent| {
        let say = Say { consent, ..Say::default() };
        visit.say("page_view", 0, &say).unwrap().signals.unwrap().personalization
    };
    assert_eq!(told(None), None);
    assert_eq!(told(Some(Consent::full())), Some(true));
    assert_eq!(told(Some(Consent::default())), Some(false));
}

#[test]
fn an_event_without_a_visitor_passes_unenriched() {
    let mut visit = Visit::new();
    let mut record = visit.record("page_view", 0, &Say::default());
    record.context.visitor = None;
    for _ in 0..2 {
        let passed = visit.feed(&record).unwrap();
        assert_eq!((passed.text, passed.signals), (record.to_json(), None));
    }
}

#[test]
fn what_is_not_known_here_goes_on_as_it_came() {
    let mut visit = Visit::new();
    let record = visit.record("product_view", 0, &sku("A"));
    let (key, json) = (record.key().unwrap(), record.to_json());
    let newer = json.replacen('{', "{\"newer\": [1, \"\\u00e4\"], ", 1) + "\n ";
    let said = visit.driver.feed(Some(key.as_bytes()), Some(newer.as_bytes())).unwrap();
    let [Seen::Event(enriched)] = &said[..] else { panic!("{said:?}") };
    let (before, known) = enriched.text.rsplit_once(",\"enrichment\":").unwrap();
    assert_eq!(format!("{before}}}\n "), newer);
    let enrichment = read(enriched).enrichment.unwrap();
    assert_eq!(known, format!("{}}}", enrichment.to_json()));
    assert_eq!(enrichment.recent, [Sku::parse("A").unwrap()]);
}

#[test]
fn what_cannot_be_read_is_poison() {
    let mut visit = Visit::new();
    let record = visit.record("page_view", 0, &Say::default());
    let json = record.to_json();
    let mut reason = |key: Option<&str>, value: Option<&str>| {
        let fed = visit.driver.feed(key.map(str::as_bytes), value.map(str::as_bytes));
        fed.err().map(|poison| poison.reason)
    };
    let key = record.key();
    assert_eq!(reason(key.as_deref(), None), Some("malformed"));
    assert_eq!(reason(key.as_deref(), Some("{}")), Some("malformed"));
    assert_eq!(reason(Some("shop:other"), Some(&json)), Some("wrong_key"));
    assert_eq!(reason(None, Some(&json)), Some("wrong_key"));
    // What the relay does not read goes on, so it must be text.
    let twice = format!(r#"{},"enrichment":{{}}}}"#, &json[..json.len() - 1]);
    assert_eq!(reason(key.as_deref(), Some(&twice)), Some("malformed"));
    assert_eq!(reason(key.as_deref(), Some(&json)), None);
    // Nobody's: with a customer's key, or as an older collector wrote it, with none.
    let mut nobodys = record;
    nobodys.context.visitor = None;
    nobodys.context.customer = CustomerId::parse("c1").ok();
    let (key, json) = (nobodys.key(), nobodys.to_json());
    assert_eq!(key.as_deref(), Some("shop:customer:c1"));
    assert_eq!(reason(key.as_deref(), Some(&json)), None);
    assert_eq!(reason(None, Some(&json)), None);
    assert_eq!(reason(Some("shop:c1"), Some(&json)), Some("wrong_key"));
    visit.driver.restart().unwrap();
    assert_eq!(visit.driver.state(b"shop:customer:c1").unwrap(), None, "no visitor is there");
    assert!(visit.driver.state(b"shop:5d1c0d8a").unwrap().is_some());
}

#[test]
fn folding_again_gives_the_same_and_so_does_a_restart_in_between() {
    let told = |restart_every: u64| {
        let mut visit = Visit::new();
        let bounds = Bounds { ttl_ms: 1000 * MINUTE, ..Bounds::default() };
        visit.driver = Driver::new(VisitorView::default(), ()).bounded(bounds);
        let kinds = ["page_view", "product_view", "basket_add", "order", "click", "search"];
        let skus = ["A", "B", "C", "D"];
        (0..200_u64)
            .map(|n| {
                if n % restart_every == 0 {
                    visit.driver.restart().unwrap();
                }
                let say = Say {
                    sku: Some(skus[(n * 7 % 4) as usize]),
                    seq: Some(n * 13 % 97),
                    campaign: (n % 17 == 0).then_some("november"),
                    ..Say::default()
                };
                visit.say(kinds[(n % 6) as usize], n * 11 % 300, &say)
            })
            .collect::<Vec<_>>()
    };
    let once = told(u64::MAX);
    assert_eq!(once, told(u64::MAX));
    assert_eq!(once, told(1));
    assert_eq!(once, told(7));
}

#[test]
fn the_view_of_a_visit_tells_what_was_done_in_it() {
    let mut visit = Visit::new();
    let mut first = visit.record("page_view", 0, &Say::default());
    first.context.referrer = Some("https://search.example/?q=kettle".into());
    visit.feed(&first).unwrap();
    for (kind, props) in [
        ("search", r#"{"query":"kettle"}"#),
        ("search", r#"{"query":"toaster"}"#),
        ("search", r#"{"query":"kettle"}"#),
        ("engagement", r#"{"engaged_ms":1500}"#),
        ("engagement", r#"{"engaged_ms":500}"#),
        ("engagement", r#"{"engaged_ms":"garbage"}"#),
    ] {
        let mut record = visit.record(kind, 1, &Say::default());
        record.props = Json::trusted(props.to_owned());
        visit.feed(&record).unwrap();
    }
    for name in ["A", "B", "A"] {
        visit.say("product_view", 2, &sku(name));
    }
    let key = visit.record("x", 3, &Say::default()).key().unwrap();
    let state = visit.driver.state(key.as_bytes()).unwrap().unwrap();
    let [running] = state.parts().sessions else { panic!("{state:?}") };
    assert_eq!(running.searches, ["kettle", "toaster"]);
    assert_eq!((running.engaged_ms, running.products, running.events), (2_000, 2, 10));
    assert_eq!(running.referrer.as_deref(), Some("https://search.example/?q=kettle"));
    // As other teams read it.
    let mut bytes = Vec::new();
    state.write(&mut bytes).unwrap();
    let view: SessionView = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(view.to_json().as_bytes(), bytes);
    assert_eq!(Visitor::from(view), *state);
}

/// What a fold costs is in what it holds: read, written and cloned as a whole.
#[test]
fn a_visitor_with_half_of_all_clicks_takes_no_more_than_any_other() {
    const CLICKS: u64 = 10_000;
    let mut visit = Visit::new();
    let skus: [&'static str; 40] =
        std::array::from_fn(|n| &"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"[n..n + 9]);
    let mut bytes = Vec::new();
    for n in 0..CLICKS {
        let say = Say { session: Some("long"), ..sku(skus[usize::try_from(n % 40).unwrap()]) };
        let mut record = visit.record("product_view", n / 100, &say);
        assert!(visit.feed(&record).is_some());
        // The other half is of many others, each with one click.
        record.context.visitor = VisitorId::parse(format!("other-{n}")).ok();
        assert!(visit.feed(&record).is_some());
        if [99, 999, CLICKS - 1].contains(&n) {
            let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
            let mut written = Vec::new();
            state.write(&mut written).unwrap();
            bytes.push(written.len());
        }
    }
    let last = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
    assert_eq!(last.sessions.known[0].events, u32::try_from(CLICKS).unwrap());
    println!("bytes of a state after 100, 1,000 and 10,000 clicks: {bytes:?}");
    assert!(bytes[2] < bytes[0] + 64, "{bytes:?}");
}

/// The retailer's complaint about other systems: huge visits make every further event dear.
#[test]
fn an_event_of_a_huge_visit_writes_no_more_than_one_of_a_short_visit() {
    const EVENTS: u64 = 10_000;
    let mut visit = Visit::new();
    let key = format!("shop:{}", "5d1c0d8a");
    let mut bytes = Vec::new();
    for n in 0..EVENTS {
        // Always something new, and every seventh event is lost on the way.
        let kind = ["product_view", "basket_add", "page_view", "search"][n as usize % 4];
        let mut record = visit.record(kind, n / 60, &Say { seq: Some(n + n / 7), ..sku("x") });
        record.props = Json::trusted(format!(r#"{{"sku":"SKU-{n}","query":"something no. {n}"}}"#));
        assert!(visit.feed(&record).is_some());
        let mut state = Vec::new();
        visit.driver.state(key.as_bytes()).unwrap().unwrap().write(&mut state).unwrap();
        bytes.push(state.len());
    }
    let most = |of: std::ops::Range<usize>| bytes[of].iter().max().copied().unwrap();
    let (early, late) = (most(400..500), most(9_900..10_000));
    println!("bytes of a state: {early} after 500 events, {late} after {EVENTS}");
    // Numbers get longer: 50 products in the basket, 10 seen, 64 ends of gaps, 5 searches.
    assert!(late <= early + 3 * (50 + 10 + 64 + 5), "{early} bytes, then {late}");
}

/// What relays have written so far, the oldest first; see the README beside them.
const WRITTEN: [&[u8]; 10] = [
    include_bytes!("../../../golden/states/1.json"),
    include_bytes!("../../../golden/states/2.packed"),
    include_bytes!("../../../golden/states/3.json"),
    include_bytes!("../../../golden/states/4.packed"),
    include_bytes!("../../../golden/states/5.json"),
    include_bytes!("../../../golden/states/6.packed"),
    include_bytes!("../../../golden/states/7.json"),
    include_bytes!("../../../golden/states/8.packed"),
    include_bytes!("../../../golden/states/9.json"),
    include_bytes!("../../../golden/states/10.packed"),
];

#[test]
fn a_state_that_an_earlier_relay_wrote_is_gone_on_with() {
    for written in WRITTEN {
        let mut visit = Visit::new();
        let written = written.trim_ascii_end();
        visit.driver.restore(b"shop:5d1c0d8a", written, 1_795_476_060_000).unwrap();
        // Number 9 was seen and number 4 was not.
        let said = Say { seq: Some(9), session: Some("s-0190163d86947"), ..sku("TOA-1") };
        let minute = (1_795_476_060_000 - 1_000_000_000) / MINUTE;
        assert_eq!(visit.say("product_view", minute, &said), None);
        let said = Say { seq: Some(4), ..said };
        let enriched = visit.say("product_view", minute, &said).unwrap();
        let enrichment = read(&enriched).enrichment.unwrap();
        // Seen at the same moment: who came first stays first.
        assert_eq!(counts(&enrichment), (Some("s-0190163d86947"), 8, 3, 2));
        assert_eq!(names(&enrichment.recent), ["KET-1", "TOA-1"]);
        let signals = enriched.signals.unwrap();
        assert_eq!(names(&signals.basket), ["KET-1"]);
        let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
        let running = &state.parts().sessions[0];
        assert_eq!((running.engaged_ms, running.searches.len()), (41_000, 2));
        assert_eq!(running.referrer.as_deref(), Some("https://search.example/"));
    }
}

#[test]
fn what_was_proven_before_an_upgrade_holds_after_it_and_nothing_else_does() {
    for (written, customer) in
        WRITTEN.into_iter().zip([[None; 6].as_slice(), &[Some("ada"); 4]].concat())
    {
        let state = Visitor::read(written.trim_ascii_end()).unwrap();
        let proven = state.parts().customer.map(|proven| proven.id.as_str());
        assert_eq!(proven, customer);
    }
}

/// The customer that a visitor counts as after these events, each a type, whom its context names, and
/// what the collector found.
fn proven_after(events: &[(&str, Option<&str>, Option<&str>)]) -> Option<String> {
    let mut visit = Visit::new();
    let mut signals = None;
    for (minute, (kind, named, found)) in (0..).zip(events) {
        let mut record = visit.record(kind, minute, &Say::default());
        let id = |id: &Option<&str>| id.map(|id| CustomerId::parse(id).unwrap());
        (record.context.customer, record.proven) = (id(named), id(found));
        signals = visit.feed(&record).unwrap().signals;
    }
    let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
    let known = state.parts().customer.cloned();
    let signals = signals.unwrap();
    assert_eq!(signals.customer, known, "what is decided by is what is kept");
    assert!(!signals.has_left || known.as_ref().is_none_or(|now| now.id.as_str() != "ada"));
    known.map(|proven| proven.id.to_string())
}

#[test]
fn only_what_a_collector_found_proven_makes_a_visitor_a_customer() {
    let (claim, proven) = (("identify", Some("ada"), None), ("identify", Some("ada"), Some("ada")));
    let view = ("page_view", Some("ada"), None);
    assert_eq!(proven_after(&[claim, view]), None);
    assert_eq!(proven_after(&[view, proven]).as_deref(), Some("ada"));
    assert_eq!(proven_after(&[proven, view, claim]).as_deref(), Some("ada"));
    // Events that name nobody are the same browser's.
    assert_eq!(proven_after(&[proven, ("page_view", None, None)]).as_deref(), Some("ada"));
    // It ends with a log-out, or where somebody else is named, proven or not.
    assert_eq!(proven_after(&[proven, ("logout", Some("ada"), None)]), None);
    assert_eq!(proven_after(&[proven, ("page_view", Some("bob"), None)]), None);
    assert_eq!(proven_after(&[proven, ("identify", Some("bob"), None), view]), None);
    let bob = ("identify", Some("bob"), Some("bob"));
    assert_eq!(proven_after(&[proven, bob]).as_deref(), Some("bob"));
}

/// Both in one queue and, by the clock, in two: the second number is the place in the queue.
#[test]
fn a_proof_that_comes_after_what_ended_it_proves_nothing() {
    let after = |events: &[(&str, u64, &'static str, u64, bool)]| {
        let mut visit = Visit::new();
        for (kind, minute, queue, seq, is_proven) in events {
            let say = Say { seq: Some(*seq), ..Say::default() };
            let mut record = visit.record(kind, *minute, &say);
            record.queue = QueueId::parse(*queue).unwrap();
            record.proven = is_proven.then(|| CustomerId::parse("ada").unwrap());
            visit.feed(&record).unwrap();
        }
        let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
        state.parts().customer.is_some()
    };
    let (out, late) = (("logout", 5, "q", 2, false), ("identify", 4, "q", 1, true));
    assert!(!after(&[out, late]));
    assert!(!after(&[out, ("identify", 6, "q", 1, true)]), "in a queue its numbers tell");
    assert!(after(&[out, ("identify", 6, "q", 3, true)]));
    assert!(!after(&[out, ("identify", 4, "other", 9, true)]));
    assert!(!after(&[out, ("identify", 5, "other", 9, true)]), "in doubt it has ended");
    assert!(after(&[out, ("identify", 6, "other", 9, true)]));
    // What ends it is late only where that is sure.
    assert!(after(&[("identify", 6, "q", 3, true), out]));
    assert!(!after(&[("identify", 6, "other", 3, true), out]));
}

#[test]
fn what_was_put_back_later_does_not_come_back_when_its_add_is_late() {
    let after = |events: &[(&str, u64, &'static str, u64)]| {
        let mut visit = Visit::new();
        let mut signals = None;
        for (kind, minute, queue, seq) in events {
            let mut record = visit.record(kind, *minute, &Say { seq: Some(*seq), ..sku("A") });
            record.queue = QueueId::parse(*queue).unwrap();
            if *kind == "order" {
                record.props = Json::trusted(r#"{"order":"1","lines":[{"sku":"A"}]}"#.to_owned());
            }
            signals = visit.feed(&record).unwrap().signals;
        }
        drop(signals);
        let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
        let words = state.parts().basket_words.len();
        assert_eq!(words, 1);
        state.parts().basket.len()
    };
    let (add, remove) = (("basket_add", 1, "q", 1), ("basket_remove", 2, "q", 2));
    assert_eq!(after(&[add, remove]), 0);
    assert_eq!(after(&[remove, add]), 0);
    assert_eq!(after(&[remove, ("basket_add", 3, "q", 1)]), 0, "in a queue its numbers tell");
    assert_eq!(after(&[remove, ("basket_add", 1, "other", 9)]), 0);
    assert_eq!(after(&[remove, ("basket_add", 3, "other", 1)]), 1);
    // A late removal, and a late order, take nothing out that was put in again.
    assert_eq!(after(&[("basket_add", 3, "q", 3), remove]), 1);
    assert_eq!(after(&[("basket_add", 3, "q", 3), ("order", 2, "q", 2)]), 1);
    assert_eq!(after(&[("order", 2, "q", 2), add]), 0);
}

proptest::proptest! {
    /// However the events of one queue arrive, what lies in the basket is what lay there in the end.
    #[test]
    fn a_basket_does_not_depend_on_the_order_of_arrival(
        doings in proptest::collection::vec((0..3_u8, 0..5_usize), 1..30),
        by in proptest::collection::vec(proptest::prelude::any::<u32>(), 30),
    ) {
        const NAMES: [&str; 5] = ["A", "B", "C", "D", "E"];
        const KINDS: [&str; 3] = ["basket_add", "basket_add", "basket_remove"];
        let basket = |order: &[usize]| {
            let mut visit = Visit::new();
            for n in order {
                let (kind, name) = doings[*n];
                let say = Say { seq: Some(*n as u64), ..sku(NAMES[name]) };
                visit.say(KINDS[usize::from(kind)], 1, &say);
            }
            let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
            let mut basket: Vec<String> =
                state.parts().basket.iter().map(ToString::to_string).collect();
            basket.sort();
            basket
        };
        let mut order: Vec<usize> = (0..doings.len()).collect();
        let in_order = basket(&order);
        order.sort_by_key(|n| by[*n]);
        proptest::prop_assert_eq!(basket(&order), in_order);
    }
}

#[test]
fn the_last_words_about_so_many_products_are_known() {
    let mut visit = Visit::new();
    for n in 0..60 {
        let mut record = visit.record("basket_add", 1, &Say::default());
        record.props = Json::trusted(format!(r#"{{"sku":"A{n}"}}"#));
        visit.feed(&record).unwrap();
    }
    let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
    let parts = state.parts();
    assert_eq!((parts.basket.len(), parts.basket_words.len()), (50, Limits::default().words_max));
}

#[test]
fn a_list_of_a_category_asks_and_names_it() {
    let mut visit = Visit::new();
    let mut page = |kind: &str, props: &str| {
        let mut record = visit.record(kind, 1, &Say::default());
        record.props = Json::trusted(props.to_owned());
        let signals = visit.feed(&record).unwrap().signals.unwrap();
        let state = visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap();
        let (_, kept) = state
            .last_asked((Tenant::parse("shop").unwrap(), VisitorId::parse("5d1c0d8a").unwrap()))
            .unzip();
        if signals.asks {
            assert_eq!(kept.unwrap().category, signals.category, "a relay after this one knows it");
        }
        (signals.asks, signals.page, signals.category)
    };
    let kettles = Some("kettles".to_owned());
    let lists = page("list_view", r#"{"category":"kettles","skus":["A"]}"#);
    assert_eq!(lists, (true, PageKind::Category, kettles.clone()));
    let views = page("page_view", r#"{"kind":"category","category":"kettles"}"#);
    assert_eq!(views, (true, PageKind::Category, kettles));
    // Elsewhere it is the sort of page, and a list without one is no page.
    let home = page("page_view", r#"{"kind":"home","category":"landing"}"#);
    assert_eq!(home, (true, PageKind::Home, None));
    for props in ["{}", r#"{"category":7}"#, r#"{"category":""}"#] {
        assert!(!page("list_view", props).0, "{props}");
    }
}

#[test]
fn who_withdraws_consent_is_no_customer_and_a_proof_does_not_hold_for_ever() {
    let mut visit = Visit::new();
    let ada = CustomerId::parse("ada").ok();
    let mut identify = visit.record("identify", 0, &Say::default());
    identify.proven = ada;
    let proven = visit.feed(&identify).unwrap().signals.unwrap().customer.unwrap();
    assert_eq!(proven.until, identify.time + 30 * 24 * 60 * MINUTE);
    let refused = Say { consent: Some(Consent::default()), ..Say::default() };
    assert_eq!(visit.say("consent", 1, &refused).unwrap().signals.unwrap().customer, None);
}

/// The forms of one state: what is published, and what is kept, as they are written today.
#[test]
fn a_state_is_written_as_its_golden_files() {
    let [.., published, kept] = WRITTEN;
    let state = Visitor::read(published.trim_ascii_end()).unwrap();
    let (mut written, mut packed) = (Vec::new(), Vec::new());
    state.write(&mut written).unwrap();
    state.pack(&mut packed).unwrap();
    assert_eq!(Visitor::read(kept).unwrap(), state);
    assert_eq!(std::str::from_utf8(&written), std::str::from_utf8(published.trim_ascii_end()));
    assert_eq!(packed, kept);
    println!("bytes published and kept: {} and {}", written.len(), packed.len());
}

/// A relay of before that comes back after an upgrade that failed.
#[test]
fn what_a_later_relay_adds_to_a_state_is_passed_over() {
    let written = std::str::from_utf8(WRITTEN[0]).unwrap();
    let later = written.trim_end().replacen('{', r#"{"later":{"deep":[1]},"#, 1);
    let mut visit = Visit::new();
    visit.driver.restore(b"shop:5d1c0d8a", later.as_bytes(), 1).unwrap();
    assert_eq!(visit.driver.state(b"shop:5d1c0d8a").unwrap().unwrap().parts().visits, 2);
}
