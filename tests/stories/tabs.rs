//! Several tabs of one site: one visitor, and a queue for each tab.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::Visit;
use clickmill_tests::browser::Engine;
use clickmill_tests::until::until;

use crate::before_the_core::{click_product, each_is_there_once};

in_each_engine!(two_tabs_are_one_visitor_with_two_queues);

async fn two_tabs_are_one_visitor_with_two_queues(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;

    visit.new_tab().await;
    visit.go("").await;
    until("two queues", || async { (visit.queues().await == 2).then_some(()) }).await;
    click_product(&visit).await;
    each_is_there_once(
        &visit.world,
        &[("page_view", 3), ("product_click", 1), ("product_view", 1)],
    )
    .await;

    let records = visit.world.read(Topic::ClicksRaw).await;
    let visitors: BTreeSet<_> = records.iter().map(|record| &record.context.visitor).collect();
    let queues: BTreeSet<_> = records.iter().map(|record| &record.queue).collect();
    assert_eq!((visitors.len(), queues.len()), (1, 2), "{visitors:?} {queues:?}");
    visit.close().await;
}
