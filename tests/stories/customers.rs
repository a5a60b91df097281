//! Who is believed to be which customer, and what that opens: nothing for a claim.

use std::collections::HashMap;

use clickmill_sdk_core::wire::{Claim, CustomerId, Doubt, Event, Record, Topic};
use clickmill_tests::child::Program;
use clickmill_tests::page::now;
use clickmill_tests::proof::Backend;
use clickmill_tests::service::SERVER_KEY;
use clickmill_tests::until::until;
use clickmill_tests::{Ask, Http, Page, TENANT, World};
use serde_json::{Value, json};

const SECRET: &str = "what the shop and the collector share";
const BACKEND: Backend<'static> = Backend { key: "1", secret: SECRET, tenant: TENANT };

/// With the key that is to be given up.
const OLDER: Backend<'static> = Backend { key: "0", secret: "an older one of 16 bytes", ..BACKEND };

const RULES: &str = r#"
tenant = "shop"
[[rule]]
name = "for-gold"
slot = "banner"
when = "product.sku == 'kettle'"
audience = "customer.segment == 'gold' && customer.orders >= 3 && customer.days_since_order < 30"
caps = { visit = 100 }
content = { title = "For you alone" }
"#;

/// A shop that knows the customer `ada`: gold, and a toaster was ordered on some other device.
async fn shop() -> World {
    let world = World::builder();
    let folder = world.folder().path().join("rules");
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    std::fs::write(folder.join("shop.toml"), RULES).expect("a file of our own");
    let world = world
        .relay(format!("promotions = {{ folder = {folder:?} }}\ncustomers = {{ topic = true }}"))
        .set(|setup, _| {
            let keys = [OLDER, BACKEND].map(written).join(", ");
            setup.site = format!("proofs = {{ keys = [{keys}], lifetime_max = \"10m\" }}");
        })
        .start()
        .await;
    world.kafka.stock(&["kettle", "toaster", "mixer", "oven"].map(|sku| (sku, 50)));
    let ada = json!({
        "customer": "ada", "segment": "gold", "orders": 3, "spent_cents": 5_000,
        "last_order_at": now().0, "bought": [{ "sku": "toaster", "at": now().0 }],
    });
    let record = (format!("{TENANT}:ada"), Some(ada.to_string()));
    world.kafka.put(Topic::Customers.as_str(), &[record]);
    let before = world.page();
    let looks = ["kettle", "toaster", "mixer", "oven"].map(|sku| before.views(sku));
    assert_eq!(before.send(looks.to_vec()).await.accepted, 4);
    knows(&world, &before, "oven").await;
    // Somebody who is proven sees that the relay has read of ada; from now on nobody else has reason to
    // see less.
    let first = page(&world);
    let proof = BACKEND.proof("ada", &first.visitor(), now());
    let sent = vec![identify(&first, Some(&proof)), first.views("mixer")];
    assert_eq!(first.send(sent).await.accepted, 2);
    knows(&world, &first, "mixer").await;
    until("the relay knows ada", || async {
        let (titles, _) = page_about_the_kettle(&world, &first).await;
        (titles == ["For you alone"]).then_some(())
    })
    .await;
    world
}

/// A backend's key as a collector is told of it.
fn written(backend: Backend<'_>) -> String {
    format!(r#"{{ id = "{}", secret = "{}" }}"#, backend.key, backend.secret)
}

/// What the relay remembers of a visitor, once the product seen last is this one.
async fn knows(world: &World, page: &Page, sku: &str) -> Value {
    until(&format!("the relay has seen the look at {sku}"), || async {
        let ask = Ask::get(format!("{}/v1/visitors/{}", world.relay.url, page.visitor()));
        let ask = ask.header("authorization", &format!("Bearer {SERVER_KEY}"));
        let answer = Http::default().ask(ask).await.ok()?;
        let told: Value = serde_json::from_str(&answer.body).ok()?;
        (told["state"]["seen"][0]["sku"] == sku).then(|| told["state"].clone())
    })
    .await
}

/// What a server that renders a page about the kettle is told to show: the titles of promotions, and
/// the products that are suggested.
async fn page_about_the_kettle(world: &World, page: &Page) -> (Vec<String>, Vec<String>) {
    let slots = json!(["banner", "suggested"]);
    let body = json!({ "visitor": page.visitor().as_str(), "slots": slots, "sku": "kettle" });
    let told = until("a decision", || async {
        let ask = Ask::post(format!("{}/v1/decide", world.relay.url), body.to_string());
        let ask = ask.header("authorization", &format!("Bearer {SERVER_KEY}"));
        let answer = Http::default().ask(ask).await.ok()?;
        (answer.status == 200).then(|| serde_json::from_str::<Value>(&answer.body).expect("JSON"))
    })
    .await;
    let of = |slot: &str| -> Vec<Value> {
        let hints = told["hints"].as_array().expect("hints").iter();
        hints.filter(|hint| hint["data"]["slot"] == slot).cloned().collect()
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let titles = of("banner").iter().map(|hint| text(&hint["data"]["content"]["title"])).collect();
    let suggested = of("suggested");
    let items = suggested
        .iter()
        .flat_map(|hint| hint["data"]["content"]["items"].as_array().expect("a list of products"));
    (titles, items.map(|item| text(&item["sku"])).collect())
}

fn identify(page: &Page, proof: Option<&str>) -> Event {
    let mut props = json!({ "customer": "ada" });
    if let Some(proof) = proof {
        props["proof"] = json!(proof);
    }
    page.event("identify", &props.to_string())
}

/// A visitor whose pages say that they are ada.
fn page(world: &World) -> Page {
    let mut page = world.page();
    page.context.customer = CustomerId::parse("ada").ok();
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_identify_gets_nothing() {
    let world = shop().await;
    let strangers = Backend { secret: "what somebody thought of", ..BACKEND };
    let others = world.page();
    let visitors = [(); 5].map(|()| page(&world));
    let [_, forged, stolen, anothers, old] = visitors.each_ref().map(Page::visitor);
    let cases = [
        (Doubt::Missing, None),
        (Doubt::Forged, Some(strangers.proof("ada", &forged, now()))),
        (Doubt::Forged, Some(BACKEND.proof("ada", &others.visitor(), now()))),
        (Doubt::Forged, Some(BACKEND.proof("bob", &anothers, now()))),
        (Doubt::Expired, Some(BACKEND.proof_until("ada", &old, now().0 / 1_000 - 1))),
    ];
    assert_ne!(stolen, others.visitor());
    for (page, (why, proof)) in visitors.iter().zip(cases) {
        let sent = vec![identify(page, proof.as_deref()), page.views("kettle")];
        let receipt = page.send(sent).await;
        assert_eq!((receipt.accepted, receipt.claims), (2, vec![Claim { index: 0, why }]));
        assert_eq!(knows(&world, page, "kettle").await["customer"], Value::Null, "{why:?}");
        let (titles, suggested) = page_about_the_kettle(&world, page).await;
        assert_eq!(titles, Vec::<String>::new(), "{why:?}");
        assert!(suggested.contains(&"toaster".to_owned()), "{why:?}: {suggested:?}");
    }
    let claims = world.collector.metric("clickmill_collector_identifies_total").await;
    assert_eq!(claims, 6.0, "and one was proven");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_customer_gets_what_is_theirs_until_they_log_out() {
    let world = shop().await;
    let page = page(&world);
    let proof = BACKEND.proof("ada", &page.visitor(), now());
    let sent = vec![identify(&page, Some(&proof)), page.views("kettle")];
    let receipt = page.send(sent).await;
    assert_eq!((receipt.accepted, receipt.claims), (2, vec![]));
    assert_eq!(knows(&world, &page, "kettle").await["customer"]["id"], "ada");
    let (titles, suggested) = page_about_the_kettle(&world, &page).await;
    assert_eq!(titles, ["For you alone"]);
    assert!(!suggested.is_empty() && !suggested.contains(&"toaster".to_owned()), "{suggested:?}");

    // The proof ended at the collector: nobody reads it in Kafka.
    let mac = proof.rsplit('.').next().expect("a signature");
    for record in world.kafka.records(Topic::ClicksRaw).await {
        assert!(!record.value.contains(mac), "{}", record.value);
    }

    let mut out = page;
    let gone = vec![out.event("logout", "{}"), out.views("mixer"), out.views("kettle")];
    assert_eq!(out.send(gone).await.accepted, 3);
    out.context.customer = None;
    let known = until("the log-out is known", || async {
        let known = knows(&world, &out, "kettle").await;
        (known["seen"].as_array().is_some_and(|seen| seen.len() == 2)).then_some(known)
    })
    .await;
    assert_eq!(known["customer"], Value::Null);
    let (titles, suggested) = page_about_the_kettle(&world, &out).await;
    assert!(suggested.contains(&"toaster".to_owned()), "{suggested:?}");
    assert_eq!(titles, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_proofs_are_replaced_without_anybody_being_a_stranger() {
    let world = shop().await;
    // Both keys are known while the site's servers change over.
    for backend in [OLDER, BACKEND] {
        let page = page(&world);
        let proof = backend.proof("ada", &page.visitor(), now());
        let receipt = page.send(vec![identify(&page, Some(&proof)), page.views("kettle")]).await;
        assert_eq!((receipt.accepted, receipt.claims), (2, vec![]), "key {}", backend.key);
        assert_eq!(knows(&world, &page, "kettle").await["customer"]["id"], "ada");
    }

    world.collector.reconfigure(|text| {
        let without = text.replace(&format!("{}, ", written(OLDER)), "");
        assert_ne!(without, text, "the older key was there");
        without
    });
    world.collector.hang_up();
    until("the older key is gone", || async {
        let page = page(&world);
        let proof = OLDER.proof("ada", &page.visitor(), now());
        let receipt = page.send(vec![identify(&page, Some(&proof)), page.views("kettle")]).await;
        // Its events are as good as anybody's: what is gone is what they would have proven.
        assert_eq!(receipt.accepted, 2, "{receipt:?}");
        if receipt.claims.is_empty() {
            return None;
        }
        assert_eq!(receipt.claims, [Claim { index: 0, why: Doubt::UnknownKey }]);
        assert_eq!(knows(&world, &page, "kettle").await["customer"], Value::Null);
        Some(())
    })
    .await;
    let refused = r#"clickmill_collector_identifies_total{standing="unknown_key""#;
    assert_eq!(world.collector.metric(refused).await, 1.0);
    // Whoever was proven by it still is, and the key that stays proves as before.
    let page = page(&world);
    let proof = BACKEND.proof("ada", &page.visitor(), now());
    let receipt = page.send(vec![identify(&page, Some(&proof)), page.views("kettle")]).await;
    assert_eq!((receipt.accepted, receipt.claims), (2, vec![]));
    assert_eq!(knows(&world, &page, "kettle").await["customer"]["id"], "ada");
}

/// The example of a native client, which finds no collector at first.
#[tokio::test(flavor = "multi_thread")]
async fn a_native_client_delivers_once_the_collector_is_there_and_proves_its_customer() {
    let mut world = shop().await;
    world.collector.kill();
    let arguments = HashMap::from([
        ("--collector", world.collector.url.trim_start_matches("http://").to_owned()),
        ("--write-key", world.write_key().to_owned()),
        ("--tenant", TENANT.to_owned()),
        ("--customer", "ada".to_owned()),
        ("--proof-key", format!("{}:{SECRET}", BACKEND.key)),
    ]);
    let log = world.folder().path().join("native_client.log");
    let mut client = Program::spawn("examples/native_client", &arguments, &log, None);
    until("the client has tried in vain", || async {
        client.log().contains("not delivered").then_some(())
    })
    .await;
    world.collector.restart().await;
    world.collector.is_ready().await;
    assert!(client.ended().await.success(), "{}", client.log());

    let log = client.log();
    let mut told: Vec<(String, String)> = Vec::new();
    for line in log.lines().filter(|line| !line.starts_with("not delivered")) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [id, kind, "accepted" | "duplicate"] = words.as_slice() {
            told.push(((*id).to_owned(), (*kind).to_owned()));
        }
    }
    let kinds: Vec<&str> = told.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["search", "identify", "product_view", "basket_add"], "{log}");
    assert!(log.contains("4 events made, 4 settled"), "{log}");

    let of_the_client = |record: &Record| {
        record.context.page.as_ref().is_some_and(|page| page.url.starts_with("app://"))
    };
    let mut records = world.read(Topic::ClicksRaw).await;
    records.retain(of_the_client);
    let lain: Vec<_> = records.iter().map(|record| record.id.to_string()).collect();
    let ids: Vec<String> = told.into_iter().map(|(id, _)| id).collect();
    assert_eq!(lain, ids, "each once, in order");
    let proven = records.iter().map(|record| record.proven.as_ref().map(CustomerId::as_str));
    assert_eq!(proven.collect::<Vec<_>>(), [None, Some("ada"), None, None]);
    assert!(records.iter().all(|record| record.version.is_some()), "schemas judged them");
}
