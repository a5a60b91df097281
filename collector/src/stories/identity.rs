//! Tokens and the cookie, as a browser meets them.

use clickmill_sdk_core::wire::{Identity, Millis, Proof};
use serde_json::{Value, json};

use super::edge::{Answer, Edge, batch_of, event};
use crate::testing::NOW_MS;

fn with_proof(proof: &Proof) -> Value {
    let mut sent = batch_of(proof.visitor().as_str(), []);
    sent["proof"] = json!(proof.expose());
    sent
}

fn identity(answer: &Answer) -> Option<Identity> {
    answer.receipt().identity
}

/// What the browser sends back of a cookie.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_proof_opens_the_stream_and_the_cookie_keeps_it_open() {
    let edge = Edge::start().await;
    let mine = Proof::mint(&[1; 32]);
    let first = edge.post(&with_proof(&mine)).await;
    let issued = identity(&first).unwrap();
    assert_eq!(issued.visitor, mine.visitor());
    assert_eq!(issued.expires_at, Millis(NOW_MS + 3_600_000));
    let set = first.header("set-cookie").unwrap();
    assert!(set.starts_with("cm_visitor_shop=") && set.contains("HttpOnly"), "{set}");

    // An hour later an empty batch with the cookie renews the token.
    edge.clock.advance_ms(3_600_000);
    let head = || edge.delivery().header("cookie", cookie(&first));
    let empty = batch_of(mine.visitor().as_str(), []).to_string();
    let renewed = edge.send(head(), empty).await;
    assert_eq!(identity(&renewed).unwrap().expires_at, Millis(NOW_MS + 7_200_000));
    assert_eq!(renewed.header("set-cookie"), None);

    // The page lost its storage: the older visitor comes back, even against a newer proof.
    let newer = Proof::mint(&[2; 32]);
    let restored = edge.send(head(), with_proof(&newer).to_string()).await;
    assert_eq!(identity(&restored).unwrap().visitor, mine.visitor());

    // Unless it says that this is somebody else: then the cookie is theirs.
    let mut heir = with_proof(&newer);
    heir["renewed"] = json!(true);
    let answer = edge.send(head(), heir.to_string()).await;
    assert_eq!(identity(&answer).unwrap().visitor, newer.visitor());
    let after = edge.delivery().header("cookie", cookie(&answer));
    let after = edge.send(after, batch_of(newer.visitor().as_str(), []).to_string()).await;
    assert_eq!(identity(&after).unwrap().visitor, newer.visitor());
    // Nobody takes a place without a proof.
    let mut claim = batch_of(newer.visitor().as_str(), []);
    claim["renewed"] = json!(true);
    let answer = edge.send(head(), claim.to_string()).await;
    assert_eq!(identity(&answer).unwrap().visitor, mine.visitor());
    let by = async |by| {
        edge.metric(&format!("clickmill_collector_identities_total{{by=\"{by}\"}}")).await
    };
    assert_eq!((by("proof").await, by("cookie").await), (2, 4));
}

#[tokio::test]
async fn nothing_else_opens_it() {
    let edge = Edge::start().await;
    let mine = Proof::mint(&[1; 32]);
    let bare = edge.post(&batch_of(mine.visitor().as_str(), [event(1)])).await;
    assert_eq!(identity(&bare), None);
    assert_eq!(bare.header("set-cookie"), None);

    let mut stolen = with_proof(&Proof::mint(&[2; 32]));
    stolen["context"]["visitor"] = json!(mine.visitor().as_str());
    assert_eq!(identity(&edge.post(&stolen).await), None);

    let mut refused = with_proof(&mine);
    refused["context"]["consent"] = json!({"granted": ["advertising"]});
    let answer = edge.post(&refused).await;
    assert_eq!((identity(&answer), answer.header("set-cookie")), (None, None));

    let forged = edge.delivery().header("cookie", "cm_visitor_shop=1.k.shop.v1.9999999999999.AA");
    assert_eq!(identity(&edge.send(forged, batch_of("v1", []).to_string()).await), None);
}
