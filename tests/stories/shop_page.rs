//! The shop as a person meets it: with and without the SDK, by keyboard alone, at three widths,
//! under the eyes of an accessibility checker; and signed in, with what is for customers alone.

use clickmill_sdk_core::wire::{Customer, CustomerId, Record, Topic};
use clickmill_tests::browser::{Browser, Engine};
use clickmill_tests::service::{PROOF_KEY, Shop};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Folder, Visit, World};
use fantoccini::key::Key;
use serde_json::{Value, json};

/// Widths at which the shop has to look right, CSS pixels.
const WIDTHS: [u32; 3] = [360, 768, 1280];

in_each_engine!(no_page_has_a_serious_finding_of_the_accessibility_checker);

async fn no_page_has_a_serious_finding_of_the_accessibility_checker(engine: Engine) {
    // A check that cannot be made has not been passed.
    let axe = std::env::var("CLICKMILL_AXE").expect("axe-core: `cargo xtask test` brings it");
    let axe = std::fs::read_to_string(axe).expect("the checker's script");
    let (folder, browser) = (Folder::new("shop"), Browser::builder(engine).start().await);
    let shop = Shop::alone(&folder).await;
    let mut looked_at = 0;
    // The windows of the others are as wide as they are.
    let widths = if engine == Engine::Chromium { &WIDTHS[..] } else { &WIDTHS[2..] };
    for &width in widths {
        if engine == Engine::Chromium {
            browser.resize(width, 900).await;
        }
        for path in ["/", "/c/kettles", "/p/KET-1", "/search?q=a", "/basket", "/login", "/nowhere"]
        {
            browser.open(&format!("{}{path}", shop.url)).await;
            browser.run(&axe).await;
            let found = browser
                .later(
                    "const done = arguments[arguments.length - 1];
                     axe.run().then((r) => done({
                       passes: r.passes.length,
                       serious: r.violations
                         .filter((v) => v.impact === 'serious' || v.impact === 'critical')
                         .map((v) => v.id + ': ' + v.nodes.map((n) => n.target).join(', ')),
                     }))",
                )
                .await;
            assert!(found["passes"].as_u64() > Some(5), "the checker looked at {path}: {found}");
            assert_eq!(found["serious"], Value::Array(Vec::new()), "{path} at {width} px");
            let wide = browser.run("return document.documentElement.scrollWidth").await;
            assert!(wide.as_u64() <= Some(width.into()), "{path} is {wide} px wide at {width} px");
            looked_at += 1;
        }
    }
    assert_eq!(looked_at, 7 * widths.len());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_placed_by_keyboard_alone_and_without_the_sdk() {
    let (folder, browser) = (Folder::new("shop"), Browser::start().await);
    let shop = Shop::alone(&folder).await;
    browser.open(&format!("{}/p/KET-1", shop.url)).await;
    assert_eq!(browser.run("return typeof window.clickmill").await, "undefined");

    tab_to(&browser, "form[action='/basket/add'] button").await;
    browser.press(Key::Enter.into()).await;
    browser.arrives("/").await;
    browser.open(&format!("{}/checkout", shop.url)).await;
    for (field, text) in [("name", "Ada Example"), ("email", "ada@example.org")] {
        tab_to(&browser, &format!("[name={field}]")).await;
        browser.write(text).await;
    }
    fill_what_is_left(&browser).await;
    browser.press(Key::Enter.into()).await;
    browser.arrives("/thanks/").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_at_the_shop_is_proven_and_who_signs_out_takes_it_along() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/promotions");
    let (id, secret) = PROOF_KEY;
    let world = World::builder()
        .relay(format!("promotions.folder = {rules:?}\ncustomers.topic = true"))
        .set(|setup, _| {
            let key = format!(r#"{{ id = "{id}", secret = "{secret}" }}"#);
            setup.site = format!("proofs.keys = [{key}]");
        });
    let visit = Visit::builder().world(world).at("/login").start().await;
    tab_to(&visit, "[name=email]").await;
    visit.write("ada@example.com").await;
    visit.press(Key::Enter.into()).await;
    is_signed_in(&visit, true).await;
    offers(&visit, "Good that you are with us").await;

    // Her number is on the table, under which the collector found her proven; her address is not.
    let known = visit.world.kafka.records(Topic::Customers).await;
    let ada = &known.first().expect("what the shop knows of her").value;
    let ada: Customer = serde_json::from_str(ada).expect("a customer");
    assert_eq!((ada.segment.as_deref(), ada.orders), (Some("member"), 0));
    let signed_in = event(&visit.world, "identify").await;
    assert_eq!(signed_in.proven.as_ref(), Some(&ada.customer));
    assert!(!signed_in.props.as_str().contains("proof"), "{}", signed_in.props.as_str());

    visit.run("document.querySelector('form[action=\"/logout\"] button').click()").await;
    is_signed_in(&visit, false).await;
    let signed_out = event(&visit.world, "logout").await.context;
    assert_eq!(signed_out.visitor, signed_in.context.visitor, "who logs out is who was there");
    // Somebody else sees what is for everybody. So may she have, before the shop knew her: what the
    // page shows tells nothing until somebody else is there.
    let next = until("an event of somebody else", || async {
        visit.go("/p/COF-1").await;
        visit.has_core().await;
        let all = visit.world.read(Topic::ClicksRaw).await;
        all.into_iter().find_map(|record| {
            record.context.visitor.filter(|visitor| Some(visitor) != signed_out.visitor.as_ref())
        })
    })
    .await;
    offers(&visit, "Fresh from the bean").await;
    let records = visit.world.read(Topic::ClicksRaw).await;
    let of_next = |record: &&Record| record.context.visitor.as_ref() == Some(&next);
    let customers = records
        .iter()
        .filter(of_next)
        .filter_map(|record| record.context.customer.as_ref().or(record.proven.as_ref()));
    assert_eq!(customers.collect::<Vec<_>>(), Vec::<&CustomerId>::new());
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_to_a_department_is_shown_what_others_look_at_there() {
    let visit = Visit::builder().at("/healthz").open().await;
    for sku in ["KET-4", "KET-4", "COF-1", "COF-1", "COF-1"] {
        let other = visit.world.page();
        assert_eq!(other.send(vec![other.views(sku)]).await.accepted, 1);
    }
    visit.world.enriched(5).await;
    visit.go("/c/kettles").await;
    // The first product, and why it is shown.
    const SHOWN: &str = "
        const slot = document.querySelector('clickmill-slot[name=suggested][data-cm-hint] > :not([data-cm-away])');
        return [slot?.querySelector('a[href]')?.getAttribute('href'), slot?.querySelector('.why')?.textContent]";
    let of_department = json!(["/p/KET-4", "looked at most in this department"]);
    until_enough("what is looked at", || visit.run(SHOWN), |shown| *shown == of_department).await;

    let listed = event(&visit.world, "list_view").await;
    let listed: Value = serde_json::from_str(listed.props.as_str()).expect("its properties");
    let cards = "return [...document.querySelectorAll('.department [data-cm-props]')]
                   .map((card) => JSON.parse(card.dataset.cmProps).sku)";
    let expected =
        json!({ "list": "department", "category": "kettles", "skus": visit.run(cards).await });
    assert_eq!(listed, expected);
    visit.close().await;
}

/// Waits for a page of somebody who is signed in, or is not.
async fn is_signed_in(visit: &Visit, expected: bool) {
    const SHOWN: &str = "
        return document.readyState === 'complete'
            ? !!document.querySelector('form[action=\"/logout\"]') : null";
    until("the page after a log-in or a log-out", || async {
        // While one page gives way to another there is none to ask.
        let said = visit.client.execute(SHOWN, Vec::new()).await.ok()?;
        (said == expected).then_some(())
    })
    .await;
}

/// Looks at a coffee machine until the offer beside it has this title.
async fn offers(visit: &Visit, title: &str) {
    const SHOWN: &str = "
        const shown = 'clickmill-slot[name=offer][data-cm-hint] > :not([data-cm-away]) .offer-title';
        return document.querySelector(shown)?.textContent ?? null";
    until(title, || async {
        visit.go("/p/COF-1").await;
        visit.has_core().await;
        (visit.run(SHOWN).await == title).then_some(())
    })
    .await;
}

/// The only event of a type, once it is there.
async fn event(world: &World, kind: &str) -> Record {
    until(kind, || async {
        let all: Vec<Record> = world.read(Topic::ClicksRaw).await;
        all.into_iter().find(|record| record.kind.as_str() == kind)
    })
    .await
}

/// Presses Tab until the focus is there; every step on the way must be visible.
async fn tab_to(browser: &Browser, selector: &str) {
    let there = format!("return document.activeElement?.matches(\"{selector}\") ?? false");
    for _ in 0..150 {
        if browser.run(&there).await == true {
            return;
        }
        browser.press(Key::Tab.into()).await;
    }
    panic!("Tab never reaches {selector}");
}

/// Writes into the required fields that are still empty, by keyboard.
async fn fill_what_is_left(browser: &Browser) {
    let empty = "const field = [...document.querySelectorAll('main [required]')]
                   .find((field) => !field.value);
                 return field ? field.name : null";
    while let Some(name) = browser.run(empty).await.as_str().map(str::to_owned) {
        tab_to(browser, &format!("[name={name}]")).await;
        browser.write("SW1A 1AA").await;
    }
}
