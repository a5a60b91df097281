//! What is in the basket, or was ordered, is shown no more.

use super::*;

#[test]
fn what_goes_into_the_basket_is_taken_back_where_nothing_takes_its_place() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert_eq!(shown(&hints(&stream)), ["suggested B C", "more D"]);
    // What the basket's page suggests takes the first place; nothing is left for the second one.
    inner.live(("v", "basket_add", "D"));
    let said = hints(&stream);
    assert_eq!(shown(&said), ["suggested B C", "more"]);
    let taken_back = &said[1];
    assert_eq!((taken_back.kind, taken_back.why.model.as_str()), (HintKind::Withdraw, "in_basket"));
    assert_eq!(taken_back.id.to_string(), "basket.0.1.0");
    assert_eq!(taken_back.content.as_str(), r#"{"hint":"clicks.0.0.1","in_basket":["D"]}"#);
    assert_eq!(taken_back.cause.unwrap().received_at, Millis(NOW));
}

#[test]
fn what_is_left_of_a_hint_stays_where_there_is_nothing_new() {
    let mut inner = Inner::new();
    inner.react.opened(0, NOW);
    let stream = inner.open("v");
    inner.live(("v", "product_view", "A"));
    assert_eq!(shown(&hints(&stream)), ["suggested B C", "more D"]);
    // It comes too late to be answered, and has happened all the same.
    let (at, seen) = inner.event(("v", "basket_add", "B"));
    let late = At { now_ms: NOW + 599_999, ..at };
    let [Seen::Event(enriched)] = seen.as_slice() else { panic!("{seen:?}") };
    let mut enriched = enriched.clone();
    enriched.signals.as_mut().unwrap().time = Millis(NOW - 1);
    inner.react.live(late, vec![Seen::Event(enriched)]);
    let said = hints(&stream);
    assert_eq!(shown(&said), ["suggested C"]);
    assert_eq!((said[0].kind, said[0].expires_at), (HintKind::Suggest, Millis(NOW + 600_000)));
    assert_eq!(said[0].why.model, "category_popular");
}
