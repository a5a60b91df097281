//! The demo's page in a real browser: clicks go out, suggestions come back and are shown.

use clickmill_tests::browser::Browser;
use clickmill_tests::demo::click_through;
use clickmill_tests::{World, service::Shop};

#[tokio::test(flavor = "multi_thread")]
async fn demo_page_in_chromium() {
    let world = World::start().await;
    let shop = Shop::start(&world).await;
    let browser = Browser::start().await;
    let count = click_through(&browser, &shop.addresses(&world)).await;
    browser.close().await;
    println!("{count}");
    assert_eq!(count.missing(), Vec::<String>::new());
}
