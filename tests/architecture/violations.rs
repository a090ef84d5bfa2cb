//! Each rule finds violations, and accepts similar code that is correct.

use std::path::Path;

use crate::source::{Source, mark_test_files};
use crate::{circles, documented, paths, prose, rules, tables, vocabulary};

/// Files of a tree, by which the rules distinguish modules from items.
const TREE: [&str; 17] = [
    "src/domain/mod.rs",
    "src/domain/incident/event.rs",
    "src/clock.rs",
    "src/actions/mod.rs",
    "src/actions/transport/process.rs",
    "src/actions/kinds/mod.rs",
    "src/actions/kinds/git.rs",
    "src/actions/kinds/support/mod.rs",
    "src/actions/kinds/systemd.rs",
    "src/notify/slack.rs",
    "src/notify/email.rs",
    "src/store/mod.rs",
    "src/store/codec.rs",
    "src/store/memory.rs",
    "src/store/sqlite.rs",
    "src/surface/cli/mod.rs",
    "src/surface/terminal/mod.rs",
];

/// The tree with one file of this text; the others are empty.
fn tree_with(file: &str, text: &str) -> Vec<Source> {
    let others = TREE.iter().filter(|other| **other != file).map(|other| Source::new(other, "//! Empty.\n"));
    others.chain([Source::new(file, text)]).collect()
}

#[track_caller]
fn finds(violations: &[String], expected: &[&str]) {
    assert_eq!(violations.len(), expected.len(), "{violations:#?}");
    for (one, begin) in violations.iter().zip(expected) {
        assert!(one.starts_with(begin), "{one}");
    }
}

#[track_caller]
fn imports(file: &str, text: &str, expected: &[&str]) {
    finds(&rules::imports(&tree_with(file, text)), expected);
}

#[test]
fn an_import_of_a_higher_layer_is_found() {
    imports(
        "src/domain/incident/event.rs",
        "\nuse crate::store::Draft;",
        &["src/domain/incident/event.rs:2: `domain` may not use `store`"],
    );
    imports("src/clock.rs", "use crate::engine::Engine;", &["src/clock.rs:1: `clock` may not use `engine`"]);
    imports(
        "src/actions/kinds/git.rs",
        "use crate::store::Draft;",
        &["src/actions/kinds/git.rs:1: `actions` may not use `store`"],
    );
    imports("src/notify/slack.rs", "use crate::actions::Kind;", &["src/notify/slack.rs:1: `notify`"]);
    imports("src/store/sqlite.rs", "use crate::engine::Parts;", &["src/store/sqlite.rs:1: `store`"]);
    imports("src/engine/mod.rs", "use crate::surface::cli::run;", &["src/engine/mod.rs:1: `engine`"]);
    imports("src/engine/mod.rs", "use crate::{store::Draft, actions::Kind, domain::event::Event, clock::Clock};", &[]);
}

#[test]
fn an_import_in_a_group_is_found() {
    imports(
        "src/domain/incident/event.rs",
        "use crate::{\n  domain::{id::RunId, time::*},\n  clock::{self, Clock},\n};\npub use crate::{engine as e};",
        &[
            "src/domain/incident/event.rs:3: `domain` may not use `clock`",
            "src/domain/incident/event.rs:3:",
            "src/domain/incident/event.rs:5:",
        ],
    );
}

#[test]
fn a_path_in_the_code_is_found() {
    imports(
        "src/domain/incident/event.rs",
        "fn f() {\n let x = crate::engine::run::<u8>();\n}",
        &["src/domain/incident/event.rs:2:"],
    );
    imports(
        "src/domain/incident/event.rs",
        "impl From<crate::store::StoreError> for E {}",
        &["src/domain/incident/event.rs:1:"],
    );
    imports(
        "src/domain/incident/event.rs",
        "// crate::store\nconst S: &str = \"crate::store::X\"; // crate::engine",
        &[],
    );
}

#[test]
fn a_path_by_super_is_found() {
    imports(
        "src/domain/incident/event.rs",
        "use super::super::super::store::Draft;",
        &["src/domain/incident/event.rs:1: `domain`"],
    );
    imports("src/domain/mod.rs", "use super::store::Draft;", &["src/domain/mod.rs:1: `domain`"]);
    imports(
        "src/domain/incident/event.rs",
        "mod inner { use super::super::super::super::store::Draft; }",
        &["src/domain/incident/event.rs:1:"],
    );
    imports("src/domain/incident/event.rs", "mod inner { use super::super::id::RunId; }\nuse super::id::StepKey;", &[]);
    imports(
        "src/actions/kinds/git.rs",
        "use super::systemd::Unit;",
        &["src/actions/kinds/git.rs:1: `actions::kinds::git` may not use `actions::kinds::systemd`"],
    );
}

#[test]
fn a_module_that_uses_its_sibling_is_found() {
    let git = "src/actions/kinds/git.rs:1: `actions::kinds::git` may not use `actions::kinds::systemd`";
    imports("src/actions/kinds/git.rs", "use crate::actions::kinds::systemd;", &[git]);
    imports(
        "src/actions/kinds/git/push.rs",
        "use crate::actions::kinds::systemd::Unit;",
        &["src/actions/kinds/git/push.rs:1: `actions::kinds::git` may not use `actions::kinds::systemd`"],
    );
    imports(
        "src/actions/kinds/support/threshold.rs",
        "use crate::actions::kinds::git::Git;",
        &["src/actions/kinds/support/threshold.rs:1: `actions::kinds::support` may not use `actions::kinds::git`"],
    );
    imports(
        "src/actions/transport/process.rs",
        "use crate::actions::kinds::git::Git;",
        &["src/actions/transport/process.rs:1: `actions::transport` may not use `actions::kinds`"],
    );
    imports(
        "src/notify/slack.rs",
        "use super::email::Mail;",
        &["src/notify/slack.rs:1: `notify::slack` may not use `notify::email`"],
    );
    imports(
        "src/store/memory.rs",
        "use super::sqlite::Row;",
        &["src/store/memory.rs:1: `store::memory` may not use `store::sqlite`"],
    );
    imports(
        "src/surface/terminal/mod.rs",
        "use crate::surface::cli::Table;",
        &["src/surface/terminal/mod.rs:1: `surface::terminal` may not use `surface::cli`"],
    );
}

#[test]
fn shared_modules_parents_and_the_composer_are_accepted() {
    imports(
        "src/actions/kinds/git.rs",
        "use crate::actions::{Context, Kind, transport::process::Child};\nuse crate::actions::kinds::git::push::Push;",
        &[],
    );
    imports("src/actions/kinds/git.rs", "use super::support::Threshold;", &[]);
    imports("src/actions/kinds/mod.rs", "use self::git::Git; static K: &[&dyn Kind] = &[&systemd::Systemd];", &[]);
    imports("src/store/sqlite.rs", "use super::codec::prepare;", &[]);
    imports("src/surface/cli/mod.rs", "use crate::surface::terminal::Stepper;", &[]);
    imports("src/main.rs", "use runbook::surface::cli;", &[]);
    imports("src/actions/kinds/git.rs", "#[cfg(test)]\nmod tests { use crate::actions::kinds::systemd; }", &[]);
}

/// Files with their texts.
fn tree(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(file, text)| Source::new(file, text)).collect()
}

#[track_caller]
fn circles(files: &[(&str, &str)], expected: &[&str]) {
    let violations = circles::circles(&tree(files));
    assert_eq!(violations, expected);
}

#[test]
fn a_circle_of_imports_is_found_with_the_place_of_each() {
    circles(
        &[
            ("src/domain/report.rs", "//! A.\nuse crate::domain::alert::Alert;"),
            ("src/domain/alert/mod.rs", ""),
            ("src/domain/alert/scope.rs", "\n\nfn f() { crate::domain::report::headline() }"),
        ],
        &["src/domain/alert/scope.rs:3: circle in `domain`: alert → report → alert \
           (alert → report at src/domain/alert/scope.rs:3, report → alert at src/domain/report.rs:2)"],
    );
    circles(
        &[
            ("src/engine/a.rs", "use super::b::B;"),
            ("src/engine/b.rs", "use super::c::C;"),
            ("src/engine/c.rs", "use super::a::A;"),
        ],
        &["src/engine/a.rs:1: circle in `engine`: a → b → c → a \
           (a → b at src/engine/a.rs:1, b → c at src/engine/b.rs:1, c → a at src/engine/c.rs:1)"],
    );
}

#[test]
fn a_circle_inside_a_module_is_found() {
    circles(
        &[
            ("src/domain/journal/filter.rs", "use super::level::Level;"),
            ("src/domain/journal/level.rs", "use super::filter::Filter;"),
        ],
        &["src/domain/journal/filter.rs:1: circle in `domain::journal`: filter → level → filter \
           (filter → level at src/domain/journal/filter.rs:1, level → filter at src/domain/journal/level.rs:1)"],
    );
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    circles(
        &[
            ("src/store/mod.rs", "pub mod codec;\npub use self::codec::NewEvent as Event;"),
            ("src/store/codec.rs", "use super::memory::Memory;"),
            ("src/store/memory.rs", "use crate::store::Event;"),
        ],
        &["src/store/codec.rs:1: circle in `store`: codec → memory → codec \
           (codec → memory at src/store/codec.rs:1, memory → codec at src/store/memory.rs:1)"],
    );
}

#[test]
fn a_circle_through_an_import_of_the_parent_is_found() {
    circles(
        &[
            ("src/store/mod.rs", "mod codec;\nmod memory;\nuse self::codec::NewEvent;"),
            ("src/store/codec.rs", "use super::memory::Memory;"),
            ("src/store/memory.rs", "use super::NewEvent;"),
        ],
        &["src/store/codec.rs:1: circle in `store`: codec → memory → codec \
           (codec → memory at src/store/codec.rs:1, memory → codec at src/store/memory.rs:1)"],
    );
}

#[test]
fn imports_without_a_circle_are_accepted() {
    circles(
        &[
            ("src/domain/mod.rs", "use self::alert::Alert; use self::report::Report;"),
            ("src/domain/alert.rs", "use super::core::Id;\n// use super::report::Report;\n/// [`super::report`]"),
            ("src/domain/core.rs", "use crate::domain::Parent;\n#[cfg(test)]\nmod tests { use super::super::report; }"),
            ("src/domain/report.rs", "use super::alert::Alert; use super::core::Id;"),
        ],
        &[],
    );
}

#[track_caller]
fn documented(text: &str, expected: &[&str]) {
    finds(&documented::documented(&[Source::new("src/clock.rs", text)]), expected);
}

#[test]
fn a_public_item_without_documentation_is_found() {
    for text in [
        "pub fn f() {}",
        "pub struct F;",
        "#[derive(Debug)]\npub enum F {}",
        "pub const fn f() {}",
        "pub async fn f() {}",
        "pub const F: u8 = 1;",
        "pub mod f { fn g() {} }",
        "/// Of another one.\nfn g() {}\npub type F = u8;",
    ] {
        let violations = documented::documented(&[Source::new("src/clock.rs", text)]);
        assert_eq!(violations.len(), 1, "{text}: {violations:?}");
    }
    documented("/// A trait.\npub trait F {\n fn f(&self);\n}", &["src/clock.rs:3: `f` is public"]);
    documented("impl F {\n pub fn f(&self) {}\n}", &["src/clock.rs:2: `f` is public"]);
}

#[test]
fn documented_and_private_items_are_accepted() {
    documented(
        "/// It is.\n#[derive(Debug)]\n#[serde(\n  rename_all = \"x\",\n)]\npub struct F {\n pub field: u8,\n}",
        &[],
    );
    documented("fn f() {}\npub(crate) fn g() {}\npub mod h;\npub use a::B;", &[]);
    documented("trait F { fn f(&self); }\nimpl F for G { fn f(&self) {} }", &[]);
    documented("/// A trait.\npub trait F {\n /// A function.\n fn f(&self) { fn g() {} }\n}", &[]);
    documented("#[cfg(test)]\nmod tests { pub fn f() {} }", &[]);
}

#[track_caller]
fn vocabulary(file: &str, text: &str, expected: &[&str]) {
    finds(&vocabulary::vocabulary(&[Source::new(file, text)]), expected);
}

#[test]
fn a_name_outside_the_vocabulary_is_found() {
    vocabulary("src/a.rs", "\nfn open_door() {}", &["src/a.rs:2: `open_door`: not `door`"]);
    vocabulary("src/a.rs", "struct SlackDoors;", &["src/a.rs:1: `SlackDoors`: not `door`"]);
    vocabulary("src/a.rs", "mod a { enum Docket {} }", &["src/a.rs:1: `Docket`: not `docket` but incident index"]);
    vocabulary("src/slack/door.rs", "fn f() {}", &["src/slack/door.rs:1: `door`: not `door`"]);
}

#[test]
fn names_that_only_contain_such_a_word_are_accepted() {
    vocabulary("src/a.rs", "fn indoors() {}\nstruct Rotation;\nfn f(door: u8) { let desk = \"fn door\"; }", &[]);
    vocabulary("src/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { fn the_door_opens() {} }", &[]);
}

#[test]
fn names_in_tests_outside_the_program_are_held_to_the_vocabulary() {
    let text = "mod door;\n#[test]\nfn the_door_opens() {}";
    vocabulary("tests/it/a.rs", text, &["tests/it/a.rs:1: `door`", "tests/it/a.rs:3: `the_door_opens`"]);
    vocabulary("tests/it/door.rs", "#[test]\nfn f() {}", &["tests/it/door.rs:1: `door`"]);
}

#[track_caller]
fn purity(text: &str, expected: &[&str]) {
    finds(&rules::purity(&tree_with("src/domain/incident/event.rs", text)), expected);
}

#[test]
fn an_impure_domain_is_found() {
    for text in [
        "use std::fs;",
        "use std::{env, fmt};",
        "use std::net::IpAddr;",
        "fn f() { std::fs::read(\"x\"); }",
        "use tracing::info;",
        "use sqlx::Row;",
        "use reqwest::Client;",
        "fn f() { uuid::Uuid::now_v7(); }",
        "fn f() { chrono::Utc::now(); }",
        "fn f() { Utc::now(); }",
        "async fn f() {}",
        "fn f(at: SystemTime) {}",
        "fn f() { println!(\"x\"); }",
        "use serde_yaml::Value;",
    ] {
        let violations = rules::purity(&tree_with("src/domain/incident/event.rs", text));
        assert!(
            !violations.is_empty() && violations.iter().all(|one| one.starts_with("src/domain/incident/event.rs:1: ")),
            "{text}: {violations:?}"
        );
    }
}

#[test]
fn a_pure_domain_is_accepted() {
    purity("use std::collections::BTreeMap;\nuse std::time::Duration;\nuse serde::Deserialize;\nuse super::id;", &[]);
    purity("//! No async, no tokio.\n/// Not `std::fs`.\nconst HELP: &str = r#\"async \"fn\" std::fs\"#;", &[]);
    purity(
        "fn f<'a>(x: &'a str) -> char { 'a' }\n#[cfg(test)]\nmod tests { use std::fs; fn g() { fs::read(\"x\"); } }",
        &[],
    );
    assert_eq!(rules::purity(&tree_with("src/store/sqlite.rs", "use std::fs; async fn f() {}")), [""; 0]);
}

#[track_caller]
fn descriptors(file: &str, text: &str, expected: &[&str]) {
    finds(&rules::descriptors(&tree_with(file, text)), expected);
}

#[test]
fn a_file_that_the_store_opens_is_found() {
    let file = "src/store/sqlite/rows.rs";
    for text in [
        "fn f() { File::open(p); }",
        "fn f() { std::fs::File::options(); }",
        "use std::fs::OpenOptions; fn f() { OpenOptions::new(); }",
        "use std::fs::read;",
        "fn f() { fs::copy(p, q); }",
        "fn f() { Connection::open_with_flags(p, flags); }",
        "fn f() { rustix::fs::open(p); }",
    ] {
        descriptors(file, text, &["src/store/sqlite/rows.rs:1: 1 places of this file open a file, not the 0"]);
    }
    descriptors(file, "use std::fs::File; fn f() { fs::metadata(p); fs::hard_link(p, q); }", &[]);
    descriptors(file, "#[cfg(test)]\nmod tests { fn f() { File::open(p); } }", &[]);
    descriptors(
        "src/store/sqlite/wal_check.rs",
        "fn f() { File::open(p); }",
        &["src/store/sqlite/wal_check.rs:1: 1 places"],
    );
    descriptors("src/store/sqlite/wal_check.rs", "fn f() { File::open(p); File::open(p); }", &[]);
    descriptors("src/engine/log.rs", "use rusqlite::Connection;", &["src/engine/log.rs:1: SQLite is used in"]);
}

#[test]
fn a_file_without_a_head_is_found() {
    for text in ["", "use std::fmt;", "// A comment.", "//!", "\n//! Late."] {
        finds(&rules::file_heads(&[Source::new("src/clock.rs", text)]), &["src/clock.rs:1: does not begin"]);
    }
    finds(&rules::file_heads(&[Source::new("src/clock.rs", "//! The clock.")]), &[]);
}

#[test]
fn a_long_file_is_found() {
    let lines = |count: usize| [Source::new("src/clock.rs", &"//! One.\n".repeat(count))];
    finds(&rules::lengths(&lines(400)), &[]);
    finds(&rules::lengths(&lines(401)), &["src/clock.rs:401: longer than 400 lines"]);
}

#[test]
fn files_that_are_compiled_for_tests_only_are_known() {
    let body = "fn open_door() {}";
    let mut files = tree(&[
        ("src/a/probe.rs", body),
        ("src/a/probe/more.rs", body),
        ("src/a/real.rs", body),
        ("src/a.rs", "#[cfg(test)]\nmod probe;\nmod real;"),
    ]);
    mark_test_files(&mut files);
    finds(&vocabulary::vocabulary(&files), &["src/a/real.rs:1:"]);
    vocabulary("src/a.rs", "#[cfg(test)]\nmod tests { fn door() {} }\nfn open_door() {}", &["src/a.rs:3:"]);
    vocabulary("src/a.rs", "#[cfg(test)]\nmod tests;\nfn open_door() {}", &["src/a.rs:3:"]);
}

#[test]
fn a_path_that_does_not_exist_is_found() {
    let missing = |text: &str| paths::missing(Path::new(env!("CARGO_MANIFEST_DIR")), "GUIDE.md", text);
    finds(&missing("\nSee `src/lib.rs` and `src/none.rs`."), &["GUIDE.md:2: there is no `src/none.rs`"]);
    finds(&missing("Write `src/none/<name>.rs`."), &["GUIDE.md:1: there is no `src/none/<name>.rs`"]);
    finds(&missing("`src/engine/<name>.rs`, `tests/run`, `cargo test`, `Kind::reconcile`, src/none.rs"), &[]);
}

#[track_caller]
fn appends(file: &str, text: &str, expected: &[&str]) {
    finds(&rules::appends(&tree_with(file, text)), expected);
}

#[test]
fn an_append_outside_the_write_path_is_found() {
    let worker = "src/engine/worker/mod.rs";
    appends(worker, "\nuse crate::store::{StoreError, Write};", &["src/engine/worker/mod.rs:2: only"]);
    appends(worker, "use crate::store;\nfn f(w: store::Write) {}", &["src/engine/worker/mod.rs:2: only"]);
    appends(worker, "use crate::store::*;", &["src/engine/worker/mod.rs:1: only"]);
    appends("src/surface/cli/mod.rs", "use super::super::store::NewEvent;", &["src/surface/cli/mod.rs:1: only"]);
    for call in ["store.append(id, 0, drafts)", "engine.parts().store.write(w)", "store\n.write_all(all)"] {
        let violations = rules::appends(&tree_with(worker, &format!("fn f() {{ {call}; }}")));
        assert_eq!(violations.len(), 1, "{call}: {violations:?}");
    }
}

#[test]
fn the_write_path_and_what_does_not_append_are_accepted() {
    let text = "use crate::store::{NewEvent, Write};\nfn f() { self.store.write(w); store.append(i, 0, d); }";
    for file in ["src/engine/commit.rs", "src/engine/commit/proposal.rs", "src/store/memory.rs"] {
        appends(file, text, &[]);
    }
    appends("src/engine/mod.rs", &format!("#[cfg(test)]\nmod tests {{ {text} }}"), &[]);
    appends(
        "src/engine/mod.rs",
        "use crate::store::{EventStore, StoreError};\nfn f() { store.read(i, 0); file.write_all(b); }",
        &[],
    );
}

#[test]
fn a_compared_sentence_is_found() {
    let text = "fn f(why: &str) -> bool {\n    why.contains(\"was lost\") || why == \"not met\" || why.starts_with(&format!(\"`{why}` is\"))\n}\n\
                #[cfg(test)]\nmod tests {\n    fn g(why: &str) -> bool { why.contains(\"was lost\") }\n}\n";
    let found = prose::searches(&tree_with("src/notify/slack.rs", text));
    finds(&found, &["src/notify/slack.rs:2: compares a sentence"; 3]);
    let honest =
        "fn f(text: &str) -> bool { text.contains(\": \") || text.starts_with(\"https://\") || text == \"met\" }\n";
    finds(&prose::searches(&tree_with("src/notify/slack.rs", honest)), &[]);
}

#[test]
fn a_reader_of_foreign_messages_is_accepted_while_it_reads_them() {
    let reads = "fn f(said: &str) -> bool { said.contains(\"No such file\") }\n";
    finds(&prose::searches(&tree_with("src/actions/kinds/disk/remote.rs", reads)), &[]);
    let needless = ["src/actions/kinds/disk/remote.rs:1: has no compared sentence"];
    finds(&prose::searches(&tree_with("src/actions/kinds/disk/remote.rs", "//! Empty.\n")), &needless);
}

#[track_caller]
fn tables(arms: &str, expected: &[&str]) {
    let text = format!("#![deny(clippy::wildcard_enum_match_arm)]\nfn f() {{ match &it.event {{\n{arms}\n}} }}");
    finds(&tables::open_tables(&[Source::new("src/clock.rs", &text)]), expected);
}

#[test]
fn a_table_with_an_arm_for_any_other_event_is_found() {
    let open = ["src/clock.rs:3: an arm for any other event"];
    tables("RunEvent::Ended { .. } => one(|a, b| { a }), _ => {}", &open);
    tables("RunEvent::Ended { .. } => { one(a, b) } _ if true => {}", &open);
    tables("Event::Run(event) => two, other => three", &open);
    tables("(Open, StepEvent::Asked { .. }) => four, (_, _) => five", &open);
    tables("(Open, StepEvent::Asked { .. }) | (_, event) => six", &open);
    tables("Event::Step(_) => match inner { Some(StepEvent::Ended { .. }) => 1, _ => 2 }", &open);
}

#[test]
fn a_table_without_the_clippy_lint_is_found() {
    let text = "fn f() { match event { Event::Run(_) => 1, Event::Step(_) => 2 } }";
    finds(&tables::open_tables(&[Source::new("src/clock.rs", text)]), &["src/clock.rs:1: a table of events without"]);
}

#[test]
fn a_table_that_names_its_events_and_a_match_about_something_else_are_accepted() {
    tables(
        "RunEvent::Started { run, .. } if run.is_x() => {} RunEvent::Ended { .. } | RunEvent::Stopping { .. } => {}",
        &[],
    );
    tables("(_, StepEvent::Asked { gate: _, .. }) => 1, (_, StepEvent::Ended { .. }) => 2", &[]);
    tables("Event::Start(Tag::Link) => RunEvent::Ended { run }, _ => 2", &[]);
    tables("Some(event @ Event::Message(_)) if x => drop(event), Some(event) => keep(event), None => {}", &[]);
    let test = "#[cfg(test)]\nmod tests { fn f() { match event { Event::Run(_) => 1, _ => 2 } } }";
    finds(&tables::open_tables(&[Source::new("src/clock.rs", test)]), &[]);
}
