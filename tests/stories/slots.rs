//! Hints in their places on a page: shown without moving anything, told when seen and when clicked,
//! gone when they no longer hold; nothing in them is more than text and addresses.

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Visit, World};
use fantoccini::Locator;
use fantoccini::key::Key;
use serde_json::{Value, json};

/// Counts what moves without anybody having done something: what it is, from where and to where. A
/// text of which the page had brought only the beginning grows where it stands, and has not moved.
const SHIFTS: &str = "
window.shifts = [];
const place = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(' ');
const middle = ({ y, height }) => y + height / 2;
const stays = ({ previousRect: was, currentRect: is }) =>
  was.x === is.x && Math.abs(middle(was) - middle(is)) < 1;
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    const moved = sources.map(({ node, previousRect, currentRect }) =>
      `${node?.className ?? node?.nodeName}: ${place(previousRect)} -> ${place(currentRect)}`);
    if (!hadRecentInput && !(sources[0] && sources.every(stays))) window.shifts.push([value, ...moved]);
  }
}).observe({ type: 'layout-shift', buffered: true });
";

/// A slot of a height of its own, with something below it and a place for the focus.
const SLOT: &str = r#"
document.body.innerHTML = `
  <button id="before">before</button>
  <clickmill-slot name="offers" height="120" max="3" currency="GBP">
    <p id="standing">From around the shop</p>
    <template>
      <h2 data-cm-text="{title}">For you</h2>
      <ul><li data-cm-each="items">
        <img data-cm-src="{image}" alt="">
        <a data-cm-href="{url}|/p/{sku}" data-cm-text="{name}|{sku}"></a>
        <b data-cm-text="{price_cents:cents}"></b>
      </li></ul>
    </template>
  </clickmill-slot>
  <clickmill-slot name="high"><p id="high">own</p><template><b data-cm-text="{title}"></b></template></clickmill-slot>
  <p id="below">below</p>`;
document.querySelector('#high').style.height = '200px';
window.say = (kind, more) => document.dispatchEvent(new CustomEvent('clickmill:hint', {
  detail: { id: 'clicks.0.1.0', kind, slot: 'offers', expires_at: Date.now() + 60000, ...more },
}));
window.offers = document.querySelector('clickmill-slot');
window.links = () => [...offers.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.textContent]);
"#;

/// What strangers may try: markup, scripts in addresses, names of what every object has.
const HOSTILE: &str = r#"
say('suggest', { content: { title: '<img src=x onerror="window.owned = 1">', items: [
  { sku: 'A 1', name: '<b>A</b>', url: 'javascript:window.owned=1', image: 'data:image/svg+xml,<svg/>', price_cents: 1250 },
  { sku: '../B', name: 'B', url: 'JaVaScRiPt:alert(1)', image: '/img/KET-1.svg', price_cents: 1200 },
  { sku: 'C', url: 'https://shop.example/c', constructor: 'x' },
  { sku: 'D', name: 'one too many' },
] } });
"#;

/// A slot that says of a product that it is there again, or how few of it are left.
const STOCK: &str = r#"
document.body.insertAdjacentHTML('afterbegin', `
  <clickmill-slot name="stock">
    <p>What there is</p>
    <template>
      <a data-cm-href="{product.url}" data-cm-text="Only {low} left of {product.name}|{product.name} is back"></a>
      <ul><li data-cm-each="items" data-cm-text="{sku}"></li></ul>
    </template>
  </clickmill-slot>`);
window.stock = document.querySelector('clickmill-slot[name=stock]');
window.said = () => stock.querySelector('a')?.textContent ?? '';
"#;

/// The one record of that type whose properties name a hint in that slot, once it is there.
async fn of_a_hint(world: &World, kind: &str, slot: &str) -> Value {
    until(&format!("a {kind} of a hint"), || async {
        let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
        let of_kind = records.iter().filter(|record| record.kind.as_str() == kind);
        of_kind
            .map(|record| serde_json::from_str::<Value>(record.props.as_str()).expect("properties"))
            .find(|props| props["hint"].is_string() && props["slot"] == slot)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_fills_its_slot_moves_nothing_and_tells_what_becomes_of_it() {
    let visit = Visit::builder().before_pages(SHIFTS).at("/p/KET-1").start().await;
    visit.run("document.querySelector('#q').focus({ preventScroll: true })").await;
    let filled = "clickmill-slot[data-cm-hint]";
    until("a hint in its slot", || async {
        visit.client.find(Locator::Css(filled)).await.ok().map(drop)
    })
    .await;
    let seen = visit
        .run(
            "const slot = document.querySelector('clickmill-slot[data-cm-hint]');
             slot.scrollIntoView({ block: 'center', behavior: 'instant' });
             return [slot.getAttribute('role'), slot.getAttribute('aria-label').length > 0,
               document.activeElement.id, slot.dataset.cmHint]",
        )
        .await;
    assert_eq!((&seen[0], &seen[1], &seen[2]), (&json!("region"), &json!(true), &json!("q")));
    of_a_hint(&visit.world, "exposure", "suggested").await;
    assert_eq!(visit.run("return shifts").await, json!([]), "nothing moved");

    let link = visit.client.find(Locator::Css("clickmill-slot[data-cm-hint] .slot a[href]")).await;
    let link = link.expect("a link in the hint");
    let props = link.attr("data-cm-props").await.expect("an attribute").expect("what is told");
    let props: Value = serde_json::from_str(&props).expect("properties");
    link.click().await.expect("a click");
    visit.arrives(&format!("/p/{}", props["sku"].as_str().expect("a product"))).await;
    let clicked = of_a_hint(&visit.world, "product_click", "suggested").await;
    assert_eq!(clicked, props);
    assert!(clicked["position"].is_u64(), "{clicked}");
    visit.world.books_balance().await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_wrote_is_text_and_addresses_and_no_more() {
    let visit = Visit::start().await;
    visit.run(SLOT).await;
    visit.run(HOSTILE).await;
    let links = visit.run("return links()").await;
    let safe =
        json!([["/p/A%201", "<b>A</b>"], ["/p/..%2FB", "B"], ["https://shop.example/c", "C"]]);
    assert_eq!(links, safe);
    let said = visit
        .run(
            "return [offers.querySelector('h2').textContent,
               [...offers.querySelectorAll('img')].map((img) => img.getAttribute('src')),
               [...offers.querySelectorAll('b')].map((b) => b.textContent), window.owned ?? null]",
        )
        .await;
    let text = r#"<img src=x onerror="window.owned = 1">"#;
    assert_eq!(said, json!([text, ["/img/KET-1.svg"], ["£12.50", "£12"], null]));
    visit.run("offers.toggleAttribute('same-origin', true); say('reset')").await;
    let other = HOSTILE.replace("say('suggest', {", "say('suggest', { id: 'clicks.0.2.0',");
    visit.run(&other).await;
    assert_eq!(visit.run("return links()[2]").await, json!(["/p/C", "C"]), "leads nowhere else");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_changes_around_who_is_in_it_and_empties_when_a_hint_no_longer_holds() {
    let visit = Visit::builder().before_pages(SHIFTS).start().await;
    visit.run(SLOT).await;
    visit.run("document.querySelector('#before').focus(); shifts.length = 0").await;
    let top = "return document.querySelector('#below').getBoundingClientRect().top";
    let before = visit.run(top).await;
    let suggest = |id: u32, skus: &str| {
        let items: Vec<_> = skus.chars().map(|sku| json!({ "sku": sku.to_string() })).collect();
        let content = json!({ "title": format!("Hint {id}"), "items": items });
        format!("say('suggest', {{ id: 'clicks.0.{id}.0', content: {content} }})")
    };
    visit
        .run("say('suggest', { id: 'clicks.0.9.0', slot: 'high', content: { title: 'Low' } })")
        .await;
    visit.run(&suggest(1, "AB")).await;
    assert_eq!(visit.run("return links().length").await, 2);
    assert_eq!(visit.run(top).await, before, "what is below stays where it was");
    let standing =
        "return document.querySelector('#standing').checkVisibility({ visibilityProperty: true })";
    assert_eq!(visit.run(standing).await, false);
    let status = "return document.querySelector('body > [role=status]').textContent";
    assert_eq!(visit.run(status).await, "Hint 1", "it is read out");

    // By keyboard into the hint; a new one waits until the focus has left.
    let focus = "return document.activeElement.textContent.trim()";
    visit.press(Key::Tab.into()).await;
    assert_eq!(visit.run(focus).await, "A");
    visit.run(&suggest(2, "CD")).await;
    assert_eq!(visit.run(focus).await, "A");
    // A product that is gone leaves at once; who was on it is still in the slot.
    visit.run("say('withdraw', { content: { skus: ['A'] } })").await;
    assert_eq!(visit.run("return document.activeElement === offers").await, true);
    visit.run("document.querySelector('#before').focus()").await;
    let shown = || async { visit.run("return links().map(([, name]) => name).join('')").await };
    until_enough("the hint that waited", shown, |shown| shown == "CD").await;

    // A reset takes nothing away that comes again with the snapshot.
    visit.run("say('reset')").await;
    visit.run(&suggest(2, "CD")).await;
    visit.run("setTimeout(() => (window.later = true), 1200)").await;
    until("more than the snapshot's patience", || async {
        (visit.run("return window.later === true").await == true).then_some(())
    })
    .await;
    assert_eq!(shown().await, "CD");
    visit.run("say('withdraw', { content: { hint: 'clicks.0.2.0' } })").await;
    assert_eq!((shown().await, visit.run(standing).await), (json!(""), json!(true)));

    let short = "say('suggest', { id: 'clicks.0.3.0', expires_at: Date.now() + 300,
                   content: { title: 'Brief', items: [{ sku: 'E' }] } })";
    visit.run(short).await;
    assert_eq!(shown().await, "E");
    until_enough("it is over", shown, |shown| shown == "").await;
    visit.run(&suggest(4, "F")).await;
    visit.run("say('reset')").await;
    until_enough("what does not come again", shown, |shown| shown == "").await;
    assert_eq!(visit.run(top).await, before);
    assert_eq!(visit.run("return shifts").await, json!([]), "nothing moved");

    // What does move is seen.
    visit.run("document.body.prepend(Object.assign(document.createElement('h1'), { textContent: 'x' }))").await;
    let moved = || async { visit.run("return shifts.length").await };
    until_enough("a shift", moved, |shifts| shifts.as_u64() > Some(0)).await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_low_or_is_back_fills_its_slot_and_tells_what_becomes_of_it() {
    let world = World::builder().relay("stock.low_at = 3");
    let visit = Visit::builder().world(world).at("/p/KET-4").start().await;
    visit.world.kafka.stock(&[("kettle", 0)]);
    visit.run(STOCK).await;
    let said = || async { visit.run("return said()").await };
    until_enough("how few are left", said, |said| {
        said == "Only 3 left of Clear Water glass kettle"
    })
    .await;
    let shown = visit
        .run("return [stock.getAttribute('aria-label'), stock.querySelector('li').textContent, stock.dataset.cmHint]")
        .await;
    assert_eq!((&shown[0], &shown[1]), (&json!("Clear Water glass kettle"), &json!("KET-4")));
    let exposed = of_a_hint(&visit.world, "exposure", "stock").await;
    assert!(exposed["hint"].as_str().is_some_and(|hint| !hint.starts_with("back.")), "{exposed}");

    visit
        .run("clickmill.track('back_in_stock_wanted', { sku: 'kettle' }); clickmill.flush()")
        .await;
    until("the relay knows who waits", || async {
        let records: Vec<Record> = visit.world.read(Topic::ClicksEnriched).await;
        records.iter().any(|record| record.kind.as_str() == "back_in_stock_wanted").then_some(())
    })
    .await;
    visit.world.kafka.levels().say("kettle", 7);
    until_enough("that it is back", said, |said| said == "Product kettle is back").await;
    let id = visit.run("return stock.dataset.cmHint").await;
    let link = visit.client.find(Locator::Css("clickmill-slot[name=stock] a")).await;
    link.expect("a link").click().await.expect("a click: nothing lies over it");
    visit.arrives("/p/kettle").await;
    let clicked = of_a_hint(&visit.world, "product_click", "stock").await;
    assert_eq!(clicked, json!({ "sku": "kettle", "hint": id, "slot": "stock" }));

    // It is taken back by its product, too.
    visit.go("").await;
    let another =
        STOCK.replace("name=\"stock\"", "name=\"there\"").replace("name=stock", "name=there");
    visit.run(&another).await;
    let say = |kind: &str, content: Value| {
        format!(
            "document.dispatchEvent(new CustomEvent('clickmill:hint', {{ detail: {{
               id: 'stock.0.1.0', kind: '{kind}', slot: 'there', content: {content} }} }}))"
        )
    };
    let low = json!({ "state": "low", "available": 2, "product": { "sku": "A", "name": "A", "url": "/p/A" } });
    visit.run(&say("stock", low)).await;
    assert_eq!(said().await, "Only 2 left of A");
    visit.run(&say("withdraw", json!({ "skus": ["A"] }))).await;
    assert_eq!(said().await, "");
    visit.close().await;
}

/// Whose clock is wrong sees the same hints, for as long as they hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_by_a_day_changes_no_hint() {
    for days in [-1, 1] {
        let skewed = format!(
            "const real = Date.now;
             Date.now = () => real() + {days} * 864e5;
             document.addEventListener('clickmill:hint', ({{ detail }}) => {{
               const left = detail.expires_at - Date.now();
               (window.left ??= []).push([left, detail.expires_at - detail.decided_at]);
             }});"
        );
        let visit = Visit::builder().before_pages(skewed).at("/p/KET-1").start().await;
        let left = || async { visit.run("return window.left?.[0] ?? []").await };
        let left = until_enough("a hint", left, |left| *left != json!([])).await;
        let (is, was) = (left[0].as_f64().expect("ms"), left[1].as_f64());
        // By a clock that is ahead or behind, it would be over or last for a day.
        assert!(is > 0.0 && is < 864e5 / 2.0, "{days}: {left}");
        assert!(was.is_some(), "{left}");
        visit.close().await;
    }
}
