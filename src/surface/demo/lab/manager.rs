//! A private systemd user manager with a separate bus, unit directory, runtime directory and control group.
//!
//! It is a real manager, reached over D-Bus. Any number can run at the same time, isolated from each other and from the
//! host's manager. It never runs `systemd --system`.
//!
//! It needs the programs `systemd`, `dbus-daemon` and `setpriv`, and the permission to create control groups, which root
//! and users in a delegated scope have. [`Booted`] creates `/run/systemd/system` if it is missing.
//!
//! **Invariant:** after [`PrivateManager::stop`], a drop, or the death of this process, no process of the manager is
//! left.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::background_process::{BackgroundProcess, Start};
use super::booted_marker::Booted;
use super::cgroup::ControlGroup;
use super::journald::Journald;

/// The programs of the manager and of the bus, at Debian's paths.
const MANAGER: &str = "/lib/systemd/systemd";
const BUS: &str = "/usr/bin/dbus-daemon";

/// Maximum length of the directory's path, so that the path of a socket in it has at most 107 bytes.
const MAX_DIRECTORY_LENGTH: usize = 80;

/// How long a start may take on a busy machine; usually a tenth of a second.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a stop may take before the remaining processes are killed: longer than [`CONFIGURATION`] allows a unit.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Makes the manager kill a unit that does not stop after 5 s instead of 90 s.
const CONFIGURATION: &str = "[Manager]\nDefaultTimeoutStopSec=5s\n";

/// The units that a manager needs to start, serve a bus, and stop.
const UNITS: &[(&str, &str)] = &[
    ("basic.target", "[Unit]\nWants=dbus.socket\nAfter=dbus.socket\n"),
    ("default.target", "[Unit]\nRequires=basic.target dbus.service\nAfter=basic.target dbus.service\n"),
    ("shutdown.target", "[Unit]\nDefaultDependencies=no\nRefuseManualStart=yes\n"),
    ("exit.target", "[Unit]\nDefaultDependencies=no\nRequires=systemd-exit.service\nAfter=systemd-exit.service\n"),
    (
        "systemd-exit.service",
        "[Unit]\nDefaultDependencies=no\nRequires=shutdown.target\nAfter=shutdown.target\nSuccessAction=exit-force\n\
         [Service]\nSlice=-.slice\n",
    ),
    ("dbus.socket", "[Socket]\nListenStream=%t/bus\n"),
    (
        "dbus.service",
        "[Unit]\nRequires=dbus.socket\n[Service]\nType=notify\nNotifyAccess=main\n\
         ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation \
         --syslog-only\n",
    ),
];

/// A shell script that joins the control groups whose `cgroup.procs` files come before `--`, then executes the program.
const JOIN: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@""#;

/// Why a private manager could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("`{program}` is missing; install the Debian package `{package}`")]
    Missing {
        program: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// A path in the directory would be too long for a socket.
    #[error("`{0}`: the path is too long for the sockets of a manager")]
    PathTooLong(PathBuf),
    /// `/run/systemd/system` is missing and cannot be created.
    #[error("`/run/systemd/system` could not be created: {0}")]
    NotBooted(io::Error),
    /// No control group can be created here.
    #[error("a control group could not be created: {0}")]
    ControlGroup(io::Error),
    /// A file could not be written.
    #[error("`{path}` could not be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    /// The manager was started and did not become ready.
    #[error("a private systemd manager did not start: {0}")]
    Start(String),
    /// A process of the manager does not end.
    #[error("a process of the private systemd manager did not end: {0}")]
    Left(io::Error),
}

/// The configuration of a manager.
#[derive(Debug)]
pub struct Blueprint<'a> {
    directory: &'a Path,
    units: Vec<(String, String)>,
    command_prefix: Vec<OsString>,
}

impl<'a> Blueprint<'a> {
    /// A manager that has its files in `directory`, which must exist and be empty.
    pub fn new(directory: &'a Path) -> Self {
        Self { directory, units: Vec::new(), command_prefix: Vec::new() }
    }

    /// Adds a unit by file name and text. It is loaded, not started.
    #[must_use]
    pub fn unit(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.units.push((name.into(), text.into()));
        self
    }

    /// Makes the units log to this journal.
    #[must_use]
    pub fn logging_to(mut self, journal: &Journald) -> Self {
        self.command_prefix = journal.command_prefix();
        self
    }

    /// Starts the manager. Blocks until it responds on its bus.
    ///
    /// # Errors
    /// See the variants of [`Error`].
    pub fn start(self) -> Result<PrivateManager, Error> {
        for (program, package) in [(MANAGER, "systemd"), (BUS, "dbus-daemon")] {
            if !Path::new(program).exists() {
                return Err(Error::Missing { program, package });
            }
        }
        if self.directory.as_os_str().len() > MAX_DIRECTORY_LENGTH {
            return Err(Error::PathTooLong(self.directory.to_owned()));
        }
        let layout = Layout { directory: self.directory };
        layout.write(&self.units)?;
        let booted = Booted::ensure().map_err(Error::NotBooted)?;
        let group = ControlGroup::new().map_err(Error::ControlGroup)?;
        let start = Start::notifying(argv(self.command_prefix, &group), self.directory, "manager");
        let process = BackgroundProcess::start(start.environment(layout.environment()))
            .map_err(|error| Error::Start(error.to_string()))?;
        process.wait_ready(START_TIMEOUT).map_err(Error::Start)?;
        let manager = PrivateManager { process, group, _booted: booted, directory: self.directory.to_owned() };
        wait_for_bus(manager.bus_address())?;
        Ok(manager)
    }
}

/// A running private manager.
#[derive(Debug)]
pub struct PrivateManager {
    process: BackgroundProcess,
    group: ControlGroup,
    _booted: Booted,
    directory: PathBuf,
}

impl PrivateManager {
    /// The D-Bus address at which it responds as `org.freedesktop.systemd1`.
    pub fn bus_address(&self) -> String {
        format!("unix:path={}", Layout { directory: &self.directory }.runtime().join("bus").display())
    }

    /// The `XDG_RUNTIME_DIR` for programs such as `systemctl --user`.
    pub fn runtime_directory(&self) -> PathBuf {
        Layout { directory: &self.directory }.runtime()
    }

    /// Writes a unit file; the manager reads it on its next reload.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_unit(&self, name: &str, text: &str) -> Result<(), Error> {
        write(&Layout { directory: &self.directory }.units().join(name), text)
    }

    /// Stops every unit and then the manager; kills the processes that do not end.
    ///
    /// # Errors
    /// When a process is left running.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.process.stop(STOP_TIMEOUT);
        self.group.empty().map_err(Error::Left)
    }
}

impl Drop for PrivateManager {
    fn drop(&mut self) {
        // A drop cannot report an error; [`PrivateManager::stop`] can.
        let _ = self.end();
    }
}

/// The paths of the manager's files.
struct Layout<'a> {
    directory: &'a Path,
}

impl Layout<'_> {
    fn runtime(&self) -> PathBuf {
        self.directory.join("run")
    }

    fn units(&self) -> PathBuf {
        self.directory.join("units")
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("config")
    }

    fn environment(&self) -> BTreeMap<&'static str, OsString> {
        BTreeMap::from([
            ("HOME", self.directory.into()),
            ("XDG_RUNTIME_DIR", self.runtime().into()),
            ("XDG_CONFIG_HOME", self.configuration().into()),
            ("SYSTEMD_UNIT_PATH", self.unit_path()),
        ])
    }

    /// The directories of units: first those of the links of enabled and masked units, then that of the unit files.
    fn unit_path(&self) -> OsString {
        let mut path = self.configuration().join("systemd/user").into_os_string();
        for directory in [self.runtime().join("systemd/user"), self.units()] {
            path.push(":");
            path.push(directory);
        }
        path
    }

    fn write(&self, units: &[(String, String)]) -> Result<(), Error> {
        let runtime = self.runtime();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&runtime)
            .map_err(|source| Error::Write { path: runtime, source })?;
        write(&self.configuration().join("systemd/user.conf"), CONFIGURATION)?;
        for (name, text) in UNITS {
            write(&self.units().join(name), text)?;
        }
        for (name, text) in units {
            write(&self.units().join(name), text)?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let parent = path.parent().expect("every file of the layout is in a directory");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// The command line of the manager, in the journal's namespace and in the control group.
fn argv(command_prefix: Vec<OsString>, group: &ControlGroup) -> Vec<OsString> {
    let mut argv = command_prefix;
    argv.extend(["sh", "-c", JOIN, "sh"].map(OsString::from));
    argv.extend(group.procs_files().map(OsString::from));
    argv.extend(["--", MANAGER, "--user", "--log-target=journal"].map(OsString::from));
    argv
}

/// Waits until the manager responds on the bus. It acquires its name some time after the bus has started.
fn wait_for_bus(address: String) -> Result<(), Error> {
    let waited = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(async { tokio::time::timeout(START_TIMEOUT, manager_appears(&address)).await });
        result.map_err(|_| io::Error::other("it is not on its bus"))?.map_err(io::Error::other)
    });
    let waited = waited.join().unwrap_or_else(|_| Err(io::Error::other("the wait for its bus panicked")));
    waited.map_err(|error| Error::Start(error.to_string()))
}

async fn manager_appears(address: &str) -> zbus::Result<()> {
    use futures_util::StreamExt;
    const NAME: &str = "org.freedesktop.systemd1";
    let connection = zbus::connection::Builder::address(address).build().await?;
    let bus = zbus::fdo::DBusProxy::new(&connection).await?;
    // The subscription begins before the first check, so that no change is missed.
    let mut changes = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
    while !bus.name_has_owner(NAME.try_into()?).await? {
        changes.next().await;
    }
    Ok(())
}
