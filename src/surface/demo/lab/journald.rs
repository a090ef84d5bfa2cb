//! A private journald: a real `systemd-journald` that sees only what is started with its [prefix](Journald::command_prefix).
//!
//! It runs in a mount namespace of its own, in which its sockets and its files lie over `/run/systemd/journal` and
//! `/run/log/journal`; the files are in the caller's directory, so that `journalctl --directory` reads them from
//! outside.
//!
//! Deliberately absent: reading; that is the kind `journal`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child_group::{Background, Start};

/// The daemon, from the Debian package `systemd`.
const PROGRAM: &str = "/lib/systemd/systemd-journald";

/// The directories of its sockets and files, and the paths where programs in the namespace expect them.
const MOUNTS: &[(&str, &str)] = &[("sockets", "/run/systemd/journal"), ("files", "/run/log/journal")];

/// Excludes the kernel's messages, and never drops a message.
const CONFIGURATION: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitBurst=0\nForwardToSyslog=no\n\
                             ForwardToWall=no\nForwardToConsole=no\nRuntimeMaxUse=64M\n";

/// Mounts the directories over the real ones in this namespace only, then executes the daemon.
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

/// How long a start or an orderly stop may take on a busy machine; usually some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no private journald.
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
    process: Background,
    files: PathBuf,
}

impl Journald {
    /// Starts it with its files below `directory`. Needs root. Blocks until it is ready.
    ///
    /// # Errors
    /// When the namespace cannot be created or the daemon does not start.
    pub fn start(directory: &Path) -> Result<Self, Error> {
        let own = directory.join("journald");
        let mut argv: Vec<OsString> = ["unshare", "--mount", "--", "sh", "-c", SCRIPT, "sh"].map(OsString::from).into();
        for (name, place) in MOUNTS {
            std::fs::create_dir_all(own.join(name))?;
            argv.extend([own.join(name).into_os_string(), place.into()]);
        }
        let configuration = Path::new("/etc/systemd/journald.conf");
        if configuration.exists() {
            std::fs::write(own.join("journald.conf"), CONFIGURATION)?;
            argv.extend([own.join("journald.conf").into_os_string(), configuration.into()]);
        }
        argv.extend(["--".into(), PROGRAM.into()]);
        let start = Start { argv, environment: BTreeMap::new(), directory: &own, name: "journald" };
        let process = Background::start(start)?;
        process.wait_ready(PATIENCE).map_err(Error::Start)?;
        Ok(Self { process, files: own.join("files") })
    }

    /// The directory for `journalctl --directory`.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// The command prefix that makes another command log here.
    pub fn command_prefix(&self) -> Vec<OsString> {
        let target = self.process.pid().to_string();
        ["nsenter", "--target", &target, "--mount", "--"].map(OsString::from).into()
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.process.stop(PATIENCE);
    }
}
