//! An id alone opens no stream; only the collector's own word does.

use clickmill_tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn forged_token_opens_nothing() {
    let world = World::start().await;
    let (page, other) = (world.page(), world.page());
    let token = page.token().await;
    assert_eq!(page.peek(&token).await, 200);

    let visitor = page.visitor().to_string();
    let foreign = token.replace(&visitor, other.visitor().as_str());
    assert_ne!(foreign, token);
    let mut flipped = token.clone().into_bytes();
    let last = flipped.len() - 2;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("text");

    for forged in ["", &visitor, "1.a.b.c.d.e", &foreign, &flipped, &token[..token.len() - 4]] {
        assert_eq!(page.peek(forged).await, 401, "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_without_proof_and_none_for_somebody_else() {
    let world = World::start().await;
    let (page, other) = (world.page(), world.page());
    assert_eq!(page.send(vec![page.views("a")]).await.identity, None);

    // The proof of another visitor proves nothing about this one.
    let mut batch = page.batch(vec![page.views("b")]);
    batch.proof = Some(other.proof.clone());
    let receipt = page.deliver(&batch).await;
    assert_eq!((receipt.accepted, receipt.identity), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_token_without_consent() {
    let world = World::start().await;
    let mut page = world.page();
    page.context.consent = Some(clickmill_sdk_core::wire::Consent::default());
    let mut batch = page.batch(vec![page.views("a")]);
    batch.proof = Some(page.proof.clone());
    let receipt = page.deliver(&batch).await;
    assert_eq!((receipt.accepted, receipt.identity), (1, None));

    let raw = world.kafka.records(clickmill_sdk_core::wire::Topic::ClicksRaw).await;
    assert_eq!(raw[0].key, None);
    assert!(!raw[0].value.contains(page.visitor().as_str()), "{}", raw[0].value);
}
