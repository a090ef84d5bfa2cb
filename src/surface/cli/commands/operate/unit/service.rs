//! The text of the service unit and of the socket unit.
//!
//! The sandbox removes everything that runbooks do not need. What they need: systemd over D-Bus, the journal as a member of
//! its group, programs under the account, and the network.
//!
//! **Invariant:** `systemd-analyze security --offline=true` reports an exposure of at most 2.0.
//!
//! Left out: `Type=notify-reload`, because systemd before 253 treats such a service as ready at once; `ProcSubset=pid` and
//! `ProtectProc=`, which hide the boot id and the processes that identify the holder of a lease;
//! `MemoryDenyWriteExecute=`, under which Node.js does not start; address filters.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::config::estate::{Estate, SecretSource};

/// The directory of the log, for `StateDirectory=`.
const STATE_DIRECTORY: &str = "runbook";

/// The directory in which systemd looks up credentials.
const CREDENTIALS_DIRECTORY: &str = "/etc/credstore";

/// The default directory of post-mortems.
const POSTMORTEMS: &str = "postmortems";
/// The default directory of maintenance reports.
const REPORTS: &str = "reports";

/// The lifecycle settings. A start is not retried if a retry cannot help: after wrong usage (2), a missing permission (4)
/// or problems in a file (7). On a stop only the main process gets the signal. It ends its steps within half of the time
/// and records their outcome.
const LIFECYCLE: &str = "\
WatchdogSec=30s
Restart=on-failure
RestartSec=2s
RestartPreventExitStatus=2 4 7
KillMode=mixed
TimeoutStopSec=30s
";

const SANDBOX: &str = "\
# What the sandbox permits: D-Bus, the journal, programs under this account, the network.
SupplementaryGroups=systemd-journal
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
UMask=0027
PrivateDevices=yes
DevicePolicy=closed
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

/// The inputs of the service unit.
pub(super) struct UnitInputs<'a> {
    pub(super) estate: &'a Estate,
    /// The path of this program.
    pub(super) program: PathBuf,
    /// The project's directory, absolute.
    pub(super) directory: PathBuf,
    pub(super) account: &'a str,
    /// The runbooks that call `sudo`.
    pub(super) sudo_runbooks: &'a [&'a str],
}

/// The text of `runbook.service`. The error is a path that a unit file cannot contain.
pub(super) fn service(inputs: &UnitInputs<'_>) -> Result<String, String> {
    let UnitInputs { estate, program, directory, account, sudo_runbooks } = inputs;
    let directory_word = quoted_word(&directory.to_string_lossy())?;
    let mut text = "\
# Printed by `runbook unit service`: print it again when the estate or the program's path has changed.
[Unit]
Description=Executable runbooks: receives alerts and supervises incidents
After=network.target
# A start is retried without limit, for example until the disk has space again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
"
    .to_owned();
    let mut line = |line: String| writeln!(text, "{line}").expect("writing into a string cannot fail");
    line(format!("User={account}"));
    line(format!("StateDirectory={STATE_DIRECTORY}\nStateDirectoryMode=0700"));
    line(format!("Environment=RUNBOOK_STATE=%S/{STATE_DIRECTORY} {}", assignment("RUNBOOK_DIR", &directory_word)));
    let program = quoted_word(&program.to_string_lossy())?.replace('$', "$$");
    line(format!("ExecStart={program} serve"));
    line("# A reload fails if an edited file has problems; then the previous configuration stays active.".to_owned());
    line(format!("ExecReload={program} lint\nExecReload=/bin/kill -HUP $MAINPID"));
    line(LIFECYCLE.trim_end().to_owned());
    for (name, source) in &estate.secrets {
        line(secret(name, source));
    }
    if !sudo_runbooks.is_empty() {
        line(format!(
            "# `sudo` cannot gain privileges in this service, and these runbooks call it: {}.",
            sudo_runbooks.join(", ")
        ));
        line("# Allow their units by polkit instead, or make such a step a manual one.".to_owned());
    }
    line("# Where it may write: post-mortems, reports and work trees. A path with a minus may be missing.".to_owned());
    for path in writable(estate, directory) {
        line(format!("ReadWritePaths={}", dashed(&path)?));
    }
    line(SANDBOX.to_owned());
    line("[Install]\nWantedBy=multi-user.target".to_owned());
    Ok(text)
}

/// The text of `runbook.socket`.
pub(super) fn socket(listen: SocketAddr) -> String {
    format!(
        "\
# Printed by `runbook unit socket`. While the service restarts, connections of senders wait here instead of being refused.
[Unit]
Description=Alerts for runbook.service

[Socket]
ListenStream={listen}

[Install]
WantedBy=sockets.target
"
    )
}

/// The line that passes a secret to the service, or a comment that says how the service could get it.
fn secret(name: &str, source: &SecretSource) -> String {
    match source {
        SecretSource { credential: Some(credential), .. } if is_credential(credential) => {
            format!("LoadCredential={credential}:{CREDENTIALS_DIRECTORY}/{credential}")
        }
        SecretSource { env: Some(_), .. } => format!(
            "# `{name}` is read from a variable, which this service does not get. Put its value into\n\
             # {CREDENTIALS_DIRECTORY}/{name}, mode 600, and `{name}: {{ credential: {name} }}` into estate.yaml."
        ),
        SecretSource { file: Some(_), key: Some(key), .. } if key.ends_with('*') => {
            format!("# `{name}` stands for several keys of a file, which this account must be able to read.")
        }
        _ => format!(
            "# `{name}` is read from a file, which this account must be able to read; or put its value into\n\
             # {CREDENTIALS_DIRECTORY}/{name}, mode 600, and `{name}: {{ credential: {name} }}` into estate.yaml."
        ),
    }
}

/// Whether a name can be the name of a credential's file: it has no separator and no leading dot.
fn is_credential(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_allowed)
}

/// The directories of post-mortems and reports, and the work trees.
fn writable(estate: &Estate, directory: &Path) -> BTreeSet<PathBuf> {
    let postmortems = directory.join(estate.postmortem.directory.as_deref().unwrap_or(POSTMORTEMS));
    let trees = estate.environments.values().filter_map(|environment| environment.repository.as_ref());
    let reports = directory.join(estate.report.directory.as_deref().unwrap_or(REPORTS));
    trees.map(|tree| directory.join(tree)).chain([postmortems, reports]).collect()
}

/// A path with a leading minus, so that systemd ignores it if it does not exist.
fn dashed(path: &Path) -> Result<String, String> {
    quoted_word(&format!("-{}", path.to_string_lossy()))
}

/// An assignment for `Environment=`, quoted as a whole if the value is quoted.
fn assignment(name: &str, quoted: &str) -> String {
    match quoted.strip_prefix('"') {
        Some(rest) => format!("\"{name}={rest}"),
        None => format!("{name}={quoted}"),
    }
}

/// A word of a unit file, with specifiers doubled, and quoted if necessary.
fn quoted_word(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) || text.contains('\u{fffd}') {
        return Err(text.to_owned());
    }
    let doubled = text.replace('%', "%%");
    let needs_no_quotes = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    if doubled.chars().all(needs_no_quotes) {
        return Ok(doubled);
    }
    Ok(format!("\"{}\"", doubled.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_argument() {
        assert_eq!(quoted_word("/srv/shop").as_deref(), Ok("/srv/shop"));
        assert_eq!(quoted_word("/srv/a \"b\" 100%").as_deref(), Ok(r#""/srv/a \"b\" 100%%""#));
        assert_eq!(quoted_word("/srv/a\nUser=root"), Err("/srv/a\nUser=root".to_owned()));
        assert_eq!(assignment("DIR", &quoted_word("/a b").unwrap()), "\"DIR=/a b\"");
    }

    #[test]
    fn a_credential_is_loaded_and_a_comment_explains_other_sources() {
        let source = |json| serde_json::from_value::<SecretSource>(json).unwrap();
        let loaded = secret("token", &source(serde_json::json!({"credential": "slack"})));
        assert_eq!(loaded, "LoadCredential=slack:/etc/credstore/slack");
        for other in [serde_json::json!({"env": "TOKEN"}), serde_json::json!({"file": "/x", "key": "T"})] {
            let comment = secret("token", &source(other));
            assert!(comment.lines().all(|line| line.starts_with('#')), "{comment}");
            assert!(comment.contains("{ credential: token }"), "{comment}");
        }
        assert!(!is_credential("a:b") && !is_credential("../x") && !is_credential("a b"));
    }
}
