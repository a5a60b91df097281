//! Customers log in and out in one browser: each is a visitor of their own.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::Engine;
use clickmill_tests::until::until;
use clickmill_tests::{Visit, World};

in_each_engine!(another_customer_in_one_browser_is_another_visitor);

/// The only record of a search for that, once it is there.
pub(crate) async fn search(world: &World, query: &str) -> Record {
    let said = format!("\"{query}\"");
    until(&format!("the search for {query}"), || async {
        let all: Vec<Record> = world.read(Topic::ClicksRaw).await;
        all.into_iter().find(|record| record.props.as_str().contains(&said))
    })
    .await
}

/// Does something in the page, then searches; who that was.
pub(crate) async fn who(
    visit: &Visit,
    call: &str,
    query: &str,
) -> (String, String, Option<String>) {
    let search_for = format!("{call}; clickmill.track('search', {{ query: '{query}' }});");
    visit.run(&format!("{search_for} clickmill.flush();")).await;
    let context = search(&visit.world, query).await.context;
    let visitor = context.visitor.expect("a visitor").as_str().to_owned();
    let session = context.session.expect("a visit").as_str().to_owned();
    (visitor, session, context.customer.map(|customer| customer.as_str().to_owned()))
}

/// Without what a stub sent: it knows no visitor, and sends where the core is long in coming, which a
/// slow machine's is.
pub(crate) fn of_visitors(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| record.context.visitor.is_some())
}

async fn another_customer_in_one_browser_is_another_visitor(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    let nobody = who(&visit, "", "before").await;
    assert_eq!(nobody.2, None);
    let ada = who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    assert_eq!(ada, (nobody.0.clone(), nobody.1.clone(), Some("ada".to_owned())));

    // The next page knows it, too; to hear it again changes nothing, and neither does what is no id.
    visit.go("/c/kettles").await;
    visit.has_core().await;
    assert_eq!(who(&visit, "", "ada again").await, ada);
    let said = "clickmill.identify('ada'); clickmill.identify('\\n'); clickmill.identify()";
    assert_eq!(who(&visit, said, "still ada").await, ada);

    let out = who(&visit, "clickmill.reset()", "out").await;
    assert_eq!(out.2, None);
    assert!(out.0 != ada.0 && out.1 != ada.1, "{out:?} {ada:?}");
    let bob = who(&visit, "clickmill.identify('bob')", "bob").await;
    assert_eq!(bob, (out.0, out.1, Some("bob".to_owned())));
    // Without a word of goodbye.
    let eve = who(&visit, "clickmill.identify('eve')", "eve").await;
    assert_eq!(eve.2.as_deref(), Some("eve"));
    assert!(eve.0 != bob.0 && eve.1 != bob.1, "{eve:?} {bob:?}");
    visit.go("").await;
    visit.has_core().await;
    assert_eq!(who(&visit, "", "eve again").await, eve, "the cookie is hers by now");

    let records = visit.world.read(Topic::ClicksRaw).await;
    let visitors: BTreeSet<_> =
        of_visitors(&records).map(|record| &record.context.visitor).collect();
    assert_eq!(visitors.len(), 3, "{visitors:?}");
    let left = records.iter().find(|record| record.kind.as_str() == "logout").expect("a log-out");
    let left = left.context.visitor.as_ref().map(|visitor| visitor.as_str());
    assert_eq!(left, Some(&*ada.0), "who logs out is who was there");
    visit.world.books_balance().await;
    visit.close().await;
}
