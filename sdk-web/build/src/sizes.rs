//! Weighs a bundle as browsers fetch it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::bundle::{ALONE, CORE, GLUE, MODULES, STUB};
use crate::npm::REACT;
use crate::thin::thin;

/// Brotli's best: what a site compresses once, ahead of time.
const BROTLI_QUALITY: u32 = 11;
/// The logarithm of brotli's window; 22 is what servers use.
const BROTLI_WINDOW: u32 = 22;

/// A size with its name.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) name: String,
    pub(crate) bytes: usize,
}

impl Size {
    fn new(name: impl Into<String>, bytes: usize) -> Self {
        Self { name: name.into(), bytes }
    }

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
        let bytes = read(dir, file)?;
        let gzipped = gzip(&bytes)?;
        gzip_total += gzipped;
        brotli_total += brotli(&bytes)?;
        sizes.push(Size::new(name, gzipped));
    }
    sizes.push(Size::new("total_gzip_bytes", gzip_total));
    sizes.push(Size::new("total_brotli_bytes", brotli_total));
    // Not every page has them: `clickmill_auto.js` is `auto_gzip_bytes`.
    for file in MODULES.map(|(file, _)| file).into_iter().chain([ALONE]) {
        let name = file.trim_start_matches("clickmill_").trim_end_matches(".js");
        sizes.push(Size::new(format!("{name}_gzip_bytes"), gzip(&read(dir, file)?)?));
    }
    // A site's own bundler squeezes it further.
    sizes.push(Size::new("react_gzip_bytes", gzip(thin(REACT).as_bytes())?));
    Ok(sizes)
}

fn read(dir: &Path, file: &str) -> anyhow::Result<Vec<u8>> {
    let path = dir.join(file);
    fs::read(&path).with_context(|| format!("reading {}", path.display()))
}

/// Holds sizes against a budget: lines of a name and a number of bytes, `#` before a remark.
pub(crate) fn keep(sizes: &[Size], budget: &str) -> anyhow::Result<()> {
    let lines = budget.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut above = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, most) = line.split_once(' ').with_context(|| format!("{line}: no number"))?;
        let most: usize = most.trim().parse().with_context(|| format!("{line}: no number"))?;
        let size = sizes.iter().find(|size| size.name == name);
        let Size { bytes, .. } = size.with_context(|| format!("{name} is no size of the SDK"))?;
        if *bytes > most {
            above.push(format!("{name} is {bytes}, {} above {most}", bytes - most));
        }
    }
    anyhow::ensure!(above.is_empty(), above.join("; "));
    Ok(())
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
    fn a_size_above_its_budget_is_named() {
        let sizes = [Size::new("stub", 10), Size::new("all", 20)];
        assert!(keep(&sizes, "# bytes\nstub 10\n\nall 21 # so far\n").is_ok());
        let error = keep(&sizes, "stub 8\nall 20").unwrap_err();
        assert_eq!(error.to_string(), "stub is 10, 2 above 8");
        for bad in ["stub", "stub ten", "glue 1"] {
            assert!(keep(&sizes, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn both_ways_of_compressing_end_their_streams() {
        let bytes = b"click ".repeat(1000);
        assert!((20..100).contains(&gzip(&bytes).unwrap()));
        assert!((10..100).contains(&brotli(&bytes).unwrap()));
    }
}
