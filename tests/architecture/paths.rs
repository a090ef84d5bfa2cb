//! Paths in the documentation for contributors: each one exists.

use std::path::Path;

/// The first parts of paths, which distinguish a path from a command or a type.
const ROOTS: [&str; 10] =
    ["src", "tests", "docs", "benches", "runbooks", ".github", ".config", ".clippy.toml", "Cargo.toml", "deny.toml"];

/// Paths in backticks that do not exist, by line. For a path with `<name>`, its directory must exist.
pub fn missing(root: &Path, file: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted.filter(|quoted| is_path(quoted)) {
            let exists = path.split_once('<').map_or(path, |(directory, _)| directory);
            if !root.join(exists).exists() {
                violations.push(format!("{file}:{number}: there is no `{path}`"));
            }
        }
    }
    violations
}

fn is_path(quoted: &str) -> bool {
    let first = quoted.split('/').next().unwrap_or_default();
    ROOTS.contains(&first) && !quoted.contains(' ') && !quoted.contains("::")
}
