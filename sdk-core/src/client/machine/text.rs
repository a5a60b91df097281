//! Texts as the machine hears, says and keeps them: bytes of UTF-8 whose parts have marks between
//! them that no JSON text contains, since its strings escape them.

/// Begins an effect in what the machine says.
pub const EFFECT: u8 = 0x1e;
/// Stands between the parts of what the machine is told, and before each part of an effect.
pub const PART: u8 = 0x1f;
/// Stands between the fields of one part: of what storage keeps, of an event's circumstances.
pub const FIELD: u8 = 0x1d;

/// The largest number that a script can count to; sums of a few such never overflow.
pub(super) const NUMBER_MAX: u64 = 1 << 53;

/// Takes what stands before the next `mark` off a text; all of it where there is none.
#[inline(never)]
pub(super) fn cut<'a>(rest: &mut &'a [u8], mark: u8) -> &'a [u8] {
    let all = *rest;
    let end = all.iter().position(|byte| *byte == mark).unwrap_or(all.len());
    *rest = all.get(end + 1..).unwrap_or_default();
    all.get(..end).unwrap_or_default()
}

/// Takes a number off a text: decimal digits, where there are any.
#[inline(never)]
pub(super) fn cut_number(rest: &mut &[u8], mark: u8) -> Option<u64> {
    let digits = cut(rest, mark);
    let add = |number: u64, digit: &u8| (number * 10 + u64::from(digit & 15)).min(NUMBER_MAX);
    (!digits.is_empty()).then(|| digits.iter().fold(0, add))
}

/// Whether a text is an id as all of ours are: safe in JSON, in a URL, and between marks.
#[inline(never)]
pub(super) fn is_plain(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether one of the fields of `fields` is `field`.
#[inline(never)]
pub(super) fn has_field(mut fields: &[u8], field: &[u8]) -> bool {
    while !fields.is_empty() {
        if cut(&mut fields, FIELD) == field {
            return true;
        }
    }
    false
}
