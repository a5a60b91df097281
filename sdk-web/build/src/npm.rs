//! Puts the npm package together: the bundle's files, the stub as a module, each module as a plugin,
//! and a snippet of script tags with the sums of the files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha384};

use crate::bundle::{ALONE, CORE, GLUE, MODULES, STUB, put, stub};
use crate::thin::thin;

/// A file of the package as it was written.
macro_rules! ours {
    ($name:literal) => {
        ($name, include_str!(concat!("../../npm/", $name)))
    };
}

/// What goes into the package as it is.
const FILES: [(&str, &str); 8] = [
    ours!("README.md"),
    ours!("events.d.ts"),
    ours!("index.d.ts"),
    ours!("plugin.d.ts"),
    ours!("react.d.ts"),
    ("react.js", REACT),
    // What its reference is written by; npm leaves both out of what is published.
    ours!("tsconfig.json"),
    ours!("typedoc.json"),
];
/// The hooks.
pub(crate) const REACT: &str = include_str!("../../npm/react.js");
const MANIFEST: &str = include_str!("../../npm/package.json");
const MODULE: &str = include_str!("../../npm/index.js");

/// Makes the package out of the bundle in `sdk`.
pub(crate) fn write(sdk: &Path, out: &Path) -> anyhow::Result<()> {
    // What an older version had must not be published.
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("emptying {}", out.display()))?;
    }
    for folder in ["dist", "plugins"] {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    }
    for (name, text) in FILES {
        put(&out.join(name), text.as_bytes())?;
    }
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let manifest = exchange(MANIFEST, "\"version\": \"0.0.0\"", &version)?;
    put(&out.join("package.json"), manifest.as_bytes())?;
    put(&out.join("index.js"), module()?.as_bytes())?;
    for (file, script) in MODULES {
        put(&out.join("plugins").join(short(file)), plugin(script).as_bytes())?;
    }
    dist(sdk, &out.join("dist"))?;
    put(&out.join("snippet.html"), snippet(&out.join("dist"))?.as_bytes())
}

/// The stub as a function of the module. Its settings are in the tag that the module makes, not in
/// the script that happens to run; and nobody's bundler looks for the core.
fn module() -> anyhow::Result<String> {
    let import = "import(/* webpackIgnore: true */ /* @vite-ignore */ source)";
    let stub = exchange(&thin(stub()), "import(source)", import)?;
    exchange(MODULE, "/* the stub */", stub.trim_end())
}

/// A module as a function that a plugin is: settings in, and what runs.
fn plugin(script: &str) -> String {
    let script = thin(script);
    let body = script.replace("document.currentScript", "tag").replace("doc.currentScript", "tag");
    format!("export default (dataset = {{}}) => () => {{\nconst tag = {{ dataset }};\n{body}}};\n")
}

/// `clickmill_auto.js` is `auto.js`.
fn short(file: &str) -> &str {
    file.trim_start_matches("clickmill_")
}

/// Copies the bundle; a script that has a source map says so.
fn dist(sdk: &Path, out: &Path) -> anyhow::Result<()> {
    let scripts = [STUB, GLUE, ALONE].into_iter().chain(MODULES.map(|(file, _)| file));
    for file in scripts {
        let mut script = read(&sdk.join(file))?;
        let map = format!("{file}.map");
        if sdk.join(&map).is_file() {
            put(&out.join(&map), &read(&sdk.join(&map))?)?;
            script.extend(format!("\n//# sourceMappingURL={map}\n").bytes());
        }
        put(&out.join(file), &script)?;
    }
    put(&out.join(CORE), &read(&sdk.join(CORE))?)
}

/// Script tags with the sums of the files, for sites that serve them themselves.
fn snippet(dist: &Path) -> anyhow::Result<String> {
    let sum = |file: &str| -> anyhow::Result<String> {
        Ok(format!("sha384-{}", STANDARD.encode(Sha384::digest(read(&dist.join(file))?))))
    };
    let mut snippet = format!(
        "<script src=\"/sdk/{STUB}\" integrity=\"{}\" crossorigin=\"anonymous\"\n        \
         data-key=\"YOUR WRITE KEY\" data-collector=\"https://YOUR COLLECTOR\"\n        \
         data-hints=\"https://YOUR RELAY\" data-core=\"/sdk/{GLUE}\" defer></script>\n\
         <!-- Take those that you use. -->\n",
        sum(STUB)?
    );
    for (file, _) in MODULES {
        // Writing to a string does not fail.
        let _ = writeln!(
            snippet,
            "<script src=\"/sdk/{file}\" integrity=\"{}\" crossorigin=\"anonymous\" defer></script>",
            sum(file)?
        );
    }
    Ok(snippet)
}

/// Puts one text in the place of another that is there once.
fn exchange(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    let count = text.matches(from).count();
    ensure!(count == 1, "the package is made by exchanging `{from}`, which is there {count} times");
    Ok(text.replacen(from, to, 1))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exchanged_must_be_there_once() {
        assert_eq!(exchange("a b", "b", "c").unwrap(), "a c");
        assert!(exchange("a", "b", "c").is_err());
        assert!(exchange("b b", "b", "c").is_err());
    }

    #[test]
    fn the_stub_finds_what_is_exchanged() {
        // Which script happens to run is no matter to a module.
        let module = module().unwrap();
        assert!(!module.contains("currentScript"), "{module}");
    }

    #[test]
    fn a_plugin_has_its_settings_from_its_caller() {
        let plugin = plugin("(() => {\n  a(doc.currentScript?.dataset.off);\n})();\n");
        assert_eq!(
            plugin,
            "export default (dataset = {}) => () => {\nconst tag = { dataset };\n\
             (() => {\na(tag?.dataset.off);\n})();\n};\n"
        );
    }
}
