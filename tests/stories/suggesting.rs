//! Which model fills a slot when, and what no slot ever shows.

use clickmill_sdk_core::wire::{Event, Hint, HintKind};
use clickmill_tests::page::now;
use clickmill_tests::screen::Screen;
use clickmill_tests::{Page, Stream, World};
use tokio::time::Instant;

use crate::{PATIENCE, skus};

const PRODUCTS: [(&str, i64); 6] =
    [("kettle", 5), ("filter", 5), ("toaster", 5), ("mixer", 5), ("oven", 5), ("hob", 5)];

/// An order of one piece of each.
fn order(page: &Page, number: &str, skus: &[&str]) -> Event {
    let line = |sku: &&str| format!(r#"{{"sku":"{sku}","price_cents":100}}"#);
    let lines = skus.iter().map(line).collect::<Vec<_>>().join(",");
    let props =
        format!(r#"{{"order":"{number}","lines":[{lines}],"total_cents":100,"currency":"EUR"}}"#);
    page.event("order", &props)
}

fn takes(page: &Page, sku: &str) -> Event {
    page.event("basket_add", &format!(r#"{{"sku":"{sku}"}}"#))
}

/// Sends an event, and gives back the hint that answers it.
async fn answer(page: &Page, stream: &mut Stream, event: Event) -> Hint {
    let id = event.id;
    assert_eq!(page.send(vec![event]).await.accepted, 1);
    loop {
        let (hint, _) = stream.hint(PATIENCE).await.expect("the answer to an event");
        if hint.cause.map(|cause| cause.event) == Some(id) {
            return hint;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_basket_comes_once_something_is_in_it_also_after_a_restart() {
    let mut world = World::start().await;
    world.kafka.stock(&PRODUCTS);
    for number in ["1", "2"] {
        let buyer = world.page();
        let sent = vec![
            buyer.views("kettle"),
            buyer.views("toaster"),
            order(&buyer, number, &["kettle", "filter"]),
        ];
        assert_eq!(buyer.send(sent).await.accepted, 3);
    }
    world.enriched(6).await;

    let page = world.page();
    let mut stream = page.listen().await;
    let looks = answer(&page, &mut stream, page.views("kettle")).await;
    assert_eq!((looks.why.model.as_str(), &skus(&looks)[0][..]), ("nearest_visits", "toaster"));
    assert_eq!(
        (looks.why.support, looks.why.inputs.as_slice()),
        (Some(2), &["kettle".to_owned()][..])
    );

    let taken = answer(&page, &mut stream, takes(&page, "kettle")).await;
    assert_eq!(
        (taken.why.model.as_str(), skus(&taken)),
        ("bought_together", vec!["filter".into()])
    );
    assert_eq!(taken.why.support, Some(2));
    assert!(taken.content.as_str().starts_with(r#"{"title":"Goes well with it""#));

    // A relay that starts has learned of the orders before, and knows what was ordered.
    let ordered = answer(&page, &mut stream, order(&page, "3", &["kettle", "toaster"])).await;
    assert_eq!(
        (ordered.why.model.as_str(), skus(&ordered)),
        ("bought_together", vec!["filter".into()])
    );
    assert!(world.relay.stop().await.success());
    world.restart_relay().await;
    let other = world.page();
    let mut others = other.listen().await;
    let taken = answer(&other, &mut others, takes(&other, "kettle")).await;
    assert_eq!((taken.why.model.as_str(), &skus(&taken)[0][..]), ("bought_together", "filter"));
    assert_eq!(taken.why.support, Some(2));
    let mut stream = page.listen().await;
    let next = answer(&page, &mut stream, takes(&page, "filter")).await;
    assert!(next.why.model != "bought_together", "the rest of its orders was ordered: {next:?}");
    for shown in skus(&next) {
        assert!(!["kettle", "toaster", "filter"].contains(&&*shown), "{next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_finds_what_was_seen_and_who_is_new_what_others_look_at() {
    let settings = r#"
        [suggest.languages.de]
        nearest_visits = "Oft zusammen angesehen"
        bought_together = "Passt dazu"
        recently_viewed = "Zuletzt angesehen"
        category_popular = "Beliebt daneben"
        shop_popular = "Gerade beliebt"
    "#;
    let world = World::builder().relay(settings).start().await;
    world.kafka.stock(&PRODUCTS);
    let mut page = world.page();
    let mut stream = page.listen().await;
    for sku in ["oven", "hob"] {
        answer(&page, &mut stream, page.views(sku)).await;
    }
    page.context.locale = Some("de-AT".to_owned());
    let home = page.event("page_view", r#"{"kind":"home"}"#);
    let back = answer(&page, &mut stream, home).await;
    assert_eq!(
        (back.why.model.as_str(), skus(&back)),
        ("recently_viewed", vec!["hob".into(), "oven".into()])
    );
    assert!(back.content.as_str().starts_with(r#"{"title":"Zuletzt angesehen""#));

    let new = world.page();
    let mut stream = new.listen().await;
    let popular = answer(&new, &mut stream, new.event("page_view", r#"{"kind":"home"}"#)).await;
    assert_eq!(popular.why.model, "shop_popular");
    let mut shown = skus(&popular);
    shown.sort();
    assert_eq!(shown, ["hob", "oven"]);
    assert!(popular.content.as_str().starts_with(r#"{"title":"Popular right now""#));
    // Whoever comes to a list of a category sees what is looked at in that.
    let new = world.page();
    let mut stream = new.listen().await;
    let list = new.event("list_view", r#"{"list":"all things","category":"things"}"#);
    let popular = answer(&new, &mut stream, list).await;
    assert_eq!(
        (popular.why.model.as_str(), &popular.why.inputs[..]),
        ("category_popular", &[][..])
    );
    let mut shown = skus(&popular);
    shown.truncate(2);
    shown.sort();
    assert_eq!(shown, ["hob", "oven"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_relay_suggests_from_the_visits_of_all() {
    let (world, _second) = World::builder().two_relays(&PRODUCTS).await;
    // The visitor is decided by one of them.
    let first = world.page();
    assert_eq!(first.send(vec![first.views("kettle"), first.views("toaster")]).await.accepted, 2);

    // So many that each relay decides for some.
    for page in (0..16).map(|_| world.page()) {
        let mut stream = page.listen().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let hint = answer(&page, &mut stream, page.views("kettle")).await;
            if hint.why.model == "nearest_visits" {
                assert_eq!((&skus(&hint)[0][..], hint.why.support), ("toaster", Some(1)));
                break;
            }
            assert!(Instant::now() < deadline, "not learned of the other relay's: {hint:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_into_the_basket_is_shown_no_more() {
    let world = World::start().await;
    world.kafka.stock(&[("kettle", 5), ("toaster", 5)]);
    let page = world.page();
    let (mut stream, mut screen) = (page.listen().await, Screen::default());
    let shown = answer(&page, &mut stream, page.views("kettle")).await;
    assert_eq!(skus(&shown), ["toaster"]);
    screen.take(&shown, now());
    // There is nothing else to be suggested: what is shown is taken back.
    let gone = answer(&page, &mut stream, takes(&page, "toaster")).await;
    assert_eq!((gone.kind, gone.why.model.as_str()), (HintKind::Withdraw, "in_basket"));
    screen.take(&gone, now());
    assert!(screen.slots.is_empty(), "{screen:?}");
    assert_eq!(screen.withdrawn, [shown.id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_is_taken_back_and_suggested_no_more() {
    let world = World::start().await;
    world.kafka.stock(&[("kettle", 5), ("toaster", 5), ("mixer", 5)]);
    let page = world.page();
    let (mut stream, mut screen) = (page.listen().await, Screen::default());
    let shown = answer(&page, &mut stream, page.views("kettle")).await;
    let mut both = skus(&shown);
    both.sort();
    assert_eq!(both, ["mixer", "toaster"]);
    screen.take(&shown, now());

    // Neither of them went through the basket of this device.
    let gone = answer(&page, &mut stream, order(&page, "1", &["toaster", "mixer"])).await;
    assert_eq!((gone.kind, gone.why.model.as_str()), (HintKind::Withdraw, "ordered"));
    screen.take(&gone, now());
    assert!(screen.slots.is_empty(), "{screen:?}");
    assert_eq!(screen.withdrawn, [shown.id.to_string()]);

    // Once there is something else it is suggested, and nothing of what was ordered.
    world.kafka.stock(&[("oven", 5)]);
    let other = world.page();
    let mut others = other.listen().await;
    let deadline = Instant::now() + PATIENCE;
    while !skus(&answer(&other, &mut others, other.views("kettle")).await).contains(&"oven".into())
    {
        assert!(Instant::now() < deadline, "the oven is on sale");
    }
    assert_eq!(skus(&answer(&page, &mut stream, page.views("kettle")).await), ["oven"]);
}
