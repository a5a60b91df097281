//! What lies on the spool's disk, whole or damaged, and the headers in it.

use std::fs;
use std::path::PathBuf;

use clickmill_collector::fuzzing::{self, Scanned};
use clickmill_kafka::Headers;

use crate::Target;

const MARKER: &[u8] = &[0xff, 0xc1, b'c', b'm'];

/// Marker, checksum and length.
const PREFIX_BYTES: usize = 12;

const SEGMENTS: Target = Target {
    name: "segments",
    words: &[
        MARKER,
        b"clickspl\x01\0\0\0",
        b"\x10\0\0\0",
        b"\x01\0\0\0\0\0\0\0",
        b"\x16web.clicks.raw.pii.v1",
        b"\x05\0\0\0shop:",
        b"\x05\0\x01\0\0\0ce_id1",
    ],
    bytes_max: 8_192,
    packed: false,
};

const HEADERS: Target = Target {
    name: "headers",
    words: &[b"\x01\0\0\0\0\0", b"\x05\0\x01\0\0\0ce_id1", b"\x02\0", b"\xff\xff\0\0\0\0"],
    bytes_max: 4_096,
    packed: false,
};

#[test]
fn segments_yield_intact_records_alone_and_reading_reaches_their_end() {
    let lane = Lane::new();
    SEGMENTS.run(|bytes| {
        // Most damage ends at a checksum. With the checksums set right, what lies behind is met.
        let mended = with_right_sums(bytes);
        [bytes, &mended].map(|bytes| lane.check(bytes)).join(" | ")
    });
}

/// A folder of one test, deleted with it.
struct Lane(PathBuf);

impl Lane {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("clickmill-fuzz-{}", std::process::id())))
    }

    fn check(&self, bytes: &[u8]) -> String {
        let scanned = fuzzing::scan(bytes);
        assert_eq!(intact(bytes, &scanned), scanned.records);

        let _ = fs::remove_dir_all(&self.0);
        fs::create_dir_all(&self.0).expect("a folder");
        let many = match fuzzing::restarted(&self.0, bytes, 1_000) {
            Ok(found) => found,
            Err(error) => return kind_of(&error),
        };
        assert_eq!(many.records.len() as u64, scanned.records);
        assert!(many.records.is_sorted_by(|one, next| one < next), "{:?}", many.records);
        assert_eq!(many.reached, many.next, "reading stopped halfway");
        // Read one by one, nothing else is found. The first reading cut the file's torn end off.
        if scanned.records > 0 {
            let one = fuzzing::restarted(&self.0, bytes, 1).expect("it was read before");
            assert_eq!((one.records, one.reached), (many.records, many.reached));
        }
        format!("{} {} {}", scanned.records.min(8), scanned.damaged.len().min(8), many.next > 0)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn kind_of(error: &std::io::Error) -> String {
    format!("{:?}", error.kind())
}

/// How many records the scan's sound stretches hold, by their own marks, lengths and checksums.
fn intact(bytes: &[u8], scanned: &Scanned) -> u64 {
    let mut sound = Vec::new();
    let mut at = scanned.begin;
    for &(from, to) in &scanned.damaged {
        assert!(at <= from && from < to && to < scanned.end, "{scanned:?}");
        sound.push((at, from));
        at = to;
    }
    if scanned.end > at {
        sound.push((at, scanned.end));
    }
    let mut records = 0;
    for (mut at, end) in sound {
        while at < end {
            let (crc, length) = (number(bytes, at + 4), number(bytes, at + 8));
            let behind = at + PREFIX_BYTES + length;
            assert_eq!(&bytes[at..at + 4], MARKER);
            assert_eq!(crc32fast::hash(&bytes[at + 8..behind]) as usize, crc);
            let again = fuzzing::rewritten(&bytes[at..end]).expect("a record");
            assert_eq!(again, &bytes[at..behind], "a record is not written as it was read");
            records += 1;
            at = behind;
        }
        assert_eq!(at, end);
    }
    records
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// The same bytes with the checksum of each record as it must be, wherever a length leads within.
fn with_right_sums(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let mut at = 0;
    while at + PREFIX_BYTES <= mended.len() {
        let behind = at + PREFIX_BYTES + number(&mended, at + 8);
        if &mended[at..at + 4] == MARKER && behind <= mended.len() {
            let crc = crc32fast::hash(&mended[at + 8..behind]);
            mended[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
            at = behind;
        } else {
            at += 1;
        }
    }
    mended
}

#[test]
fn headers_are_a_run_of_bytes_that_comes_back_or_are_refused() {
    HEADERS.run(|bytes| {
        let Ok(headers) = Headers::from_bytes(bytes) else { return "refused".to_owned() };
        assert_eq!(headers.as_bytes(), bytes);
        let mut again = Headers::default();
        headers.iter().for_each(|(name, value)| again.push(name, value));
        assert_eq!(again, headers);
        assert_eq!(headers.iter().count(), headers.count());
        for (name, _) in headers.iter() {
            assert!(headers.first(name).is_some());
        }
        headers.count().min(20).to_string()
    });
}
