//! No code compares or searches sentences: modules distinguish failures by their codes.
//!
//! The rule finds a string literal of two or more words that is compared or searched. It does not find a text in a constant,
//! in a pattern of `match`, or of one word.

use crate::source::Source;

/// Files that read messages of foreign programs and libraries, and why no code distinguishes the cases.
const READERS: [(&str, &str); 8] = [
    ("src/actions/kinds/disk/remote.rs", "coreutils have one exit code for every failure"),
    ("src/actions/kinds/journal/journalctl_exit.rs", "journalctl has one exit code for every failure"),
    ("src/actions/kinds/systemd/permissions.rs", "systemd has one error name for every wrong argument"),
    ("src/actions/transport/http_client.rs", "the type of the resolver's error is private"),
    ("src/actions/transport/process/descendants.rs", "the kernel's table of limits"),
    ("src/actions/transport/ssh/connect_error.rs", "ssh has one exit code for every failure"),
    ("src/actions/transport/ssh/port_forward.rs", "ssh has one exit code for every failure"),
    ("src/domain/config/yaml/reader.rs", "the YAML library nests its errors as text"),
];

/// The calls and operators before a text that is compared or searched.
const SEARCHES: [&str; 9] = [
    ".contains(\"",
    ".contains(&format!(\"",
    ".starts_with(\"",
    ".starts_with(&format!(\"",
    ".ends_with(\"",
    ".strip_prefix(\"",
    ".strip_suffix(\"",
    ".split_once(\"",
    "== \"",
];

/// Compared sentences, and files in `READERS` without one.
pub fn searches(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let found = searches_of(file);
        match READERS.iter().any(|(name, _)| *name == file.file) {
            false => violations.extend(found),
            true if found.is_empty() => {
                violations
                    .push(format!("{}:1: has no compared sentence any more; remove it from `READERS`", file.file));
            }
            true => {}
        }
    }
    violations
}

fn searches_of(file: &Source) -> Vec<String> {
    let is_test = |line: usize| file.tokens.iter().any(|token| token.line == line && token.test);
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let number = at + 1;
        if line.trim_start().starts_with("//") || is_test(number) {
            continue;
        }
        let texts =
            SEARCHES.iter().flat_map(|search| line.match_indices(search).map(|(at, _)| &line[at + search.len()..]));
        let texts = texts.filter_map(|rest| rest.split('"').next());
        found.extend(
            texts
                .filter(|text| is_prose(text))
                .map(|text| format!("{}:{number}: compares a sentence (`{text}`); compare a code", file.file)),
        );
    }
    found
}

/// Whether a text has two words with a space between them.
fn is_prose(text: &str) -> bool {
    let is_word_char = |c: char| c.is_alphabetic() || ['`', '{', '}'].contains(&c);
    let chars: Vec<char> = text.chars().collect();
    chars.windows(3).any(|three| three[1] == ' ' && is_word_char(three[0]) && is_word_char(three[2]))
}
