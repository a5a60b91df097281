//! The demo's page in a real browser: clicks go out, suggestions and an offer come back and are shown.

use clickmill_tests::demo::click_through;
use clickmill_tests::{Visit, World};

#[tokio::test(flavor = "multi_thread")]
async fn demo_page_in_chromium() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/promotions");
    let world = World::builder().relay(format!("promotions.folder = {rules:?}"));
    let visit = Visit::builder().world(world).at("/healthz").open().await;
    let count = click_through(&visit, &visit.addresses()).await;
    visit.close().await;
    println!("{count}");
    assert_eq!(count.missing(), Vec::<String>::new());
}
