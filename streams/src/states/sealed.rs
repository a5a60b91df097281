//! States as they are published: what one commit gives to the changelog, in one run of bytes.

use std::sync::Arc;

/// What was sealed at once, as it is published.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    rows: Vec<Row>,
    /// The values, one behind the other.
    values: Vec<u8>,
}

#[derive(Debug)]
struct Row {
    key: Arc<[u8]>,
    /// Where its value ends, and whether it has one.
    end: usize,
    has_value: bool,
    touched_ms: u64,
}

/// A state as it is published: its key, its value (none once it is forgotten), the stream time of
/// its last record.
pub(crate) type Published<'a> = (&'a [u8], Option<&'a [u8]>, u64);

impl Sealed {
    /// How many states there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// One of them.
    pub(crate) fn get(&self, at: usize) -> Option<Published<'_>> {
        let Row { key, end, has_value, touched_ms } = self.rows.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.rows.get(before));
        let value = self.values.get(start.map_or(0, |before| before.end)..*end);
        Some((key, value.filter(|_| *has_value), *touched_ms))
    }

    /// Nothing, with room for so many states that take so many bytes each.
    pub(super) fn with_room(rows: usize, row_bytes: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), values: Vec::with_capacity(rows * row_bytes) }
    }

    /// What a state took on average, rounded up; none where there is no state.
    pub(super) fn row_bytes(&self) -> Option<usize> {
        (!self.rows.is_empty()).then(|| self.values.len().div_ceil(self.rows.len()))
    }

    /// Adds one.
    pub(super) fn push(&mut self, (key, touched_ms): (&Arc<[u8]>, u64), value: Option<&[u8]>) {
        self.values.extend_from_slice(value.unwrap_or_default());
        let key = Arc::clone(key);
        let (end, has_value) = (self.values.len(), value.is_some());
        self.rows.push(Row { key, end, has_value, touched_ms });
    }
}
