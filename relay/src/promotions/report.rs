//! What the admin port tells of the rules: `GET /promotions`, those in force and those refused.

use clickmill_sdk_core::wire::Millis;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_server::reply::{self, Body};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::rules::Rules;

/// Where it is told.
pub const PATH: &str = "/promotions";

/// Answers a request for the list; none where it is for something else.
pub fn answer(head: &Parts, (rules, now): (&Rules, Millis)) -> Option<Response<Body>> {
    (head.uri.path() == PATH).then(|| {
        let kind = HeaderValue::from_static("application/json");
        reply::with_type(StatusCode::OK, kind, reply::whole(written(rules, now)))
    })
}

/// The list as JSON.
pub fn written(rules: &Rules, now: Millis) -> String {
    let mut all: Vec<_> = rules.all().collect();
    all.sort_by_key(|rule| (rule.tenant.clone(), -i64::from(rule.priority), rule.name.clone()));
    let mut w = Writer::with_capacity(256 * (all.len() + rules.refusals().len() + 1));
    w.object(|w| {
        w.key("rules").array(|w| {
            for rule in all {
                w.object(|w| {
                    w.field("tenant", Some(&rule.tenant));
                    w.field("rule", Some(&rule.name));
                    w.text_field("version", &rule.version);
                    w.key("priority").signed(rule.priority.into());
                    w.field("slot", Some(&rule.slot));
                    w.field("in_hours", Some(&rule.schedule.holds(now)));
                    w.number_field("steps_max", rule.cost());
                });
            }
        });
        w.key("refused").array(|w| {
            for refusal in rules.refusals() {
                w.object(|w| {
                    w.text_field("place", &refusal.place);
                    w.text_field("rule", &refusal.rule);
                    w.text_field("field", &refusal.field);
                    w.text_field("why", &refusal.why);
                });
            }
        });
    });
    w.finish()
}
