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

/// The file of the module that captures what happens by itself.
pub(crate) const AUTO: &str = "clickmill_auto.js";

/// The scripts of this source tree.
const SCRIPTS: [(&str, &str); 3] = [
    (STUB, include_str!("../../stub/clickmill.js")),
    (GLUE, include_str!("../../stub/clickmill_core.js")),
    (AUTO, include_str!("../../stub/clickmill_auto.js")),
];

/// Makes the bundle.
pub(crate) fn write(wasm: &Path, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let core = fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    put(&out.join(CORE), &core)?;
    SCRIPTS.iter().try_for_each(|(name, script)| put(&out.join(name), thin(script).as_bytes()))
}

fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
