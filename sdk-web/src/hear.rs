//! From the numbers and texts of the glue to the machine.

use clickmill_sdk_core::client::{ClientOptions, Machine, Storage, told};

/// Bytes of randomness before the text of a beginning.
const SEED_BYTES: usize = 32;

/// Takes one report and returns what is to be done. What comes before a beginning is passed over.
pub(crate) fn hear<'a>(
    slot: &'a mut Option<Machine>,
    (what, number): (u32, u64),
    now: u64,
    heard: &[u8],
) -> &'a [u8] {
    if what == told::BEGIN {
        *slot = begin(number, heard);
        return &[];
    }
    match slot {
        Some(machine) => machine.step(now, what, number, heard),
        None => &[],
    }
}

fn begin(flags: u64, heard: &[u8]) -> Option<Machine> {
    let (seed, remembered) = heard.split_first_chunk::<SEED_BYTES>()?;
    let storage = if flags & told::KEPT != 0 { Storage::Kept } else { Storage::Denied };
    let options = ClientOptions { storage, ..ClientOptions::default() };
    Some(Machine::new(options, *seed, remembered))
}
