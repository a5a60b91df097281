//! The SDK as a package of npm: whole, harmless on servers, with types that hold, and begun in a page
//! by an import.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::Browser;
use clickmill_tests::child::built;
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Folder, Front, World};
use serde_json::Value;

/// What renders a component on a server and calls whatever there is.
const ON_A_SERVER: &str = r#"
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import clickmill, * as all from "clickmill";
import auto from "clickmill/auto";
import { useExposure, useHint, useVariant } from "clickmill/react";

all.init({ key: "k", collector: "https://in.example", plugins: [auto({ off: "form" })] });
all.track("page_view", {});
clickmill("no such thing");
const Part = () => {
  const hint = useHint("suggested");
  return createElement("p", { ref: useExposure(hint) }, `arm ${useVariant("checkout")} ${hint?.id ?? "none"}`);
};
console.log(renderToString(createElement(Part)), all.on("hint", () => {})(), all.hint(), await all.variants());
"#;

/// What the types take.
const RIGHT: &str = r#"
import { init, on, track, variant, type Hint } from "clickmill";
import auto from "clickmill/auto";
import slots from "clickmill/slots";
import { useHint } from "clickmill/react";
import type { TypedEvent } from "clickmill/events";

declare module "clickmill" {
  interface Events { wishlist_add: { sku: string } }
}

init({
  key: "k", collector: "https://in.example", consent: ["analytics"], plugins: [auto({ off: "form" }), slots()],
  beforeSend: (event) => (event.type === "search" ? { query: "***" } : undefined),
});
track("product_view", { sku: "KET-1", price_cents: 3999 });
track("wishlist_add", { sku: "KET-1" });
const end: () => void = on("hint", (hint: Hint) => console.log(hint.content.items?.[0]?.sku));
const arm: number = variant("checkout");
const shown = useHint("suggested")?.content.title?.length;
const told = (event: TypedEvent): number => (event.type === "order" ? event.props.total_cents : 0);
export { arm, end, shown, told };
"#;

/// What they do not take, one mistake a line from the third one on.
const WRONG: &str = r#"import { init, track } from "clickmill";
import type { TypedEvent } from "clickmill/events";
track("product_view", { price_cents: 3999 });
track("product_view", { sku: "KET-1", price_cents: "39.99" });
track("page_view", { kind: "landing" });
track("unheard_of", {});
init({ key: "k" });
init({ key: "k", collector: "c", consent: ["everything"] });
export const told = (event: TypedEvent): string => (event.type === "search" ? event.props.sku : "");
"#;

fn package() -> PathBuf {
    built("npm/package.json").parent().expect("a folder").to_owned()
}

/// Runs a command to its end: whether it went well, and all that it said.
async fn run(mut command: Command) -> (bool, String) {
    let ended = tokio::task::spawn_blocking(move || command.output().expect("it starts"));
    let ended = ended.await.expect("a thread");
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A project that has the package, React and TypeScript.
fn project() -> Folder {
    let tools = std::env::var("CLICKMILL_TYPES").expect("TypeScript: `cargo xtask test` brings it");
    let (folder, tools) = (Folder::new("project"), Path::new(&tools).join("node_modules"));
    let modules = folder.path().join("node_modules");
    fs::create_dir_all(&modules).expect("a folder");
    for entry in fs::read_dir(tools).expect("what was brought") {
        let entry = entry.expect("an entry");
        std::os::unix::fs::symlink(entry.path(), modules.join(entry.file_name())).expect("a link");
    }
    copy(&package(), &modules.join("clickmill"));
    folder.write("package.json", r#"{ "type": "module", "private": true }"#);
    folder
}

/// Copies a folder: a link would look for React beside the package's own place.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the package") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("a copy")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_is_whole_and_importing_it_on_a_server_does_nothing() {
    let mut pack = Command::new("npm");
    pack.args(["pack", "--dry-run", "--json", "--ignore-scripts"]).current_dir(package());
    let mut pack = tokio::process::Command::from(pack);
    let packed = pack.output().await.expect("npm");
    let packed: Value = serde_json::from_slice(&packed.stdout).expect("what npm would pack");
    let files: Vec<_> =
        packed[0]["files"].as_array().into_iter().flatten().map(|file| &file["path"]).collect();
    for file in [
        "README.md",
        "dist/clickmill.js",
        "dist/clickmill_core.js",
        "dist/clickmill_core_bg.wasm",
        "events.d.ts",
        "index.js",
        "plugins/slots.js",
        "snippet.html",
    ] {
        assert!(files.iter().any(|path| *path == file), "{file}: {files:?}");
    }
    let snippet = fs::read_to_string(package().join("snippet.html")).expect("the snippet");
    assert!(snippet.matches("integrity=\"sha384-").count() >= 9, "{snippet}");

    let folder = project();
    let script = folder.write("server.js", ON_A_SERVER);
    let mut node = Command::new("node");
    node.arg(script).current_dir(folder.path());
    let (went_well, said) = run(node).await;
    assert!(went_well, "{said}");
    assert_eq!(said.trim(), "<p>arm 0 none</p> undefined undefined undefined");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_take_what_the_schemas_take_and_refuse_what_they_refuse() {
    let folder = project();
    let options = r#"{ "compilerOptions": { "strict": true, "noEmit": true, "target": "es2022",
        "lib": ["es2022", "dom"], "module": "esnext", "moduleResolution": "bundler", "skipLibCheck": false,
        "types": [] }, "files": ["FILE"] }"#;
    for (name, text, lines) in [("right.ts", RIGHT, vec![]), ("wrong.ts", WRONG, (3..=9).collect())]
    {
        folder.write(name, text);
        folder.write("tsconfig.json", &options.replace("FILE", name));
        let mut tsc = Command::new("node");
        tsc.args(["node_modules/typescript/bin/tsc", "-p", "tsconfig.json", "--pretty", "false"]);
        tsc.current_dir(folder.path());
        let (_, said) = run(tsc).await;
        let line =
            |said: &str| said.strip_prefix(&format!("{name}("))?.split_once(',')?.0.parse().ok();
        let found: Vec<u32> = said.lines().filter_map(line).collect();
        assert_eq!(found, lines, "{name}: {said}");
        assert!(!said.contains("error") || !lines.is_empty(), "{said}");
    }
}

/// A page that imports the package.
fn page(world: &World, key: &str) -> String {
    format!(
        r#"<!doctype html><html lang="en"><title>Imported</title><h1>Imported</h1>
<script>
  window.warned = [];
  console.warn = (text) => warned.push(text);
</script>
<script type="module">
  import clickmill, {{ init, track }} from "/files/index.js";
  import shop from "/files/shop.js";
  init({{
    key: "{key}", collector: "{}", core: "/files/clickmill_core.js", consent: ["analytics"],
    plugins: [shop()],
    beforeSend: ({{ type, props }}) => (type === "search" ? {{ ...props, query: "***" }} : type !== "login" && undefined),
  }});
  track("search", {{ query: "me" }});
  track("login", {{}});
  window.clickmill.shop.viewed({{ sku: "KET-1", name: "Kettle" }});
  clickmill("trak");
  clickmill("trak");
</script></html>"#,
        world.collector.url
    )
}

/// The package's files in one folder, as a site might serve them.
fn served() -> (Folder, PathBuf) {
    let folder = Folder::new("served");
    for part in ["", "dist", "plugins"] {
        for entry in fs::read_dir(package().join(part)).expect("the package") {
            let from = entry.expect("an entry").path();
            if let (true, Some(name)) = (from.is_file(), from.file_name()) {
                fs::copy(&from, folder.path().join(name)).expect("a copy");
            }
        }
    }
    let path = folder.path().to_owned();
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_begins_by_an_import_and_is_told_what_is_wrong() {
    let (world, browser, (_folder, path)) =
        (World::start().await, Browser::start().await, served());
    let site = Front::of_files(path.clone(), page(&world, world.write_key())).await;
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    browser.run("window.clickmill.flush()").await;
    let told = || async {
        let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
        let text = |record: &Record| format!("{} {}", record.kind.as_str(), record.props.as_str());
        records.iter().map(text).collect::<Vec<_>>()
    };
    let told = until_enough("three events", told, |told| told.len() >= 3).await;
    let has = |part: &str| told.iter().any(|one| one == part);
    assert!(has(r#"search {"query":"***"}"#) && has(r#"product_view {"sku":"KET-1"}"#), "{told:?}");
    assert!(!told.iter().any(|one| one.starts_with("login")), "{told:?}");
    let warned = browser.run("return warned").await;
    let warned: Vec<String> = serde_json::from_value(warned).expect("texts");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("no command \"trak\"; there are init, track"), "{warned:?}");
    world.books_balance().await;

    let site = Front::of_files(path, page(&world, "wk-nobody")).await;
    browser.open(&format!("{}/page", site.url)).await;
    until("what is wrong with the key", || async {
        let warned = browser.run("return warned.join()").await;
        let text = warned.as_str()?;
        (text.contains("does not know the write key \"wk-nobody\"") && text.contains("[[sites]]"))
            .then_some(())
    })
    .await;
    browser.close().await;
}
