//! Takes comments and indentation out of a script, and nothing else: what runs is what was
//! written, and a line in a stack trace can be found again.

/// Drops lines that are comments, block comments that begin a line, empty lines, and indentation.
/// The script must have no text that goes over several lines.
pub(crate) fn thin(script: &str) -> String {
    let mut thin = String::with_capacity(script.len());
    let mut in_comment = false;
    for line in script.lines().map(str::trim) {
        in_comment |= line.starts_with("/*");
        if in_comment {
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            thin.push_str(line);
            thin.push('\n');
        }
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_and_indentation_go() {
        let script =
            "// what\n\n/**\n * doc\n */\nif (a) {\n  /* one */\n  b(\"// no\"); // yes\n}\n";
        assert_eq!(thin(script), "if (a) {\nb(\"// no\"); // yes\n}\n");
    }
}
