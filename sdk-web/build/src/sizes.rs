//! Weighs a bundle as browsers fetch it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::bundle::{CORE, GLUE, STUB};

/// Brotli's best: what a site compresses once, ahead of time.
const BROTLI_QUALITY: u32 = 11;
/// The logarithm of brotli's window; 22 is what servers use.
const BROTLI_WINDOW: u32 = 22;

/// A size with its name.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
}

impl Size {
    /// The size in the form that all benchmarks print.
    pub(crate) fn json(&self) -> String {
        let Self { name, bytes } = self;
        format!(r#"{{"bench":"sdk","name":"{name}","value":{bytes},"unit":"bytes"}}"#)
    }
}

/// Compresses the files of a bundle, each for itself.
pub(crate) fn weigh(dir: &Path) -> anyhow::Result<Vec<Size>> {
    let mut sizes = Vec::new();
    let (mut gzip_total, mut brotli_total) = (0, 0);
    let files = [("stub_gzip_bytes", STUB), ("glue_gzip_bytes", GLUE), ("wasm_gzip_bytes", CORE)];
    for (name, file) in files {
        let path = dir.join(file);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let gzipped = gzip(&bytes)?;
        gzip_total += gzipped;
        brotli_total += brotli(&bytes)?;
        sizes.push(Size { name, bytes: gzipped });
    }
    sizes.push(Size { name: "total_gzip_bytes", bytes: gzip_total });
    sizes.push(Size { name: "total_brotli_bytes", bytes: brotli_total });
    Ok(sizes)
}

fn gzip(bytes: &[u8]) -> io::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

fn brotli(bytes: &[u8]) -> io::Result<usize> {
    let mut out = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    encoder.write_all(bytes)?;
    drop(encoder);
    Ok(out.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_compressing_end_their_streams() {
        let bytes = b"click ".repeat(1000);
        assert!((20..100).contains(&gzip(&bytes).unwrap()));
        assert!((10..100).contains(&brotli(&bytes).unwrap()));
    }
}
