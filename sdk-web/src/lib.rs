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
    core.said = say::say(effects);
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
    use clickmill_sdk_core::wire::ToJson;
    use clickmill_sdk_core::wire::json::Value;

    const ID: &str = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";
    const NOW: f64 = 1.7e12;

    /// Tells the core something, and reads what it says to the effects of one number.
    fn tell(core: &mut Core, what: u32, number: f64, text: &str, effect: u64) -> Vec<Value> {
        core.heard = text.into();
        let bytes = core_step(core, what, number, NOW);
        assert_eq!(bytes, core.said.len());
        let said = Value::read(&core.said).expect("JSON").list().to_vec();
        said.into_iter().filter(|one| one.list()[0].number() == Some(effect)).collect()
    }

    fn begun() -> Box<Core> {
        let mut core = core_new();
        let text = "x".repeat(32) + r#"["analytics","","","",0,"an event"]"#;
        tell(&mut core, 0, 5.0, &text, 0);
        core
    }

    #[test]
    fn an_event_goes_out_and_its_verdict_comes_back() {
        let mut core = begun();
        let track = format!(r#"["{ID}","page_view","{{\"a\":1}}"]"#);
        let sent = tell(&mut core, 15, NOW, &track, 0);
        let [_, request, body, keepalive] = sent[0].list() else { panic!("{sent:?}") };
        assert_eq!(keepalive, &Value::Boolean(true));
        let body = Value::read(body.text().unwrap()).unwrap();
        let event = &body.get("events").unwrap().list()[0];
        assert_eq!(event.get("id").and_then(Value::text), Some(ID));
        assert_eq!(event.get("props").and_then(|props| props.get("a")?.number()), Some(1));

        let reply = r#"[200,null,"{\"accepted\":1}"]"#;
        let request = request.float().unwrap();
        let verdicts = tell(&mut core, 13, request, reply, 7);
        let verdict = &verdicts[0].list()[1];
        assert_eq!(verdict.get("id").and_then(Value::text), Some(ID));
        assert_eq!(verdict.get("outcome").and_then(Value::text), Some("accepted"));
    }

    #[test]
    fn what_is_kept_is_taken_up_by_the_next_page() {
        let mut core = begun();
        let kept = tell(&mut core, 15, NOW, &format!(r#"["{ID}","slow","{{}}"]"#), 2);
        let mut next = core_new();
        let text = |name: &str| {
            let of = |one: &&Value| one.list()[1].text() == Some(name);
            kept.iter().rev().find(of).map(|one| one.list()[2].text().unwrap().to_owned())
        };
        let place = |one: &&Value| one.list()[1].number().is_some();
        let event = kept.iter().find(place).unwrap().list();
        let parts =
            [text("me").unwrap(), text("visit").unwrap_or_default(), text("queue").unwrap()];
        let quoted = parts.map(|part| part.to_json()).join(",");
        let (place, event) = (event[1].number().unwrap(), event[2].text().unwrap().to_json());
        let begin = "y".repeat(32) + &format!(r#"["analytics",{quoted},{place},{event}]"#);
        tell(&mut next, 0, 5.0, &begin, 0);
        // What an earlier page left has waited long enough.
        let sent = tell(&mut next, 12, 0.0, "", 0);
        assert!(sent[0].list()[2].text().unwrap().contains(ID));
    }

    #[test]
    fn what_the_glue_could_not_have_made_is_passed_over() {
        for text in ["", "[]", "[1]", "null", "{", r#"["a","b"]"#, r#"["a","b","c"]"#, "\u{1}"] {
            let mut core = begun();
            for what in 1..20 {
                for number in [0.0, -1.0, f64::NAN, 1e300] {
                    tell(&mut core, what, number, text, 0);
                }
            }
            let mut core = core_new();
            tell(&mut core, 15, 0.0, text, 0);
            assert_eq!(core.said, "[]");
        }
    }
}
