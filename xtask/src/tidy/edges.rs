//! Rules about who may know whom: edges that must not exist, however many steps they take.

use std::collections::BTreeMap;

use super::{Error, Finding, said};
use crate::place::Place;
use crate::web;

/// A package and what it must not stand on.
const FORBIDDEN: [(&str, &[&str]); 9] = [
    // No runtime, no network, no Kafka, no browser: its state machine runs anywhere.
    (
        "clickmill-sdk-core",
        &[
            "tokio",
            "hyper",
            "rdkafka",
            "web-sys",
            "js-sys",
            "wasm-bindgen",
            "clickmill-server",
            "clickmill-kafka",
            "clickmill-catalog",
            "clickmill-streams",
        ],
    ),
    ("clickmill-sdk-web", &["tokio", "hyper", "rdkafka", "clickmill-server", "clickmill-kafka"]),
    ("clickmill-server", &["rdkafka", "clickmill-kafka", "clickmill-sdk-core"]),
    ("clickmill-kafka", &["hyper", "clickmill-sdk-core", "clickmill-server"]),
    ("clickmill-streams", &["hyper", "clickmill-sdk-core", "clickmill-server"]),
    ("clickmill-catalog", &["clickmill-collector", "clickmill-relay"]),
    ("clickmill-collector", &["clickmill-relay", "clickmill-streams"]),
    ("clickmill-relay", &["clickmill-collector"]),
    // It compiles in seconds.
    ("clickmill-xtask", &["rdkafka", "fantoccini", "wasm-bindgen", "tokio"]),
];

/// Looks for every forbidden edge; how many that were, and those that exist.
pub(super) fn check(place: &Place) -> Result<(usize, Vec<Finding>), Error> {
    let manifests = manifests(place)?;
    let (mut looked, mut findings) = (0, Vec::new());
    for (package, forbidden) in FORBIDDEN {
        let Some(manifest) = manifests.get(package) else {
            // A room that is not there knows nobody.
            continue;
        };
        let mut command = web::cargo(place);
        command.args(["tree", "--package", package, "--all-features", "--target", "all"]);
        command.args(["--edges", "normal,build", "--prefix", "depth", "--no-dedupe"]);
        let tree = said(&mut command, &format!("cargo tree --package {package}"))?;
        looked += forbidden.len();
        findings.extend(forbidden.iter().filter_map(|name| {
            let way = way_to(&tree, name)?;
            let what = format!("{package} must not depend on {name}, and does: {way}");
            Some(Finding { file: manifest.clone(), line: 1, what })
        }));
    }
    Ok((looked, findings))
}

/// The manifests of the workspace's packages by name.
fn manifests(place: &Place) -> Result<BTreeMap<String, String>, Error> {
    let mut command = web::cargo(place);
    command.args(["tree", "--workspace", "--depth", "0", "--prefix", "none"]);
    let tree = said(&mut command, "cargo tree --workspace")?;
    let root = place.root().display().to_string();
    let package = |line: &str| {
        let name = line.split(' ').next()?;
        let folder = line.rsplit_once('(')?.1.trim_end_matches(')');
        let folder = folder.strip_prefix(&root)?.trim_start_matches('/');
        Some((name.to_owned(), format!("{folder}/Cargo.toml")))
    };
    Ok(tree.lines().filter_map(package).collect())
}

/// The first way from the root of a tree (`<depth><name> v<version>` a line) to this package.
fn way_to(tree: &str, wanted: &str) -> Option<String> {
    let mut way: Vec<&str> = Vec::new();
    for line in tree.lines() {
        let digits = line.find(|c: char| !c.is_ascii_digit())?;
        let depth: usize = line[..digits].parse().ok()?;
        let name = line[digits..].split(' ').next()?;
        way.truncate(depth);
        way.push(name);
        if depth > 0 && name == wanted {
            return Some(way.join(" → "));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0relay v0.1.0 (/x/relay)\n1kafka v0.1.0 (/x/kafka)\n2rdkafka v0.39.0\n3libc v0.2.1\n1server v0.1.0\n2hyper v1.6.0\n";

    #[test]
    fn a_way_is_found_over_any_number_of_steps() {
        assert_eq!(way_to(TREE, "server").as_deref(), Some("relay → server"));
        assert_eq!(way_to(TREE, "libc").as_deref(), Some("relay → kafka → rdkafka → libc"));
        assert_eq!(way_to(TREE, "hyper").as_deref(), Some("relay → server → hyper"));
    }

    #[test]
    fn names_are_compared_whole_and_nobody_depends_on_itself() {
        for absent in ["relay", "hyp", "hyper-util", "collector"] {
            assert_eq!(way_to(TREE, absent), None, "{absent}");
        }
    }
}
