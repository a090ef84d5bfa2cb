//! The service and the socket.
//!
//! Everything is taken away from the service that runbooks do not need: they ask systemd over D-Bus, read the journal as
//! a member of its group, run programs as the account, and reach the network.
//!
//! **Invariant:** `systemd-analyze security --offline=true` finds an exposure of at most 2.0.
//!
//! Deliberately absent, since it would break what is promised: `Type=notify-reload`, which systemd knows from 253 on and an
//! older one takes for a service that is ready at once; `ProcSubset=pid` and `ProtectProc=`, which hide the boot and
//! the processes by which a claim is known to be somebody's, `MemoryDenyWriteExecute=`, under which Node.js does not start,
//! and any filter by address.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::config::estate::{Estate, SecretSource};

/// The directory of the log, for `StateDirectory=`.
const STATE: &str = "runbook";

/// Where systemd finds encrypted and plain credentials.
const CREDENTIALS: &str = "/etc/credstore";

/// The default directory of post-mortems.
const POSTMORTEMS: &str = "postmortems";
/// The default directory of maintenance reports.
const REPORTS: &str = "reports";

/// The lifecycle settings. A start that no retry would fix is not retried: wrong usage (2), no permission (4), problems
/// in a file (7). On a stop only the main process gets the signal. It ends its steps itself, within half of the time,
/// and so records their true outcome.
const LIFE: &str = "\
WatchdogSec=30s
Restart=on-failure
RestartSec=2s
RestartPreventExitStatus=2 4 7
KillMode=mixed
TimeoutStopSec=30s
";

const SANDBOX: &str = "\
# What is left: D-Bus, the journal, programs as this account, the network.
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
pub(super) struct Facts<'a> {
    pub(super) estate: &'a Estate,
    /// The path of this program.
    pub(super) program: PathBuf,
    /// The project's directory, absolute.
    pub(super) directory: PathBuf,
    pub(super) account: &'a str,
    /// The runbooks that call `sudo`.
    pub(super) escalating: &'a [&'a str],
}

/// The text of `runbook.service`. The error is a word that a unit file cannot hold.
pub(super) fn service(facts: &Facts<'_>) -> Result<String, String> {
    let Facts { estate, program, directory, account, escalating } = facts;
    let directory_word = quoted_word(&directory.to_string_lossy())?;
    let mut text = "\
# Made by `runbook unit service`: print it again when the estate or the program's place has changed.
[Unit]
Description=Executable runbooks: takes alerts and keeps incidents going
After=network.target
# Whatever was wrong with the disk or the bus, it is tried again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
"
    .to_owned();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes everything");
    line(format!("User={account}"));
    line(format!("StateDirectory={STATE}\nStateDirectoryMode=0700"));
    line(format!("Environment=RUNBOOK_STATE=%S/{STATE} {}", assignment("RUNBOOK_DIR", &directory_word)));
    let program = quoted_word(&program.to_string_lossy())?.replace('$', "$$");
    line(format!("ExecStart={program} serve"));
    line("# A reload fails with the problems of edited files, and only what has none is taken up.".to_owned());
    line(format!("ExecReload={program} lint\nExecReload=/bin/kill -HUP $MAINPID"));
    line(LIFE.trim_end().to_owned());
    for (name, source) in &estate.secrets {
        line(secret(name, source));
    }
    if !escalating.is_empty() {
        line(format!("# `sudo` cannot raise rights in here, and these runbooks call it: {}.", escalating.join(", ")));
        line("# Allow their units by polkit instead, or let such a step be done by hand.".to_owned());
    }
    line(
        "# Where it may write: post-mortems and the work trees. What need not be there has a minus before it."
            .to_owned(),
    );
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
# Made by `runbook unit socket`. While the service restarts, senders wait here instead of being refused.
[Unit]
Description=Alerts for runbook.service

[Socket]
ListenStream={listen}

[Install]
WantedBy=sockets.target
"
    )
}

/// How the service gets a secret, or a comment that says how it could.
fn secret(name: &str, source: &SecretSource) -> String {
    match source {
        SecretSource { credential: Some(credential), .. } if is_credential(credential) => {
            format!("LoadCredential={credential}:{CREDENTIALS}/{credential}")
        }
        SecretSource { env: Some(_), .. } => format!(
            "# `{name}` is read from the environment, which this service does not have. Put its value into\n\
             # {CREDENTIALS}/{name}, mode 600, and `{name}: {{ credential: {name} }}` into estate.yaml."
        ),
        SecretSource { file: Some(_), key: Some(key), .. } if key.ends_with('*') => {
            format!("# `{name}` is a family of keys in a file, which this account has to be able to read.")
        }
        _ => format!(
            "# `{name}` is read from a file, which this account has to be able to read; or put its value into\n\
             # {CREDENTIALS}/{name}, mode 600, and `{name}: {{ credential: {name} }}` into estate.yaml."
        ),
    }
}

/// Whether a name can be that of a credential file: no separators and no leading dot.
fn is_credential(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(fits)
}

fn writable(estate: &Estate, directory: &Path) -> BTreeSet<PathBuf> {
    let written = directory.join(estate.postmortem.directory.as_deref().unwrap_or(POSTMORTEMS));
    let trees = estate.environments.values().filter_map(|environment| environment.repository.as_ref());
    let reports = directory.join(estate.report.directory.as_deref().unwrap_or(REPORTS));
    trees.map(|tree| directory.join(tree)).chain([written, reports]).collect()
}

/// A path with a leading minus, so that systemd ignores it if it does not exist.
fn dashed(path: &Path) -> Result<String, String> {
    quoted_word(&format!("-{}", path.to_string_lossy()))
}

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
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    if doubled.chars().all(plain) {
        return Ok(doubled);
    }
    Ok(format!("\"{}\"", doubled.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word() {
        assert_eq!(quoted_word("/srv/shop").as_deref(), Ok("/srv/shop"));
        assert_eq!(quoted_word("/srv/a \"b\" 100%").as_deref(), Ok(r#""/srv/a \"b\" 100%%""#));
        assert_eq!(quoted_word("/srv/a\nUser=root"), Err("/srv/a\nUser=root".to_owned()));
        assert_eq!(assignment("DIR", &quoted_word("/a b").unwrap()), "\"DIR=/a b\"");
    }

    #[test]
    fn a_credential_is_loaded_and_of_the_others_it_is_said_how() {
        let source = |json| serde_json::from_value::<SecretSource>(json).unwrap();
        let loaded = secret("token", &source(serde_json::json!({"credential": "slack"})));
        assert_eq!(loaded, "LoadCredential=slack:/etc/credstore/slack");
        for other in [serde_json::json!({"env": "TOKEN"}), serde_json::json!({"file": "/x", "key": "T"})] {
            let said = secret("token", &source(other));
            assert!(said.lines().all(|line| line.starts_with('#')), "{said}");
            assert!(said.contains("{ credential: token }"), "{said}");
        }
        assert!(!is_credential("a:b") && !is_credential("../x") && !is_credential("a b"));
    }
}
