//! The browser core: the SDK's state machine behind four functions that a script can call.
//!
//! The stub (`stub/clickmill.js`) is the page's eyes and hands: it sees clicks and page views,
//! posts bodies and dispatches DOM events, with or without this core. The glue
//! (`stub/clickmill_core.js`) has what only the core needs of the browser: storage, timer, hint
//! stream. The core is the memory and the judgement: queue, delivery, identity, consent, hints.
//!
//! Numbers and one text go in, one text comes out; no binding generator stands in between, since
//! with one the core would be larger by half.
// Each function is called by its name, and by our own glue alone, with what `core_new` gave it.
#![allow(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod heap;
mod hear;

use clickmill_sdk_core::client::Machine;

/// The standard library's allocator alone would be a tenth of the core.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static HEAP: heap::Heap = heap::Heap::new();

/// The core of one page, with the room where texts are handed in.
#[derive(Debug, Default)]
pub struct Core {
    machine: Option<Machine>,
    heard: Vec<u8>,
}

/// Makes a core that waits for its beginning.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "new"))]
pub extern "C" fn core_new() -> Box<Core> {
    Box::default()
}

/// Makes room for a text that is handed in: so many bytes of UTF-8 from this address on.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "room"))]
pub extern "C" fn core_room(core: &mut Core, bytes: usize) -> *mut u8 {
    core.heard.resize(bytes, 0);
    core.heard.as_mut_ptr()
}

/// Tells the core what happened: `what` and `number` as `client::told` of `clickmill-sdk-core` has
/// them, with the text handed in last. `now` is the browser's clock, ms. Returns how many bytes the
/// answer has.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "step"))]
pub extern "C" fn core_step(core: &mut Core, what: u32, number: f64, now: f64) -> usize {
    hear::hear(&mut core.machine, (what, number as u64), now as u64, &core.heard).len()
}

/// Where the answer of the last step lies: what is to be done, as the machine says it.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "said"))]
pub extern "C" fn core_said(core: &Core) -> *const u8 {
    core.machine.as_ref().map_or(&[][..], Machine::said).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickmill_sdk_core::client::told;
    use clickmill_sdk_core::wire::json::Value;

    const ID: &str = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";
    const NOW: f64 = 1.7e12;

    /// Tells the core something, and reads what it says: the parts of the effects of one number.
    fn tell(core: &mut Core, what: u32, number: f64, text: &str, effect: &str) -> Vec<Vec<String>> {
        core.heard = text.into();
        let bytes = core_step(core, what, number, NOW);
        let said = said(core);
        assert_eq!(bytes, said.len());
        let effects = said.split('\u{1e}').skip(1).map(|said| {
            let mut parts = said.split('\u{1f}');
            (parts.next(), parts.map(str::to_owned).collect())
        });
        effects.filter(|(number, _)| *number == Some(effect)).map(|(_, parts)| parts).collect()
    }

    fn said(core: &Core) -> String {
        let said = core.machine.as_ref().map(Machine::said).unwrap_or_default();
        String::from_utf8(said.to_vec()).unwrap()
    }

    fn begun(kept: &str) -> Box<Core> {
        let mut core = core_new();
        tell(&mut core, told::BEGIN, told::KEPT as f64, &("x".repeat(32) + kept), "");
        let all = told::ANALYTICS + told::PERSONALIZATION + told::SAID;
        let consent = r#""consent":{"granted":["analytics","personalization"]}"#;
        tell(&mut core, told::CONSENT, all as f64, consent, "");
        core
    }

    fn track(core: &mut Core, kind: &str, effect: &str) -> Vec<Vec<String>> {
        let text = format!("{ID}\u{1f}\"{kind}\"\u{1f}{{\"a\":\"\\u001e7\\u001f\"}}");
        tell(core, told::TRACK, NOW, &text, effect)
    }

    #[test]
    fn an_event_goes_out_and_its_verdict_comes_back() {
        let mut core = begun("");
        let sent = track(&mut core, "page_view", "0");
        let [request, body, keepalive] = &sent[0][..] else { panic!("{sent:?}") };
        assert_eq!(keepalive, "1");
        let body = Value::read(body).unwrap();
        let event = &body.get("events").unwrap().list()[0];
        assert_eq!(event.get("id").and_then(Value::text), Some(ID));
        let props = event.get("props").and_then(|props| props.get("a")?.text());
        assert_eq!(props, Some("\u{1e}7\u{1f}"));
        let granted = body.get("context").and_then(|all| all.get("consent")?.get("granted"));
        let granted: Vec<_> = granted.unwrap().list().iter().filter_map(Value::text).collect();
        assert_eq!(granted, ["analytics", "personalization"]);

        let request = request.parse().unwrap();
        let verdicts = tell(&mut core, told::RECEIPT, request, "", "7");
        assert_eq!(verdicts, [[ID, "\"page_view\"", "0", ""]]);
    }

    #[test]
    fn what_is_kept_is_taken_up_by_the_next_page() {
        let mut core = begun("");
        let kept = track(&mut core, "slow", "2");
        let text = |name: &str| {
            let last = kept.iter().rev().find(|parts| parts[0] == name);
            last.map(|parts| parts[1].clone()).unwrap_or_default()
        };
        let [me, visit, queue] = ["me", "visit", "queue"].map(text);
        let event = kept.iter().find(|parts| parts[0].parse::<u64>().is_ok()).unwrap();
        let mut next = begun(&[me, visit, queue, event.join("\u{1f}")].join("\u{1f}"));
        // What an earlier page left has waited long enough.
        assert!(said(&next).contains(ID));
        assert!(tell(&mut next, told::TICK, 0.0, "", "0").is_empty());
    }

    #[test]
    fn what_is_no_id_becomes_none() {
        for (visitor, token) in [("v", "\u{1e}5"), ("v\"", "t"), ("", "t"), ("v", "")] {
            let mut core = begun("");
            let sent = track(&mut core, "page_view", "0");
            let receipt = ["", "", "", "", "", visitor, token, "9000000000000000"].join("\u{1f}");
            let opened = tell(&mut core, told::RECEIPT, sent[0][0].parse().unwrap(), &receipt, "4");
            assert!(opened.is_empty(), "{opened:?}");
        }
    }

    #[test]
    fn a_refusal_is_obeyed_as_long_as_it_says() {
        let mut core = begun("");
        let sent = track(&mut core, "page_view", "0");
        tell(&mut core, told::FAILED, sent[0][0].parse().unwrap(), "3600000", "");
        let mut sends = |after_ms: f64| {
            core_step(&mut core, told::TICK, 0.0, NOW + after_ms);
            said(&core).starts_with("\u{1e}0\u{1f}")
        };
        assert!(!sends(3_599_000.0));
        assert!(sends(3_602_000.0));
    }

    #[test]
    fn what_the_glue_could_not_have_made_is_passed_over() {
        let long = "\u{1f}9".repeat(40);
        for text in [
            "",
            "[]",
            "9",
            "null",
            "{",
            "a\u{1f}b",
            "a\u{1f}b\u{1f}c",
            "\u{1f}",
            "ä\u{1f}",
            &long,
            "99999999999999999999999\u{1f}",
            "\u{1d}\u{1e}\u{1f}",
        ] {
            let mut core = begun(text);
            for what in 1..20 {
                for number in [0.0, 1.0, -1.0, f64::NAN, 1e300] {
                    track(&mut core, "order", "");
                    tell(&mut core, what, number, text, "");
                }
            }
            let mut core = core_new();
            tell(&mut core, told::TRACK, 0.0, text, "");
            assert_eq!(said(&core), "");
        }
    }
}
