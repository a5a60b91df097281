//! Modules that a page may have beside the SDK: each tells what it is for, and no more.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::{
    Audience, Experiment, Namespace, Record, ToJson, Topic, Width, bucket,
};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Visit, World};
use fantoccini::Locator;
use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use serde_json::{Value, json};

/// The properties of all events in Kafka, by type, once there are so many of `kind`.
async fn told(world: &World, kind: &str, count: usize) -> BTreeMap<String, Vec<Value>> {
    until(&format!("{count} {kind}"), || async {
        let mut told = BTreeMap::<String, Vec<Value>>::new();
        for Record { kind, props, .. } in world.read(Topic::ClicksRaw).await {
            let props = serde_json::from_str(props.as_str()).expect("properties");
            told.entry(kind.as_str().to_owned()).or_default().push(props);
        }
        (told.get(kind).map_or(0, Vec::len) >= count).then_some(told)
    })
    .await
}

/// Clicks an element as a person does, so often, one click right after the other.
async fn click(visit: &Visit, selector: &str, times: usize) {
    let element = visit.client.find(Locator::Css(selector)).await.expect("it is there");
    let to = PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 };
    let button = MOUSE_BUTTON_LEFT;
    let clicks = (0..times).fold(MouseActions::new("mouse".into()).then(to), |actions, _| {
        actions.then(PointerAction::Down { button }).then(PointerAction::Up { button })
    });
    visit.client.perform_actions(clicks).await.expect("clicks");
}

/// Experiments of many sorts.
fn experiments() -> Vec<Experiment> {
    let shares = [[5000, 5000, 0], [1000, 1000, 8000], [3333, 3333, 3334], [9999, 1, 0]];
    (0..48)
        .map(|n: u32| Experiment {
            key: format!("e{n}"),
            seed: format!("seed-{n}"),
            weights: shares[n as usize % shares.len()].to_vec(),
            coverage: [10_000, 6000, 300][n as usize % 3],
            namespace: n.is_multiple_of(5).then(|| Namespace {
                name: format!("n{n}"),
                from: 0,
                to: 1 + n * 20,
            }),
            audience: None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_and_a_server_put_a_visitor_into_the_same_arm_and_it_is_told_once_a_page_view() {
    let all = experiments();
    let list: Vec<String> = all.iter().map(toml_of).collect();
    let settings = format!("\nexperiments = [{}]", list.join(", "));
    let world = World::builder().set(|setup, _| setup.site = settings);
    let visit = Visit::builder().world(world).start().await;
    visit.add_module("clickmill_experiments", "").await;
    assert_eq!(visit.run("return clickmill.variant('unheard-of')").await, 0);
    visit.later("clickmill.variants().then(() => arguments[0]())").await;

    for (seed, value) in [("seed", "a"), ("foo", "def"), ("()**(%$##$%#$#", "___)((*\":&")] {
        let script = format!("return clickmill.bucket({}, {})", json!(seed), json!(value));
        assert_eq!(
            visit.run(&script).await,
            bucket(seed.as_bytes(), value.as_bytes()),
            "{seed} {value}"
        );
    }
    let visitor = visit.run("return clickmill.visitor()").await;
    let visitor = visitor.as_str().expect("a visitor");
    let asks = "return [...Array(48).keys()].map((n) => clickmill.variant(`e${n}`))";
    let arms = visit.run(asks).await;
    let expected: Vec<_> = all.iter().map(|one| one.arm(visitor)).collect();
    let shown: Vec<_> = expected.iter().map(|arm| arm.unwrap_or(0)).collect();
    assert_eq!(arms, json!(shown));
    let taken = expected.iter().flatten().count();
    assert!((10..40).contains(&taken), "some take part and some do not: {taken}");

    // Asked again, nothing new; on the next page view, once more.
    visit.run(asks).await;
    visit.run("clickmill.page(); clickmill.flush()").await;
    visit.run(asks).await;
    visit.run("clickmill.track('login', {}); clickmill.flush()").await;
    let told = told(&visit.world, "login", 1).await;
    assert_eq!(told["experiment_view"].len(), 2 * taken);

    // What the stream says goes before the hash; without consent there is no arm.
    let say = "document.dispatchEvent(new CustomEvent('clickmill:hint', {
        detail: { kind: 'variant', content: { experiment: 'e0', arm: 7 } } }))";
    visit.run(say).await;
    assert_eq!(visit.run("return clickmill.variant('e0')").await, 7);
    visit.run("clickmill.consent('analytics')").await;
    assert_eq!(visit.run("return clickmill.variant('e0')").await, 0);
    visit.close().await;
}

fn toml_of(experiment: &Experiment) -> String {
    // Inline tables differ from JSON in one sign.
    experiment.to_json().replace("\":", "\" = ")
}

/// An experiment that has everybody of its audience in arm 1.
fn experiment_for(key: &str, audience: Audience) -> Experiment {
    Experiment {
        key: key.to_owned(),
        seed: format!("{key}-1"),
        weights: vec![0, 10_000],
        coverage: 10_000,
        namespace: None,
        audience: Some(audience),
    }
}

/// On pages that are marked, the site's settings never arrive at a module, which asks without more.
const UNSETTLED: &str = "
const ask = window.fetch;
window.fetch = (url, ...more) => {
  const is_held = sessionStorage.unsettled && !more.length && String(url).includes('/v1/config');
  return is_held ? new Promise(() => {}) : ask(url, ...more);
};
";

/// The arms of experiments, asked in the moment in which the module is there.
async fn arms(visit: &Visit, keys: &[&str]) -> Value {
    visit.add_module("clickmill_experiments", "").await;
    asked(visit, keys).await
}

async fn asked(visit: &Visit, keys: &[&str]) -> Value {
    visit.run(&format!("return {}.map((key) => clickmill.variant(key))", json!(keys))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_into_an_experiment_stays_in_and_the_next_page_knows_at_once() {
    let everybody = Audience::default;
    let all = [
        experiment_for("german", Audience { languages: vec!["de".into()], ..everybody() }),
        experiment_for(
            "english",
            Audience { languages: vec!["fr".into(), "EN".into()], ..everybody() },
        ),
        experiment_for("product", Audience { page_kinds: vec!["product".into()], ..everybody() }),
        experiment_for("kettles", Audience { paths: vec!["/c/kett*".into()], ..everybody() }),
        experiment_for(
            "wall",
            Audience { width: Some(Width { from: 9_000, to: 9_999 }), ..everybody() },
        ),
        experiment_for("customer", Audience { customer: Some(true), ..everybody() }),
        experiment_for("nobody", Audience { customer: Some(false), ..everybody() }),
    ];
    let keys: Vec<&str> = all.iter().map(|one| one.key.as_str()).collect();
    let list: Vec<String> = all.iter().map(toml_of).collect();
    let settings = format!("\nexperiments = [{}]", list.join(", "));
    let world = World::builder().set(|setup, _| setup.site = settings);
    let visit = Visit::builder().world(world).before_pages(UNSETTLED).start().await;

    // Before the settings are there, everybody is in the control and nobody is counted.
    visit.run("sessionStorage.unsettled = 1").await;
    assert_eq!(arms(&visit, &keys).await, json!([0, 0, 0, 0, 0, 0, 0]));
    visit.run("delete sessionStorage.unsettled").await;
    visit.go("").await;
    visit.has_core().await;
    visit.add_module("clickmill_experiments", "").await;
    visit.later("clickmill.variants().then(() => arguments[0]())").await;
    assert_eq!(asked(&visit, &keys).await, json!([0, 1, 0, 0, 0, 0, 1]));

    // From here on no page gets any settings. Who comes by is let in, and stays.
    visit.run("sessionStorage.unsettled = 1").await;
    visit.go("/p/KET-1").await;
    visit.has_core().await;
    assert_eq!(arms(&visit, &keys).await, json!([0, 1, 1, 0, 0, 0, 1]));
    visit.go("/c/kettles").await;
    visit.has_core().await;
    visit.run("clickmill.identify('ada')").await;
    assert_eq!(arms(&visit, &keys).await, json!([0, 1, 1, 1, 0, 1, 1]));
    // What the stream says goes over it, on the next page, too.
    let say = "for (const content of [{ experiment: 'german', arm: 4 }, { experiment: 'english' }]) {
          document.dispatchEvent(new CustomEvent('clickmill:hint', { detail: { kind: 'variant', content } }));
        }";
    visit.run(say).await;
    visit.go("").await;
    visit.has_core().await;
    assert_eq!(arms(&visit, &keys).await, json!([4, 0, 1, 1, 0, 1, 1]));
    visit.run("clickmill.track('login', {}); clickmill.flush()").await;
    let views = &told(&visit.world, "login", 1).await["experiment_view"];
    let of = |key: &str| views.iter().filter(|view| view["experiment"] == key).count();
    // Once on each page from the first one on, and only where they were known to belong to it.
    let counts: Vec<usize> = keys.iter().map(|key| of(key)).collect();
    assert_eq!(counts, [1, 3, 3, 2, 0, 2, 4], "{views:?}");

    // Somebody else was let into nothing, and without consent nothing is kept.
    visit.run("clickmill.reset()").await;
    assert_eq!(asked(&visit, &keys).await, json!([0, 1, 0, 0, 0, 0, 1]));
    visit.run("clickmill.consent('analytics')").await;
    assert_eq!(asked(&visit, &["english"]).await, json!([0]));
    let kept =
        "return Object.keys(localStorage).filter((name) => name.includes('experiments')).length";
    assert_eq!(visit.run(kept).await, 0);
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_changes_an_event_or_prevents_it() {
    let visit = Visit::start().await;
    visit
        .run(
            "document.addEventListener('clickmill:event', (event) => {
               if (event.detail.type === 'login') event.preventDefault();
               if (event.detail.type === 'search') event.detail.props.query = '***';
             });
             const said = [clickmill.track('login', {}), clickmill.track('search', { query: 'me' })];
             clickmill.track('wishlist_add', { sku: 'KET-1' });
             clickmill.flush();
             window.said = said.map((id) => typeof id);",
        )
        .await;
    let told = told(&visit.world, "wishlist_add", 1).await;
    assert_eq!(told["search"], [json!({ "query": "***" })]);
    assert!(!told.contains_key("login"), "{told:?}");
    assert_eq!(visit.run("return said").await, json!(["undefined", "string"]));
    visit.world.books_balance().await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_page_felt_is_told_when_it_goes_out_of_sight() {
    let visit = Visit::start().await;
    visit.add_module("clickmill_vitals", "").await;
    // An interaction that takes long.
    visit
        .run(
            "document.querySelector('#q').addEventListener('click', () => {
               const began = performance.now();
               while (performance.now() - began < 80);
             })",
        )
        .await;
    click(&visit, "#q", 1).await;
    visit.later("requestAnimationFrame(() => setTimeout(arguments[0], 100))").await;
    visit.go("/p/KET-1").await;
    visit.has_core().await;
    visit.run("clickmill.flush()").await;
    let told = told(&visit.world, "web_vital", 4).await;
    let vitals: BTreeMap<_, _> =
        told["web_vital"].iter().map(|vital| (vital["metric"].as_str(), &vital["value"])).collect();
    assert_eq!(vitals.len(), 4, "{told:?}");
    assert!(vitals[&Some("inp")].as_f64() >= Some(80.0), "{vitals:?}");
    assert!(vitals[&Some("lcp")].as_f64() > Some(0.0), "{vitals:?}");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_once_each_and_not_without_end() {
    // What a driver's script throws is nobody's; a script of the page's own is let in.
    let visit = Visit::builder().without_policies().start().await;
    visit.add_module("clickmill_errors", "").await;
    visit
        .later(
            "window.done = arguments[0];
             document.head.append(Object.assign(document.createElement('script'), { textContent: `
               for (let n = 0; n < 2; n++) setTimeout(() => { throw new TypeError('the same'); });
               setTimeout(() => Promise.reject('refused'));
               for (let n = 0; n < 12; n++) setTimeout(() => { throw new Error('number ' + n); }, 50);
               setTimeout(done, 200);` }))",
        )
        .await;
    visit.run("clickmill.track('login', {}); clickmill.flush()").await;
    let told = told(&visit.world, "login", 1).await;
    let errors = &told["js_error"];
    assert_eq!(errors.len(), 10, "{errors:?}");
    let of = |name: &str| errors.iter().filter(|error| error["message"] == name).count();
    assert_eq!((of("the same"), of("refused"), of("number 7")), (1, 1, 1), "{errors:?}");
    assert_eq!(errors[9]["is_last"], true);
    assert_eq!((&errors[0]["kind"], &errors[0]["name"]), (&json!("error"), &json!("TypeError")));
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_in_a_rage_and_clicks_that_do_nothing_are_told() {
    let visit = Visit::start().await;
    visit
        .run(
            "// The strip at the foot of the window is always busy.
             document.querySelector('[data-strip]').remove();
             document.body.insertAdjacentHTML('afterbegin',
               '<button id=dead>dead</button><button id=live>live</button><p id=p>text</p>' +
               '<p data-cm-private><button id=own>own</button></p>');
             document.querySelector('#live').addEventListener('click', ({ target }) => {
               setTimeout(() => target.append('!'), 300);
             });",
        )
        .await;
    visit.add_module("clickmill_friction", "").await;
    click(&visit, "#live", 1).await;
    visit.later("setTimeout(arguments[0], 1100)").await;
    // Nobody expects anything of a text.
    click(&visit, "#p", 1).await;
    visit.later("setTimeout(arguments[0], 1100)").await;
    click(&visit, "#own", 4).await;
    visit.later("setTimeout(arguments[0], 1300)").await;
    click(&visit, "#dead", 4).await;
    visit.later("setTimeout(arguments[0], 1300)").await;
    visit.run("clickmill.track('login', {}); clickmill.flush()").await;
    let told = told(&visit.world, "login", 1).await;
    assert_eq!(told["rage_click"], [json!({ "element": "button", "id": "dead", "clicks": 4 })]);
    assert_eq!(told["dead_click"], [json!({ "element": "button", "id": "dead" })]);
    visit.close().await;
}

/// A link leads to another page, even where no browser tells that it is on its way; what is watched
/// after a click is watched no longer once it was seen to live.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_slow_is_no_dead_click_and_nothing_is_watched_for_long() {
    let watched = "delete window.navigation;
        window.watched = 0;
        const { observe, disconnect } = MutationObserver.prototype;
        MutationObserver.prototype.observe = function (...all) {
          if (all[1].characterData) window.watched++;
          return observe.apply(this, all);
        };
        MutationObserver.prototype.disconnect = function () {
          window.watched = 0;
          return disconnect.call(this);
        };";
    let visit = Visit::builder().before_pages(watched).start().await;
    visit
        .run(
            "document.querySelector('[data-strip]').remove();
             document.body.insertAdjacentHTML('afterbegin',
               '<a id=slow href=/slow>slow</a> <button id=live>live</button>');
             document.querySelector('#slow').addEventListener('click', (event) => event.preventDefault());
             document.querySelector('#live').addEventListener('click', ({ target }) => target.append('!'));",
        )
        .await;
    visit.add_module("clickmill_friction", "").await;
    click(&visit, "#live", 1).await;
    let seen = || async { visit.run("return watched").await };
    until_enough("it lives", seen, |watched| *watched == 0).await;
    click(&visit, "#slow", 1).await;
    visit.later("setTimeout(arguments[0], 1300)").await;
    visit.run("clickmill.track('login', {}); clickmill.flush()").await;
    let told = told(&visit.world, "login", 1).await;
    assert!(!told.contains_key("dead_click"), "{told:?}");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tab_paints_that_was_opened_out_of_sight_is_no_vital_of_its_load() {
    let hidden = "let hidden = true;
        Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
        window.see = (isSeen) => {
          hidden = !isSeen;
          document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
        };";
    let visit = Visit::builder().before_pages(hidden).start().await;
    visit.add_module("clickmill_vitals", "").await;
    visit.run("see(true)").await;
    visit.later("requestAnimationFrame(() => setTimeout(arguments[0], 300))").await;
    visit.run("see(false); see(true); clickmill.track('login', {}); clickmill.flush()").await;
    let told = told(&visit.world, "login", 1).await;
    let vitals: Vec<_> = told["web_vital"].iter().map(|vital| &vital["metric"]).collect();
    assert!(vitals.contains(&&json!("ttfb")) && !vitals.contains(&&json!("lcp")), "{vitals:?}");
    visit.close().await;
}

/// A silent sound of two seconds.
const SOUND: &str = "
const [rate, seconds] = [8000, 2];
const view = new DataView(new ArrayBuffer(44 + rate * seconds));
const text = (at, word) => [...word].forEach((c, n) => view.setUint8(at + n, c.charCodeAt(0)));
text(0, 'RIFF'); view.setUint32(4, 36 + rate * seconds, true); text(8, 'WAVEfmt ');
view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
view.setUint32(24, rate, true); view.setUint32(28, rate, true); view.setUint16(32, 1, true);
view.setUint16(34, 8, true); text(36, 'data'); view.setUint32(40, rate * seconds, true);
for (let at = 44; at < view.byteLength; at++) view.setUint8(at, 128);
const audio = document.createElement('audio');
audio.dataset.cmMedia = 'jingle';
audio.muted = true;
audio.src = URL.createObjectURL(new Blob([view], { type: 'audio/wav' }));
document.body.append(audio);
const done = arguments[0];
audio.onended = () => done(true);
audio.onerror = () => done(String(audio.error?.message));
audio.play().catch((error) => done(String(error)));
";

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_sound_is_told_with_how_long_it_was_played() {
    let visit = Visit::builder().without_policies().start().await;
    visit.add_module("clickmill_media", "").await;
    // Nothing plays before somebody did something.
    click(&visit, "#q", 1).await;
    assert_eq!(visit.later(SOUND).await, true);
    visit.run("clickmill.flush()").await;
    let told = told(&visit.world, "media", 5).await;
    let steps: Vec<_> = told["media"]
        .iter()
        .map(|step| (step["action"].as_str(), step["percent"].as_u64()))
        .collect();
    let expected = [
        ("start", None),
        ("progress", Some(25)),
        ("progress", Some(50)),
        ("progress", Some(75)),
        ("end", Some(100)),
    ];
    assert_eq!(steps, expected.map(|(action, percent)| (Some(action), percent)));
    let last = &told["media"][4];
    assert_eq!((&last["media"], &last["duration_ms"]), (&json!("jingle"), &json!(2000)));
    assert!((1500..3000).contains(&last["played_ms"].as_u64().unwrap_or(0)), "{last}");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_own_product_serves_all_of_its_events() {
    let visit = Visit::start().await;
    visit.add_module("clickmill_shop", "").await;
    visit
        .run(
            "const kettle = { sku: 'KET-1', category: 'kettles', price_cents: 3999, currency: 'GBP',
               name: 'Kettle', colours: ['red'], quantity: 2, position: 3 };
             const { shop } = clickmill;
             shop.viewed(kettle);
             shop.added(kettle);
             shop.removed(kettle);
             shop.basket({ lines: [kettle], total_cents: 7998, currency: 'GBP' });
             shop.checkout({ step: 1, name: 'address' });
             shop.searched({ query: 'kettle', results: 5 });
             shop.ordered({ order: 'A-1', total_cents: 7998, currency: 'GBP', lines: [kettle], by: 'me' });
             clickmill.flush();",
        )
        .await;
    let told = told(&visit.world, "order", 1).await;
    let product =
        json!({ "sku": "KET-1", "category": "kettles", "price_cents": 3999, "currency": "GBP" });
    let with = |name: &str, value: u32| {
        let mut props = product.clone();
        props[name] = value.into();
        props
    };
    assert_eq!(told["product_view"], [with("position", 3)]);
    let mut added = with("quantity", 2);
    added["position"] = 3.into();
    assert_eq!(told["basket_add"], [added]);
    assert_eq!(told["basket_remove"], [with("quantity", 2)]);
    let line = json!({ "sku": "KET-1", "category": "kettles", "price_cents": 3999, "quantity": 2 });
    assert_eq!(told["order"][0]["lines"], json!([line]));
    assert_eq!(told["basket_view"][0]["lines"], json!([line]));
    for kind in ["basket_view", "checkout_step", "search"] {
        assert_eq!(told[kind].len(), 1, "{kind}");
    }
    visit.world.books_balance().await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_shows_what_happens_and_only_where_it_is_asked_for() {
    let visit = Visit::start().await;
    visit.add_module("clickmill_overlay", "").await;
    let open = "return !!document.querySelector('body > div')?.shadowRoot";
    let is_open = "return [...document.body.children].some((element) => element.shadowRoot)";
    assert_eq!((visit.run(open).await, visit.run(is_open).await), (json!(false), json!(false)));

    visit.go("/?clickmill=debug").await;
    visit.add_module("clickmill_overlay", "").await;
    visit.has_core().await;
    visit
        .run("clickmill.track('search', {}); clickmill.track('search', { query: 'kettle' })")
        .await;
    visit.run("clickmill.flush()").await;
    let rows = "const host = [...document.body.children].find((element) => element.shadowRoot);
        return [...host.shadowRoot.querySelectorAll('tr')].map((row) => row.textContent)
          .concat(host.shadowRoot.querySelector('summary').textContent)";
    let rows = || async {
        let said = visit.run(rows).await;
        serde_json::from_value::<Vec<String>>(said).expect("texts")
    };
    let shows = |rows: &Vec<String>| {
        let has =
            |parts: &[&str]| rows.iter().any(|row| parts.iter().all(|part| row.contains(part)));
        has(&["accepted", "search", "kettle"])
            && has(&["rejected", "search", "schema_violation"])
            && has(&["created", "settled", "queued"])
    };
    until_enough("verdicts in the overlay", rows, shows).await;
    visit.close().await;
}
