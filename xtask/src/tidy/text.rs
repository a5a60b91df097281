//! Rules about what a file says.

use super::Finding;

/// Marks of unfinished work, in two parts so that this file does not carry them.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// The beginnings of paths that exist on one machine only.
const PRIVATE: [&str; 2] = [concat!("/ro", "ot/"), concat!("/ho", "me/")];
/// Where package managers fetch from: a site's own settings decide that.
const REGISTRIES: [&str; 9] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("static.rust-lang", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("files.pythonhosted", ".org"),
];
/// How the first line begins, by ending: one line that says what the file is for.
const OPENINGS: [(&str, &[&str]); 4] = [
    (".rs", &["//! "]),
    (".js", &["// ", "/* ", "/** ", "/*! ", "#!"]),
    (".css", &["/* ", "/*! "]),
    (".html", &["<!-- ", "<!doctype html><!-- "]),
];

/// Checks one file.
pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line: usize, what: String| {
        findings.push(Finding { file: file.to_owned(), line: line + 1, what });
    };
    if file == "mod.rs" || file.ends_with("/mod.rs") {
        found(0, "a module lies in name.rs beside its folder, not in mod.rs".to_owned());
    }
    if let Some((_, openings)) = OPENINGS.iter().find(|(ending, _)| file.ends_with(ending))
        && !opens_with(text, openings)
    {
        found(
            0,
            format!(
                "the first line says in one comment ({}) what the file is for",
                openings[0].trim()
            ),
        );
    }
    for (n, line) in text.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| has_word(line, mark)) {
            found(n, format!("{mark} does not belong in the tree: do it, or open an issue"));
        }
        for path in PRIVATE.iter().filter(|path| has_path(line, path)) {
            found(n, format!("a path below {path} exists on one machine only"));
        }
        for host in REGISTRIES.iter().filter(|host| line.contains(*host)) {
            found(n, format!("{host} is for a site's own settings to name"));
        }
    }
    findings
}

fn opens_with(text: &str, openings: &[&str]) -> bool {
    // A page may have to begin with its doctype.
    let mut lines = text.lines().filter(|line| !line.eq_ignore_ascii_case("<!doctype html>"));
    let first = lines.next().unwrap_or_default();
    openings.iter().any(|opening| first.to_ascii_lowercase().starts_with(opening))
}

/// Whether the line has this word, not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let letter = |c: char| c.is_alphanumeric() || c == '_';
        !line[..at].ends_with(letter) && !line[at + word.len()..].starts_with(letter)
    })
}

/// Whether the line has a path that begins like this: `/a/b`, not `x/a/b`.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let inside = |c: char| c.is_alphanumeric() || "_-./}>".contains(c);
        let mut rest = line[at + path.len()..].split('/');
        let goes_on = rest
            .next()
            .is_some_and(|next| next.starts_with(|c: char| c.is_alphanumeric() || c == '.'));
        // One step below it may be a place in a document; two are somebody's files.
        let deep = path != PRIVATE[1] || rest.next().is_some();
        !line[..at].ends_with(inside) && goes_on && deep
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<usize> {
        check(file, text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        for (file, text, fits) in [
            ("a.rs", "//! Counts.\nfn main() {}", true),
            ("a.rs", "// Counts.\n", false),
            ("a.rs", "\n//! Counts.\n", false),
            ("a.rs", "", false),
            ("a.js", "// Counts.\n", true),
            ("a.js", "'use strict';\n", false),
            ("a.css", "/* Looks. */\n", true),
            ("a.css", "body {}\n", false),
            ("a.html", "<!doctype html>\n<!-- A page. -->\n", true),
            ("a.html", "<!doctype html>\n<html>\n", false),
            ("a.md", "words", true),
        ] {
            assert_eq!(check(file, text).is_empty(), fits, "{file}: {text:?}");
        }
    }

    #[test]
    fn modules_have_names() {
        assert_eq!(lines("src/a/mod.rs", "//! A."), [1]);
        assert_eq!(lines("src/a/some_mod.rs", "//! A."), [0; 0]);
    }

    #[test]
    fn unfinished_work_is_found_by_its_mark() {
        let mark = UNFINISHED[0];
        assert_eq!(lines("a.md", &format!("fine\n{mark}: later\n")), [2]);
        assert_eq!(lines("a.md", &format!("{mark}S_MAX and MASTO{mark}N\n")), [0; 0]);
    }

    #[test]
    fn private_paths_are_found() {
        for (line, found) in [
            (format!("see {}x/y", PRIVATE[1]), true),
            (format!("path = \"{}.cargo\"", PRIVATE[0]), true),
            (format!("https://shop.example{}kettles", PRIVATE[1]), false),
            (format!("the folder {} is not named", PRIVATE[0]), false),
            (format!("a pointer {}street", PRIVATE[1]), false),
        ] {
            assert_eq!(!check("a.md", &line).is_empty(), found, "{line}");
        }
    }

    #[test]
    fn registries_are_found() {
        assert_eq!(lines("a.toml", &format!("index = \"https://{}/\"", REGISTRIES[0])), [1]);
        assert_eq!(lines("README.md", "from crates.io, npm and Maven Central"), [0; 0]);
    }
}
