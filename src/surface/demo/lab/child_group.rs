//! A program in the background that is never left behind: it ends when its owner does, even if the owner is killed.
//!
//! The program says that it is ready by the protocol of `sd_notify(3)`, so that nobody polls and nobody sleeps.
//!
//! Deliberately absent: reading what the program prints. It goes to a file, for a person to read when something fails.
//!
//! **Invariant:** no process that was started here outlives its [`Background`], or the process that holds it.

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

/// Sends the program SIGTERM when the thread that started it ends, and so also when this process is killed.
const LEASH: &[&str] = &["setpriv", "--pdeathsig", "TERM", "--"];

/// How long one wait for a notification lasts before the process is checked.
const LOOK: Duration = Duration::from_millis(100);

/// How long the kernel may take to remove a process after SIGKILL.
const DEATH: Duration = Duration::from_secs(5);

/// The longest notification that is read; those of systemd are below a hundred bytes.
const NOTIFICATION: usize = 4096;

/// What to start, and where its files are.
#[derive(Debug)]
pub struct Start<'a> {
    pub argv: Vec<OsString>,
    /// Its environment, besides `PATH`, `LANG` and `NOTIFY_SOCKET`.
    pub environment: BTreeMap<&'a str, OsString>,
    /// The directory of its notification socket and its log file.
    pub directory: &'a Path,
    /// The name of those files, without extension.
    pub name: &'a str,
}

/// A running program.
#[derive(Debug)]
pub struct Background {
    pid: Pid,
    ended: Arc<Ending>,
    ready: UnixDatagram,
    log: PathBuf,
}

/// The exit status of the program, once it has ended.
#[derive(Debug, Default)]
struct Ending {
    status: Mutex<Option<ExitStatus>>,
    happened: Condvar,
}

impl Background {
    /// Starts the program without waiting for readiness; see [`Background::wait_ready`].
    pub fn start(start: Start<'_>) -> io::Result<Self> {
        let socket = start.directory.join(format!("{}.ready", start.name));
        let _ = std::fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket)?;
        ready.set_read_timeout(Some(LOOK))?;
        let log = start.directory.join(format!("{}.log", start.name));
        let command = command(start, &socket, File::create(&log)?)?;
        let ended = Arc::new(Ending::default());
        let pid = spawn_leashed(command, Arc::clone(&ended))?;
        Ok(Self { pid, ended, ready, log })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until the program reports readiness, up to a limit; the error says why it is not ready.
    pub fn wait_ready(&self, patience: Duration) -> Result<(), String> {
        let looks = patience.as_millis() / LOOK.as_millis();
        let mut buffer = [0; NOTIFICATION];
        for _ in 0..=looks {
            if let Ok(length) = self.ready.recv(&mut buffer)
                && reports_ready(&buffer[..length])
            {
                return Ok(());
            }
            if let Some(status) = self.ended.within(Duration::ZERO) {
                return Err(format!("it ended at once with {status}{}", self.last_line()));
            }
        }
        Err(format!("it did not become ready within {} s{}", patience.as_secs(), self.last_line()))
    }

    /// Sends SIGTERM, waits this long, then sends SIGKILL; returns when the process has ended.
    pub fn stop(&self, patience: Duration) {
        for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, DEATH)] {
            if self.ended.within(Duration::ZERO).is_none() {
                // It may have ended in the meantime.
                let _ = kill_process(self.pid, signal);
            }
            if self.ended.within(patience).is_some() {
                return;
            }
        }
    }

    /// The last lines of its output, as the end of a sentence.
    fn last_line(&self) -> String {
        let printed = std::fs::read(&self.log).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        if lines.is_empty() {
            return String::new();
        }
        format!(": {}", lines.into_iter().rev().collect::<Vec<_>>().join(" / "))
    }
}

impl Drop for Background {
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

#[expect(clippy::disallowed_methods, reason = "what is started here is no action of a runbook")]
fn command(start: Start<'_>, socket: &Path, log: File) -> io::Result<Command> {
    let mut command = Command::new(LEASH[0]);
    command
        .args(&LEASH[1..])
        .args(start.argv)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LANG", "C.UTF-8")
        .env("NOTIFY_SOCKET", socket)
        .envs(start.environment)
        .current_dir(start.directory)
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

    fn start(script: &str, directory: &Path) -> Background {
        Background::start(Start {
            argv: ["sh", "-c", script].map(OsString::from).to_vec(),
            environment: BTreeMap::new(),
            directory,
            name: "program",
        })
        .expect("a shell starts")
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
        assert!(program.ended.within(Duration::ZERO).is_some());
    }

    #[test]
    fn the_first_of_two_notifications_is_not_the_end_of_the_start() {
        assert!(!reports_ready(b"READY=1\nSTATUS=Reached basic.target."));
        assert!(reports_ready(b"READY=1\nSTATUS=Ready."));
        assert!(!reports_ready(b"STATUS=READY=1"));
    }
}
