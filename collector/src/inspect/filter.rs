//! Which lines a reader wants, how, and for how long: read from the query.

use std::num::NonZeroU64;
use std::time::Duration;

use clickmill_sdk_core::wire::{Outcome, Reason, Rejection};
use clickmill_server::query;
use hyper::Uri;

use super::line::Line;

/// The parameters there are.
const KNOWN: &str = "key, type, visitor, outcome, reason, as, limit, for, token";

/// What a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) filter: Filter,
    /// The form, if it is named.
    pub(super) form: Option<Form>,
    /// How many lines at the most.
    pub(super) limit: Option<NonZeroU64>,
    /// For how long.
    pub(super) span: Option<Duration>,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON text a line.
    Json,
    /// Server-sent events.
    Sse,
}

/// Which lines; whatever is left out is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    write_key: Option<String>,
    kind: Option<String>,
    visitor: Option<String>,
    outcome: Option<String>,
    reason: Option<Reason>,
}

impl Filter {
    pub(super) fn takes(&self, line: &Line) -> bool {
        let is = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == have)
        };
        is(&self.write_key, Some(&line.write_key))
            && is(&self.kind, line.kind.as_deref())
            && is(&self.visitor, line.visitor.as_deref())
            && is(&self.outcome, Some(line.outcome))
            && self.reason.is_none_or(|wanted| Some(wanted) == line.reason)
    }
}

impl Wish {
    /// Reads a query. The error is one sentence for whoever asked.
    pub(super) fn read(uri: &Uri) -> Result<Self, String> {
        let mut wish = Self::default();
        for (name, value) in query::all(uri) {
            let text = Some(value.to_string());
            match name.as_ref() {
                "key" => wish.filter.write_key = text,
                "type" => wish.filter.kind = text,
                "visitor" => wish.filter.visitor = text,
                "outcome" => wish.filter.outcome = Some(outcome(&value)?),
                "reason" => wish.filter.reason = Some(reason(&value)?),
                "as" => wish.form = Some(form(&value)?),
                "limit" => {
                    let limit = value.parse().map_err(|_| "`limit` must be 1 or more".to_owned());
                    wish.limit = Some(limit?);
                }
                "for" => {
                    let span = humantime::parse_duration(&value);
                    wish.span = Some(span.map_err(|_| "`for` must be like 30s".to_owned())?);
                }
                "token" => {}
                other => return Err(format!("`{other}` is no parameter; there are: {KNOWN}")),
            }
        }
        Ok(wish)
    }
}

fn outcome(name: &str) -> Result<String, String> {
    let rejection =
        Rejection { reason: Reason::Malformed, schema: None, pointer: None, detail: None };
    let all = [
        Outcome::Accepted,
        Outcome::Duplicate,
        Outcome::Rejected(rejection),
        Outcome::Retry { after_ms: 0 },
    ];
    let names = all.map(|outcome| outcome.as_str());
    let known = names.contains(&name);
    known.then(|| name.to_owned()).ok_or_else(|| format!("outcomes are {}", names.join(", ")))
}

pub(super) fn reason(name: &str) -> Result<Reason, String> {
    Reason::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        format!("reasons are {}", names.join(", "))
    })
}

fn form(name: &str) -> Result<Form, String> {
    match name {
        "json" => Ok(Form::Json),
        "sse" => Ok(Form::Sse),
        _ => Err("`as` must be json or sse".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Wish, String> {
        Wish::read(&format!("/inspect/tail?{query}").parse().unwrap())
    }

    fn line() -> Line {
        Line {
            outcome: "rejected",
            reason: Some(Reason::TooOld),
            kind: Some("order".to_owned()),
            visitor: None,
            write_key: "wk".to_owned(),
            json: String::new(),
        }
    }

    #[test]
    fn every_condition_must_hold() {
        for (query, takes) in [
            ("", true),
            ("key=wk&type=order&outcome=rejected&reason=too_old", true),
            ("key=other", false),
            ("key=wk&type=page_view", false),
            ("visitor=v1", false),
            ("outcome=accepted", false),
            ("reason=malformed", false),
        ] {
            assert_eq!(read(query).unwrap().filter.takes(&line()), takes, "{query}");
        }
    }

    #[test]
    fn how_and_how_long_is_read() {
        let wish = read("as=sse&limit=3&for=2m&token=t").unwrap();
        let (limit, span) = (NonZeroU64::new(3), Some(Duration::from_secs(120)));
        assert_eq!((wish.form, wish.limit, wish.span), (Some(Form::Sse), limit, span));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, says) in [
            ("typ=order", "`typ` is no parameter; there are: key, type"),
            ("outcome=good", "accepted, duplicate, rejected, retry"),
            ("reason=old", "too_old"),
            ("as=xml", "json or sse"),
            ("limit=0", "`limit`"),
            ("for=soon", "`for`"),
        ] {
            let error = read(query).unwrap_err();
            assert!(error.contains(says), "{query}: {error}");
        }
    }
}
