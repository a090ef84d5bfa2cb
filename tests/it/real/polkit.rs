//! A real polkit with one file of rules, on its own system bus.
//!
//! It has no agent that asks a person, so actions that need authentication are refused.

use std::path::Path;
use std::process::{Command, Stdio};

use runbook::actions::transport::process::{output_detached, spawn_detached};
use tempfile::TempDir;

use super::daemon::Daemon;

const PACKAGE: &str = "polkitd";
const RULES: &str = "/etc/polkit-1/rules.d";
const PROGRAMS: [&str; 2] = ["/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd"];

const BUS: &str = r#"<busconfig>
  <type>system</type>
  <listen>unix:path=BUS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#;

/// A polkit; it stops with the value. The test has to run as root, since it checks the rights of other accounts.
pub struct Polkit {
    _polkit: Daemon,
    _bus: Daemon,
    directory: TempDir,
}

impl Polkit {
    /// A polkit with this rule and those of the machine's packages.
    pub fn with(rule: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: &str| directory.path().join(name);
        let rules = path("rules");
        std::fs::create_dir(&rules).expect("a directory can be made");
        std::fs::write(rules.join("50-runbook.rules"), rule).expect("a file can be written");
        // polkit reads the rules as its own account.
        super::run(Command::new("chmod").args(["-R", "a+rX"]).arg(directory.path()), "coreutils");
        let (socket, configuration) = (path("bus"), path("bus.conf"));
        std::fs::write(&configuration, BUS.replace("BUS", &socket.display().to_string())).expect("a file is written");
        let arguments = [format!("--config-file={}", configuration.display()), "--nofork".into(), "--nopidfile".into()];
        let bus = Daemon::start(Path::new("dbus-daemon"), &arguments, None, &path("bus.log"));
        bus.wait(|| socket.exists());
        let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
        let program = program.unwrap_or_else(|| panic!("there is no polkit; install the Debian package `{PACKAGE}`"));
        // In its own mount namespace, so that the machine's rules are unchanged.
        let script = format!(
            "mount --bind {} {RULES} && export DBUS_SYSTEM_BUS_ADDRESS=unix:path={} && exec {program}",
            rules.display(),
            socket.display()
        );
        let arguments = ["--mount", "sh", "-c", &script].map(str::to_owned);
        let polkit = Daemon::start(Path::new("unshare"), &arguments, None, &path("polkit.log"));
        polkit.wait_for("it has its bus name", || polkit.log_end().contains("Acquired the name"));
        Self { _polkit: polkit, _bus: bus, directory }
    }

    /// The address of its bus, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.directory.path().join("bus").display())
    }

    /// Whether a process of `user` may do this without authentication.
    pub fn allows(&self, user: &str, action: &str, details: &[(&str, &str)]) -> bool {
        let mut subject = Command::new("setpriv");
        subject.args(["--reuid", user, "--regid", "nogroup", "--clear-groups", "--", "sleep", "600"]);
        let mut subject = spawn_detached(subject.stdin(Stdio::null())).expect("setpriv starts; package util-linux");
        let status = format!("/proc/{}/comm", subject.id());
        super::eventually("the account's process runs", || {
            std::fs::read_to_string(&status).is_ok_and(|name| name.trim() == "sleep")
        });
        let mut check = Command::new("pkcheck");
        check.args(["--action-id", action, "--process", &subject.id().to_string()]);
        for (name, value) in details {
            check.args(["--detail", name, value]);
        }
        check.env("DBUS_SYSTEM_BUS_ADDRESS", self.address());
        let output = output_detached(&mut check);
        subject.kill().and_then(|()| subject.wait()).expect("a child can be ended");
        let output = output.unwrap_or_else(|error| panic!("pkcheck: {error}; install the Debian package `{PACKAGE}`"));
        // 1: refused, 2: authentication needed, more: an error.
        let code = output.status.code();
        assert!(code.is_some_and(|code| code <= 2), "{code:?}: {}", String::from_utf8_lossy(&output.stderr));
        code == Some(0)
    }
}
