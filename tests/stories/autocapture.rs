//! What happens on a page by itself is told by a module of its own: each part once, nothing that
//! anybody typed, and only what is switched on.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::until::until;
use clickmill_tests::{Visit, World};
use serde_json::{Value, json};

/// Puts something to be busy with into the page: a form, links, something to look at.
const THINGS: &str = r#"
document.body.insertAdjacentHTML('beforeend', `
  <form id="letter"><input name="email" type="email"><input name="id"></form>
  <a id="away" href="https://elsewhere.example/a?who=somebody#x" target="_blank">away</a>
  <a id="file" href="/manual.pdf?who=somebody" download>file</a>
  <p data-cm-private><a id="own" href="https://own.example/a" target="_blank">own</a>
    <a id="ownfile" href="/own.pdf" download>own</a></p>
  <form id="private" data-cm-private><input name="pin"></form>
  <p id="teaser" data-cm-view="teaser" data-cm-props='{"sku":"KET-1"}'>look</p>
  <div id="tall"></div>`);
document.querySelector('#tall').style.height = '3000px';
for (const link of document.querySelectorAll('#away,#file,#own,#ownfile')) {
  link.addEventListener('click', (event) => event.preventDefault());
}
"#;

/// Does one of everything: types, follows links, looks at something for long enough, moves on.
const BUSY: &str = r"
const done = arguments[arguments.length - 1];
const find = (name) => document.querySelector(name);
const email = find('input[name=email]');
email.value = 'somebody@home.example';
for (const name of ['input', 'change']) email.dispatchEvent(new Event(name, { bubbles: true }));
find('#away').click();
find('#file').click();
find('#own').click();
find('#ownfile').click();
find('input[name=pin]').dispatchEvent(new Event('change', { bubbles: true }));
find('#teaser').scrollIntoView({ block: 'center' });
dispatchEvent(new Event('scroll'));
document.dispatchEvent(new PointerEvent('pointermove', { bubbles: true }));
setTimeout(() => {
  document.dispatchEvent(new PointerEvent('pointermove', { bubbles: true }));
  history.replaceState(null, '', '?tidy=1');
  history.pushState(null, '', '/elsewhere');
  setTimeout(() => done(true), 50);
}, 1500);
";

/// The records that are there once `last` is, by type.
async fn told(world: &World, last: &str) -> BTreeMap<String, Vec<Record>> {
    until(last, || async {
        let mut told = BTreeMap::<String, Vec<Record>>::new();
        for record in world.read(Topic::ClicksRaw).await {
            told.entry(record.kind.as_str().to_owned()).or_default().push(record);
        }
        told.contains_key(last).then_some(told)
    })
    .await
}

fn props(told: &BTreeMap<String, Vec<Record>>, kind: &str) -> Value {
    let [record] = &told[kind][..] else { panic!("one {kind}, not {:?}", told[kind]) };
    serde_json::from_str(record.props.as_str()).expect("properties")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_by_itself_is_told_and_nothing_that_was_typed() {
    let visit = Visit::start().await;
    visit.run(THINGS).await;
    visit.add_module("clickmill_auto", "").await;
    visit.later(BUSY).await;
    // Sent off, it is no longer there to be abandoned.
    let send = "const form = document.querySelector('#letter');
        form.elements.email.dispatchEvent(new Event('change', { bubbles: true }));
        form.addEventListener('submit', (event) => event.preventDefault());
        form.requestSubmit();
        clickmill.flush();";
    visit.run(send).await;
    let told = told(&visit.world, "form_submit").await;

    let views: Vec<_> = told["page_view"].iter().map(|view| view.props.as_str()).collect();
    assert_eq!(views.len(), 2, "the load and the route: {views:?}");
    assert!(views[1].contains("route"), "{views:?}");
    let page = told["page_view"][1].context.page.as_ref().expect("a page");
    assert!(page.url.ends_with("/elsewhere"), "{page:?}");
    let away = json!({ "href": "https://elsewhere.example/a", "host": "elsewhere.example" });
    assert_eq!(props(&told, "outbound_click"), away);
    let file = json!({ "href": format!("{}/manual.pdf", visit.url), "name": "manual.pdf" });
    assert_eq!(props(&told, "file_download"), file);
    assert_eq!(told["form_start"].len(), 2, "again after the first was abandoned");
    let abandoned = props(&told, "form_abandon");
    assert_eq!((&abandoned["form"], &abandoned["field"]), (&json!("letter"), &json!("email")));
    assert_eq!(props(&told, "form_submit"), json!({ "form": "letter" }));
    let seen = props(&told, "element_view");
    assert_eq!((&seen["element"], &seen["sku"]), (&json!("teaser"), &json!("KET-1")));
    assert!(seen["dwell_ms"].as_u64().is_some_and(|dwell| dwell >= 1000), "{seen}");
    let engaged = props(&told, "engagement");
    assert!(engaged["engaged_ms"].as_u64().is_some_and(|time| time >= 1000), "{engaged}");
    assert!(engaged["scroll_percent"].as_u64().is_some_and(|depth| depth > 10), "{engaged}");
    for record in visit.world.kafka.records(Topic::ClicksRaw).await {
        for word in ["home.example", "own.example", "own.pdf", "private"] {
            assert!(!record.value.contains(word), "typed or private: {}", record.value);
        }
    }
    visit.world.books_balance().await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_not_told() {
    let visit = Visit::start().await;
    visit.run(THINGS).await;
    visit.add_module("clickmill_auto", "off: 'route, link, form, view'").await;
    visit.later(BUSY).await;
    // The page is left: what was not switched off is told now.
    visit.go("/p/KET-1").await;
    let told = told(&visit.world, "engagement").await;
    for kind in ["outbound_click", "file_download", "form_start", "form_abandon", "element_view"] {
        assert!(!told.contains_key(kind), "{kind}");
    }
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_browser_tells_of_no_routes_their_changes_are_seen() {
    let visit = Visit::builder().before_pages("delete window.navigation").start().await;
    assert_eq!(visit.run("return typeof navigation").await, "undefined");
    visit.run(THINGS).await;
    visit.add_module("clickmill_auto", "off: 'engagement, link, form, view'").await;
    visit.later(BUSY).await;
    let back = "history.back(); addEventListener('popstate', () => setTimeout(arguments[0], 50))";
    visit.later(back).await;
    visit.run("clickmill.track('login', {}); clickmill.flush()").await;
    let told = told(&visit.world, "login").await;
    let page = |view: &Record| view.context.page.as_ref().map(|page| page.url.clone());
    let pages: Vec<_> = told["page_view"].iter().filter_map(page).collect();
    let paths: Vec<_> = pages.iter().map(|url| url.replace(&visit.url, "")).collect();
    assert_eq!(paths, ["/", "/elsewhere", "/?tidy=1"]);
    assert!(!told.contains_key("engagement"), "{told:?}");
    visit.close().await;
}
