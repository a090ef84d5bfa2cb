//! An event that a table does not have fails to compile: the compiler gets one more event of each family.
//!
//! Cargo builds a copy of the sources with the dependencies that the tests were built with. The compiler stops at the tables,
//! before it generates code: one build of the library, measured as 50 seconds of one processor.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::source::Source;
use crate::tables;

/// The files of the families. A `match` over `Self` there is not a table.
const FAMILIES: &str = "src/domain/incident/event/";

/// The name of the added event.
const UNPLACED: &str = "Unplaced";

/// The sources in a directory of their own. Everything else of the package is linked to.
pub struct PackageCopy {
    directory: PathBuf,
    sources: Vec<Source>,
}

impl PackageCopy {
    /// These sources, unchanged.
    pub fn of(package: &Path, sources: &[Source]) -> Self {
        // Always the same directory, since Cargo stores files for each package path that it builds.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unplaced");
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        fs::create_dir(&directory).unwrap();
        for entry in fs::read_dir(package).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            if name == "src" {
                copy_tree(&entry.path(), &directory.join(name));
            } else if name != "target" && name != ".git" {
                symlink(entry.path(), directory.join(name)).unwrap();
            }
        }
        Self { directory, sources: sources.to_vec() }
    }

    /// The tables, as `src/x.rs:12`, that lack an event of some family: by the compiler, and by the events that they name.
    pub fn with_unplaced(&self, families: &[&str]) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut changed = 0;
        for source in &self.sources {
            let text = families.iter().fold(source.text.clone(), |text, family| {
                // On the line of the brace, so that line numbers do not change.
                let head = format!("pub enum {family} {{");
                text.replace(&head, &format!("{head} /** In no table. */ {UNPLACED},"))
            });
            changed += usize::from(text != source.text);
            fs::write(self.directory.join(&source.file), text).unwrap();
        }
        assert_eq!(changed, families.len(), "each family is an enumeration in a file of its own");
        let named =
            self.sources.iter().flat_map(|file| tables::named(file).map(|line| format!("{}:{line}", file.file)));
        (refused(&self.build()), named.collect())
    }

    /// The errors of the compiler for the copy.
    fn build(&self) -> Vec<Value> {
        let mut cargo = Command::new(env!("CARGO"));
        // What Cargo tells a test of its package; build scripts that hear of it run again, and what depends on them is built again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        let output = cargo
            // The library as this test needs it, so that its dependencies have the same features.
            .args(["test", "--no-run", "--test", "architecture", "--locked", "--offline"])
            .args(["--message-format", "json", "--target-dir"])
            .arg(target())
            .current_dir(&self.directory)
            .env("CARGO_INCREMENTAL", "0")
            .output()
            .unwrap();
        let messages: Vec<Value> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).unwrap().get("message").cloned())
            .filter(|message| message["level"] == "error" && message["spans"] != serde_json::json!([]))
            .collect();
        assert!(!messages.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        messages
    }
}

/// The places at which an error says that an event has no arm. Every error has to be of that kind.
fn refused(errors: &[Value]) -> BTreeSet<String> {
    let places = errors.iter().map(|error| {
        assert_eq!(error["code"]["code"], "E0004", "{}", error["rendered"].as_str().unwrap());
        assert!(error["message"].as_str().unwrap().contains(UNPLACED), "{}", error["rendered"].as_str().unwrap());
        let span = error["spans"].as_array().unwrap().iter().find(|span| span["is_primary"] == true).unwrap();
        format!("{}:{}", span["file_name"].as_str().unwrap(), span["line_start"])
    });
    places.filter(|place| !place.starts_with(FAMILIES)).collect()
}

/// The directory that Cargo builds in: that of this test, `target/debug/deps/architecture-…`.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
