//! No code compares or searches sentences: modules tell failures apart by their codes.
//!
//! What is seen: a text of two or more words that stands in the source as the argument of a comparison or a search. What is
//! not seen: a text in a constant, in a pattern of `match`, or of one word.

use crate::source::Source;

/// The files that read what foreign programs and libraries say, where their words are all that tells one case from another.
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

/// What compares or searches a text that stands behind it.
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

/// Where a sentence is compared or searched, and readers that need no excuse any more.
pub fn searches(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let found = searches_of(file);
        match READERS.iter().any(|(name, _)| *name == file.file) {
            false => violations.extend(found),
            true if found.is_empty() => {
                violations.push(format!("{}:1: needs no excuse in `READERS` any more", file.file));
            }
            true => {}
        }
    }
    violations
}

fn searches_of(file: &Source) -> Vec<String> {
    let is_test = |line: usize| file.tokens.iter().any(|word| word.line == line && word.test);
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
            texts.filter(|text| is_prose(text)).map(|text| {
                format!("{}:{number}: a sentence is searched for (`{text}`); a code is for this", file.file)
            }),
        );
    }
    found
}

/// Whether a text has two words with a blank between them.
fn is_prose(text: &str) -> bool {
    let is_word = |c: char| c.is_alphabetic() || ['`', '{', '}'].contains(&c);
    let places: Vec<char> = text.chars().collect();
    places.windows(3).any(|three| three[1] == ' ' && is_word(three[0]) && is_word(three[2]))
}
