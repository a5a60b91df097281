//! Who says to be which customer, and whom the collector believes.

use std::time::Duration;

use clickmill_sdk_core::wire::{Claim, Doubt, Topic};
use clickmill_server::config::Secret;
use clickmill_server::token::SigningKey;
use serde_json::{Value, json};

use super::edge::{Edge, batch, event};
use crate::config::ProofsConfig;
use crate::testing::{NOW_MS, proof};

const SECRET: &str = "fedcba9876543210";
const SOON: u64 = NOW_MS / 1_000 + 300;

async fn edge() -> Edge {
    Edge::start_with(|config| {
        let key = SigningKey { id: "b".to_owned(), secret: Secret::new(SECRET) };
        let lifetime_max = Duration::from_secs(600);
        config.sites[0].proofs = ProofsConfig { keys: vec![key], lifetime_max };
    })
    .await
}

fn identify(number: u32, proof: Option<&str>) -> Value {
    let mut sent = event(number);
    sent["type"] = json!("identify");
    sent["props"] = json!({"customer": "c1", "traits": {"plan": "gold"}});
    if let Some(proof) = proof {
        sent["props"]["proof"] = json!(proof);
    }
    sent
}

/// A proof that the site's backend signed for a visitor.
fn signed(visitor: &str) -> String {
    proof(SECRET, ["b", "shop", "c1", visitor], SOON)
}

#[tokio::test]
async fn only_a_proof_of_the_sites_own_makes_a_claim_more_than_that() {
    let edge = edge().await;
    let (good, stolen) = (signed("v1"), signed("v2"));
    let forged = proof("0123456789abcdef", ["b", "shop", "c1", "v1"], SOON);
    let mut boasting = identify(5, None);
    boasting["context"] = json!({"proven": "c1", "customer": "c1"});
    let sent = [
        identify(1, Some(&good)),
        identify(2, Some(&stolen)),
        identify(3, Some(&forged)),
        identify(4, None),
        boasting,
    ];
    let receipt = edge.post(&batch(sent)).await.receipt();
    // A claim is an event like any other.
    assert_eq!((receipt.accepted, receipt.verdicts.len()), (5, 0));
    let why = [(1, Doubt::Forged), (2, Doubt::Forged), (3, Doubt::Missing), (4, Doubt::Missing)];
    assert_eq!(receipt.claims, why.map(|(index, why)| Claim { index, why }));

    let stored = edge.stored(Topic::ClicksRaw);
    let proven: Vec<&Value> = stored.iter().map(|record| &record["proven"]).collect();
    assert_eq!(proven, [&json!("c1"), &Value::Null, &Value::Null, &Value::Null, &Value::Null]);
    for record in &stored {
        assert_eq!(record["props"], json!({"customer": "c1", "traits": {"plan": "gold"}}));
    }
    let counted = async |standing: &str| {
        edge.metric(&format!("clickmill_collector_identifies_total{{standing=\"{standing}\"}}"))
            .await
    };
    assert_eq!(counted("proven").await, 1);
    assert_eq!((counted("forged").await, counted("missing").await), (2, 2));
}

#[tokio::test]
async fn a_sender_cannot_write_the_mark_itself() {
    let edge = edge().await;
    let mut marked = identify(1, None);
    marked["proven"] = json!("c1");
    let answer = edge.post(&batch([marked])).await;
    assert_eq!(answer.verdicts(), ["0 rejected malformed"]);
}

#[tokio::test]
async fn an_old_proof_is_a_claim() {
    let edge = edge().await;
    edge.clock.advance_ms(300_000);
    let receipt = edge.post(&batch([identify(1, Some(&signed("v1")))])).await.receipt();
    assert_eq!(receipt.claims, [Claim { index: 0, why: Doubt::Expired }]);
    assert_eq!(edge.stored(Topic::ClicksRaw)[0]["proven"], Value::Null);
}

#[tokio::test]
async fn a_proof_is_nowhere_after_the_collector_has_read_it() {
    let edge = edge().await;
    let proof = signed("v1");
    let mut wrong = identify(2, Some(&proof));
    wrong["props"]["customer"] = json!(7);
    let mut astray = identify(3, None);
    astray["proof"] = json!(proof);
    let sent = batch([identify(1, Some(&proof)), wrong, astray]);
    let answer = edge.post(&sent).await;
    assert_eq!(answer.receipt().accepted, 1);
    let (records, letters) = (edge.stored(Topic::ClicksRaw), edge.stored(Topic::ClicksRejected));
    assert_eq!((records.len(), letters.len()), (1, 2));
    let mac = proof.rsplit('.').next().unwrap();
    for told in records.iter().chain(&letters) {
        assert!(!told.to_string().contains(mac), "{told}");
    }
    assert!(!answer.text.contains(mac));
}
