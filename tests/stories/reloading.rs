//! What an operator changes while a collector runs costs no connection and no event; what is no good
//! changes nothing.

use std::fs;

use clickmill_sdk_core::wire::{Event, Outcome, SiteConfig};
use clickmill_tests::certificate::{Certificate, CertificateFiles};
use clickmill_tests::until::until;
use clickmill_tests::{Ask, Crowd, Edge, Http, Page, Tunnel, World};

/// Enough events that every visitor is under way.
const SOME: usize = 500;

/// A second site, whose key comes and goes.
const SECOND_SITE: &str = "[[sites]]\nwrite_key = \"wk-second\"\ntenant = \"shop\"\n";

const RELOADED: &str = "configuration reloaded";
const REFUSED: &str = "configuration not reloaded";

/// The lines of the collector's log that hold this.
fn said(edge: &Edge, what: &str) -> Vec<String> {
    let log = edge.collector.log();
    log.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
}

/// Sends SIGHUP; the line of the log that answers it.
async fn hang_up(edge: &Edge, answer: &str) -> String {
    let before = said(edge, answer).len();
    edge.collector.hang_up();
    until(answer, || async { said(edge, answer).get(before..)?.last().cloned() }).await
}

/// The status with which a batch of nothing is answered under this key.
async fn knocks(edge: &Edge, key: &str) -> u16 {
    let page = Page::new((&edge.collector.url, ""), key);
    let batch = clickmill_sdk_core::wire::ToJson::to_json(&page.batch(Vec::<Event>::new()));
    page.post(batch).await.expect("an answer").status.as_u16()
}

/// Which schema refuses a wish for nothing.
async fn judge_of_wishes(edge: &Edge) -> Option<String> {
    let page = Page::new((&edge.collector.url, ""), edge.write_key());
    let receipt = page.send(vec![page.event("wish", "{}")]).await;
    match &receipt.verdicts.first()?.outcome {
        Outcome::Rejected(rejection) => rejection.schema.clone(),
        _ => None,
    }
}

async fn batch_events_max(edge: &Edge) -> u32 {
    let url = format!("{}/v1/config?k={}", edge.collector.url, edge.write_key());
    let told = Http::default().ask(Ask::get(url)).await.expect("an answer").body;
    SiteConfig::read(&told).expect("the site's settings").limits.batch_events_max
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_drops_no_connection_and_loses_no_event() {
    let (old, new, other) = (Certificate::new(), Certificate::new(), Certificate::new());
    let mut files = None;
    let builder = World::builder().set(|setup, folder| {
        let held = CertificateFiles::new(folder.path(), &old);
        let schemas = folder.path().join("schemas");
        fs::create_dir_all(schemas.join("wish")).expect("a folder of our own");
        setup.settings = format!("{}limits.batch_events_max = 60\n", held.setting());
        setup.schemas = Some(schemas.clone());
        files = Some((held, schemas.join("wish")));
    });
    let (files, wishes) = files.expect("files");
    let schema = |version: u32, text: &str| {
        fs::write(wishes.join(format!("{version}.json")), text).expect("a file of our own");
    };
    let requiring = |property: &str| format!(r#"{{"type":"object","required":["{property}"]}}"#);
    schema(1, &requiring("a"));

    let mut edge = builder.edge().await;
    let tunnel = Tunnel::to(&edge.collector.url, &[&old, &new, &other]).await;
    edge.collector.url.clone_from(&tunnel.url);
    let load = Crowd::default().visit(&edge);
    load.settles(SOME).await;
    assert_eq!((knocks(&edge, "wk-second").await, batch_events_max(&edge).await), (401, 60));
    assert_eq!(judge_of_wishes(&edge).await.as_deref(), Some("wish/1"));
    assert_eq!(tunnel.shown().await, old.der);

    // A key, a limit, a schema and a certificate at once; and what needs a restart is named.
    edge.collector.reconfigure(|text| {
        let text = text.replace("batch_events_max = 60", "batch_events_max = 50");
        let secret = "kafka.security.sasl_password = \"another\"\n";
        format!("{secret}{text}{SECOND_SITE}")
    });
    schema(2, &requiring("b"));
    files.hold(&new);
    let line = hang_up(&edge, RELOADED).await;
    until("all is in force", || async {
        let keys = (knocks(&edge, "wk-second").await, batch_events_max(&edge).await);
        let wish = judge_of_wishes(&edge).await;
        let new = tunnel.shown().await == new.der;
        (keys == (200, 50) && wish.as_deref() == Some("wish/2") && new).then_some(())
    })
    .await;
    assert!(line.contains("kafka.security.sasl_password"), "{line}");
    assert!(line.contains("need a restart") && !line.contains("another"), "{line}");
    load.settles(SOME).await;

    // A bad file changes nothing, though the certificate beside it is good.
    edge.collector
        .reconfigure(|text| text.replace("batch_events_max = 50", "batch_events_max = 0"));
    files.hold(&other);
    let line = hang_up(&edge, REFUSED).await;
    assert!(line.contains("limits.batch_events_max"), "{line}");
    assert_eq!(tunnel.shown().await, new.der);
    assert_eq!((knocks(&edge, "wk-second").await, batch_events_max(&edge).await), (200, 50));
    // Nor does a bad schema beside a good file. Nobody sends a signal now: the files are watched.
    schema(2, "{");
    edge.collector.reconfigure(|text| {
        let text = text.replace("batch_events_max = 0", "batch_events_max = 40");
        text.replace("wk-second", "wk-third")
    });
    until("the bad schema is named", || async {
        said(&edge, REFUSED).last().filter(|line| line.contains("wish/2.json")).map(drop)
    })
    .await;
    assert_eq!(tunnel.shown().await, new.der);
    assert_eq!((knocks(&edge, "wk-second").await, batch_events_max(&edge).await), (200, 50));
    assert_eq!(judge_of_wishes(&edge).await.as_deref(), Some("wish/2"));
    load.settles(SOME).await;

    // Once it is mended, all of it is taken over.
    schema(2, &requiring("c"));
    until("all is in force", || async {
        let keys = (knocks(&edge, "wk-second").await, knocks(&edge, "wk-third").await);
        let limit = batch_events_max(&edge).await;
        let other = tunnel.shown().await == other.der;
        (keys == (401, 200) && limit == 40 && other).then_some(())
    })
    .await;
    load.settles(SOME).await;

    assert_eq!(tunnel.broken_off(), 0, "connections that the collector ended");
    let ledger = load.ends().await;
    assert_eq!((ledger.unanswered, ledger.refused, ledger.retried), (0, 0, 0), "{ledger}");
    let found = ledger.lies_in_kafka(&edge).await;
    assert_eq!(found.doubled, 0, "{found}");
    edge.every_delivery_has_one_outcome().await;
}
