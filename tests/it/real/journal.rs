//! Journal files written entry by entry, for tests that need known entries.
//!
//! [`Entry`] is one entry with any fields, trusted ones such as `_SYSTEMD_UNIT` included, at any time, even times past.
//! [`Journal`] is a directory of real journal files, written by `systemd-journal-remote` from the journal export format
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>), to be read with `journalctl --directory`.
//!
//! Not here: a running journald, see `surface::demo::lab::journald`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

const WRITER: &str = "/lib/systemd/systemd-journal-remote";

/// The boot id of every entry; journald needs one.
const BOOT: &str = "6a3f0c5d9e1b4f7ca2d84b60e7913c55";

/// One journal entry.
#[derive(Clone, Debug)]
pub struct Entry {
    at: DateTime<Utc>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// The entry of a service that prints plain text: its message at priority 6, now.
    pub fn text(unit: &str, message: impl AsRef<[u8]>) -> Self {
        let identifier = unit.strip_suffix(".service").unwrap_or(unit);
        Self { at: Utc::now(), fields: Vec::new() }
            .field("_SYSTEMD_UNIT", unit)
            .field("SYSLOG_IDENTIFIER", identifier)
            .field("PRIORITY", "6")
            .field("_PID", "4242")
            .field("_TRANSPORT", "stdout")
            .field("_HOSTNAME", "web1")
            .field("MESSAGE", message)
    }

    /// The entry of a service that logs with pino: one JSON object as the message, at priority 6 for every level.
    ///
    /// `level` is pino's (50 is error); `more` is an object whose fields are added, such as `{"orderId": "A-17"}`.
    pub fn pino(unit: &str, level: u8, message: &str, more: Value) -> Self {
        let service = unit.strip_suffix(".service").unwrap_or(unit);
        let mut line = json!({
            "level": level, "time": Utc::now().timestamp_millis(), "pid": 4242, "hostname": "web1",
            "service": service, "msg": message,
        });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        Self::text(unit, line.to_string())
    }

    /// The same entry, this many seconds ago.
    pub fn ago(mut self, seconds: i64) -> Self {
        self.at = Utc::now() - TimeDelta::seconds(seconds);
        self
    }

    /// The same entry at this instant.
    pub fn at(mut self, at: DateTime<Utc>) -> Self {
        self.at = at;
        self
    }

    /// The same entry at this syslog priority (3 is `err`).
    pub fn priority(self, priority: u8) -> Self {
        self.field("PRIORITY", priority.to_string())
    }

    /// The same entry with this field set to any bytes.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.retain(|(present, _)| present != name);
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The entry in the journal export format. Every field has the binary form, which holds any value.
    fn export(&self) -> Vec<u8> {
        let mut text = format!("__REALTIME_TIMESTAMP={}\n_BOOT_ID={BOOT}\n", self.at.timestamp_micros()).into_bytes();
        for (name, value) in &self.fields {
            text.extend_from_slice(name.as_bytes());
            text.push(b'\n');
            text.extend_from_slice(&(value.len() as u64).to_le_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text.push(b'\n');
        text
    }
}

/// A directory of journal files that is removed with the value.
pub struct Journal {
    directory: TempDir,
    files: usize,
}

impl Journal {
    /// A journal that holds these entries.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut journal = Self { directory, files: 0 };
        journal.append(entries);
        journal
    }

    /// The directory, for `journalctl --directory`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Adds entries in a new file. `journalctl` orders entries of all files by time, and followers notice new files.
    pub fn append(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_by_key(|entry| entry.at);
        let exported: Vec<u8> = entries.iter().flat_map(Entry::export).collect();
        self.files += 1;
        let file = self.directory.path().join(format!("part-{}.journal", self.files));
        let writer = super::installed(WRITER, "systemd-journal-remote");
        let mut command = Command::new(writer);
        command.arg(format!("--output={}", file.display())).arg("-");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            runbook::actions::transport::process::spawn_detached(&mut command).expect("systemd-journal-remote starts");
        let mut stdin = child.stdin.take().expect("stdin was asked for");
        stdin.write_all(&exported).expect("systemd-journal-remote reads its standard input");
        drop(stdin);
        let output = child.wait_with_output().expect("systemd-journal-remote ends");
        assert!(
            output.status.success(),
            "systemd-journal-remote refused the entries: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(journal: &Journal, arguments: &[&str]) -> Vec<Value> {
        let mut command = Command::new("journalctl");
        command.arg("--directory").arg(journal.directory()).args(["-o", "json"]).args(arguments);
        let output = super::super::run(&mut command, "systemd");
        String::from_utf8(output.stdout)
            .expect("journalctl prints UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    #[test]
    fn entries_come_back_by_unit_and_time() {
        let mut journal = Journal::of([
            Entry::pino("pakashop-gateway.service", 50, "boom", json!({"orderId": "A-17"})).ago(60),
            Entry::text("pakashop-gateway.service", "old").ago(7200),
            Entry::text("pakashop-search.service", "other"),
        ]);
        journal.append([Entry::text("pakashop-gateway.service", "later")]);
        let found = read(&journal, &["-u", "pakashop-gateway", "--since", "-5m"]);
        let messages: Vec<&str> = found.iter().filter_map(|entry| entry["MESSAGE"].as_str()).collect();
        assert_eq!(messages.len(), 2, "{found:?}");
        assert!(messages[0].contains("A-17"));
        assert_eq!(messages[1], "later");
    }

    #[test]
    fn bytes_that_are_not_text_are_preserved() {
        let journal = Journal::of([Entry::text("a.service", b"\x1b[31m\xff\0\n")]);
        assert_eq!(read(&journal, &[])[0]["MESSAGE"], json!([27, 91, 51, 49, 109, 255, 0, 10]));
    }
}
