//! What an answer of the collector means is the same to each of its readers in a browser; the client's
//! own tests hold it to the same table.

use std::process::Command;

/// Where the table lies, and the scripts that read.
macro_rules! source {
    ($path:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)
    };
}

#[test]
fn answers_mean_the_same_with_a_core_and_without() {
    let mut node = Command::new("node");
    node.args([
        source!("clients/answers.mjs"),
        source!("../sdk-web/stub/clickmill_core.js"),
        source!("../sdk-web/stub/clickmill_alone.js"),
        source!("../sdk-core/golden/answers.json"),
    ]);
    let ended = node.output().expect("Node.js: `cargo xtask test` brings it");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.trim().parse::<usize>().is_ok_and(|answers| answers > 30), "{said}");
}
