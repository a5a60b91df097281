//! A write key and a hint stream belong to the origins that the configuration names.

use clickmill_sdk_core::wire::ToJson;
use clickmill_tests::{Ask, Http, World};

const OURS: &str = "https://shop.test";

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_is_refused_and_ours_may_read_the_answer() {
    let world = World::builder().origins(r#"["https://shop.test"]"#).start().await;
    let (page, http) = (world.page(), Http::default());
    let token = page.token().await;
    let intake = format!("{}/v1/events?k={}", world.collector.url, world.write_key());
    let stream = format!("{}/v1/hints?token={token}", world.relay.url);

    for (origin, status) in [(OURS, 200), ("https://evil.test", 403), ("null", 403)] {
        let batch = page.batch(vec![page.views("a")]).to_json();
        let answer = http.ask(Ask::post(&intake, batch).header("origin", origin)).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, status, "{origin}: {}", answer.body);

        let opened = http.open(Ask::get(&stream).header("origin", origin)).await;
        let opened = opened.expect("an answer");
        assert_eq!(opened.status(), status, "the stream from {origin}");
        if origin == OURS {
            for headers in [&answer.headers, opened.headers()] {
                assert_eq!(headers["access-control-allow-origin"], OURS);
                assert_eq!(headers["access-control-allow-credentials"], "true");
            }
        }
    }
}
