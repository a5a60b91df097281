//! Writes the three files of a bundle: `clickmill.js`, `clickmill_core.js`,
//! `clickmill_core_bg.wasm`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use wasm_bindgen_cli_support::Bindgen;

use crate::thin::thin;

/// The stub's file.
pub(crate) const STUB: &str = "clickmill.js";
/// The glue's file.
pub(crate) const GLUE: &str = "clickmill_core.js";
/// The core's file.
pub(crate) const CORE: &str = "clickmill_core_bg.wasm";

/// The stub of this source tree.
const OWN_STUB: &str = include_str!("../../stub/clickmill.js");

/// Makes the bundle.
pub(crate) fn write(wasm: &Path, out: &Path, stub: Option<&Path>) -> anyhow::Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("clickmill_core")
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
        .with_context(|| format!("binding {}", wasm.display()))?;
    let glue = out.join(GLUE);
    put(&glue, &thin(&get(&glue)?))?;
    let stub = match stub {
        Some(path) => get(path)?,
        None => OWN_STUB.to_owned(),
    };
    put(&out.join(STUB), &thin(&stub))
}

fn get(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
