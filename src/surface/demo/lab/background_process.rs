//! A program that runs in the background and ends when its owner ends, also if the owner is killed.
//!
//! A program with systemd's protocol reports that it is ready (`sd_notify(3)`); any other is polled. Its output goes to a
//! file. If it does not become ready, the error contains the end of that file.
//!
//! **Invariant:** a process that is started here does not outlive its [`BackgroundProcess`], nor the process that owns it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::actions::transport::process::spawn_detached;
use crate::sync::lock;

/// The `PATH` of the program, which inherits no environment from this process.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command that makes the kernel signal the program when the thread that started it ends, so also when this process is
/// killed.
const DEATH_SIGNAL_PREFIX: &[&str] = &["setpriv", "--pdeathsig"];

/// How long to wait for a notification before checking whether the process has ended.
const NOTIFICATION_WAIT: Duration = Duration::from_millis(100);

/// The time between two checks of the condition that [`BackgroundProcess::wait_until`] waits for.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// How many bytes of the end of the log an error contains.
const LOG_END_LIMIT: usize = 4000;

/// How long the kernel may take to remove a process after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of a notification in bytes; systemd's are shorter than a hundred.
const NOTIFICATION_LIMIT: usize = 4096;

/// What to start, and how.
#[derive(Debug)]
pub struct Start<'a> {
    argv: Vec<OsString>,
    environment: BTreeMap<&'a str, OsString>,
    working_directory: &'a Path,
    log: PathBuf,
    ready_socket: Option<PathBuf>,
    account: Option<&'a str>,
    death_signal: Signal,
}

impl<'a> Start<'a> {
    /// A program that reports by `sd_notify(3)` that it is ready. It runs in `directory`, where its notification socket
    /// and its log have this name.
    pub fn notifying(argv: Vec<OsString>, directory: &'a Path, name: &str) -> Self {
        let socket = directory.join(format!("{name}.ready"));
        let log = directory.join(format!("{name}.log"));
        Self { ready_socket: Some(socket), ..Self::silent(argv, directory, log) }
    }

    /// A program that does not report that it is ready. It runs in `directory`.
    pub fn silent(argv: Vec<OsString>, directory: &'a Path, log: PathBuf) -> Self {
        let environment = BTreeMap::new();
        Self {
            argv,
            environment,
            working_directory: directory,
            log,
            ready_socket: None,
            account: None,
            death_signal: Signal::TERM,
        }
    }

    /// Sets the environment, besides `PATH`, `LANG` and `NOTIFY_SOCKET`.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<&'a str, OsString>) -> Self {
        self.environment = environment;
        self
    }

    /// Sets the account, if this process runs as root: some servers refuse to run as root.
    #[must_use]
    pub fn account(mut self, account: Option<&'a str>) -> Self {
        self.account = account.filter(|_| rustix::process::geteuid().is_root());
        self
    }

    /// Makes the kernel send SIGKILL instead of SIGTERM when this process is killed, for a program that may be
    /// suspended.
    #[must_use]
    pub fn killed_with_owner(mut self) -> Self {
        self.death_signal = Signal::KILL;
        self
    }
}

/// A running program.
#[derive(Debug)]
pub struct BackgroundProcess {
    pid: Pid,
    exit: Arc<ExitState>,
    ready: Option<UnixDatagram>,
    log: PathBuf,
}

/// The exit status of the program, once it has ended.
#[derive(Debug, Default)]
struct ExitState {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

impl BackgroundProcess {
    /// Starts the program. [`BackgroundProcess::wait_ready`] and [`BackgroundProcess::wait_until`] wait until it is
    /// ready.
    ///
    /// # Errors
    /// When its socket or its log cannot be created, or `setpriv` does not start.
    pub fn start(start: Start<'_>) -> io::Result<Self> {
        let ready = start.ready_socket.as_deref().map(listen).transpose()?;
        let log = start.log.clone();
        let command = command(start, File::create(&log)?)?;
        let exit = Arc::new(ExitState::default());
        let pid = spawn_with_death_signal(command, Arc::clone(&exit))?;
        Ok(Self { pid, exit, ready, log })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until the program reports that it is ready.
    ///
    /// # Errors
    /// When it has ended or the time is over, with its last output lines.
    pub fn wait_ready(&self, timeout: Duration) -> Result<(), String> {
        let Some(ready) = &self.ready else {
            return Err("it does not report that it is ready".to_owned());
        };
        let mut buffer = [0; NOTIFICATION_LIMIT];
        for _ in 0..=timeout.as_millis() / NOTIFICATION_WAIT.as_millis() {
            if let Ok(length) = ready.recv(&mut buffer)
                && reports_ready(&buffer[..length])
            {
                return Ok(());
            }
            if let Some(status) = self.status() {
                return Err(format!("it ended at once with {status}{}", self.last_lines()));
            }
        }
        Err(format!("it did not become ready within {} s{}", timeout.as_secs(), self.last_lines()))
    }

    /// Waits until the condition is true; checks it repeatedly.
    ///
    /// # Errors
    /// When the program has ended or the time is over, with the end of its log.
    pub fn wait_until(&self, timeout: Duration, mut condition: impl FnMut() -> bool) -> Result<(), String> {
        for _ in 0..=timeout.as_millis() / RETRY_INTERVAL.as_millis() {
            if condition() {
                return Ok(());
            }
            if let Some(status) = self.exit.within(RETRY_INTERVAL) {
                return Err(format!("it ended with {status}: {}", self.log_end()));
            }
        }
        Err(format!("not within {} s: {}", timeout.as_secs(), self.log_end()))
    }

    /// The exit status, once the program has ended.
    pub fn status(&self) -> Option<ExitStatus> {
        self.exit.within(Duration::ZERO)
    }

    /// Sends a signal, unless the program has ended.
    pub fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            // An error is ignored: the program has just ended.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Sends SIGTERM, waits this long, then sends SIGKILL; returns when the process has ended.
    pub fn stop(&self, timeout: Duration) {
        self.stop_by(Signal::TERM, timeout);
    }

    /// As [`BackgroundProcess::stop`], with another first signal than SIGTERM.
    pub fn stop_by(&self, first_signal: Signal, timeout: Duration) {
        for (signal, timeout) in [(first_signal, timeout), (Signal::KILL, KILL_TIMEOUT)] {
            self.signal(signal);
            // A suspended program handles a signal only after SIGCONT.
            self.signal(Signal::CONT);
            if self.exit.within(timeout).is_some() {
                return;
            }
        }
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        let printed = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&printed[printed.len().saturating_sub(LOG_END_LIMIT)..]).into_owned()
    }

    /// The last three lines of its log, as the end of an error message.
    fn last_lines(&self) -> String {
        let printed = self.log_end();
        let lines: Vec<&str> = printed.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        if lines.is_empty() {
            return String::new();
        }
        format!(": {}", lines.into_iter().rev().collect::<Vec<_>>().join(" / "))
    }
}

impl Drop for BackgroundProcess {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl ExitState {
    /// The exit status, waiting for it at most this long.
    fn within(&self, timeout: Duration) -> Option<ExitStatus> {
        let status = lock(&self.status);
        let (status, _) = self
            .changed
            .wait_timeout_while(status, timeout, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *status
    }

    fn set(&self, status: ExitStatus) {
        *lock(&self.status) = Some(status);
        self.changed.notify_all();
    }
}

/// Creates the socket to which a program reports that it is ready.
fn listen(socket: &Path) -> io::Result<UnixDatagram> {
    // A killed process may have left its socket.
    let _ = std::fs::remove_file(socket);
    let ready = UnixDatagram::bind(socket)?;
    ready.set_read_timeout(Some(NOTIFICATION_WAIT))?;
    Ok(ready)
}

#[expect(clippy::disallowed_methods, reason = "the program is not an action of a runbook")]
fn command(start: Start<'_>, log: File) -> io::Result<Command> {
    let mut command = Command::new(DEATH_SIGNAL_PREFIX[0]);
    command.args(&DEATH_SIGNAL_PREFIX[1..]).arg(if start.death_signal == Signal::KILL { "KILL" } else { "TERM" });
    if let Some(account) = start.account {
        command.args(["--reuid", account, "--regid", account, "--clear-groups"]);
    }
    command
        .arg("--")
        .args(start.argv)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LANG", "C.UTF-8")
        .envs(start.ready_socket.map(|socket| ("NOTIFY_SOCKET", socket)))
        .envs(start.environment)
        .current_dir(start.working_directory)
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log)
        // A separate process group, so that Ctrl-C does not reach the program; its owner stops it.
        .process_group(0);
    Ok(command)
}

/// Starts the command from a thread that lives as long as the program, because the kernel sends the death signal when that
/// thread ends.
fn spawn_with_death_signal(mut command: Command, exit: Arc<ExitState>) -> io::Result<Pid> {
    let (send, started) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("background".to_owned()).spawn(move || match spawn_detached(&mut command) {
        Ok(mut child) => {
            // The receiver below waits for this.
            let _ = send.send(Ok(Pid::from_child(&child)));
            if let Ok(status) = child.wait() {
                exit.set(status);
            }
        }
        Err(error) => {
            let _ = send.send(Err(error));
        }
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts programs ended")))
}

/// Whether a notification reports readiness with the line `READY=1`.
///
/// A user manager sends it twice: when it has reached `basic.target`, and when its first jobs are done. Only the second,
/// which has `STATUS=Ready.`, means that units can be started.
fn reports_ready(notification: &[u8]) -> bool {
    let text = String::from_utf8_lossy(notification);
    let ready = text.lines().any(|line| line == "READY=1");
    ready && !text.lines().any(|line| line.starts_with("STATUS=Reached"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, directory: &Path) -> BackgroundProcess {
        let argv = ["sh", "-c", script].map(OsString::from).to_vec();
        BackgroundProcess::start(Start::notifying(argv, directory, "program")).expect("a shell starts")
    }

    #[test]
    fn the_error_for_a_program_that_ends_early_has_its_last_output() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("echo no luck >&2; exit 3", directory.path());
        let reason = program.wait_ready(Duration::from_secs(5)).unwrap_err();
        assert!(reason.contains("exit status: 3") && reason.ends_with("no luck"), "{reason}");
    }

    #[test]
    fn a_program_that_ignores_sigterm_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("trap '' TERM; while :; do sleep 0.1; done", directory.path());
        program.stop(Duration::from_millis(200));
        assert!(program.status().is_some());
    }

    #[test]
    fn a_suspended_program_handles_sigterm() {
        let directory = tempfile::tempdir().unwrap();
        let done = directory.path().join("done");
        let script = format!("trap 'touch {}; exit' TERM; echo up; while :; do sleep 0.01; done", done.display());
        let program = start(&script, directory.path());
        program.wait_until(Duration::from_secs(30), || program.log_end() == "up\n").unwrap();
        program.signal(Signal::STOP);
        program.stop(Duration::from_secs(30));
        assert!(done.exists());
    }

    #[test]
    fn waiting_stops_when_the_program_ends() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("echo no luck; exit 3", directory.path());
        let reason = program.wait_until(Duration::from_secs(600), || false).unwrap_err();
        assert_eq!(reason, "it ended with exit status: 3: no luck\n");
    }

    #[test]
    fn a_user_manager_is_ready_only_at_its_second_notification() {
        assert!(!reports_ready(b"READY=1\nSTATUS=Reached basic.target."));
        assert!(reports_ready(b"READY=1\nSTATUS=Ready."));
        assert!(!reports_ready(b"STATUS=READY=1"));
    }
}
