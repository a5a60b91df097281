//! Makes inputs from others: damages, splices, repeats, puts words in, packs.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use crate::Dice;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Words that any parser may stumble over.
const HARD: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xf4\x90\x80\x80",
    b"\r\n",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-1",
    b"+1",
    b"00",
    b"1e999",
    b"-0.0",
];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutator<'a> {
    pub(crate) words: &'a [&'a [u8]],
    pub(crate) bytes_max: usize,
    pub(crate) packed: bool,
}

impl<'w> Mutator<'w> {
    /// An input made from one, with pieces of another. Never longer than the bound.
    pub(crate) fn mutate(&self, base: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
        let mut bytes = match self.unpacked(base, dice) {
            Some(plain) => pack(&self.plain(&plain, other, dice)),
            None => self.plain(base, other, dice),
        };
        if self.packed && dice.one_in(16) {
            bytes = pack(&bytes);
        }
        bytes.truncate(self.bytes_max);
        bytes
    }

    /// What is packed in an input. Now and then the packing itself is to be damaged.
    fn unpacked(&self, base: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
        if !self.packed || !base.starts_with(GZIP_MAGIC) || dice.one_in(4) {
            return None;
        }
        let mut plain = Vec::new();
        let room = self.bytes_max as u64;
        GzDecoder::new(base).take(room).read_to_end(&mut plain).ok().map(|_| plain)
    }

    fn plain(&self, base: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
        let mut bytes = base.to_vec();
        for _ in 0..=dice.below(4) {
            self.step(&mut bytes, other, dice);
            bytes.truncate(self.bytes_max);
        }
        bytes
    }

    fn step(&self, bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
        let (from, to) = dice.stretch(bytes.len());
        match dice.below(10) {
            0 if !bytes.is_empty() => {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = dice.below(bytes.len());
                bytes[at] = dice.roll().to_le_bytes()[0];
            }
            2 if dice.one_in(4) => bytes.truncate(from),
            3 => drop(bytes.drain(from..to)),
            4 => {
                let piece = bytes[from..to].to_vec();
                let at = dice.below(bytes.len() + 1);
                insert(bytes, at, &piece);
            }
            5 => {
                let (begin, end) = dice.stretch(other.len());
                drop(bytes.splice(from..to, other[begin..end].iter().copied()));
            }
            6 => {
                let piece = self.word(dice);
                // Deep, long or many: whatever repeating this makes.
                let count = if dice.one_in(8) { dice.below(2_000) } else { 1 };
                let count = count.min(self.bytes_max / piece.len().max(1));
                insert(bytes, from, &piece.repeat(count));
            }
            // A whole value, or whatever else lies between two marks.
            7 | 8 => {
                let (from, to) = between_marks(bytes, from);
                let word = self.word(dice);
                drop(bytes.splice(from..to, word.iter().copied()));
            }
            _ => {
                let (from, to) = between_marks(bytes, from);
                let piece = bytes[from..to].to_vec();
                let (begin, end) = between_marks(bytes, dice.below(bytes.len() + 1));
                drop(bytes.splice(begin..end, piece));
            }
        }
    }

    fn word(&self, dice: &mut Dice) -> &'w [u8] {
        if self.words.is_empty() || dice.one_in(3) {
            dice.pick(HARD)
        } else {
            dice.pick(self.words)
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(bytes.splice(at..at, piece.iter().copied()));
}

/// What lies around a place, up to the marks that texts are divided by.
fn between_marks(bytes: &[u8], at: usize) -> (usize, usize) {
    let is_mark = |byte: &u8| b"{}[],:;.=& \r\n".contains(byte);
    let from = bytes[..at].iter().rposition(is_mark).map_or(0, |mark| mark + 1);
    let to = bytes[at..].iter().position(is_mark).map_or(bytes.len(), |mark| at + mark);
    (from, to)
}

fn pack(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("written to memory");
    encoder.finish().expect("written to memory")
}
