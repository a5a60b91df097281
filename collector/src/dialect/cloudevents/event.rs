//! One CloudEvent in our terms.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clickmill_sdk_core::wire::{
    Consent, Context, CustomerId, EventId, Json, Purpose, Rejection, SessionId, ToJson,
};
use clickmill_server::trace::TraceParent;

use super::kind;
use crate::config::CloudEventsConfig;
use crate::decode::Unreadable;
use crate::dialect::Asked;
use crate::dialect::fields::Fields;
use crate::dialect::translate::{self, Translation, moment};
use crate::parcel::{Form, Sent};

/// The event in our terms, or why it cannot be put into them.
pub(super) fn read<'a>(text: &'a str, asked: &Asked<'_>, config: &CloudEventsConfig) -> Sent<'a> {
    let opened = Fields::read(text).and_then(|mut fields| {
        let id = id(&mut fields)?;
        Ok((id, fields))
    });
    let (id, mut fields) = match opened {
        Ok(opened) => opened,
        Err(rejection) => {
            let form = Form::Refused(Unreadable { id: None, rejection });
            return Sent { original: text, form, traceparent: None };
        }
    };
    let traceparent = traceparent(&mut fields);
    let form = match translate(id, fields, asked, config) {
        Ok(translation) => translation.into(),
        Err(rejection) => Form::Refused(Unreadable { id: Some(id), rejection }),
    };
    Sent { original: text, form, traceparent }
}

/// The trace that the event says it belongs to. One that is not written as it must be stays.
fn traceparent(fields: &mut Fields<'_>) -> Option<TraceParent> {
    let trace = TraceParent::parse(fields.peek::<String>("traceparent")?.as_bytes())?;
    fields.take("traceparent");
    Some(trace)
}

/// The id, from both parts of its identity. What the id alone does not tell stays.
fn id(fields: &mut Fields<'_>) -> Result<EventId, Rejection> {
    let name = needed(fields, "id")?;
    let source = needed(fields, "source")?;
    let known = EventId::parse(name.as_str()).ok();
    let id = known.unwrap_or_else(|| translate::hashed_id("cloudevents", &[&source, &name]));
    if id.to_string() != name {
        fields.put("id", name.to_json());
    }
    fields.put("source", source.to_json());
    Ok(id)
}

fn translate(
    id: EventId,
    mut fields: Fields<'_>,
    asked: &Asked<'_>,
    config: &CloudEventsConfig,
) -> Result<Translation, Rejection> {
    if needed(&mut fields, "specversion")? != "1.0" {
        return Err(fields.wrong("specversion", "only 1.0 is read here"));
    }
    let name = needed(&mut fields, "type")?;
    let Some((kind, version)) = kind::read(&name, config) else {
        let detail = "no type can be made of this name; give it one in dialects.cloudevents.types";
        return Err(fields.wrong("type", detail));
    };
    if kind.as_str() != name {
        fields.put("type", name.to_json());
    }
    let at = match fields.label("time")? {
        Some(date) => moment(&date).ok_or_else(|| {
            fields.wrong("time", "this must be a date such as 2027-01-15T08:00:00.000Z")
        })?,
        None => asked.now,
    };
    let schema = fields.peek::<String>("dataschema");
    let of_schema = schema.and_then(|address| kind::of_schema(&address, &kind));
    if of_schema.is_some() {
        fields.take("dataschema");
    }
    let props = data(&mut fields)?;
    let mut context = context(&mut fields)?;
    if !fields.is_empty() {
        let mut custom = Fields::default();
        custom.put("cloudevents", fields.to_json());
        context.custom = Some(custom.into_json());
    }
    Ok(Translation { id, kind, version: of_schema.or(version), at, props, context })
}

fn needed(fields: &mut Fields<'_>, key: &str) -> Result<String, Rejection> {
    let text = fields.own::<String>(key)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| fields.wrong(key, "this attribute is missing"))
}

/// The data, which must be JSON.
fn data(fields: &mut Fields<'_>) -> Result<Json, Rejection> {
    let content = fields.own::<String>("datacontenttype")?;
    if content.is_some_and(|content| !is_json(&content)) {
        return Err(fields.wrong("datacontenttype", "only JSON is read here"));
    }
    let Some(packed) = fields.own::<String>("data_base64")? else {
        let data = fields.take("data");
        return Ok(data.map_or_else(Json::empty, |data| Json::trusted(data.into_owned())));
    };
    if fields.take("data").is_some() {
        return Err(fields.wrong("data_base64", "there may be `data` or this, not both"));
    }
    let wrong = |error: &dyn std::fmt::Display| fields.wrong("data_base64", error);
    let bytes = BASE64_STANDARD.decode(packed).map_err(|error| wrong(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(&error))
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json")
}

/// Our context, from attributes of the names we know.
fn context(fields: &mut Fields<'_>) -> Result<Context, Rejection> {
    let visitor = fields.label("visitor")?;
    let session = fields.label("session")?.map(SessionId::parse).transpose();
    let customer = fields.label("customer")?.map(CustomerId::parse).transpose();
    let consent = fields.label("consent")?.map(|text| consent(&text));
    Ok(Context {
        visitor: visitor.and_then(|name| translate::visitor(&name)),
        session: session.map_err(|error| fields.wrong("session", error))?,
        customer: customer.map_err(|error| fields.wrong("customer", error))?,
        consent,
        ..Context::default()
    })
}

/// Purposes with spaces between; what is no purpose that is known, such as `none`, grants nothing.
fn consent(text: &str) -> Consent {
    let granted = text.split_ascii_whitespace().filter_map(Purpose::parse);
    Consent { granted: granted.collect(), gpc: false }
}
