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
use serde_json::{Value, json};

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
  beforeSend: (event) => {
    const facts = JSON.parse(event.facts);
    if (facts.page) event.facts = JSON.stringify({ ...facts, page: { url: facts.page.url.split("?")[0] } });
    return event.type === "search" ? { query: "***" } : undefined;
  },
});
on("verdict", ({ reason, schema, pointer, detail }) => console.log(reason, schema, pointer, detail));
on("state", ({ delivery, stream }) => delivery === "stopped" || stream === "waiting");
on("hint", ({ cause, epoch, replayed }) => console.log(cause?.event, (epoch ?? 0) + 1, replayed === true));
window.clickmill?.shop?.added({ sku: "KET-1", stock: 3 });
const known: number | undefined = window.clickmill?.variant?.("checkout");
track("product_view", { sku: "KET-1", price_cents: 3999 });
track("wishlist_add", { sku: "KET-1" });
const end: () => void = on("hint", (hint: Hint) => console.log(hint.content.items?.[0]?.sku));
const arm: number = variant("checkout");
const shown = useHint("suggested")?.content.title?.length;
const left: number | undefined = useHint("stock")?.content.available;
const told = (event: TypedEvent): number => (event.type === "order" ? event.props.total_cents : 0);
export { arm, end, known, left, shown, told };
"#;

/// What they do not take, one mistake a line from the third one on.
const WRONG: &str = r#"import { init, on, track } from "clickmill";
import type { TypedEvent } from "clickmill/events";
track("product_view", { price_cents: 3999 });
track("product_view", { sku: "KET-1", price_cents: "39.99" });
track("page_view", { kind: "landing" });
track("unheard_of", {});
init({ key: "k" });
init({ key: "k", collector: "c", consent: ["everything"] });
export const told = (event: TypedEvent): string => (event.type === "search" ? event.props.sku : "");
on("state", ({ delivery }) => delivery === "sending");
window.clickmill?.shop?.bought({});
"#;

fn package() -> PathBuf {
    built("npm/package.json").parent().expect("a folder").to_owned()
}

/// The parts of React that a page runs: what others import, where it lies, and what it requires.
const REACT: [(&str, &str, &[&str]); 5] = [
    ("react", "react/cjs/react.production.js", &[]),
    ("react/jsx-runtime", "react/cjs/react-jsx-runtime.production.js", &["react"]),
    ("scheduler", "scheduler/cjs/scheduler.production.js", &[]),
    ("react-dom", "react-dom/cjs/react-dom.production.js", &["react"]),
    (
        "react-dom/client",
        "react-dom/cjs/react-dom-client.production.js",
        &["react", "react-dom", "scheduler"],
    ),
];

/// A page whose component shows the products of a hint.
const COMPONENT: &str = r#"<!doctype html><html lang="en"><title>Component</title><h1>Component</h1><main></main>
<script type="importmap">IMPORTS</script>
<script type="module">
  import { createElement } from "react";
  import { createRoot } from "react-dom/client";
  import { init, track } from "/files/index.js";
  import { useExposure, useHint } from "/files/react.js";
  init(SETTINGS);
  const Suggested = ({ renders }) => {
    const hint = useHint("suggested");
    const skus = hint?.content.items.map(({ sku }) => sku).join() ?? "none";
    return createElement("p", { ref: useExposure(hint), id: hint?.id }, `${renders} ${skus}`);
  };
  const root = createRoot(document.querySelector("main"));
  let renders = 0;
  window.render = () => root.render(createElement(Suggested, { renders: renders++ }));
  window.render();
  track("product_view", { sku: "kettle" });
</script></html>"#;

/// Components that show what holds in two slots; a hint is said by the page itself.
const PARTS: &str = r#"<!doctype html><html lang="en"><title>Parts</title><h1>Parts</h1><main></main>
<script type="importmap">IMPORTS</script>
<script type="module">
  import { createElement } from "react";
  import { createRoot } from "react-dom/client";
  import { init } from "/files/index.js";
  import { useExposure, useHint } from "/files/react.js";
  init(SETTINGS);
  const show = ({ state, available, product, items }) =>
    product ? `${state} ${available} ${product.sku}` : items.map(({ sku }) => sku).join();
  window.shown = {};
  const Part = ({ slot }) => {
    const hint = useHint(slot);
    const text = hint ? show(hint.content) : "none";
    (window.shown[slot] ??= []).push(text);
    return createElement("p", { ref: useExposure(hint), id: slot }, text);
  };
  const parts = ["stock", "offers"].map((slot) => createElement(Part, { slot, key: slot }));
  createRoot(document.querySelector("main")).render(parts);
  window.told = [];
  document.addEventListener("clickmill:event", ({ detail: { type, props } }) => {
    if (type === "exposure") told.push(`${props.slot} ${props.hint}`);
  });
  window.say = (kind, slot, id, content) => document.dispatchEvent(new CustomEvent("clickmill:hint", {
    detail: { id, kind, slot, content, expires_at: Date.now() + 60000 },
  }));
  window.suggest = (id, ...skus) => say("suggest", "offers", id, { items: skus.map((sku) => ({ sku })) });
  window.text = (slot) => document.getElementById(slot).textContent;
  window.see = (isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  };
</script></html>"#;

/// Runs a command to its end: whether it went well, and all that it said.
async fn run(mut command: Command) -> (bool, String) {
    let ended = tokio::task::spawn_blocking(move || command.output().expect("it starts"));
    let ended = ended.await.expect("a thread");
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Where React and TypeScript lie.
fn tools() -> PathBuf {
    let tools = std::env::var("CLICKMILL_TYPES").expect("TypeScript: `cargo xtask test` brings it");
    Path::new(&tools).join("node_modules")
}

/// A project that has the package, React and TypeScript.
fn project() -> Folder {
    let (folder, tools) = (Folder::new("project"), tools());
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
    for (name, text, lines) in
        [("right.ts", RIGHT, vec![]), ("wrong.ts", WRONG, (3..=11).collect())]
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

/// Written from the types of the package; what has no comment there fails it.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_tells_of_every_function() {
    let folder = project();
    let mut typedoc = Command::new("node");
    typedoc.args(["node_modules/typedoc/bin/typedoc", "--options"]);
    typedoc.args(["node_modules/clickmill/typedoc.json", "--out", "reference"]);
    typedoc.current_dir(folder.path());
    let (went_well, said) = run(typedoc).await;
    assert!(went_well, "{said}");
    let pages = folder.path().join("reference/functions");
    for (name, says) in [
        ("index.track", "its id, or none where it was kept"),
        ("index.identify", "Another customer in the same browser"),
        ("react.useHint", "The hint of a slot"),
    ] {
        let page = fs::read_to_string(pages.join(format!("{name}.html"))).expect(name);
        assert!(page.contains(says), "{name}: {page}");
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
    beforeSend: (event) => {{
      const {{ type, props }} = event;
      if (type === "wishlist_add") throw new Error("what was to be taken out is still in it");
      const facts = JSON.parse(event.facts);
      event.facts = JSON.stringify({{ ...facts, page: {{ url: "https://shop.example/" }} }});
      return type === "search" ? {{ ...props, query: "***" }} : type !== "login" && undefined;
    }},
  }});
  track("wishlist_add", {{ sku: "KET-1" }});
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
    let is_there = |kind| told.iter().any(|one| one.starts_with(kind));
    assert!(!is_there("login") && !is_there("wishlist_add"), "{told:?}");
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let url = |record: &Record| record.context.page.as_ref().map(|page| page.url.clone());
    assert!(
        records.iter().all(|r| url(r).as_deref() == Some("https://shop.example/")),
        "{records:?}"
    );
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

/// Puts a part of React into a folder as a module, as a bundler would, and tells its file's name.
fn put_module(folder: &Folder, (name, path, requires): (&str, &str, &[&str])) -> String {
    let text = fs::read_to_string(tools().join(path)).expect("a part of React");
    let imports = requires.iter().enumerate();
    let imports: String =
        imports.map(|(at, name)| format!("import part{at} from \"{name}\";\n")).collect();
    let parts: Vec<String> =
        requires.iter().enumerate().map(|(at, name)| format!("\"{name}\": part{at}")).collect();
    let hands_out = match name {
        "react" => "createElement, useCallback, useEffect, useRef, useState, useSyncExternalStore",
        "react/jsx-runtime" => "jsx, jsxs",
        "react-dom/client" => "createRoot",
        _ => "version",
    };
    let parts = parts.join(", ");
    let file = format!("part_{}.js", name.replace('/', "_"));
    let module = format!(
        "{imports}const module = {{ exports: {{}} }};\nconst {{ exports }} = module;
const require = (name) => ({{ {parts} }})[name];\n{text}
export default module.exports;\nexport const {{ {hands_out} }} = module.exports;\n"
    );
    folder.write(&file, &module);
    file
}

/// The page with the parts of React that it imports.
fn with_react(page: &str, folder: &Folder, settings: &Value) -> String {
    let file = |part: (&'static str, &str, &[&str])| {
        (part.0.to_owned(), Value::from(format!("/files/{}", put_module(folder, part))))
    };
    let ours = [("clickmill", "index"), ("clickmill/react", "react")];
    let ours = ours.into_iter().chain([("clickmill/experiments", "experiments")]);
    let ours = ours.map(|(name, file)| (name.to_owned(), json!(format!("/files/{file}.js"))));
    let imports: serde_json::Map<_, _> = REACT.into_iter().map(file).chain(ours).collect();
    let page = page.replace("IMPORTS", &json!({ "imports": imports }).to_string());
    page.replace("SETTINGS", &settings.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_takes_hints_and_looks_as_a_slot_does() {
    let (edge, browser) = (World::builder().edge().await, Browser::start().await);
    let (folder, path) = served();
    let settings = json!({
        "key": edge.write_key(), "collector": edge.collector.url,
        "core": "/files/clickmill_core.js", "consent": ["analytics"],
    });
    let site = Front::of_files(path, with_react(PARTS, &folder, &settings)).await;
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    let text = async |slot: &str, what: &str| {
        let text = || async { browser.run(&format!("return text('{slot}')")).await };
        until_enough(&format!("{what} in {slot}"), text, |text| text == what).await;
    };
    let told = async |what: &str| {
        let told = || async { browser.run("return told").await };
        let is_told =
            |told: &Value| told.as_array().is_some_and(|told| told.contains(&what.into()));
        until_enough(&format!("{what} was seen"), told, is_told).await;
    };

    // How one product is stocked; a product that is gone takes its hint along.
    let low = r#"{ state: "low", available: 2, product: { sku: "A" } }"#;
    browser.run(&format!("say('stock', 'stock', 's.0.1.0', {low})")).await;
    text("stock", "low 2 A").await;
    told("stock s.0.1.0").await;
    browser.run("say('withdraw', 'stock', 'w.0.1.0', { skus: ['B'] })").await;
    browser.run("say('withdraw', 'stock', 'w.0.1.1', { skus: ['A'] })").await;
    text("stock", "none").await;
    assert_eq!(browser.run("return shown.stock").await, json!(["none", "low 2 A", "none"]));

    // Of several only those go that are named.
    browser.run("suggest('o.0.1.0', 'A', 'B', 'C')").await;
    text("offers", "A,B,C").await;
    browser.run("say('withdraw', 'offers', 'w.0.2.0', { sku: 'B' })").await;
    text("offers", "A,C").await;
    browser
        .run("say('withdraw', undefined, 'w.0.3.0', { items: [{ sku: 'A' }, { sku: 'C' }] })")
        .await;
    text("offers", "none").await;

    // What comes again after a reset was never away; what does not, goes.
    browser.run("suggest('o.0.2.0', 'D')").await;
    text("offers", "D").await;
    browser.run("shown.offers.length = 0; say('reset'); suggest('o.0.2.0', 'D')").await;
    let later =
        "const done = arguments[arguments.length - 1]; setTimeout(() => done(shown.offers), 1500)";
    assert_eq!(browser.later(later).await, json!([]), "nothing was shown anew");
    let stays = "say('reset'); return text('offers')";
    assert_eq!(browser.run(stays).await, "D", "until it is known that it does not come");
    text("offers", "none").await;

    // Whoever looks elsewhere after a moment has not seen it.
    let briefly = "const done = arguments[arguments.length - 1]; see(false); suggest('o.0.3.0', 'E');
        setTimeout(() => see(true), 200); setTimeout(() => done(told.includes('offers o.0.3.0')), 2000)";
    assert_eq!(browser.later(briefly).await, false, "a hidden page is seen by nobody");
    browser.run("see(false)").await;
    told("offers o.0.3.0").await;

    // Half of it is never in view.
    browser.run("document.getElementById('offers').style.height = '300vh'").await;
    browser.run("suggest('o.0.4.0', 'F')").await;
    told("offers o.0.4.0").await;
    let once = browser.run("return told.length === new Set(told).size").await;
    assert_eq!(once, true, "each once");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_shows_a_hint_and_tells_once_that_it_was_seen() {
    let (world, browser, (folder, path)) = (World::start().await, Browser::start().await, served());
    world.kafka.stock(&[("kettle", 5), ("toaster", 5)]);
    let others = world.page();
    others.send(vec![others.views("kettle"), others.views("toaster")]).await;
    world.enriched(2).await;

    let settings = json!({
        "key": world.write_key(), "collector": world.collector.url, "hints": world.relay.url,
        "core": "/files/clickmill_core.js", "consent": ["analytics", "personalization"],
    });
    let site = Front::of_files(path, with_react(COMPONENT, &folder, &settings)).await;
    browser.open(&format!("{}/page", site.url)).await;
    let shown = "const shown = document.querySelector('main p');
        return [shown?.textContent ?? '', shown?.id ?? '']";
    until("a hint in the component", || async {
        (browser.run(shown).await[0] == "0 toaster").then_some(())
    })
    .await;

    let exposures = || async {
        let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
        let seen = records.iter().filter(|record| record.kind.as_str() == "exposure");
        seen.map(|record| record.props.as_str().to_owned()).collect::<Vec<_>>()
    };
    // A later hint may take the place of the first one at any time.
    let seen = until("the hint that is shown was seen", || async {
        let hint = browser.run(shown).await[1].as_str().map(str::to_owned)?;
        let told = format!(r#"{{"hint":"{hint}","slot":"suggested"}}"#);
        exposures().await.contains(&told).then_some(told)
    })
    .await;

    // Another rendering of the same hint is no other hint.
    browser.run("render(); clickmill.track('search', { query: 'x' }); clickmill.flush()").await;
    until("the next rendering and what happened after it", || async {
        let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
        let is_told = records.iter().any(|record| record.kind.as_str() == "search");
        (is_told && browser.run(shown).await[0] == "1 toaster").then_some(())
    })
    .await;
    assert_eq!(exposures().await.iter().filter(|told| **told == seen).count(), 1);
    world.books_balance().await;
    browser.close().await;
}

/// The example, as a bundler would make it ready.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_react_shows_what_is_suggested_under_the_headline_of_its_arm() {
    let world = World::builder().set(|setup, _| {
        setup.site += "experiments = [{ key = \"headline\", seed = \"headline\", \
            weights = [0, 10000], coverage = 10000 }]\n";
    });
    let (world, browser, (folder, path)) = (world.start().await, Browser::start().await, served());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/react/main.jsx");
    let mut tsc = Command::new("node");
    tsc.arg(tools().join("typescript/bin/tsc")).arg(example);
    tsc.args(["--allowJs", "--jsx", "react-jsx", "--target", "es2022", "--module", "esnext"]);
    tsc.args(["--moduleResolution", "bundler", "--outDir"]).arg(folder.path());
    let (_, said) = run(tsc).await;
    assert!(folder.path().join("main.js").is_file(), "{said}");

    world.kafka.stock(&[("kettle", 5), ("toaster", 5)]);
    let others = world.page();
    others.send(vec![others.views("kettle"), others.views("toaster")]).await;
    world.enriched(2).await;
    let settings = json!({
        "key": world.write_key(), "collector": world.collector.url, "hints": world.relay.url,
        "core": "/files/clickmill_core.js",
        "consent": ["analytics", "experiments", "personalization"],
    });
    let page = r#"<!doctype html><html lang="en"><title>Kettle</title><h1>Kettle</h1>
<main data-clickmill='SETTINGS'></main>
<script type="importmap">IMPORTS</script>
<script type="module" src="/files/main.js"></script></html>"#;
    let site = Front::of_files(path, with_react(page, &folder, &settings)).await;
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    browser.run("clickmill.track('product_view', { sku: 'kettle' })").await;
    let text = || async { browser.run("return document.querySelector('main').innerText").await };
    until_enough("what is suggested, under the headline of the arm", text, |text| {
        let has = |part: &str| text.as_str().is_some_and(|text| text.contains(part));
        has("Others also looked at") && has("toaster")
    })
    .await;
    // A click says which hint it followed.
    browser
        .run(
            "const link = document.querySelector('main a[href$=toaster]');
             link.addEventListener('click', (event) => event.preventDefault());
             link.click(); clickmill.flush();",
        )
        .await;
    let clicked = until("the click", || async {
        let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
        records.into_iter().find(|record| record.kind.as_str() == "product_click")
    })
    .await;
    let clicked: Value = serde_json::from_str(clicked.props.as_str()).expect("properties");
    assert_eq!((&clicked["sku"], &clicked["slot"]), (&json!("toaster"), &json!("suggested")));
    assert!(clicked["hint"].is_string(), "{clicked}");
    world.books_balance().await;
    browser.close().await;
}

/// The snippet as it is published, with the sums of its files: a browser runs none with another sum.
#[tokio::test(flavor = "multi_thread")]
async fn the_snippets_sums_are_those_of_its_files() {
    let (world, browser) = (World::start().await, Browser::start().await);
    let snippet = fs::read_to_string(package().join("snippet.html")).expect("the snippet");
    let snippet = snippet
        .replace("/sdk/", "/files/")
        .replace("YOUR WRITE KEY", world.write_key())
        .replace("https://YOUR COLLECTOR", &world.collector.url)
        .replace("https://YOUR RELAY", &world.relay.url);
    let page = format!(
        r#"<!doctype html><html lang="en"><title>Snippet</title><h1>Snippet</h1>
<script>
  window.refused = [];
  addEventListener("error", ({{ target }}) => target.src && refused.push(target.src), true);
</script>
{snippet}</html>"#
    );
    let site = Front::of_files(package().join("dist"), page).await;
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    let runs =
        "return [refused, typeof clickmill.shop, typeof clickmill.variant, typeof clickmill.bucket,
        typeof customElements.get('clickmill-slot')]";
    let all = json!([[], "object", "function", "function", "function"]);
    assert_eq!(browser.run(runs).await, all);
    browser.close().await;
}
