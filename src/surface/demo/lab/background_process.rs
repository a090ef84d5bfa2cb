//! A program in the background that is never left behind: it ends when its owner does, even if the owner is killed.
//!
//! A program of systemd's reports that it is ready by the protocol of `sd_notify(3)`; any other is asked until it answers.
//! What it prints goes to a file, whose end is in the error when it does not become ready.
//!
//! **Invariant:** no process that was started here outlives its [`BackgroundProcess`], or the process that holds it.

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

/// The `PATH` of the program, which does not inherit this process's environment.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Signals the program when the thread that started it ends, hence also when this process is killed.
const LEASH: &[&str] = &["setpriv", "--pdeathsig"];

/// How long one wait for a notification lasts before the process is checked.
const LOOK: Duration = Duration::from_millis(100);

/// The time between two attempts to reach a program that does not report that it is ready.
const RETRY: Duration = Duration::from_millis(10);

/// How much of the end of its log an error has, in bytes.
const LOG_END: usize = 4000;

/// How long the kernel may take to remove a process after SIGKILL.
const DEATH: Duration = Duration::from_secs(5);

/// The longest notification that is read; those of systemd are below a hundred bytes.
const NOTIFICATION: usize = 4096;

/// What to start, and where its files are.
#[derive(Debug)]
pub struct Start<'a> {
    argv: Vec<OsString>,
    environment: BTreeMap<&'a str, OsString>,
    working_directory: &'a Path,
    log: PathBuf,
    ready_socket: Option<PathBuf>,
    account: Option<&'a str>,
    leash: Signal,
}

impl<'a> Start<'a> {
    /// A program and its arguments, which reports by `sd_notify(3)` that it is ready. It runs in `directory`, where its socket
    /// for notifications and its log file are made under this name.
    pub fn notifying(argv: Vec<OsString>, directory: &'a Path, name: &str) -> Self {
        let socket = directory.join(format!("{name}.ready"));
        let log = directory.join(format!("{name}.log"));
        Self { ready_socket: Some(socket), ..Self::silent(argv, directory, log) }
    }

    /// A program and its arguments, which does not report that it is ready. It runs in `directory`.
    pub fn silent(argv: Vec<OsString>, directory: &'a Path, log: PathBuf) -> Self {
        let environment = BTreeMap::new();
        Self {
            argv,
            environment,
            working_directory: directory,
            log,
            ready_socket: None,
            account: None,
            leash: Signal::TERM,
        }
    }

    /// With this environment, besides `PATH`, `LANG` and `NOTIFY_SOCKET`.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<&'a str, OsString>) -> Self {
        self.environment = environment;
        self
    }

    /// As this account, when this process is root's: some servers refuse to be.
    #[must_use]
    pub fn account(mut self, account: Option<&'a str>) -> Self {
        self.account = account.filter(|_| rustix::process::geteuid().is_root());
        self
    }

    /// Killed, and not asked to end, when this process is killed: for a program that may be suspended then.
    #[must_use]
    pub fn killed_with_owner(mut self) -> Self {
        self.leash = Signal::KILL;
        self
    }
}

/// A running program.
#[derive(Debug)]
pub struct BackgroundProcess {
    pid: Pid,
    ended: Arc<Ending>,
    ready: Option<UnixDatagram>,
    log: PathBuf,
}

/// The exit status of the program, once it has ended.
#[derive(Debug, Default)]
struct Ending {
    status: Mutex<Option<ExitStatus>>,
    happened: Condvar,
}

impl BackgroundProcess {
    /// Starts it. It is not ready yet: see [`BackgroundProcess::wait_ready`] and [`BackgroundProcess::wait_until`].
    ///
    /// # Errors
    /// When a file of it cannot be made, or `setpriv` does not start.
    pub fn start(start: Start<'_>) -> io::Result<Self> {
        let ready = start.ready_socket.as_deref().map(listen).transpose()?;
        let log = start.log.clone();
        let command = command(start, File::create(&log)?)?;
        let ended = Arc::new(Ending::default());
        let pid = spawn_leashed(command, Arc::clone(&ended))?;
        Ok(Self { pid, ended, ready, log })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until the program says that it is ready, at most this long; else says why it is not.
    ///
    /// # Errors
    /// When it has ended or the time is over, with what it printed last.
    pub fn wait_ready(&self, patience: Duration) -> Result<(), String> {
        let Some(ready) = &self.ready else {
            return Err("it does not report that it is ready".to_owned());
        };
        let mut buffer = [0; NOTIFICATION];
        for _ in 0..=patience.as_millis() / LOOK.as_millis() {
            if let Ok(length) = ready.recv(&mut buffer)
                && reports_ready(&buffer[..length])
            {
                return Ok(());
            }
            if let Some(status) = self.status() {
                return Err(format!("it ended at once with {status}{}", self.last_words()));
            }
        }
        Err(format!("it did not become ready within {} s{}", patience.as_secs(), self.last_words()))
    }

    /// Asks again and again whether the program does what is waited for, at most this long; else says why it does not.
    ///
    /// # Errors
    /// When it has ended or the time is over, with the end of its log.
    pub fn wait_until(&self, patience: Duration, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
        for _ in 0..=patience.as_millis() / RETRY.as_millis() {
            if is_so() {
                return Ok(());
            }
            if let Some(status) = self.ended.within(RETRY) {
                return Err(format!("it ended with {status}: {}", self.log_end()));
            }
        }
        Err(format!("not within {} s: {}", patience.as_secs(), self.log_end()))
    }

    /// How it ended, once it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.ended.within(Duration::ZERO)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            // It may have ended in the meantime.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Sends SIGTERM, waits this long, then sends SIGKILL; returns when the process has ended.
    pub fn stop(&self, patience: Duration) {
        self.stop_by(Signal::TERM, patience);
    }

    /// The same with another signal than SIGTERM.
    pub fn stop_by(&self, farewell: Signal, patience: Duration) {
        for (signal, patience) in [(farewell, patience), (Signal::KILL, DEATH)] {
            self.signal(signal);
            // One that is suspended would not hear it.
            self.signal(Signal::CONT);
            if self.ended.within(patience).is_some() {
                return;
            }
        }
    }

    /// The end of what it printed.
    pub fn log_end(&self) -> String {
        let printed = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&printed[printed.len().saturating_sub(LOG_END)..]).into_owned()
    }

    /// The last lines of its output, as the end of a sentence.
    fn last_words(&self) -> String {
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

impl Ending {
    fn within(&self, patience: Duration) -> Option<ExitStatus> {
        let status = lock(&self.status);
        let (status, _) = self
            .happened
            .wait_timeout_while(status, patience, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *status
    }

    fn set(&self, status: ExitStatus) {
        *lock(&self.status) = Some(status);
        self.happened.notify_all();
    }
}

/// The socket at which a program reports that it is ready.
fn listen(socket: &Path) -> io::Result<UnixDatagram> {
    // One that a killed process has left.
    let _ = std::fs::remove_file(socket);
    let ready = UnixDatagram::bind(socket)?;
    ready.set_read_timeout(Some(LOOK))?;
    Ok(ready)
}

#[expect(clippy::disallowed_methods, reason = "what is started here is no action of a runbook")]
fn command(start: Start<'_>, log: File) -> io::Result<Command> {
    let mut command = Command::new(LEASH[0]);
    command.args(&LEASH[1..]).arg(if start.leash == Signal::KILL { "KILL" } else { "TERM" });
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
        // An own process group, so that Ctrl-C at the terminal does not reach it; its owner stops it.
        .process_group(0);
    Ok(command)
}

/// Starts the command from a thread that lives as long as the program, because the death signal is tied to that thread.
fn spawn_leashed(mut command: Command, ended: Arc<Ending>) -> io::Result<Pid> {
    let (send, started) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("background".to_owned()).spawn(move || match spawn_detached(&mut command) {
        Ok(mut child) => {
            // The receiver waits below until this arrives.
            let _ = send.send(Ok(Pid::from_child(&child)));
            if let Ok(status) = child.wait() {
                ended.set(status);
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
/// A user manager sends it twice: on reaching `basic.target`, and when all of its first jobs are done. Only the second,
/// with `STATUS=Ready.`, means that units can be started.
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
    fn a_program_that_ends_early_is_told_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("echo no luck >&2; exit 3", directory.path());
        let reason = program.wait_ready(Duration::from_secs(5)).unwrap_err();
        assert!(reason.contains("exit status: 3") && reason.ends_with("no luck"), "{reason}");
    }

    #[test]
    fn a_program_that_ignores_a_polite_request_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("trap '' TERM; while :; do sleep 0.1; done", directory.path());
        program.stop(Duration::from_millis(200));
        assert!(program.status().is_some());
    }

    #[test]
    fn a_suspended_program_is_ended_by_a_polite_request() {
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
    fn a_program_that_ends_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let program = start("echo no luck; exit 3", directory.path());
        let reason = program.wait_until(Duration::from_secs(600), || false).unwrap_err();
        assert_eq!(reason, "it ended with exit status: 3: no luck\n");
    }

    #[test]
    fn the_first_of_two_notifications_is_not_the_end_of_the_start() {
        assert!(!reports_ready(b"READY=1\nSTATUS=Reached basic.target."));
        assert!(reports_ready(b"READY=1\nSTATUS=Ready."));
        assert!(!reports_ready(b"STATUS=READY=1"));
    }
}
