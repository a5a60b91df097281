//! Rules about a `Cargo.toml`: sorted dependencies, the workspace's lints.

use super::Finding;

/// The one package that names its lints itself: what a script calls by name counts as `unsafe`.
const OWN_LINTS: &str = "sdk-web/Cargo.toml";

/// Checks one manifest.
pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = unsorted(file, text);
    let package = text.lines().position(|line| line.trim() == "[package]");
    if let Some(line) = package
        && !has_lints(file, text)
    {
        let what = "a package takes the workspace's lints: [lints] workspace = true".to_owned();
        findings.push(Finding { file: file.to_owned(), line: line + 1, what });
    }
    findings
}

/// Dependencies are sorted within each paragraph of their table.
fn unsorted(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut in_table, mut before, mut depth) = (false, String::new(), 0_usize);
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if depth == 0 && line.starts_with('[') {
            in_table = line.trim_matches(['[', ']']).ends_with("dependencies");
            before.clear();
            continue;
        }
        if line.is_empty() {
            before.clear();
        }
        let top = depth == 0;
        let count =
            |open: char, close: char| (line.matches(open).count(), line.matches(close).count());
        let ((open, close), (open_list, close_list)) = (count('{', '}'), count('[', ']'));
        depth = (depth + open + open_list).saturating_sub(close + close_list);
        if !in_table || !top || line.starts_with('#') {
            continue;
        }
        let Some((key, _)) = line.split_once(['=', '.']) else { continue };
        let name = key.trim().trim_matches('"').to_owned();
        if name < before {
            let what = format!("{name} comes before {before}: dependencies are sorted");
            findings.push(Finding { file: file.to_owned(), line: n + 1, what });
        }
        before = name;
    }
    findings
}

fn has_lints(file: &str, text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let inherited = lines
        .iter()
        .skip_while(|line| **line != "[lints]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.replace(' ', "") == "workspace=true")
        || lines.iter().any(|line| line.replace(' ', "") == "lints.workspace=true");
    inherited || file == OWN_LINTS && lines.iter().any(|line| line.starts_with("[lints."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n";

    fn lines(file: &str, text: &str) -> Vec<usize> {
        check(file, text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn dependencies_are_sorted_in_each_paragraph() {
        for (table, found) in [
            ("[dependencies]\nb = \"1\"\na.workspace = true\n", vec![7]),
            ("[dependencies]\na = \"1\"\n# Why.\nb = { version = \"1\" }\n", vec![]),
            ("[dependencies]\nb = \"1\"\n\n# Others.\na = \"1\"\n", vec![]),
            (
                "[dependencies]\nb = { version = \"1\", features = [\n  \"a\",\n] }\nc = \"1\"\n",
                vec![],
            ),
            ("[dev-dependencies]\nb = \"1\"\na = \"1\"\n", vec![7]),
            ("[target.'cfg(unix)'.dependencies]\nb = \"1\"\na = \"1\"\n", vec![7]),
            ("[dependencies]\nb = \"1\"\n[dev-dependencies]\na = \"1\"\n", vec![]),
            ("[features]\nb = []\na = []\n", vec![]),
        ] {
            assert_eq!(lines("x/Cargo.toml", &format!("{HEAD}{table}")), found, "{table}");
        }
    }

    #[test]
    fn packages_take_the_workspaces_lints() {
        let own = "[package]\nname = \"a\"\n[lints.rust]\nunsafe_code = \"warn\"\n";
        assert_eq!(lines("x/Cargo.toml", own), [1]);
        assert_eq!(lines("sdk-web/Cargo.toml", own), [0; 0]);
        assert_eq!(lines("sdk-web/Cargo.toml", "[package]\nname = \"a\"\n"), [1]);
        assert_eq!(lines("Cargo.toml", "[workspace]\nmembers = []\n"), [0; 0]);
        assert_eq!(lines("x/Cargo.toml", HEAD), [0; 0]);
    }
}
