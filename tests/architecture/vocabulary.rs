//! The vocabulary: files, types and functions, tests included, have the names of the field.
//!
//! A name is compared part by part (`snake_case`, `CamelCase`), so `door` is found in `open_door` and not in `indoors`.
//! Names of test functions in `src` are not checked.

use crate::source::Source;

/// Words that no name may have as a part, and what to write instead.
const WORDS: [(&str, &str); 51] = [
    ("anew", "again"),
    ("board", "incident messages"),
    ("canvas", "screen"),
    ("claim", "lease"),
    ("courier", "delivery"),
    ("desk", "handlers, session"),
    ("docket", "incident index"),
    ("door", "interface, server"),
    ("duty", "dispatcher"),
    ("errand", "command, request"),
    ("face", "interface"),
    ("far", "remote"),
    ("flight", "task, batch"),
    ("house", "project, architecture"),
    ("ink", "styled text"),
    ("kept", "met, saved, cached"),
    ("landed", "result"),
    ("launch", "start"),
    ("letter", "message"),
    ("look", "check, read"),
    ("looked", "checked, read"),
    ("lookout", "watch"),
    ("meanwhile", "(leave it out)"),
    ("mend", "remedy, repair"),
    ("mended", "repaired"),
    ("office", "delivery"),
    ("officer", "dispatcher"),
    ("owed", "pending"),
    ("owes", "pending"),
    ("paint", "palette"),
    ("parcel", "message, delivery"),
    ("passage", "port forward"),
    ("pen", "writer"),
    ("reading", "value, result"),
    ("room", "module, capacity, directory"),
    ("rota", "scheduler"),
    ("said", "message, stderr"),
    ("say", "print"),
    ("says", "reports"),
    ("shop", "project"),
    ("stranger", "unknown user"),
    ("telephone", "phone"),
    ("tell", "print, publish, notify"),
    ("tells", "prints"),
    ("told", "notified, printed, reported"),
    ("trouble", "error"),
    ("turn", "iteration"),
    ("wall", "layer"),
    ("way", "route"),
    ("whoever", "(name the person)"),
    ("workshop", "worktree"),
];

/// Names that may have such a part, and why.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("InFlightBatch", "in flight is what a written batch is everywhere"),
    ("in_flight_batch", "the same"),
    ("is_in_flight", "the same"),
    ("mark_in_flight", "the same"),
    ("three_way", "a merge of three texts"),
    ("three_way_merge", "the same"),
];

/// Keywords of the checked items.
const ITEMS: [&str; 6] = ["fn", "struct", "enum", "trait", "type", "mod"];

/// Files, types and functions with one of `WORDS` in their names.
pub fn vocabulary(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let is_program = file.file.starts_with("src/");
        if is_program && file.tokens.iter().all(|token| token.test) {
            continue;
        }
        let module = file.module();
        let last = module.last().map_or("", String::as_str);
        violations.extend(advice(last).map(|why| format!("{}:1: {why}", file.file)));
        for pair in file.tokens.windows(2) {
            let [item, name] = pair else { continue };
            if !(is_program && item.test) && ITEMS.contains(&item.text.as_str()) {
                violations.extend(advice(&name.text).map(|why| format!("{}:{}: {why}", file.file, name.line)));
            }
        }
    }
    violations
}

/// The advice for a name that has one of `WORDS`.
fn advice(name: &str) -> Option<String> {
    if EXCEPTIONS.iter().any(|(excepted, _)| *excepted == name) {
        return None;
    }
    let parts = parts(name);
    let (word, instead) = WORDS.iter().find(|(word, _)| parts.iter().any(|part| is_form_of(part, word)))?;
    Some(format!("`{name}`: not `{word}` but {instead}"))
}

/// The word itself or its plural.
fn is_form_of(part: &str, word: &str) -> bool {
    part.strip_prefix(word).is_some_and(|rest| ["", "s", "es"].contains(&rest))
}

/// `SlackDoor`, `slack_door` → `slack`, `door`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            parts.push(String::new());
        }
        if c != '_' {
            parts.last_mut().expect("there is always one").extend(c.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
