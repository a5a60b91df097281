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

mod hear;
mod say;

use clickmill_sdk_core::client::Client;
use clickmill_sdk_core::wire::Millis;

/// Stands between the parts of a text, in both directions.
const PART: char = '\u{1f}';

/// A page has one thread for scripts.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static HEAP: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    // SAFETY: the module's memory is not shared, so no second thread can run in it.
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };

/// The core of one page, with the room where texts are handed over.
#[derive(Debug, Default)]
pub struct Core {
    client: Option<Client>,
    heard: Vec<u8>,
    said: String,
}

/// Makes a core that waits for its beginning.
#[unsafe(no_mangle)]
pub extern "C" fn core_new() -> Box<Core> {
    Box::default()
}

/// Makes room for a text that is handed in: so many bytes of UTF-8 from this address on.
#[unsafe(no_mangle)]
pub extern "C" fn core_room(core: &mut Core, bytes: usize) -> *mut u8 {
    core.heard = vec![0; bytes];
    core.heard.as_mut_ptr()
}

/// Tells the core what happened: `what` by the numbers in `hear.rs`, with the text handed in last.
/// `now` is the browser's clock, ms. Returns how many bytes the answer has.
#[unsafe(no_mangle)]
pub extern "C" fn core_step(core: &mut Core, what: u32, number: f64, now: f64) -> usize {
    let heard = std::mem::take(&mut core.heard);
    let effects = hear::hear(&mut core.client, &heard, (what, number), Millis(now as u64));
    core.said = say::say(&effects);
    core.said.len()
}

/// Where the answer of the last step lies: what is to be done, as `say.rs` writes it.
#[unsafe(no_mangle)]
pub extern "C" fn core_said(core: &Core) -> *const u8 {
    core.said.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickmill_sdk_core::wire::json::Value;

    const ID: &str = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";
    const NOW: f64 = 1.7e12;

    /// Tells the core something, and reads what it says: the parts of the effects of one number.
    fn tell(core: &mut Core, what: u32, number: f64, text: &str, effect: &str) -> Vec<Vec<String>> {
        core.heard = text.into();
        let bytes = core_step(core, what, number, NOW);
        assert_eq!(bytes, core.said.len());
        let effects = core.said.split('\u{1e}').skip(1).map(|said| {
            let mut parts = said.split('\u{1f}');
            (parts.next(), parts.map(str::to_owned).collect())
        });
        effects.filter(|(number, _)| *number == Some(effect)).map(|(_, parts)| parts).collect()
    }

    fn begun() -> Box<Core> {
        let mut core = core_new();
        let text = "x".repeat(32) + "\u{1f}\u{1f}\u{1f}0\u{1f}an event";
        tell(&mut core, 0, f64::from(2 + 8 + 32 + 64), &text, "");
        core
    }

    #[test]
    fn an_event_goes_out_and_its_verdict_comes_back() {
        let mut core = begun();
        let track = format!("{ID}\u{1f}page_view\u{1f}{{\"a\":1}}");
        let sent = tell(&mut core, 14, NOW, &track, "0");
        let [request, body, keepalive] = &sent[0][..] else { panic!("{sent:?}") };
        assert_eq!(keepalive, "true");
        let body = Value::read(body).unwrap();
        let event = &body.get("events").unwrap().list()[0];
        assert_eq!(event.get("id").and_then(Value::text), Some(ID));
        assert_eq!(event.get("props").and_then(|props| props.get("a")?.number()), Some(1));
        let granted = body.get("context").and_then(|all| all.get("consent")?.get("granted"));
        let granted: Vec<_> = granted.unwrap().list().iter().filter_map(Value::text).collect();
        assert_eq!(granted, ["analytics", "personalization"]);

        let reply = "\u{1f}{\"accepted\":1}";
        let verdicts = tell(&mut core, 200, request.parse().unwrap(), reply, "7");
        let verdict = Value::read(&verdicts[0][0]).unwrap();
        assert_eq!(verdict.get("id").and_then(Value::text), Some(ID));
        assert_eq!(verdict.get("outcome").and_then(Value::text), Some("accepted"));
    }

    #[test]
    fn what_is_kept_is_taken_up_by_the_next_page() {
        let mut core = begun();
        let kept = tell(&mut core, 14, NOW, &format!("{ID}\u{1f}slow\u{1f}{{}}"), "2");
        let text = |name: &str| {
            let last = kept.iter().rev().find(|parts| parts[0] == name);
            last.map(|parts| parts[1].clone()).unwrap_or_default()
        };
        let [me, visit, queue] = ["me", "visit", "queue"].map(text);
        let event = kept.iter().find(|parts| parts[0].parse::<u64>().is_ok()).unwrap();
        let begin = "y".repeat(32) + &[me, visit, queue, event.join("\u{1f}")].join("\u{1f}");
        let mut next = core_new();
        tell(&mut next, 0, f64::from(2 + 32 + 64), &begin, "");
        // What an earlier page left has waited long enough.
        let sent = tell(&mut next, 12, 0.0, "", "0");
        assert!(sent[0][1].contains(ID));
    }

    #[test]
    fn what_is_said_comes_apart_whatever_is_in_it() {
        let mut core = begun();
        let props = r#"{"a":"\u001e7\u001f"}"#;
        let track = format!("{ID}\u{1f}page_view\u{1f}{props}");
        let sent = tell(&mut core, 14, NOW, &track, "0");
        let identity = r#"{"visitor":"v","token":"\u001e5","expires_at":9e15}"#;
        let reply = format!("\u{1f}{{\"accepted\":1,\"identity\":{identity}}}");
        let opened = tell(&mut core, 200, sent[0][0].parse().unwrap(), &reply, "4");
        assert_eq!(opened[0][0], r#""\u001e5""#);
        assert!(!core.said.contains("\u{1e}5\""));
    }

    #[test]
    fn a_refusal_is_obeyed_as_long_as_its_header_says() {
        let mut core = begun();
        let track = format!("{ID}\u{1f}page_view\u{1f}{{}}");
        let sent = tell(&mut core, 14, NOW, &track, "0");
        tell(&mut core, 503, sent[0][0].parse().unwrap(), "3600\u{1f}busy", "");
        let mut sends = |after_ms: f64| {
            core_step(&mut core, 12, 0.0, NOW + after_ms);
            core.said.starts_with("\u{1e}0\u{1f}")
        };
        assert!(!sends(3_599_000.0));
        assert!(sends(3_602_000.0));
    }

    #[test]
    fn what_the_glue_could_not_have_made_is_passed_over() {
        for text in
            ["", "[]", "[1]", "null", "{", "a\u{1f}b", "a\u{1f}b\u{1f}c", "\u{1f}", "ä\u{1f}"]
        {
            let mut core = begun();
            for what in (1..20).chain([100, 200, 400, 503, u32::MAX]) {
                for number in [0.0, -1.0, f64::NAN, 1e300] {
                    tell(&mut core, what, number, text, "");
                }
            }
            let mut core = core_new();
            tell(&mut core, 14, 0.0, text, "");
            assert_eq!(core.said, "");
        }
    }
}
