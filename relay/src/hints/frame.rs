//! A hint as bytes of a stream of server-sent events, encoded once for all who get it.

use std::sync::Arc;

use bytes::Bytes;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    Hint, HintHead, HintId, HintKind, Json, Millis, Sku, Slot, ToJson, Why,
};

/// What the ids of hints that answer clicks begin with: the raw topic's dataset. Their partition
/// is the one that their visitor is decided in.
pub const CLICKS: &str = "clicks";

/// A hint, ready to be written to any stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The hint's id.
    pub id: HintId,
    /// What it is.
    pub kind: HintKind,
    /// The place it is for.
    pub slot: Option<Slot>,
    /// When it stops being true.
    pub expires_at: Millis,
    /// Of a promotion, its rule by name and version; none where another instance says it.
    pub rule: Option<Arc<str>>,
    /// The products it shows; none where another instance says it.
    pub skus: Vec<Sku>,
    /// The event as it is written.
    pub bytes: Bytes,
}

impl Frame {
    /// Encodes a hint.
    pub fn of(hint: &Hint) -> Self {
        let (id, kind) = (hint.id.to_string(), hint.kind.as_str());
        let data = hint.to_json();
        let mut text = String::with_capacity(data.len() + id.len() + kind.len() + 24);
        // The writer escapes line breaks, so the data is one line.
        for (name, value) in [("id: ", id.as_str()), ("event: ", kind), ("data: ", &data)] {
            text.push_str(name);
            text.push_str(value);
            text.push('\n');
        }
        text.push('\n');
        Self {
            id: hint.id.clone(),
            kind: hint.kind,
            slot: hint.slot.clone(),
            expires_at: hint.expires_at,
            rule: (hint.kind == HintKind::Promote).then(|| hint.why.model.as_str().into()),
            skus: Vec::new(),
            bytes: Bytes::from(text),
        }
    }

    /// Encodes a hint that shows products.
    pub fn showing(hint: &Hint, skus: Vec<Sku>) -> Self {
        Self { skus, ..Self::of(hint) }
    }

    /// The hint that takes this one back, since products in it are shown no more; `model` says why not.
    pub(super) fn withdrawal(
        &self,
        (id, model, gone): (HintId, &'static str, &[Sku]),
        (epoch, now): (u64, Millis),
    ) -> Hint {
        let mut content = Writer::with_capacity(64);
        content.object(|w| {
            w.text_field("hint", &self.id.to_string());
            w.list_field(model, gone);
        });
        let inputs = gone.iter().map(|sku| sku.as_str().to_owned()).collect();
        Hint {
            id,
            kind: HintKind::Withdraw,
            epoch,
            slot: self.slot.clone(),
            content: Json::trusted(content.finish()),
            why: Why { model: model.to_owned(), inputs, ..Why::default() },
            expires_at: self.expires_at,
            stock_version: None,
            cause: None,
            decided_at: now,
        }
    }

    /// Reads the event of another instance; none where it is a comment, or no hint.
    pub fn read(event: Bytes) -> Option<Self> {
        let text = std::str::from_utf8(&event).ok()?;
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let head = HintHead::read(line("data: ")?).ok()?;
        Some(Self {
            id: HintId::parse(line("id: ")?).ok()?,
            kind: HintKind::parse(line("event: ")?)?,
            slot: head.slot,
            expires_at: head.expires_at,
            rule: None,
            skus: Vec::new(),
            bytes: event,
        })
    }

    /// What comes after `data: `: the hint without its id and kind, as JSON.
    pub fn data(&self) -> &str {
        // It was put together from texts.
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or("null")
    }

    /// The event that makes a page forget all hints: the snapshot of an epoch follows.
    ///
    /// Its id is its own. With the id of a hint, a receiver that drops repeats would drop that hint
    /// from the snapshot.
    pub fn reset((partition, epoch): (u32, u64), now: Millis) -> Self {
        Self::of(&Hint {
            id: HintId { source: "reset".to_owned(), partition, offset: epoch, n: 0 },
            kind: HintKind::Reset,
            epoch,
            slot: None,
            content: Json::empty(),
            why: Why { model: "epoch".to_owned(), ..Why::default() },
            expires_at: now,
            stock_version: None,
            cause: None,
            decided_at: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_one_event_that_reads_back() {
        let data = include_str!("../../../sdk-core/golden/hint.json");
        let id = HintId::parse("clicks.3.1234.0").unwrap();
        let hint = Hint::from_parts(id, HintKind::Suggest, data).unwrap();
        let frame = Frame::of(&hint);
        let expected = format!("id: clicks.3.1234.0\nevent: suggest\ndata: {data}\n\n");
        assert_eq!(frame.bytes, expected);
        assert_eq!(Frame::read(frame.bytes.clone()), Some(frame));
        assert_eq!(Frame::read(Bytes::from_static(b":\n\n")), None);
    }

    #[test]
    fn a_reset_has_an_id_that_is_no_hints() {
        let frame = Frame::reset((2, 77), Millis(5));
        let text = String::from_utf8(frame.bytes.to_vec()).unwrap();
        assert!(text.starts_with("id: reset.2.77.0\nevent: reset\ndata: {\"epoch\":77,"), "{text}");
    }
}
