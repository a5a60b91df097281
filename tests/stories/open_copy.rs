//! The open copy of enriched clicks: what anybody may read.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::until::until_enough;
use clickmill_tests::{TENANT, World};

/// The folder of the shop's own schemas, in which notes on wish lists are personal.
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/contracts/schemas");

/// Settings with which a relay makes open copies.
pub(crate) fn open_copies() -> String {
    format!(
        "[open]\nfolders = [{SCHEMAS:?}]\n\
         keys = [{{ tenant = {TENANT:?}, secret = \"the pseudonyms of stories\" }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_in_the_open_copy_and_every_click_is_once() {
    const NOTE: &str = "for aunt Emma's birthday";
    const VISITORS: usize = 12;
    let mut world = World::builder().relay(open_copies()).start().await;
    let pages: Vec<_> = (0..VISITORS).map(|_| world.page()).collect();
    for round in 0..6 {
        for page in &pages {
            let props = format!(r#"{{"sku":"KET-1","list":"gifts","note":"{NOTE}"}}"#);
            let wishes = page.event("wishlist_add", &props);
            assert_eq!(page.send(vec![page.views("mug"), wishes]).await.accepted, 2);
        }
        // Killed while it works.
        if round % 3 == 1 {
            world.relay.kill();
            world.restart_relay().await;
        }
    }
    let wanted = 6 * 2 * VISITORS;
    assert_eq!(world.enriched(wanted).await.len(), wanted);
    let open = async || world.kafka.records(Topic::ClicksOpen).await;
    let open = until_enough("open copies", open, |open| open.len() >= wanted).await;
    let ids: BTreeSet<_> = open.iter().map(|record| &record.headers["ce_id"]).collect();
    assert_eq!((open.len(), ids.len()), (wanted, wanted), "each click once");

    let personal = world.kafka.records(Topic::ClicksEnriched).await;
    assert!(personal.iter().any(|record| record.value.contains(NOTE)), "it is there to be masked");
    let mut pseudonyms = BTreeSet::new();
    for copy in &open {
        let all = format!("{:?} {} {:?}", copy.key, copy.value, copy.headers);
        for page in &pages {
            assert!(!all.contains(page.visitor().as_str()), "{all}");
        }
        assert!(!all.contains("Emma"), "{all}");
        let record: Record = serde_json::from_str(&copy.value).expect("a record");
        assert_eq!(record.key(), copy.key);
        assert!(record.props.as_str().contains("sku"), "what is not personal stays: {all}");
        pseudonyms.insert(copy.key.clone());
    }
    assert_eq!(pseudonyms.len(), VISITORS);
}
