//! Proof that each rule finds what it is for: violations are planted, and honest code beside them is left alone.

use crate::law;
use crate::prose;
use crate::source::{Source, mark_test_files};

/// Rooms that are there, as the law must know them to tell a room from an item.
const TREE: [&str; 12] = [
    "src/domain/mod.rs",
    "src/domain/incident/event.rs",
    "src/clock.rs",
    "src/actions/mod.rs",
    "src/actions/transport/process.rs",
    "src/actions/kinds/git.rs",
    "src/actions/kinds/systemd.rs",
    "src/notify/slack.rs",
    "src/notify/email.rs",
    "src/store/sqlite.rs",
    "src/surface/cli/mod.rs",
    "src/surface/terminal/mod.rs",
];

/// Plants a text in one file of an otherwise empty tree.
fn planted(file: &str, text: &str) -> Vec<Source> {
    let others = TREE.iter().filter(|other| **other != file).map(|other| Source::new(other, "//! Empty.\n"));
    others.chain([Source::new(file, text)]).collect()
}

#[track_caller]
fn finds(broken: &[String], expected: &[&str]) {
    assert_eq!(broken.len(), expected.len(), "{broken:#?}");
    for (one, begin) in broken.iter().zip(expected) {
        assert!(one.starts_with(begin), "{one}");
    }
}

#[track_caller]
fn imports(file: &str, text: &str, expected: &[&str]) {
    finds(&law::imports(&planted(file, text)), expected);
}

#[test]
fn a_layer_that_reaches_up_is_found() {
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
fn a_group_of_imports_is_looked_into() {
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
fn a_way_round_by_super_is_found() {
    imports(
        "src/domain/incident/event.rs",
        "use super::super::store::Draft;",
        &["src/domain/incident/event.rs:1: `domain`"],
    );
    imports("src/domain/mod.rs", "use super::store::Draft;", &["src/domain/mod.rs:1: `domain`"]);
    imports(
        "src/domain/incident/event.rs",
        "mod inner { use super::super::super::store::Draft; }",
        &["src/domain/incident/event.rs:1:"],
    );
    imports("src/domain/incident/event.rs", "mod inner { use super::super::id::RunId; }\nuse super::id::StepKey;", &[]);
    imports(
        "src/actions/kinds/git.rs",
        "use super::systemd::Unit;",
        &["src/actions/kinds/git.rs:1: `actions::git` may not use `actions::systemd`"],
    );
}

#[test]
fn a_room_that_uses_its_neighbour_is_found() {
    imports(
        "src/actions/kinds/git.rs",
        "use crate::actions::systemd;",
        &["src/actions/kinds/git.rs:1: `actions::git`"],
    );
    imports("src/actions/git/push.rs", "use crate::actions::systemd;", &["src/actions/git/push.rs:1: `actions::git`"]);
    imports(
        "src/actions/transport/process.rs",
        "use super::git::Git;",
        &["src/actions/transport/process.rs:1: `actions::process`"],
    );
    imports("src/notify/slack.rs", "use super::email::Mail;", &["src/notify/slack.rs:1: `notify::slack`"]);
    imports("src/surface/terminal/mod.rs", "use crate::surface::cli::Table;", &["src/surface/terminal/mod.rs:1:"]);
}

#[test]
fn shared_rooms_lists_of_rooms_and_the_composer_are_left_alone() {
    imports(
        "src/actions/kinds/git.rs",
        "use super::{Context, Kind, process::Child};\nuse crate::actions::git::push::Push;",
        &[],
    );
    imports("src/actions/mod.rs", "use self::git::Git; static K: &[&dyn Kind] = &[&systemd::Systemd, &git::Git];", &[]);
    imports("src/surface/cli/mod.rs", "use crate::surface::terminal::Stepper;", &[]);
    imports("src/main.rs", "use runbook::surface::cli;", &[]);
    imports("src/actions/kinds/git.rs", "#[cfg(test)]\nmod tests { use crate::actions::systemd; }", &[]);
}

#[track_caller]
fn purity(text: &str, expected: &[&str]) {
    finds(&law::purity(&planted("src/domain/incident/event.rs", text)), expected);
}

#[test]
fn a_domain_that_reaches_out_is_found() {
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
        let broken = law::purity(&planted("src/domain/incident/event.rs", text));
        assert!(
            !broken.is_empty() && broken.iter().all(|one| one.starts_with("src/domain/incident/event.rs:1: ")),
            "{text}: {broken:?}"
        );
    }
}

#[test]
fn a_pure_domain_is_left_alone() {
    purity("use std::collections::BTreeMap;\nuse std::time::Duration;\nuse serde::Deserialize;\nuse super::id;", &[]);
    purity("//! No async, no tokio.\n/// Not `std::fs`.\nconst HELP: &str = r#\"async \"fn\" std::fs\"#;", &[]);
    purity(
        "fn f<'a>(x: &'a str) -> char { 'a' }\n#[cfg(test)]\nmod tests { use std::fs; fn g() { fs::read(\"x\"); } }",
        &[],
    );
    assert_eq!(law::purity(&planted("src/store/sqlite.rs", "use std::fs; async fn f() {}")), [""; 0]);
}

#[track_caller]
fn descriptors(file: &str, text: &str, expected: &[&str]) {
    finds(&law::descriptors(&planted(file, text)), expected);
}

#[test]
fn a_file_that_the_store_opens_is_found() {
    let file = "src/store/sqlite/row.rs";
    for text in [
        "fn f() { File::open(p); }",
        "fn f() { std::fs::File::options(); }",
        "use std::fs::OpenOptions; fn f() { OpenOptions::new(); }",
        "use std::fs::read;",
        "fn f() { fs::copy(p, q); }",
        "fn f() { Connection::open_with_flags(p, flags); }",
        "fn f() { rustix::fs::open(p); }",
    ] {
        descriptors(file, text, &["src/store/sqlite/row.rs:1: 1 places of this file open a file, not the 0"]);
    }
    descriptors(file, "use std::fs::File; fn f() { fs::metadata(p); fs::hard_link(p, q); }", &[]);
    descriptors(file, "#[cfg(test)]\nmod tests { fn f() { File::open(p); } }", &[]);
    descriptors("src/store/sqlite/wal.rs", "fn f() { File::open(p); }", &["src/store/sqlite/wal.rs:1: 1 places"]);
    descriptors("src/store/sqlite/wal.rs", "fn f() { File::open(p); File::open(p); }", &[]);
    descriptors("src/engine/log.rs", "use rusqlite::Connection;", &["src/engine/log.rs:1: SQLite is used in"]);
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_found() {
    for text in ["", "use std::fmt;", "// A comment.", "//!", "\n//! Late."] {
        finds(&law::openings(&[Source::new("src/clock.rs", text)]), &["src/clock.rs:1: begins without"]);
    }
    finds(&law::openings(&[Source::new("src/clock.rs", "//! The clock.")]), &[]);
}

#[test]
fn a_long_file_is_found() {
    let lines = |count: usize| [Source::new("src/clock.rs", &"//! One.\n".repeat(count))];
    finds(&law::lengths(&lines(400)), &[]);
    finds(&law::lengths(&lines(401)), &["src/clock.rs:401: longer than 400 lines"]);
}

#[track_caller]
fn words(text: &str, expected: &[&str]) {
    finds(&law::words(&[Source::new("src/clock.rs", text)]), expected);
}

#[test]
fn silenced_lints_are_found() {
    words("\n#[allow(dead_code)]", &["src/clock.rs:2: `#[allow]`"]);
    words("#![allow(clippy::all)]", &["src/clock.rs:1: `#[allow]`"]);
    words("#[cfg_attr(test, allow(dead_code))]", &["src/clock.rs:1: `#[allow]`"]);
    words("#[cfg(test)]\nmod tests { #[allow(dead_code)] fn f() {} }", &["src/clock.rs:2: `#[allow]`"]);
    words("#[expect(dead_code, reason = \"allow(x)\")] fn allow() {}", &[]);
}

#[test]
fn unwrap_outside_tests_is_found() {
    words("fn f() { g()\n.unwrap(); }", &["src/clock.rs:2: `unwrap` outside tests"]);
    words("fn f() { g().unwrap_or(1); h().expect(\"why\"); }", &[]);
    words("#[cfg(test)]\nmod tests { fn f() { g().unwrap(); } }", &[]);
    words("#[cfg(test)]\nmod tests { fn f() { g(); } }\nfn h() { g().unwrap(); }", &["src/clock.rs:3:"]);
    words("#[cfg(test)]\nmod tests;\nfn h() { g().unwrap(); }", &["src/clock.rs:3:"]);
    let body = "fn f() { g().unwrap(); }";
    let mut files =
        ["src/a/probe.rs", "src/a/probe/more.rs", "src/a/real.rs"].map(|file| Source::new(file, body)).to_vec();
    files.push(Source::new("src/a.rs", "#[cfg(test)]\nmod probe;\nmod real;"));
    mark_test_files(&mut files);
    finds(&law::words(&files), &["src/a/real.rs:1:"]);
}

#[test]
fn what_was_left_open_is_found() {
    words(
        "fn f() { todo!() }\nfn g() { unimplemented!() }\nfn h() { dbg!(1) }",
        &["src/clock.rs:1:", "src/clock.rs:2:", "src/clock.rs:3:"],
    );
    words("// todo!\nfn todo() { \"todo!()\"; }", &[]);
}

#[track_caller]
fn appends(file: &str, text: &str, expected: &[&str]) {
    finds(&law::appends(&planted(file, text)), expected);
}

#[test]
fn a_way_around_the_write_path_is_found() {
    let worker = "src/engine/worker/mod.rs";
    appends(worker, "\nuse crate::store::{StoreError, Write};", &["src/engine/worker/mod.rs:2: only"]);
    appends(worker, "use crate::store;\nfn f(w: store::Write) {}", &["src/engine/worker/mod.rs:2: only"]);
    appends(worker, "use crate::store::*;", &["src/engine/worker/mod.rs:1: only"]);
    appends("src/surface/cli/mod.rs", "use super::super::store::Draft;", &["src/surface/cli/mod.rs:1: only"]);
    for call in ["store.append(id, 0, drafts)", "engine.parts().store.write(w)", "store\n.write_all(all)"] {
        let broken = law::appends(&planted(worker, &format!("fn f() {{ {call}; }}")));
        assert_eq!(broken.len(), 1, "{call}: {broken:?}");
    }
}

#[test]
fn the_write_path_and_what_does_not_append_are_left_alone() {
    let text = "use crate::store::{Draft, Write};\nfn f() { self.store.write(w); store.append(i, 0, d); }";
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
fn a_sentence_that_is_searched_for_is_found() {
    let text = "fn f(why: &str) -> bool {\n    why.contains(\"was lost\") || why == \"not met\" || why.starts_with(&format!(\"`{why}` is\"))\n}\n\
                #[cfg(test)]\nmod tests {\n    fn g(why: &str) -> bool { why.contains(\"was lost\") }\n}\n";
    let found = prose::searches(&planted("src/notify/slack.rs", text));
    finds(&found, &["src/notify/slack.rs:2: a sentence"; 3]);
    let honest =
        "fn f(text: &str) -> bool { text.contains(\": \") || text.starts_with(\"https://\") || text == \"met\" }\n";
    finds(&prose::searches(&planted("src/notify/slack.rs", honest)), &[]);
}

#[test]
fn a_reader_of_foreign_words_is_left_alone_as_long_as_it_reads_them() {
    let reads = "fn f(said: &str) -> bool { said.contains(\"No such file\") }\n";
    finds(&prose::searches(&planted("src/actions/kinds/disk/remote.rs", reads)), &[]);
    let needless = ["src/actions/kinds/disk/remote.rs:1: needs no excuse"];
    finds(&prose::searches(&planted("src/actions/kinds/disk/remote.rs", "//! Empty.\n")), &needless);
}
