//! The unit file of a service that is always running.

use std::ffi::OsString;

/// What a unit file says of a service.
#[derive(Debug, Clone)]
pub struct ServiceUnit<'a> {
    /// What people see.
    pub description: &'a str,
    /// The program and its arguments.
    pub argv: &'a [OsString],
    /// The name in the journal.
    pub identifier: &'a str,
    /// The time until a restart, as systemd has it: `1s`, `100ms`.
    pub restart_after: &'a str,
}

impl ServiceUnit<'_> {
    /// The text of the file.
    pub fn text(&self) -> String {
        let command: Vec<String> = self.argv.iter().map(|word| quoted(&word.to_string_lossy())).collect();
        format!(
            "[Unit]\nDescription={}\n[Service]\nExecStart={}\nRestart=always\nRestartSec={}\nSyslogIdentifier={}\n",
            self.description,
            command.join(" "),
            self.restart_after,
            self.identifier,
        )
    }
}

/// Quotes a word for a unit file.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_any_word_unchanged() {
        assert_eq!(quoted(r#"/a b/100%/$x/"\"#), r#""/a b/100%%/$$x/\"\\""#);
    }
}
