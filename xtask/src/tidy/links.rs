//! Rules about links: one that stays in the tree leads somewhere.

use super::Finding;

/// Checks the relative links of one Markdown file; `exists` is asked with paths from the
/// workspace's folder.
pub(super) fn check(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        // The picture of the route links to code from inside its fence.
        let targets: Vec<&str> = if in_code { picture_links(line) } else { links(line) };
        for target in targets {
            let Some(path) = inside(file, target) else { continue };
            if !exists(&path) {
                let what = format!("the link to {target} leads nowhere");
                findings.push(Finding { file: file.to_owned(), line: n + 1, what });
            }
        }
    }
    findings
}

/// The targets of `[words](target)` and `[words]: target`.
fn links(line: &str) -> Vec<&str> {
    let mut targets: Vec<&str> =
        line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).collect();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        targets.extend(target.split_whitespace().next());
    }
    targets
}

/// The target of Mermaid's `click node "target"`.
fn picture_links(line: &str) -> Vec<&str> {
    let click = line.trim_start().strip_prefix("click ");
    click.and_then(|rest| rest.split('"').nth(1)).into_iter().collect()
}

/// The path a link leads to, from the workspace's folder; none for one that leads out of the tree
/// or stays on the page.
fn inside(file: &str, target: &str) -> Option<String> {
    let path = target.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    if path.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_inside_the_tree_leads_somewhere() {
        let exists = |path: &str| ["a/b.rs", "a", "c.md"].contains(&path);
        for (file, text, found) in [
            ("README.md", "[b](a/b.rs), [b](a/b.rs#L1) and [folder](a/)", 0),
            ("README.md", "[b](a/x.rs) and [c](y.md)", 2),
            ("a/README.md", "[b](b.rs) and [c](../c.md)", 0),
            ("a/README.md", "[c](c.md)", 1),
            ("README.md", "[far](https://example.org/x) [here](#part) [m](mailto:a@b.c)", 0),
            ("README.md", "[one]: a/x.rs", 1),
            ("README.md", "```mermaid\n click b \"a/x.rs\"\n```", 1),
            ("README.md", "```rust\nlet x = a[0](y.rs);\n```", 0),
        ] {
            assert_eq!(check(file, text, exists).len(), found, "{file}: {text}");
        }
    }
}
