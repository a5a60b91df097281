//! What is packed comes back, and what is not a state is refused.

use proptest::prelude::*;

use super::*;
use crate::views::visitor::Visitor;

prop_compose! {
    fn campaign()(marks in prop::array::uniform5(prop::option::of(".{0,9}"))) -> Campaign {
        let [source, medium, name, term, content] = marks;
        Campaign { source, medium, name, term, content }
    }
}

prop_compose! {
    fn visit()(
        id in prop::option::of("[a-z0-9-]{1,40}"),
        (number, events, pages, products) in any::<(u32, u32, u32, u32)>(),
        (started, last, engaged_ms) in any::<(u64, u64, u64)>(),
        referrer in prop::option::of(".{0,40}"),
        campaign in prop::option::of(campaign()),
        searches in prop::collection::vec(".{0,20}", 0..5),
    ) -> Visit {
        let id = id.map(|id| SessionId::parse(id).unwrap());
        let (started, last) = (Millis(started), Millis(last));
        Visit {
            id, number, started, last, events, pages, products, engaged_ms, referrer, campaign, searches,
        }
    }
}

fn sku() -> impl Strategy<Value = Sku> {
    "[A-Za-z0-9 äß-]{1,30}".prop_map(|sku| Sku::parse(sku).unwrap())
}

prop_compose! {
    fn sight()(sku in sku(), at in any::<u64>(), visit in any::<u32>()) -> Sight {
        Sight { sku, at: Millis(at), visit }
    }
}

prop_compose! {
    fn asked()(
        event in any::<u128>(),
        partition in any::<u32>(),
        (offset, received_at, time) in any::<(u64, u64, u64)>(),
        personalization in any::<Option<bool>>(),
        (page, locale) in (0..PageKind::ALL.len(), prop::option::of("[a-zA-Z-]{2,16}")),
        category in prop::option::of(".{1,20}"),
    ) -> Asked {
        let event = EventId::from_uuid(uuid::Uuid::from_u128(event));
        let (received_at, time) = (Millis(received_at), Millis(time));
        let page = PageKind::ALL[page];
        Asked { event, partition, offset, received_at, time, personalization, page, locale, category }
    }
}

prop_compose! {
    fn queue()(
        id in "[a-z0-9-]{1,40}",
        highest in any::<u64>(),
        gaps in prop::collection::vec(any::<(u64, u64)>(), 0..4),
    ) -> QueueMark {
        let gaps = gaps.into_iter().map(|(from, to)| Gap(from, to)).collect();
        QueueMark { id: QueueId::parse(id).unwrap(), highest, gaps }
    }
}

prop_compose! {
    fn promotion()(
        rule in "[a-z][a-z0-9-]{0,30}",
        (times, day, today, visit, in_visit) in any::<(u32, u32, u32, u32, u32)>(),
        (at, until, held_out) in any::<(u64, u64, bool)>(),
        sku in prop::option::of(sku()),
    ) -> PromotionMark {
        let (rule, at, until) = (RuleName::parse(rule).unwrap(), Millis(at), Millis(until));
        PromotionMark { rule, times, day, today, visit, in_visit, at, until, sku, held_out }
    }
}

prop_compose! {
    fn wait()(
        sku in sku(),
        (partition, offset, back) in any::<(u32, u64, Option<u64>)>(),
    ) -> Wait {
        Wait { sku, partition, offset, back: back.map(Millis) }
    }
}

prop_compose! {
    fn proven()(id in "[A-Za-z0-9@. ä-]{1,40}", until in any::<u64>()) -> Proven {
        Proven { id: CustomerId::parse(id).unwrap(), until: Millis(until) }
    }
}

prop_compose! {
    fn word()((at, queue, seq) in any::<(u64, u32, u64)>()) -> Word {
        Word { at: Millis(at), queue, seq }
    }
}

prop_compose! {
    fn basket_word()(sku in sku(), word in word()) -> BasketWord {
        BasketWord { sku, word }
    }
}

prop_compose! {
    fn state()(
        visits in any::<u32>(),
        sessions in prop::collection::vec(visit(), 0..3),
        seen in prop::collection::vec(sight(), 0..11),
        basket in prop::collection::vec(sku(), 0..51),
        bought in prop::collection::vec(sight(), 0..31),
        asked in prop::option::of(asked()),
        queues in prop::collection::vec(queue(), 0..5),
        promotions in prop::collection::vec(promotion(), 0..3),
        waits in prop::collection::vec(wait(), 0..3),
        (customer, customer_word) in (prop::option::of(proven()), prop::option::of(word())),
        basket_words in prop::collection::vec(basket_word(), 0..5),
    ) -> SessionView {
        SessionView {
            visits, sessions, seen, basket, bought, asked, queues, promotions, waits, customer,
            basket_words, customer_word,
        }
    }
}

fn packed(state: &SessionView) -> Vec<u8> {
    let mut packed = Vec::new();
    pack(&Visitor::from(state.clone()).parts(), &mut packed);
    packed
}

proptest! {
    #[test]
    fn what_is_packed_comes_back(state in state()) {
        prop_assert_eq!(unpack(&packed(&state)).unwrap(), state);
    }

    /// Cut off anywhere, or with a byte more, it is refused.
    #[test]
    fn no_part_of_a_state_is_one(state in state(), cut in any::<prop::sample::Index>()) {
        let mut packed = packed(&state);
        prop_assert!(unpack(&packed[..cut.index(packed.len())]).is_err());
        packed.push(0);
        prop_assert!(unpack(&packed).is_err());
    }

    /// Of a damaged disk: an error or a state, never a panic nor memory without bound.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(&bytes);
        let _ = unpack(&[&[FORM][..], &bytes].concat());
    }
}

#[test]
fn a_form_that_is_not_known_is_named() {
    let error = unpack(&[FORM + 1, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("form 6"), "{error}");
}
