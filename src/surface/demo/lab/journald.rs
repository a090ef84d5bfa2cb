//! A private `systemd-journald` for the processes that are started with its [prefix](Journald::command_prefix).
//!
//! It runs in a separate mount namespace, in which its directories replace `/run/systemd/journal` and `/run/log/journal`.
//! Its files are in the caller's directory, where `journalctl --directory` can read them.
//!
//! Not here: reading the journal, which the kind `journal` does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::background_process::{BackgroundProcess, Start};

/// The daemon, from the Debian package `systemd`.
const PROGRAM: &str = "/lib/systemd/systemd-journald";

/// The directories of its sockets and files, and where they are mounted in the namespace.
const MOUNTS: &[(&str, &str)] = &[("sockets", "/run/systemd/journal"), ("files", "/run/log/journal")];

/// The configuration: without the kernel's messages, and without a rate limit.
const CONFIGURATION: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitBurst=0\nForwardToSyslog=no\n\
                             ForwardToWall=no\nForwardToConsole=no\nRuntimeMaxUse=64M\n";

/// A shell script that mounts the directories in this namespace only, then executes the daemon.
const SCRIPT: &str = r#"set -e
mount --make-rprivate /
while [ "$1" != -- ]; do
    [ -e "$2" ] || mkdir -p "$2"
    mount --bind "$1" "$2"
    shift 2
done
shift
exec "$@"
"#;

/// How long a start or a stop may take on a busy machine; usually a few milliseconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a private journald could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a program could not be created or started.
    #[error("a private journald could not be prepared: {0}")]
    Prepare(#[from] std::io::Error),
    /// It did not start, usually because only root may create a mount namespace.
    #[error("a private journald could not be started: {0}")]
    Start(String),
}

/// The running daemon; dropping it stops it.
#[derive(Debug)]
pub struct Journald {
    process: BackgroundProcess,
    files: PathBuf,
}

impl Journald {
    /// Starts the daemon with its files below `directory`. Needs root. Blocks until the daemon is ready.
    ///
    /// # Errors
    /// When the namespace cannot be created or the daemon does not start.
    pub fn start(directory: &Path) -> Result<Self, Error> {
        let base = directory.join("journald");
        let mut argv: Vec<OsString> = ["unshare", "--mount", "--", "sh", "-c", SCRIPT, "sh"].map(OsString::from).into();
        for (name, mount_point) in MOUNTS {
            std::fs::create_dir_all(base.join(name))?;
            argv.extend([base.join(name).into_os_string(), mount_point.into()]);
        }
        let configuration = Path::new("/etc/systemd/journald.conf");
        if configuration.exists() {
            std::fs::write(base.join("journald.conf"), CONFIGURATION)?;
            argv.extend([base.join("journald.conf").into_os_string(), configuration.into()]);
        }
        argv.extend(["--".into(), PROGRAM.into()]);
        let process = BackgroundProcess::start(Start::notifying(argv, &base, "journald"))?;
        process.wait_ready(TIMEOUT).map_err(Error::Start)?;
        Ok(Self { process, files: base.join("files") })
    }

    /// The directory for `journalctl --directory`.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// The arguments before a command that make it log to this journal.
    pub fn command_prefix(&self) -> Vec<OsString> {
        let target = self.process.pid().to_string();
        ["nsenter", "--target", &target, "--mount", "--"].map(OsString::from).into()
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.process.stop(TIMEOUT);
    }
}
