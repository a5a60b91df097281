//! The form of a segment: bytes to records and back, and how reading goes on behind damage.
//!
//! A segment is a head and then records, all numbers little-endian:
//!
//! ```text
//! head    "clickspl" | version u32 | lane u32 | first sequence number u64 | made at ms u64 | crc u32
//! record  marker [4] | crc u32 | length u32 | body
//! body    sequence number u64 | taken at ms u64 | topic u8+text | key u32+text | headers u32+bytes
//!         | value
//! ```
//!
//! A record's checksum covers its length and its body. The marker holds bytes that no UTF-8 text
//! holds, so nothing that a stranger sends can pass for a record, and the next intact one can be
//! looked for safely.

use clickmill_kafka::Headers;
use clickmill_sdk_core::wire::Topic;

use crate::sink::Message;

/// Length of a segment's head.
pub(crate) const HEAD_BYTES: usize = 36;

/// The longest body that is read: far above any record that Kafka takes.
const BODY_BYTES_MAX: usize = 32 << 20;

const MAGIC: &[u8; 8] = b"clickspl";

/// The form that this program writes and reads.
pub(crate) const VERSION: u32 = 1;

const MARKER: [u8; 4] = [0xff, 0xc1, b'c', b'm'];

/// Marker, checksum and length.
const PREFIX_BYTES: usize = 12;

/// The shortest record there can be.
pub(crate) const RECORD_BYTES_MIN: usize = PREFIX_BYTES + 8 + 8 + 1 + 4 + 4;

/// What stands in the place of a key's length where there is none.
const NO_KEY: u32 = u32::MAX;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) lane: u32,
    /// The sequence number from which its records count.
    pub(crate) first: u64,
    pub(crate) made_ms: u64,
}

impl Head {
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.lane.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.made_ms.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head of a segment and its version, if its bytes begin with an intact one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let head = bytes.get(..HEAD_BYTES)?;
        let mut left = Reader(head);
        let (magic, version) = (left.take(8)?, left.u32()?);
        let found = Self { lane: left.u32()?, first: left.u64()?, made_ms: left.u64()? };
        let intact = left.u32()? == crc32fast::hash(&head[..32]);
        (intact && magic == MAGIC).then_some((found, version))
    }
}

/// A record as it lies on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its place in the lane.
    pub(crate) seq: u64,
    /// When it was put there.
    pub(crate) taken_ms: u64,
    pub(crate) message: Message,
}

/// What some bytes begin with.
#[derive(Debug)]
pub(crate) enum Found {
    /// An intact record, so many bytes long.
    Record(Box<Stored>, usize),
    /// What may be a record that so many bytes are needed for.
    Short(usize),
    /// Nothing that was written here.
    Damage,
}

/// How many bytes a message takes on the disk.
pub(crate) fn bytes_of(message: &Message) -> usize {
    let key = message.key.as_ref().map_or(0, |key| key.len());
    let texts = message.topic.as_str().len() + key + message.headers.as_bytes().len();
    RECORD_BYTES_MIN + texts + message.value.len()
}

/// Appends a record. One that is too long to be read again is none: nothing that Kafka takes is.
pub(crate) fn encode(seq: u64, taken_ms: u64, message: &Message, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&MARKER);
    into.extend_from_slice(&[0; 4]);
    // Lossless: a delivery is bounded by far less than 4 GiB.
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(NO_KEY).to_le_bytes();
    into.extend_from_slice(&length(bytes_of(message) - PREFIX_BYTES));
    into.extend_from_slice(&seq.to_le_bytes());
    into.extend_from_slice(&taken_ms.to_le_bytes());
    let topic = message.topic.as_str().as_bytes();
    // Our topics' names are shorter than 255 bytes.
    into.push(u8::try_from(topic.len()).unwrap_or(u8::MAX));
    into.extend_from_slice(topic);
    match &message.key {
        Some(key) => {
            into.extend_from_slice(&length(key.len()));
            into.extend_from_slice(key.as_bytes());
        }
        None => into.extend_from_slice(&NO_KEY.to_le_bytes()),
    }
    let headers = message.headers.as_bytes();
    into.extend_from_slice(&length(headers.len()));
    into.extend_from_slice(headers);
    into.extend_from_slice(message.value.as_bytes());
    let crc = crc32fast::hash(&into[start + 8..]).to_le_bytes();
    into[start + 4..start + 8].copy_from_slice(&crc);
}

/// Reads the record that the bytes begin with.
pub(crate) fn decode(bytes: &[u8]) -> Found {
    let marked = bytes.len().min(MARKER.len());
    if bytes[..marked] != MARKER[..marked] {
        return Found::Damage;
    }
    let mut left = Reader(bytes);
    let prefix = (left.take(MARKER.len()), left.u32(), left.u32());
    let (Some(_), Some(crc), Some(length)) = prefix else { return Found::Short(PREFIX_BYTES) };
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= BODY_BYTES_MAX)
    else {
        return Found::Damage;
    };
    let whole = PREFIX_BYTES + length;
    let Some(checked) = bytes.get(8..whole) else { return Found::Short(whole) };
    if crc32fast::hash(checked) != crc {
        return Found::Damage;
    }
    match body(&bytes[PREFIX_BYTES..whole]) {
        Some(stored) => Found::Record(Box::new(stored), whole),
        None => Found::Damage,
    }
}

fn body(bytes: &[u8]) -> Option<Stored> {
    let mut left = Reader(bytes);
    let (seq, taken_ms) = (left.u64()?, left.u64()?);
    // Nothing could follow the last number, so nothing here ever had it.
    seq.checked_add(1)?;
    let topic_bytes = usize::from(*left.take(1)?.first()?);
    let topic = Topic::parse(left.text(topic_bytes)?)?;
    let key = match left.u32()? {
        NO_KEY => None,
        length => Some(left.text(usize::try_from(length).ok()?)?.into()),
    };
    let headers_bytes = usize::try_from(left.u32()?).ok()?;
    let headers = Headers::from_bytes(left.take(headers_bytes)?).ok()?;
    let value = std::str::from_utf8(left.0).ok()?.to_owned();
    Some(Stored { seq, taken_ms, message: Message { topic, key, value, headers } })
}

/// Where the next intact record with a sequence number from `seq` on begins, at or behind `at`.
pub(crate) fn resume(bytes: &[u8], at: usize, seq: u64) -> Option<usize> {
    let mut at = at;
    while let Some(left) = bytes.get(at..) {
        let marker = left.windows(MARKER.len()).position(|window| window == MARKER)?;
        at += marker;
        if let Found::Record(stored, _) = decode(&bytes[at..])
            && stored.seq >= seq
        {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// What a whole segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// How many intact records.
    pub(crate) records: u64,
    /// The sequence number behind the last one.
    pub(crate) next: u64,
    /// Where the last intact record ends; what follows was never completed.
    pub(crate) end: usize,
    /// Stretches within that could not be read, from and to.
    pub(crate) damaged: Vec<(usize, usize)>,
}

/// Reads a whole segment whose records count from `first`. A head that is damaged costs no record:
/// each stands for itself.
pub(crate) fn scan(bytes: &[u8], first: u64) -> Scan {
    let mut scan = Scan { next: first, end: HEAD_BYTES, ..Scan::default() };
    let mut at = HEAD_BYTES;
    while let Some(left) = bytes.get(at..) {
        match decode(left) {
            Found::Record(stored, length) if stored.seq >= scan.next => {
                at += length;
                scan.records += 1;
                scan.end = at;
                scan.next = stored.seq.saturating_add(1);
            }
            Found::Record(..) | Found::Short(_) | Found::Damage => {
                let Some(next) = resume(bytes, at + 1, scan.next) else { break };
                scan.damaged.push((at, next));
                at = next;
            }
        }
    }
    scan
}

/// Takes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    fn text(&mut self, count: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(count)?).ok()
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spool::testing::message;

    fn segment(values: &[String]) -> Vec<u8> {
        let mut bytes = Head { lane: 3, first: 7, made_ms: 1 }.encode().to_vec();
        for (seq, value) in (7..).zip(values) {
            encode(seq, 5, &message("v1", value), &mut bytes);
        }
        bytes
    }

    fn values(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("value {number}")).collect()
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for sent in [message("v1", "{\"a\":\"ü\"}"), Message { key: None, ..message("", "") }] {
            let mut bytes = Vec::new();
            encode(9, 8, &sent, &mut bytes);
            assert_eq!(bytes.len(), bytes_of(&sent));
            let Found::Record(stored, length) = decode(&bytes) else { panic!("no record") };
            assert_eq!((stored.seq, stored.taken_ms, length), (9, 8, bytes.len()));
            assert_eq!(format!("{:?}", stored.message), format!("{sent:?}"));
        }
    }

    #[test]
    fn a_segment_cut_at_any_byte_keeps_what_was_complete() {
        let values = values(4);
        let whole = segment(&values);
        let ends: Vec<usize> = (0..=4).map(|count| segment(&values[..count]).len()).collect();
        for cut in 0..whole.len() {
            let scan = scan(&whole[..cut], 7);
            let complete = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(scan.records, complete as u64, "cut at {cut}");
            assert_eq!((scan.end, scan.damaged), (ends[complete], vec![]));
        }
    }

    #[test]
    fn any_damaged_byte_costs_one_record_and_is_named() {
        let values = values(3);
        let whole = segment(&values);
        let second = segment(&values[..1]).len()..segment(&values[..2]).len();
        for at in second.clone() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            let scan = scan(&bytes, 7);
            assert_eq!((scan.records, scan.next), (2, 10), "damaged at {at}");
            assert_eq!(scan.damaged, [(second.start, second.end)]);
        }
    }

    #[test]
    fn text_that_looks_like_a_record_is_never_one() {
        let marker = MARKER.to_vec();
        assert!(String::from_utf8(marker).is_err());
        let mut fake = Vec::new();
        encode(8, 0, &message("v1", "fake"), &mut fake);
        let fake = String::from_utf8_lossy(&fake).into_owned();
        let mut bytes = segment(&[fake]);
        let damaged = bytes.len() - 1;
        bytes[damaged] ^= 1;
        assert_eq!(scan(&bytes, 7).records, 0);
    }

    #[test]
    fn a_head_of_another_kind_is_refused() {
        let head = Head { lane: 1, first: 2, made_ms: 3 };
        assert_eq!(Head::decode(&head.encode()), Some((head, VERSION)));
        for at in 0..HEAD_BYTES {
            let mut bytes = head.encode();
            bytes[at] ^= 1;
            assert_eq!(Head::decode(&bytes), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = segment(&values(2));
            bytes.extend_from_slice(&noise);
            encode(20, 0, &message("v1", "behind"), &mut bytes);
            prop_assert_eq!(scan(&bytes, 7).records, 3);
            scan(&noise, 0);
        }
    }
}
