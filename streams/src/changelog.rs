//! A view's changelog: a compacted topic with the newest state of every key, partitioned like the
//! topic that drives the view.
//!
//! - a state: the key as in the driving topic, the state as [`View::write`](crate::View::write)
//!   writes it, no value once the key is forgotten; its timestamp is the stream time of the key's
//!   last record;
//! - the task: the key [`TASK_KEY`], and `{"epoch":n}`, written once each time a partition gets a
//!   task. No state may have that key, nor an empty one or one that is too long for the disk.

use clickmill_kafka::Outgoing;
use serde::{Deserialize, Serialize};

use crate::Poison;

/// The key of the record that tells of the task.
pub const TASK_KEY: &[u8] = b"!task";

/// The longest key that the disk takes, bytes.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Why no state may have this key.
pub(crate) fn refused(key: &[u8]) -> Option<Poison> {
    let (reason, detail) = match key {
        TASK_KEY => ("reserved_key", "this key is reserved for the task"),
        [] => ("empty_key", "a key without a byte has no place on the disk"),
        key if key.len() > KEY_BYTES_MAX => ("long_key", "a key takes 65,535 bytes at the most"),
        _ => return None,
    };
    Some(Poison { reason, detail: detail.to_owned() })
}

/// What is known of a partition's tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    /// Counts the tasks that a partition had.
    pub(crate) epoch: u64,
}

/// A record of the changelog, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Task(TaskRecord),
    State(&'a [u8], Option<&'a [u8]>),
    /// Nothing of ours.
    Foreign,
}

pub(crate) fn read<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Change<'a> {
    match (key, value) {
        (Some(TASK_KEY), Some(value)) => match serde_json::from_slice(value) {
            Ok(record) => Change::Task(record),
            Err(_) => Change::Foreign,
        },
        (Some(key), _) if refused(key).is_some() => Change::Foreign,
        (Some(key), value) => Change::State(key, value),
        (None, _) => Change::Foreign,
    }
}

/// A state as a record.
pub(crate) fn state<'a>(
    (topic, partition): (&'a str, u32),
    (key, bytes): (&'a [u8], Option<&'a [u8]>),
    touched_ms: u64,
) -> Outgoing<'a> {
    Outgoing {
        topic,
        key: Some(key),
        value: bytes,
        headers: None,
        partition: i32::try_from(partition).ok(),
        timestamp_ms: i64::try_from(touched_ms).ok().filter(|ms| *ms > 0),
    }
}

/// The task as the value of its record.
pub(crate) fn task(epoch: u64) -> Vec<u8> {
    format!(r#"{{"epoch":{epoch}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = task(7);
        assert_eq!(read(Some(TASK_KEY), Some(&text)), Change::Task(TaskRecord { epoch: 7 }));
        assert_eq!(read(Some(b"k"), Some(b"1")), Change::State(b"k", Some(b"1")));
        assert_eq!(read(Some(b"k"), None), Change::State(b"k", None));
        assert_eq!(read(Some(TASK_KEY), Some(b"?")), Change::Foreign);
        assert_eq!(read(None, Some(b"1")), Change::Foreign);
        assert_eq!(read(Some(b""), Some(b"1")), Change::Foreign);
    }
}
