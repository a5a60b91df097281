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

/// The head of a page's question about a link.
fn asks(edge: &Edge) -> hyper::http::request::Builder {
    edge.delivery().uri("/v1/link?k=wk")
}

#[tokio::test]
async fn a_link_to_another_site_brings_the_visitor_along_for_two_minutes() {
    let edge = Edge::start().await;
    let mine = Proof::mint(&[1; 32]);
    let known = json!({"visitor": mine.visitor().as_str(), "proof": mine.expose()});
    let ask = async |head, question: &Value| edge.send(head, question.to_string()).await;
    let lent = ask(asks(&edge), &known).await;
    assert_eq!((lent.header("cache-control"), lent.header("set-cookie")), (Some("no-store"), None));
    let link = serde_json::from_str::<Value>(&lent.text).unwrap()["link"].clone();

    // The other site's page knows somebody else, or nobody.
    let other = edge.post(&with_proof(&Proof::mint(&[2; 32]))).await;
    let shown = json!({"link": link});
    let head = || asks(&edge).header("cookie", cookie(&other));
    let followed = ask(head(), &shown).await;
    let told: Value = serde_json::from_str(&followed.text).unwrap();
    let issued: Identity = serde_json::from_value(told["identity"].clone()).unwrap();
    assert_eq!(issued.visitor, mine.visitor());
    // From here on its cookie is that of the first site's visitor.
    let next = edge.delivery().header("cookie", cookie(&followed));
    let next = edge.send(next, batch_of("somebody", []).to_string()).await;
    assert_eq!(identity(&next).unwrap().visitor, mine.visitor());
    assert_eq!(edge.metric("clickmill_collector_identities_total{by=\"link\"}").await, 1);

    // It is for the browser that was given it: nobody else is made that visitor by an address.
    let elsewhere = ask(asks(&edge).header("user-agent", "another"), &shown).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.header("set-cookie")), (401, None));

    // Whom the cookie knows needs no proof, unless the page says that it is somebody else by now.
    let heir = Proof::mint(&[3; 32]);
    let heir = json!({"visitor": heir.visitor().as_str(), "proof": heir.expose()});
    let head = || asks(&edge).header("cookie", cookie(&followed));
    assert_eq!(ask(head(), &heir).await.text, "{}");
    assert!(ask(head(), &json!({})).await.text.starts_with(r#"{"link":"1."#));

    // It is no key to the stream, and a key to the stream is no link.
    let wrong = ask(asks(&edge), &json!({"link": issued.token})).await;
    assert_eq!(wrong.status.as_u16(), 401);
    edge.clock.advance_ms(120_000);
    let late = ask(asks(&edge), &shown).await;
    assert_eq!(late.status.as_u16(), 401);
    assert_eq!(late.refusal().detail, "the link says nothing: the token has expired");
}

#[tokio::test]
async fn nobody_is_brought_along_without_consent_or_proof() {
    let edge = Edge::start().await;
    let mine = Proof::mint(&[1; 32]);
    let ask = async |question: &Value| edge.send(asks(&edge), question.to_string()).await;
    let visitor = mine.visitor();
    let known = json!({"visitor": visitor.as_str(), "proof": mine.expose()});
    let stolen = json!({"visitor": visitor.as_str(), "proof": Proof::mint(&[2; 32]).expose()});
    let mut refused = known.clone();
    refused["consent"] = json!({"granted": ["advertising"]});
    for question in [json!({}), json!({"visitor": visitor.as_str()}), stolen, refused] {
        assert_eq!(ask(&question).await.text, "{}", "{question}");
    }
    let lent: Value = serde_json::from_str(&ask(&known).await.text).unwrap();
    let answer = ask(&json!({"link": lent["link"], "consent": {"granted": []}})).await;
    assert_eq!((answer.text.as_str(), answer.header("set-cookie")), ("{}", None));

    for (question, says) in [
        (json!({"links": 1}), "unknown field"),
        (json!({"proof": "x"}), "64 hexadecimal digits"),
        (json!([1]), "invalid"),
    ] {
        let answer = ask(&question).await;
        assert_eq!(answer.status.as_u16(), 400);
        assert!(answer.refusal().detail.contains(says), "{}", answer.text);
    }
    assert_eq!(ask(&json!({"link": "x".repeat(4096)})).await.status.as_u16(), 413);
}
