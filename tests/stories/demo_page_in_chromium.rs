//! The demo's page in a real browser: clicks go out, suggestions come back and are shown.

use clickmill_tests::Visit;
use clickmill_tests::demo::click_through;

#[tokio::test(flavor = "multi_thread")]
async fn demo_page_in_chromium() {
    let visit = Visit::builder().at("/healthz").open().await;
    let count = click_through(&visit, &visit.addresses()).await;
    visit.close().await;
    println!("{count}");
    assert_eq!(count.missing(), Vec::<String>::new());
}
