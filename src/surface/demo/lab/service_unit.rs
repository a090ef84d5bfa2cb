//! The unit file of a service that is always running.

use std::ffi::OsString;

/// The settings of the unit file.
#[derive(Debug, Clone)]
pub struct ServiceUnit<'a> {
    /// The description for people.
    pub description: &'a str,
    /// The program and its arguments.
    pub argv: &'a [OsString],
    /// The name in the journal.
    pub identifier: &'a str,
    /// The time before a restart, in systemd's syntax: `1s`, `100ms`.
    pub restart_after: &'a str,
}

impl ServiceUnit<'_> {
    /// The text of the file.
    pub fn text(&self) -> String {
        let command: Vec<String> = self.argv.iter().map(|argument| quoted(&argument.to_string_lossy())).collect();
        format!(
            "[Unit]\nDescription={}\n[Service]\nExecStart={}\nRestart=always\nRestartSec={}\nSyslogIdentifier={}\n",
            self.description,
            command.join(" "),
            self.restart_after,
            self.identifier,
        )
    }
}

/// Quotes an argument for a unit file.
fn quoted(argument: &str) -> String {
    let escaped = argument.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_character_is_quoted() {
        assert_eq!(quoted(r#"/a b/100%/$x/"\"#), r#""/a b/100%%/$$x/\"\\""#);
    }
}
