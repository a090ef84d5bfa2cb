//! The walls: reads every source file and fails with `file:line` where the import law or the style is broken.
//!
//! The law is in the documentation of `src/lib.rs`. Here it is as data; the reading of Rust that it needs, no more than
//! words and braces, is in `architecture/source.rs`. Each rule is proven on a planted violation.
//!
//! Deliberately absent: what clippy sees for itself (`.clippy.toml` bans the clock, sleeping, children, environment).

use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/law.rs"]
mod law;
#[path = "architecture/planted.rs"]
mod planted;
#[path = "architecture/prose.rs"]
mod prose;
#[path = "architecture/source.rs"]
mod source;

use source::Source;

/// Every Rust file below a directory of the package.
fn files(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join(directory)];
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Source::new(path.strip_prefix(root).unwrap().to_str().unwrap(), &text)
    };
    let mut sources: Vec<Source> = found.into_iter().map(read).collect();
    source::mark_test_files(&mut sources);
    sources
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_reader_sees_the_house() {
    let all = files("src");
    let routes = |from: &str, to: &str| {
        let files = all.iter().filter(|file| file.module().first().is_some_and(|layer| layer == from));
        files.flat_map(Source::routes).filter(|route| route.parts.get(1).is_some_and(|layer| layer == to)).count()
    };
    for (from, to) in [("engine", "store"), ("engine", "domain"), ("surface", "engine"), ("store", "domain")] {
        assert!(routes(from, to) > 0, "no path from `{from}` to `{to}` was seen, so the reader is blind");
    }
}

#[test]
fn the_import_law_holds() {
    none(&law::imports(&files("src")));
}

#[test]
fn the_domain_is_pure() {
    none(&law::purity(&files("src")));
}

#[test]
fn only_one_module_opens_the_log() {
    none(&law::descriptors(&files("src")));
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = [files("src"), files("tests"), files("benches")].concat();
    none(&law::openings(&all));
}

#[test]
fn no_sentence_is_searched_for() {
    none(&prose::searches(&files("src")));
}

#[test]
fn files_are_short() {
    none(&law::lengths(&files("src")));
}

#[test]
fn nothing_is_silenced_left_open_or_unwrapped() {
    none(&law::words(&files("src")));
    none(&law::silenced(&[files("tests"), files("benches")].concat()));
}

#[test]
fn there_is_one_write_path() {
    none(&law::appends(&files("src")));
}
