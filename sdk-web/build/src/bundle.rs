//! Writes the files of a bundle: `clickmill.js`, `clickmill_core.js`, `clickmill_core_bg.wasm`, and
//! the modules that a page may load beside them.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::thin::thin;

/// The stub's file.
pub(crate) const STUB: &str = "clickmill.js";
/// The glue's file.
pub(crate) const GLUE: &str = "clickmill_core.js";
/// The core's file.
pub(crate) const CORE: &str = "clickmill_core_bg.wasm";

/// A script of this source tree, by its name.
macro_rules! script {
    ($name:literal) => {
        ($name, include_str!(concat!("../../stub/", $name)))
    };
}

/// What every page has.
const SCRIPTS: [(&str, &str); 2] = [script!("clickmill.js"), script!("clickmill_core.js")];

/// What a page may have beside it, each a file of its own.
pub(crate) const MODULES: [(&str, &str); 9] = [
    script!("clickmill_auto.js"),
    script!("clickmill_errors.js"),
    script!("clickmill_experiments.js"),
    script!("clickmill_friction.js"),
    script!("clickmill_media.js"),
    script!("clickmill_overlay.js"),
    script!("clickmill_shop.js"),
    script!("clickmill_slots.js"),
    script!("clickmill_vitals.js"),
];

/// Makes the bundle.
pub(crate) fn write(wasm: &Path, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let core = fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    put(&out.join(CORE), &core)?;
    let scripts = SCRIPTS.iter().chain(&MODULES);
    scripts.into_iter().try_for_each(|(name, script)| put(&out.join(name), thin(script).as_bytes()))
}

/// The stub as it was written.
pub(crate) fn stub() -> &'static str {
    SCRIPTS[0].1
}

/// Writes a file.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
