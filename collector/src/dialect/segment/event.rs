//! One Segment event in our terms.

use clickmill_sdk_core::wire::{
    Context, CustomerId, EventId, Json, Millis, Purpose, Rejection, ToJson,
};

use super::call::Kind;
use super::context::{self, PageFacts};
use super::{Call, Shape, time};
use crate::config::SegmentConfig;
use crate::decode::Unreadable;
use crate::dialect::Asked;
use crate::dialect::fields::Fields;
use crate::dialect::translate::{self, Translation};
use crate::parcel::Form;

/// What Segment's own SDKs put before the UUID and the time in their ids.
const SDK_PREFIXES: [&str; 2] = ["ajs-next-", "node-next-"];

/// Reads the events of one parcel.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) shape: Shape,
    pub(super) asked: &'a Asked<'a>,
    pub(super) config: &'a SegmentConfig,
    /// When the parcel was sent.
    pub(super) sent_at: Option<Millis>,
    /// The context that its events share.
    pub(super) shared: Option<Fields<'a>>,
}

impl<'a> Reader<'a> {
    /// The event at that place in our terms, or why it cannot be put into them.
    pub(super) fn form(&self, text: &'a str, place: usize) -> Form {
        let opened = Fields::read(text).and_then(|mut fields| {
            let id = self.id(&mut fields, place)?;
            Ok((id, fields))
        });
        let (id, fields) = match opened {
            Ok(opened) => opened,
            Err(rejection) => return Form::Refused(Unreadable { id: None, rejection }),
        };
        match self.translate(id, fields) {
            Ok(translation) => translation.into(),
            Err(rejection) => Form::Refused(Unreadable { id: Some(id), rejection }),
        }
    }

    /// The id: the UUID that the `messageId` is, or that Segment's own SDKs end it with; of any
    /// other, a hash. An event without one gets an id of its own, since nothing tells a copy of it
    /// from another event.
    fn id(&self, fields: &mut Fields<'_>, place: usize) -> Result<EventId, Rejection> {
        let Some(name) = fields.label("messageId")? else {
            return Ok(translate::minted_id(self.asked.now, self.asked.seed, place));
        };
        let id = known_id(&name).unwrap_or_else(|| translate::hashed_id("segment", &[&name]));
        if id.to_string() != name {
            fields.put("messageId", name.to_json());
        }
        Ok(id)
    }

    fn translate(&self, id: EventId, mut fields: Fields<'a>) -> Result<Translation, Rejection> {
        if let Some(shared) = &self.shared {
            fields.share("context", shared);
        }
        let (mut context, mut page) = (Context::default(), PageFacts::default());
        let call = self.call(&mut fields)?;
        let Kind { kind, meaning } = call.kind(&mut fields, self.config)?;
        let at = time::at(&mut fields, self.sent_at, self.asked.now)?;
        if let Some(name) = fields.label("userId")? {
            let wrong = |error| fields.wrong("userId", error);
            context.customer = Some(CustomerId::parse(name).map_err(wrong)?);
        }
        if let Some(name) = fields.label("anonymousId")? {
            context.visitor = translate::visitor(&name);
        }
        let props = call.props(&mut fields, &mut page, meaning)?;
        context::take(&mut fields, page, &mut context, self.config);
        if !context.consent.as_ref().unwrap_or(self.asked.consent).allows(Purpose::Analytics) {
            forget(&mut fields);
        }
        context.custom = rest(fields);
        Ok(Translation { id, kind, version: None, at, props, context })
    }

    fn call(&self, fields: &mut Fields<'_>) -> Result<Call, Rejection> {
        match (fields.own::<String>("type")?, self.shape) {
            (None, Shape::One(call)) => Ok(call),
            (None, Shape::Batch) => Err(fields.wrong("type", "the type of the call is missing")),
            (Some(name), _) => {
                let call = Call::ALL.into_iter().find(|call| call.name() == name);
                let unknown = || {
                    let known = "alias, group, identify, page, screen or track is expected";
                    fields.wrong("type", known)
                };
                call.ok_or_else(unknown)
            }
        }
    }
}

fn known_id(name: &str) -> Option<EventId> {
    let timed = SDK_PREFIXES.into_iter().find_map(|prefix| name.strip_prefix(prefix));
    let uuid = timed.and_then(|timed| {
        let (time, uuid) = timed.split_once('-')?;
        time.bytes().all(|b| b.is_ascii_digit()).then_some(uuid)
    });
    EventId::parse(uuid.unwrap_or(name)).ok()
}

/// Takes out what tells of a person, or may, and no schema marks: its place would be `custom`.
fn forget(fields: &mut Fields<'_>) {
    fields.take("traits");
    fields.take("properties");
    fields.within("context", |context| context.take("traits").map(drop));
}

/// What has no place of its own. Where to Segment would send an event means nothing here, nor does
/// what its SDKs note for its servers.
fn rest(mut fields: Fields<'_>) -> Option<Json> {
    fields.take("_metadata");
    fields.take("writeKey");
    fields.within("integrations", |_| ());
    let mut custom = Fields::default();
    if !fields.is_empty() {
        custom.put("segment", fields.to_json());
    }
    (!custom.is_empty()).then(|| custom.into_json())
}
