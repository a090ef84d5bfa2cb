//! Debian's `sqlite3`, a program with another copy of the SQLite library.

use std::path::Path;
use std::process::Command;

/// A `sqlite3` that opens a database file, executes statements or dot commands, and closes the file.
pub fn sqlite3(file: &Path, statements: &str) -> Command {
    let mut command = Command::new("sqlite3");
    command.args(["-bail", "-cmd", ".timeout 30000"]).arg(file).arg(statements);
    command
}

/// The output of such a `sqlite3`, which must succeed.
pub fn printed(file: &Path, statements: &str) -> String {
    let output = super::run(&mut sqlite3(file, statements), "sqlite3");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
