//! Privacy: what a visitor has not allowed is taken out of what is stored.

mod query;

use std::borrow::Cow;

use clickmill_catalog::{Tree, take_out};
use clickmill_sdk_core::wire::{EventType, Reason, Rejection};
use serde_json::Value;

use crate::customer::IDENTIFY;

pub(crate) use self::query::QueryRule;

/// The fields of an event, as it was sent, that know a visitor again or tell of one: ours and those
/// of dialects, in the event itself or in its `context`.
const KNOWING: [&str; 8] = [
    "visitor",
    "session",
    "customer",
    "anonymousId",
    "previousId",
    "sessionId",
    "traits",
    "userId",
];

/// The properties without those at the pointers, whose segment `*` stands for every element or key;
/// none if nothing is there.
pub(crate) fn strip(props: &Tree<'_>, pointers: &[String]) -> Option<String> {
    if pointers.is_empty() {
        return None;
    }
    let mut value = Value::from(props);
    let removed = pointers.iter().filter(|pointer| take_out(&mut value, pointer)).count();
    (removed > 0).then(|| value.to_string())
}

/// What a dead letter may keep of a refused event's text. Of a visitor who has not consented no id
/// is kept, and of an event that was refused for want of consent nothing at all. A proof of who the
/// visitor is never is.
pub(crate) fn original<'a>(text: &'a str, recognised: bool, why: &Rejection) -> Cow<'a, str> {
    if why.reason == Reason::ConsentMissing {
        return Cow::Borrowed("");
    }
    // A name may also be written with escapes.
    let may_prove = text.contains("proof") || text.contains('\\');
    if recognised && !may_prove {
        return Cow::Borrowed(text);
    }
    let Ok(mut event) = serde_json::from_str::<Value>(text) else { return Cow::Borrowed("") };
    let proved = may_prove && !is_of_another_type(&event) && forget_proofs(&mut event);
    if recognised {
        return if proved { Cow::Owned(event.to_string()) } else { Cow::Borrowed(text) };
    }
    if let Some(fields) = event.as_object_mut() {
        fields.remove("queue");
        fields.retain(|name, _| !KNOWING.contains(&name.as_str()));
        if let Some(context) = fields.get_mut("context").and_then(Value::as_object_mut) {
            context.retain(|name, _| !KNOWING.contains(&name.as_str()));
        }
    }
    Cow::Owned(event.to_string())
}

/// Whether it can be told that an event is no `identify`, nor meant to be one.
fn is_of_another_type(event: &Value) -> bool {
    let kind = event.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| EventType::parse(kind).is_ok() && kind != IDENTIFY)
}

/// Takes out all that is called a proof, wherever it was put. Whether there was something.
fn forget_proofs(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => forget_in(items.iter_mut()),
        Value::Object(fields) => {
            let proved = fields.remove("proof").is_some();
            forget_in(fields.values_mut()) || proved
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn forget_in<'a>(values: impl Iterator<Item = &'a mut Value>) -> bool {
    // In all of them, not up to the first.
    values.map(forget_proofs).filter(|proved| *proved).count() > 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(props: &Value, pointers: &[&str], left: Option<&Value>) {
        let pointers: Vec<String> = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        let stripped = strip(&Tree::from(props), &pointers);
        let stripped = stripped.map(|text| serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(stripped.as_ref(), left, "{props} {pointers:?}");
    }

    #[test]
    fn what_is_marked_is_taken_out_and_nothing_else() {
        let order =
            json!({"order": "o", "email": "a@b.c", "lines": [{"n": 1, "for": "x"}, {"n": 2}]});
        let rest = json!({"order": "o", "lines": [{"n": 1}, {"n": 2}]});
        check(&order, &["/email", "/lines/*/for"], Some(&rest));
        check(&order, &["/phone", "/lines/*/x", "/lines/7", "/order/x"], None);
        check(&order, &[], None);
        check(&order, &[""], Some(&json!({})));
        check(&json!({"a/b": {"~": 1, "c": 2}}), &["/a~1b/~0"], Some(&json!({"a/b": {"c": 2}})));
        check(
            &json!({"a": [1, 2], "b": {"x": 1}}),
            &["/a/0", "/b/*"],
            Some(&json!({"a": [null, 2], "b": {}})),
        );
        check(&json!({"a": [1, 2]}), &["/a/*"], Some(&json!({"a": []})));
    }

    fn kept(text: &str, recognised: bool, reason: Reason) -> String {
        let why = Rejection { reason, schema: None, pointer: None, detail: None };
        original(text, recognised, &why).into_owned()
    }

    #[test]
    fn a_dead_letter_knows_nobody_again_without_consent() {
        let text = r#"{"id":1,"queue":"q","context":{"visitor":"v","locale":"en"},"props":{}}"#;
        assert_eq!(kept(text, true, Reason::Malformed), text);
        let scrubbed = kept(text, false, Reason::Malformed);
        assert_eq!(scrubbed, r#"{"context":{"locale":"en"},"id":1,"props":{}}"#);
        assert_eq!(kept(text, true, Reason::ConsentMissing), "");
        assert_eq!(kept("{broken", false, Reason::Malformed), "");
        assert_eq!(kept("[1]", false, Reason::Malformed), "[1]");
    }

    #[test]
    fn a_dead_letter_keeps_no_proof_wherever_it_was_put() {
        let kept = |text: &str| kept(text, true, Reason::SchemaViolation);
        for text in [
            r#"{"type":"identify","props":{"customer":7,"proof":"1.a.2.s"}}"#,
            r#"{"type":"identify","proof":"1.a.2.s","props":{}}"#,
            r#"{"type":"identify","props":{"x":[{"pr\u006fof":"1.a.2.s"}]}}"#,
            r#"{"type":"Identify!","props":{"proof":"1.a.2.s"}}"#,
            r#"{"type":"identify","props":{"proof":"1.a.2.s","proof":"1.a.2.s"}}"#,
        ] {
            let left = kept(text);
            assert!(!left.contains("1.a.2.s") && left.contains("ype"), "{text}: {left}");
        }
        let of_ours = r#"{"type":"certified","props":{"proof":"a paper"}, "x":"\\"}"#;
        assert_eq!(kept(of_ours), of_ours);
    }
}
