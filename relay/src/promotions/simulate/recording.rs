//! Recorded traffic: lines of several forms and records, read into events to be run.

use std::collections::HashMap;
use std::io::{self, BufRead};

use clickmill_sdk_core::wire::{CustomerId, Sku, Tenant};
use serde::Deserialize;
use serde_json::{Value, json};

/// A line of our own short form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    session: String,
    at: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    props: Value,
    #[serde(default)]
    customer: Option<CustomerId>,
}

/// An event to be run: its key, its record, and when it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) at: u64,
    pub(super) tenant: Tenant,
    pub(super) skus: Vec<Sku>,
}

/// The events of a recording, in the order in which they arrived, and the number of lines that are
/// none.
///
/// # Errors
/// When the file cannot be read.
pub fn read_recording(input: impl BufRead, tenant: &Tenant) -> io::Result<(Vec<Recorded>, u64)> {
    let (mut all, mut unread, mut places) = (Vec::new(), 0, HashMap::new());
    for (n, line) in input.lines().enumerate() {
        let line = line?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match one(line, (tenant, n as u64), &mut places) {
            Some(recorded) => all.push(recorded),
            // The first line may name the columns.
            None => unread += u64::from(n > 0),
        }
    }
    all.sort_by_key(|recorded| recorded.at);
    Ok((all, unread))
}

fn one(
    line: &str,
    (tenant, n): (&Tenant, u64),
    places: &mut HashMap<String, u64>,
) -> Option<Recorded> {
    if line.starts_with('{') {
        let value: Value = serde_json::from_str(line).ok()?;
        if value.get("tenant").is_some() {
            return of_record(value);
        }
        let line: Line = serde_json::from_value(value).ok()?;
        return of_line(&line, (tenant, n), places);
    }
    let mut fields = line.split('\t').map(str::trim);
    let (session, item) = (fields.next()?.to_owned(), fields.next()?);
    let seconds: f64 = fields.next()?.parse().ok()?;
    let line = Line {
        session,
        at: (seconds * 1_000.0) as u64,
        kind: "product_view".to_owned(),
        props: json!({ "sku": item }),
        customer: None,
    };
    of_line(&line, (tenant, n), places)
}

/// A record as a collector would have written it.
fn of_line(
    line: &Line,
    (tenant, n): (&Tenant, u64),
    places: &mut HashMap<String, u64>,
) -> Option<Recorded> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let session: String = line.session.chars().take(48).map(plain).collect();
    if session.is_empty() {
        return None;
    }
    let seq = places.entry(session.clone()).or_default();
    *seq += 1;
    let (id, at) = (format!("019abfe2-1c40-7000-a000-{n:012x}"), line.at);
    let props = if line.props.is_null() { json!({}) } else { line.props.clone() };
    let customer = line.customer.as_ref().map(CustomerId::as_str);
    of_record(json!({
        "id": id, "tenant": tenant.as_str(), "type": line.kind, "at": at, "time": at,
        "queue": session, "seq": *seq,
        "arrival": { "write_key": "simulated", "sent_at": at, "received_at": at, "attempt": 0 },
        "context": {
            "visitor": session, "session": session,
            "consent": { "granted": ["analytics", "personalization"] },
        },
        "props": props, "proven": customer,
    }))
}

/// A raw or enriched record.
pub(super) fn of_record(mut value: Value) -> Option<Recorded> {
    value.as_object_mut()?.remove("enrichment");
    let tenant = Tenant::parse(value.get("tenant")?.as_str()?).ok()?;
    let visitor = value.get("context")?.get("visitor")?.as_str()?;
    let key = format!("{tenant}:{visitor}");
    let time = value.get("time")?.as_u64()?;
    let arrived = value.get("arrival").and_then(|arrival| arrival.get("received_at")?.as_u64());
    let at = arrived.unwrap_or(time).max(time);
    let props = value.get("props");
    let sku = props.and_then(|props| props.get("sku")?.as_str());
    let skus = sku.and_then(|sku| Sku::parse(sku).ok()).into_iter().collect();
    Some(Recorded { key, value: value.to_string(), at, tenant, skus })
}
