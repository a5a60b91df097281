//! Recorded clickstreams: read from a file, turned into events that keep their sessions.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use clickmill_sdk_core::wire::{Context, EventType, Json, Proof, SessionId};
use serde::Deserialize;

/// One recorded thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Click {
    /// Which of the recording's sessions, in order of their first click.
    pub session: usize,
    /// When, ms since 1970 in the recording's time.
    pub at_ms: u64,
    /// What.
    pub kind: EventType,
    /// Its properties.
    pub props: Json,
    /// The product it is about.
    pub item: Option<String>,
}

/// A whole recording, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Its clicks.
    pub clicks: Vec<Click>,
    /// How many sessions they belong to.
    pub sessions: usize,
}

/// A line that cannot be read.
#[derive(Debug)]
pub struct BadLine {
    line: usize,
    wrong: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.wrong)
    }
}

impl std::error::Error for BadLine {}

/// A line of our own form: `{"session","at","type","props"}`, `at` in ms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnLine {
    session: String,
    at: u64,
    #[serde(rename = "type")]
    kind: EventType,
    #[serde(default)]
    props: Json,
}

#[derive(Deserialize)]
struct WithSku {
    sku: Option<String>,
}

impl Recording {
    /// Reads a recording: lines of `session <tab> item <tab> fractional unix time` (a line of
    /// column names may come first), or lines of our own JSON. An item becomes a `product_view`.
    pub fn read(input: impl BufRead) -> Result<Self, BadLine> {
        let mut recording = Self::default();
        let mut sessions = HashMap::new();
        for (index, line) in input.lines().enumerate() {
            let bad = |wrong: String| BadLine { line: index + 1, wrong };
            let line = line.map_err(|error| bad(error.to_string()))?;
            if line.trim().is_empty() || (index == 0 && is_heading(&line)) {
                continue;
            }
            let (session, click) =
                if line.starts_with('{') { own(&line) } else { tabbed(&line) }.map_err(bad)?;
            let next = sessions.len();
            let session = *sessions.entry(session).or_insert(next);
            recording.clicks.push(Click { session, ..click });
        }
        recording.sessions = sessions.len();
        // Stable: clicks of one moment keep the order of the file.
        recording.clicks.sort_by_key(|click| click.at_ms);
        Ok(recording)
    }

    /// The products that occur, each once, in order of their first click.
    pub fn items(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let items = self.clicks.iter().filter_map(|click| click.item.as_ref());
        items.filter(|item| seen.insert(*item)).cloned().collect()
    }
}

/// The visitor and visit a recorded session becomes: the same for the same run.
pub fn visitor(run: &str, session: usize) -> (Proof, Context) {
    use clickmill_sdk_core::wire::Consent;
    let mut random = [0_u8; 32];
    let text = format!("{run}{session}");
    for (at, byte) in text.bytes().enumerate() {
        let place = at % random.len();
        random[place] = random[place].wrapping_mul(31) ^ byte;
    }
    random[24..].copy_from_slice(&(session as u64).to_be_bytes());
    let proof = Proof::mint(&random);
    let context = Context {
        visitor: Some(proof.visitor()),
        session: SessionId::parse(format!("{run}-{session}")).ok(),
        consent: Some(Consent::full()),
        ..Context::default()
    };
    (proof, context)
}

/// A first line without a time in it names the columns.
fn is_heading(line: &str) -> bool {
    !line.starts_with('{') && line.split('\t').nth(2).is_some_and(|t| t.parse::<f64>().is_err())
}

fn tabbed(line: &str) -> Result<(String, Click), String> {
    let mut fields = line.split('\t');
    let mut field = |name: &str| {
        fields.next().map(str::trim).filter(|f| !f.is_empty()).ok_or(format!("no {name}"))
    };
    let (session, item) = (field("session")?, field("item")?);
    let time: f64 =
        field("time")?.parse().map_err(|_| "the third column is no time in seconds".to_owned())?;
    let click = Click {
        session: 0,
        at_ms: (time * 1000.0) as u64,
        kind: EventType::parse("product_view").map_err(|error| error.to_string())?,
        props: Json::trusted(format!(r#"{{"sku":{}}}"#, serde_json::Value::from(item))),
        item: Some(item.to_owned()),
    };
    Ok((session.to_owned(), click))
}

fn own(line: &str) -> Result<(String, Click), String> {
    let own: OwnLine = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let item = serde_json::from_str::<WithSku>(own.props.as_str()).ok().and_then(|p| p.sku);
    let click = Click { session: 0, at_ms: own.at, kind: own.kind, props: own.props, item };
    Ok((own.session, click))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_and_our_own_lines_are_read_in_order_of_time() {
        let tabs = "SessionId\tItemId\tTime\n3\ti1\t10.5\n4\ti2\t9.25\n3\ti1\t11\n";
        let recording = Recording::read(tabs.as_bytes()).unwrap();
        assert_eq!(recording.sessions, 2);
        assert_eq!(recording.items(), ["i2", "i1"]);
        let order: Vec<_> = recording.clicks.iter().map(|c| (c.session, c.at_ms)).collect();
        assert_eq!(order, [(1, 9250), (0, 10_500), (0, 11_000)]);

        let own = r#"{"session":"a","at":5,"type":"search","props":{"query":"tv"}}"#;
        let recording = Recording::read(own.as_bytes()).unwrap();
        assert_eq!(recording.clicks[0].kind.as_str(), "search");
        assert_eq!(recording.clicks[0].item, None);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, names) in [
            ("s\ti\t1\ns\ti", "line 2: no time"),
            ("s\ti\t1\ns\ti\tnoon", "line 2: the third column"),
            ("{\"session\":1}", "line 1: "),
        ] {
            let error = Recording::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(names), "{error}");
        }
    }

    #[test]
    fn every_session_is_a_visitor_of_its_own() {
        let visitors: std::collections::HashSet<_> =
            (0..5000).map(|session| visitor("r1", session).0.visitor()).collect();
        assert_eq!(visitors.len(), 5000);
        assert_eq!(visitor("r1", 7).1, visitor("r1", 7).1);
        assert_ne!(visitor("r1", 7).1, visitor("r2", 7).1);
    }
}
