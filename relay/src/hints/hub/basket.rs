//! What a visitor has put into the basket or ordered is shown no more.

use std::sync::Arc;

use clickmill_sdk_core::wire::{Cause, Hint, HintId, HintKind, Json, Millis, Sku};
use serde_json::Value;

use super::visitor::Active;
use super::{Hub, Subject, Telling};
use crate::hints::feed::Marks;

/// What the ids begin with of hints that follow from a basket or an order. The rest names the click.
const BASKET: &str = "basket";

/// Products that a click has put away.
#[derive(Clone, Copy, Debug)]
pub struct Away<'a> {
    /// The products.
    pub skus: &'a [Sku],
    /// Where to: `in_basket` or `ordered`.
    pub model: &'static str,
    /// The id of the click's own hints, whatever their number: what it has just said stays.
    pub click: &'a HintId,
    /// The click.
    pub cause: Option<Cause>,
    /// How what follows is said.
    pub telling: Telling,
}

impl Hub {
    /// Takes back the suggestions and promotions that show nothing but products that were put away, and
    /// says the others anew without them. How many there were.
    pub fn put_away(&self, subject: &Subject, away: Away<'_>, now: Millis) -> u64 {
        let mut shard = self.shard(subject);
        let Some(visitor) = shard.visitors.get(subject) else { return 0 };
        let (source, mut put) = (visitor.source(), 0);
        for (n, held) in visitor.showing_any(away.skus, now).iter().enumerate() {
            let id = &held.frame.id;
            let is_own = (&id.source, id.partition, id.offset)
                == (&away.click.source, away.click.partition, away.click.offset);
            if is_own || !matches!(held.frame.kind, HintKind::Suggest | HintKind::Promote) {
                continue;
            }
            let id = HintId {
                source: BASKET.to_owned(),
                n: u32::try_from(n).unwrap_or(u32::MAX),
                ..away.click.clone()
            };
            let about: (Vec<Sku>, Option<Arc<Marks>>, Hint) = match without(held, away.skus) {
                Some((left, hint)) => {
                    let hint = Hint { id, cause: away.cause, decided_at: now, ..hint };
                    (left, held.marks.clone(), hint)
                }
                None => {
                    let gone =
                        held.frame.skus.iter().filter(|sku| away.skus.contains(sku)).cloned();
                    let gone: Vec<Sku> = gone.collect();
                    let about = (id, away.model, gone.as_slice());
                    let hint = held.frame.withdrawal(about, (source.1, now));
                    (Vec::new(), held.marks.clone(), Hint { cause: away.cause, ..hint })
                }
            };
            if let Some(visitor) = shard.visitors.get_mut(subject) {
                visitor.note_taken_back(&held.frame.id, now);
            }
            let (skus, marks, hint) = about;
            self.tell(&mut shard, (subject, source), (hint, (skus, marks)), (away.telling, now));
            put += 1;
        }
        put
    }
}

/// A hint without some of its products, and those that are left; none where none is.
fn without(held: &Active, skus: &[Sku]) -> Option<(Vec<Sku>, Hint)> {
    let frame = &held.frame;
    let left: Vec<Sku> = frame.skus.iter().filter(|sku| !skus.contains(sku)).cloned().collect();
    let mut hint = Hint::from_parts(frame.id.clone(), frame.kind, frame.data()).ok()?;
    let mut content: Value = serde_json::from_str(hint.content.as_str()).ok()?;
    let items = content.get_mut("items")?.as_array_mut()?;
    items.retain(|item| left.iter().any(|sku| item["sku"] == sku.as_str()));
    hint.content = Json::trusted(content.to_string());
    (!left.is_empty()).then_some((left, hint))
}
