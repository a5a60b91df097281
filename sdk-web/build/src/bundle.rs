//! Writes the files of a bundle: `clickmill.js`, `clickmill_core.js`, `clickmill_core_bg.wasm`,
//! `clickmill_alone.js`, and the modules that a page may load beside them.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::thin::thin;

/// The stub's file.
pub(crate) const STUB: &str = "clickmill.js";
/// The glue's file.
pub(crate) const GLUE: &str = "clickmill_core.js";
/// The file that the stub loads where it has no core.
pub(crate) const ALONE: &str = "clickmill_alone.js";
/// The core's file.
pub(crate) const CORE: &str = "clickmill_core_bg.wasm";

/// What stands in the glue in place of the core's sum.
const SUM: &str = "sum of the core";

/// A script of this source tree, by its name.
macro_rules! script {
    ($name:literal) => {
        ($name, include_str!(concat!("../../stub/", $name)))
    };
}

/// What no page has to ask for.
const SCRIPTS: [(&str, &str); 3] =
    [script!("clickmill.js"), script!("clickmill_core.js"), script!("clickmill_alone.js")];

/// What a page may have beside it, each a file of its own.
pub(crate) const MODULES: [(&str, &str); 10] = [
    script!("clickmill_auto.js"),
    script!("clickmill_errors.js"),
    script!("clickmill_experiments.js"),
    script!("clickmill_friction.js"),
    script!("clickmill_linker.js"),
    script!("clickmill_media.js"),
    script!("clickmill_overlay.js"),
    script!("clickmill_shop.js"),
    script!("clickmill_slots.js"),
    script!("clickmill_vitals.js"),
];

/// Makes the bundle. The glue knows the core by its sum, so the core must be as it is published.
pub(crate) fn write(wasm: &Path, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let core = fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    put(&out.join(CORE), &core)?;
    for (name, script) in SCRIPTS.iter().chain(&MODULES) {
        let mut script = thin(script);
        if *name == GLUE {
            ensure!(script.matches(SUM).count() == 1, "{GLUE} has no place for the core's sum");
            script = script.replace(SUM, &sum(&core));
        }
        put(&out.join(name), script.as_bytes())?;
    }
    Ok(())
}

/// The sum of a file as browsers check it. The shortest that they know: nobody forges a second file
/// to a sum of 256 bits, and longer ones cost each page bytes.
fn sum(file: &[u8]) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(file)))
}

/// The stub as it was written.
pub(crate) fn stub() -> &'static str {
    SCRIPTS[0].1
}

/// Writes a file.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glue_is_given_the_sum_of_the_core_beside_it() {
        assert_eq!(sum(b"abc"), "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        let folder = std::env::temp_dir().join(format!("clickmill-bundle-{}", std::process::id()));
        let wasm = folder.join("made.wasm");
        fs::create_dir_all(&folder).unwrap();
        fs::write(&wasm, b"abc").unwrap();
        write(&wasm, &folder.join("out")).unwrap();
        let glue = fs::read_to_string(folder.join("out").join(GLUE)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(glue.contains(&format!("\"{}\"", sum(b"abc"))) && !glue.contains(SUM));
    }
}
