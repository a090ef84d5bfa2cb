//! Rules for layers, purity, the write path, the log's file, heads and lengths of files, each with its data.

use std::collections::BTreeSet;

use crate::source::{Source, UsedPath};

/// Which layers each layer may use, beside itself.
const LAYERS: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("clock", &["domain"]),
    // Locks. The domain has none.
    ("sync", &[]),
    ("actions", &["domain", "clock", "sync"]),
    ("notify", &["domain", "clock", "sync"]),
    ("store", &["domain", "clock", "sync"]),
    ("engine", &["domain", "clock", "sync", "actions", "notify", "store"]),
    ("surface", &["domain", "clock", "sync", "actions", "notify", "store", "engine"]),
];

/// Modules whose direct sub-modules do not use each other, and their shared sub-modules.
const SEPARATE: [(&str, &[&str]); 5] = [
    // Kinds of actions use the transport to a host.
    ("actions", &["transport"]),
    ("actions::kinds", &["support"]),
    ("notify", &[]),
    // The common parts of the backends.
    ("store", &["chained_stream", "codec", "hash_chain", "lease"]),
    // The exit codes.
    ("surface", &["exit"]),
];

/// The interface that may use the others; they do not use it.
const COMPOSER: &str = "surface::cli";

/// The crates that the domain may use, and the files that may use them if not all may.
const DOMAIN_CRATES: [(&str, &[&str]); 18] = [
    // Cron expressions, and the rules of the time zones that they follow; pure.
    ("croner", &["src/domain/runbook/schedule.rs"]),
    ("jiff", &["src/domain/core/timezone.rs", "src/domain/runbook/schedule.rs"]),
    // Finds secrets in a text; pure.
    ("aho_corasick", &["src/domain/redact/automaton.rs"]),
    // Matches the pattern of a journal search; pure.
    ("regex", &["src/domain/journal/filter.rs"]),
    // Merges a person's edits into a draft, line by line; pure.
    ("similar", &["src/domain/report/postmortem/three_way_merge.rs"]),
    // Renders a diagnostic with its source line and caret; pure.
    ("annotate_snippets", &["src/domain/core/diagnostic.rs"]),
    ("std", &[]),
    ("serde", &[]),
    ("serde_json", &[]),
    ("chrono", &[]),
    ("thiserror", &[]),
    ("humantime", &[]),
    ("strsim", &[]),
    ("hex", &[]),
    ("sha2", &[]),
    ("base64", &[]),
    ("minijinja", &[]),
    (
        "serde_yaml",
        &["src/domain/config/yaml/node.rs", "src/domain/config/yaml/reader.rs", "src/domain/config/estate.rs"],
    ),
];

/// Parts of std that do input or output.
const IMPURE_STD: [&str; 7] = ["fs", "env", "net", "process", "thread", "io", "os"];

/// Names that the domain may not use.
const IMPURE_NAMES: [&str; 8] = ["async", "await", "SystemTime", "Instant", "tokio", "tracing", "println", "eprintln"];

/// The files of the store that open files, and how often. POSIX drops SQLite's locks on the log when the process closes any other
/// descriptor of it, so only one module opens the database file. The others open the directory and the write-ahead log,
/// on which SQLite has no locks.
const OPENINGS: [(&str, usize); 3] =
    [("src/store/sqlite/log_file.rs", 1), ("src/store/sqlite/shared_file.rs", 3), ("src/store/sqlite/wal_check.rs", 2)];

/// The calls that open a file, as the last two names of a path.
const OPENS: [(&str, &[&str]); 4] = [
    ("File", &["open", "create", "create_new", "options"]),
    ("OpenOptions", &["new"]),
    ("fs", &["read", "read_to_string", "write", "copy"]),
    ("Connection", &["open", "open_with_flags", "open_with_flags_and_vfs"]),
];

/// Files that may be longer than the limit, and why.
const LONG: [(&str, &str); 0] = [];

/// The limit of lines in a file.
const LINES: usize = 400;

/// Imports that the layers and the separate modules do not permit.
pub fn imports(files: &[Source]) -> Vec<String> {
    let modules: BTreeSet<Vec<String>> = files.iter().map(Source::module).collect();
    let mut violations = Vec::new();
    for file in files {
        let here = file.module();
        let Some((layer, allowed)) = LAYERS.iter().find(|(layer, _)| here.first().is_some_and(|own| own == layer))
        else {
            continue;
        };
        for path in file.used_paths().iter().filter(|path| path.parts[0] == "crate") {
            let Some(target) = path.parts.get(1).filter(|target| LAYERS.iter().any(|(layer, _)| layer == target))
            else {
                continue;
            };
            if target != layer && !allowed.contains(&target.as_str()) {
                violations.push(report(file, path, &format!("`{layer}` may not use `{target}`")));
            } else if target == layer && !path.test {
                violations.extend(sibling(&here, path, &modules).map(|why| report(file, path, &why)));
            }
        }
    }
    violations
}

/// The violation, if a module uses a sibling that it may not use. Tests may use any.
fn sibling(here: &[String], path: &UsedPath, modules: &BTreeSet<Vec<String>>) -> Option<String> {
    let target = &path.parts[1..];
    SEPARATE.iter().find_map(|(parent, shared)| {
        let parent: Vec<String> = parent.split("::").map(str::to_owned).collect();
        let own = child(here, &parent)?;
        let other = child(target, &parent).filter(|other| modules.iter().any(|module| module.starts_with(other)))?;
        let is_shared = shared.iter().any(|name| other.last().is_some_and(|last| last == name));
        let (own, other) = (own.join("::"), other.join("::"));
        (own != other && own != COMPOSER && !is_shared).then(|| format!("`{own}` may not use `{other}`"))
    })
}

/// The direct sub-module of a parent that contains a path.
pub fn child<'a>(path: &'a [String], parent: &[String]) -> Option<&'a [String]> {
    path.starts_with(parent).then(|| path.get(..=parent.len()))?
}

/// Uses of foreign crates, of input and output, and of async code in the domain.
pub fn purity(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.file.starts_with("src/domain/")) {
        for path in file.used_paths().iter().filter(|path| !path.test) {
            violations.extend(impure(file, path).map(|why| report(file, path, &why)));
        }
        for token in file.tokens.iter().filter(|token| !token.test && IMPURE_NAMES.contains(&token.text.as_str())) {
            violations.push(format!("{}:{}: `{}` may not be used in the domain", file.file, token.line, token.text));
        }
    }
    violations
}

fn impure(file: &Source, path: &UsedPath) -> Option<String> {
    let first = path.parts[0].as_str();
    if first == "std" {
        let part = path.parts.get(1)?.as_str();
        return IMPURE_STD.contains(&part).then(|| format!("`std::{part}` may not be used in the domain"));
    }
    if path.parts.ends_with(&["Utc".to_owned(), "now".to_owned()]) {
        return Some("`now` is a parameter".to_owned());
    }
    let foreign = is_dependency(first);
    match DOMAIN_CRATES.iter().find(|(name, _)| *name == first) {
        None if foreign => Some(format!("the domain does not use the crate `{first}`")),
        Some((_, only)) if !only.is_empty() && !only.contains(&file.file.as_str()) => {
            Some(format!("`{first}` is used in {} only", only.join(" and ")))
        }
        _ => None,
    }
}

/// The code outside the store that may append to the log.
const WRITE_PATH: [&str; 2] = ["src/engine/commit.rs", "src/engine/commit/"];

/// The methods of the store that append, and the types that they take.
const APPENDING: [&str; 3] = ["append", "write", "write_all"];
const APPENDED: [&str; 3] = ["NewEvent", "Write", "*"];

/// Appends to the log outside the write path and outside tests.
pub fn appends(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    let is_free = |file: &&Source| {
        file.file.starts_with("src/store/") || WRITE_PATH.iter().any(|place| file.file.starts_with(place))
    };
    for file in files.iter().filter(|file| !is_free(file)) {
        for path in file.used_paths().iter().filter(|path| !path.test) {
            // Also `store::Write`, if only the module was imported.
            let [.., module, name] = path.parts.as_slice() else { continue };
            if module == "store" && APPENDED.contains(&name.as_str()) {
                violations.push(report(file, path, "only `src/engine/commit.rs` makes writes"));
            }
        }
        for tokens in file.tokens.windows(4).filter(|tokens| !tokens[0].test) {
            let [owner, dot, method, bracket] = [0, 1, 2, 3].map(|at| tokens[at].text.as_str());
            if owner == "store" && dot == "." && APPENDING.contains(&method) && bracket == "(" {
                violations.push(format!("{}:{}: only `src/engine/commit.rs` appends", file.file, tokens[2].line));
            }
        }
    }
    violations
}

/// Files of the store that open files other than in `OPENINGS`, and uses of SQLite outside the store.
pub fn descriptors(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let used_paths: Vec<UsedPath> = file.used_paths().into_iter().filter(|path| !path.test).collect();
        if !file.file.starts_with("src/store/") {
            let foreign = used_paths.iter().filter(|path| path.parts[0] == "rusqlite");
            violations.extend(foreign.map(|path| report(file, path, "SQLite is used in `src/store/sqlite` only")));
            continue;
        }
        let allowed = OPENINGS.iter().find(|(name, _)| *name == file.file).map_or(0, |(_, count)| *count);
        let openings: Vec<&UsedPath> = used_paths.iter().filter(|path| opens(path)).collect();
        if openings.len() != allowed {
            let why = format!("{} places of this file open a file, not the {allowed} of `OPENINGS`", openings.len());
            let last =
                openings.last().map_or_else(|| format!("{}:1: {why}", file.file), |path| report(file, path, &why));
            violations.push(last);
        }
    }
    violations
}

fn opens(path: &UsedPath) -> bool {
    let [.., owner, name] = path.parts.as_slice() else { return false };
    let is_rustix = path.parts[0] == "rustix" && ["open", "openat"].contains(&name.as_str());
    is_rustix || OPENS.iter().any(|(kind, names)| owner == kind && names.contains(&name.as_str()))
}

/// Files without a head.
pub fn file_heads(files: &[Source]) -> Vec<String> {
    let without = files.iter().filter(|file| !file.text.starts_with("//! "));
    without.map(|file| format!("{}:1: does not begin with `//! ` and what the file is", file.file)).collect()
}

/// Files that are too long, and unneeded exceptions.
pub fn lengths(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        let excepted = LONG.iter().any(|(name, _)| *name == file.file);
        if lines > LINES && !excepted {
            violations.push(format!("{}:{lines}: longer than {LINES} lines", file.file));
        } else if lines <= LINES && excepted {
            violations.push(format!("{}:{lines}: no longer needs its exception in `LONG`", file.file));
        }
    }
    violations
}

fn report(file: &Source, path: &UsedPath, why: &str) -> String {
    format!("{}:{}: {why} (`{}`)", file.file, path.line, path.parts.join("::"))
}

/// Whether a name in code is a dependency of the package.
fn is_dependency(name: &str) -> bool {
    let manifest = include_str!("../../Cargo.toml");
    let (_, rest) = manifest.split_once("\n[dependencies]\n").expect("the package has dependencies");
    let (list, _) = rest.split_once("\n[").expect("more follows the dependencies");
    list.lines().filter_map(|line| line.split_once(" = ")).any(|(dependency, _)| dependency.replace('-', "_") == name)
}
