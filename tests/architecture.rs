//! The rules of the architecture: they read every source file and report violations as `file:line`.
//!
//! The rules are data in `architecture/`. They use the tokens and paths that `architecture/source.rs` reads.
//! `architecture/violations.rs` tests that each rule finds violations.
//!
//! Not here: what clippy checks (`[lints]` in `Cargo.toml`, `.clippy.toml`).

#![expect(clippy::disallowed_methods, reason = "a test starts the compiler")]
#![expect(clippy::unwrap_used, reason = "a test fails where its helpers do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/documented.rs"]
mod documented;
#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/prose.rs"]
mod prose;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tables.rs"]
mod tables;
#[path = "architecture/unplaced.rs"]
mod unplaced;
#[path = "architecture/violations.rs"]
mod violations;
#[path = "architecture/vocabulary.rs"]
mod vocabulary;

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

/// Every file of the program, read once.
static PROGRAM: LazyLock<Vec<Source>> = LazyLock::new(|| files("src"));

#[track_caller]
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn the_reader_finds_imports() {
    let all = &*PROGRAM;
    let paths = |from: &str, to: &str| {
        let files = all.iter().filter(|file| file.module().first().is_some_and(|layer| layer == from));
        files.flat_map(Source::used_paths).filter(|path| path.parts.get(1).is_some_and(|layer| layer == to)).count()
    };
    for (from, to) in [("engine", "store"), ("engine", "domain"), ("surface", "engine"), ("store", "domain")] {
        assert!(paths(from, to) > 0, "no path from `{from}` to `{to}` was found, so the reader does not work");
    }
}

#[test]
fn layers_and_separate_modules_use_allowed_imports_only() {
    none(&rules::imports(&PROGRAM));
}

#[test]
fn modules_do_not_import_each_other_in_a_circle() {
    none(&circles::circles(&PROGRAM));
}

#[test]
fn the_domain_is_pure() {
    none(&rules::purity(&PROGRAM));
}

#[test]
fn only_one_module_opens_the_log() {
    none(&rules::descriptors(&PROGRAM));
}

#[test]
fn every_file_has_a_head() {
    let all = [files("src"), files("tests"), files("benches")].concat();
    none(&rules::file_heads(&all));
}

#[test]
fn public_items_are_documented() {
    none(&documented::documented(&PROGRAM));
}

#[test]
fn names_are_in_the_vocabulary() {
    none(&vocabulary::vocabulary(&[PROGRAM.clone(), files("tests"), files("benches")].concat()));
}

#[test]
fn files_are_short() {
    none(&rules::lengths(&PROGRAM));
}

#[test]
fn paths_in_the_guide_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    none(&paths::missing(root, "CONTRIBUTING.md", &text));
}

#[test]
fn only_the_write_path_appends() {
    none(&rules::appends(&PROGRAM));
}

#[test]
fn no_code_compares_sentences() {
    none(&prose::searches(&PROGRAM));
}

#[test]
fn every_table_of_events_names_its_events() {
    none(&tables::open_tables(&PROGRAM));
}

#[test]
fn an_event_that_a_table_has_not_placed_does_not_compile() {
    let copy = unplaced::PackageCopy::of(Path::new(env!("CARGO_MANIFEST_DIR")), &PROGRAM);
    let (refused, named) = copy.with_unplaced(&tables::FAMILIES);
    assert_eq!(refused, named, "the compiler refuses each table, and each refused `match` is known as a table");
}

#[test]
fn the_reader_finds_the_tables_of_events() {
    for name in [
        "src/domain/incident/alert_set.rs",
        "src/domain/incident/apply.rs",
        "src/domain/incident/apply/message_state.rs",
        "src/domain/incident/apply/transition.rs",
        "src/domain/incident/deadline.rs",
        "src/domain/incident/run.rs",
        "src/domain/incident/step.rs",
        "src/domain/report/handover.rs",
        "src/domain/report/postmortem/attempt.rs",
        "src/domain/report/postmortem/participant.rs",
        "src/domain/report/stats.rs",
        "src/domain/report/timeline/phrase.rs",
        "src/engine/worker/conflict.rs",
        "src/surface/terminal/stepper/scrollback.rs",
    ] {
        let file = PROGRAM.iter().find(|file| file.file == name);
        assert!(file.is_some_and(|file| tables::tables(file).next().is_some()), "no table was found in {name}");
    }
}
