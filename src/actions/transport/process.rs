//! Starts and ends child processes; no other file starts one. A child starts from an argument vector, never through a
//! shell, and gets only the environment and input given. Its output streams into a [`Sink`].
//!
//! * After a timeout, a cancellation or a drop, the child and its [`descendants`] are ended, daemons included. Exceptions:
//!   processes of another user (`sudo`), and those that left the group and changed their mark.
//! * When the child exits by itself, its background processes continue, as after a shell; see [`ChildExit::left_behind`].
//! * If this process is killed, its children continue.
//!
//! **Invariant:** a group is signalled only before its child is reaped, so no signal reaches a reused process id.

pub mod capture;
mod child;
mod descendants;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::actions::Context;
use crate::domain::core::reason::Reason;
use crate::domain::core::time::{Span, Timestamp};

use self::capture::{Capture, Sink};
use self::child::Outlets;
pub(crate) use self::child::RunningChild;

/// Time between SIGTERM and SIGKILL for a child and its descendants: enough to flush files and to remove lock files.
pub const GRACE: Duration = Duration::from_secs(2);

/// The environment variable with the socket of ssh-agent.
pub const AGENT: &str = "SSH_AUTH_SOCK";

/// The error code of a program that is not installed.
pub const NO_PROGRAM: &str = "no_program";

/// Whether a child belongs to a step and is ended with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChildOwner {
    Step,
    None,
}

/// A program to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// The program, as a path or a name in the child's `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// Environment variables besides the base environment.
    pub environment: BTreeMap<String, String>,
    pub directory: PathBuf,
    /// Standard input; empty if `None`.
    pub input: Option<Vec<u8>>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It was ended at the deadline.
    TimedOut,
    /// It was ended on a cancellation.
    Cancelled,
    /// The connection to its host was lost, so its result is unknown. It may still run.
    Lost,
}

/// The result of a child that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildExit {
    pub ending: Ending,
    /// Whether processes of its group still run.
    pub left_behind: bool,
}

/// Why a child did not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    #[error("no program is given")]
    Nothing,
    /// No such program in this `PATH`.
    #[error("`{0}` is not in `{1}`")]
    NotFound(String, String),
    #[error("there is no directory `{}`", .0.display())]
    NoDirectory(PathBuf),
    /// The system call failed.
    #[error("`{0}` could not be started: {1}")]
    Refused(String, #[source] io::Error),
    /// The remote host cannot be reached, or runs no command.
    #[error("{0}")]
    Unreachable(Reason),
    /// The remote host has no such program.
    #[error("{0}")]
    NoProgramThere(String),
    /// The remote host lacks something else that the job needs, or the job cannot be sent to it.
    #[error("{0}")]
    NotThere(String),
}

impl From<NotStarted> for Reason {
    fn from(error: NotStarted) -> Self {
        match error {
            NotStarted::Unreachable(reason) => reason,
            NotStarted::NotFound(..) | NotStarted::NoProgramThere(_) => Self::new(NO_PROGRAM, error.to_string()),
            other => Self::new("system", other.to_string()),
        }
    }
}

impl Job {
    /// A job in the context's directory, with only the base environment in its environment.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>, context: &Context) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            directory: context.there(""),
            input: None,
        }
    }

    /// Adds one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }
}

/// Runs a job until it ends. Keeps the beginning and the end of its output, redacted.
///
/// # Errors
///
/// If it cannot be started. Everything later is in the [`ChildExit`].
pub async fn run(job: &Job, context: &Context) -> Result<(ChildExit, Capture), NotStarted> {
    let mut capture = Capture::new(context);
    let exit = run_into(job, context, &mut capture).await?;
    capture.finish();
    Ok((exit, capture))
}

/// Runs a job until it ends. Its output goes to `sink` as it arrives, not redacted.
///
/// # Errors
///
/// If it cannot be started.
pub async fn run_into(job: &Job, context: &Context, sink: &mut (dyn Sink + Send)) -> Result<ChildExit, NotStarted> {
    let mut running = start(job, context)?;
    let stopped = tokio::select! {
        biased;
        () = context.cancel.cancelled() => Some(Ending::Cancelled),
        () = expiry(context) => Some(Ending::TimedOut),
        () = running.flow_until_exit(sink) => None,
    };
    match stopped {
        None => Ok(running.ended(sink).await),
        Some(ending) => {
            running.stop(GRACE, sink).await;
            Ok(ChildExit { ending, left_behind: false })
        }
    }
}

/// Starts a job without waiting for it. [`RunningChild::keep_input_open`] keeps its standard input open, if it has one.
///
/// # Errors
///
/// If it cannot be started.
pub(crate) fn start(job: &Job, context: &Context) -> Result<RunningChild, NotStarted> {
    spawn(job, &child_environment(job, context), ChildOwner::Step)
}

/// Runs a job that belongs to no step until it ends, within the context's deadline. Its background processes continue.
///
/// # Errors
///
/// If it cannot be started.
pub(crate) async fn run_detached(
    job: &Job,
    context: &Context,
    sink: &mut (dyn Sink + Send),
) -> Result<Ending, NotStarted> {
    let mut running = spawn(job, &child_environment(job, context), ChildOwner::None)?;
    tokio::select! {
        () = running.flow_until_exit(sink) => Ok(running.ended(sink).await.ending),
        () = expiry(context) => Ok(Ending::TimedOut),
        () = context.cancel.cancelled() => Ok(Ending::Cancelled),
    }
}

/// The environment of a child on this machine: the base environment and the job's variables. The ssh-agent socket is left out;
/// only connections to hosts need it.
fn child_environment(job: &Job, context: &Context) -> BTreeMap<String, String> {
    let base_environment = context.base_environment.iter().filter(|(name, _)| *name != AGENT);
    let base_environment = base_environment.map(|(name, value)| (name.clone(), value.clone()));
    base_environment.chain(job.environment.clone()).collect()
}

/// Completes shortly before the context's deadline, so that there is time to end the child with SIGTERM.
pub(crate) async fn expiry(context: &Context) {
    match context.deadline {
        None => std::future::pending().await,
        Some(deadline) => context.clock.sleep_until(before(context.clock.now(), deadline)).await,
    }
}

/// An instant before the deadline: a twentieth of the remaining time before it, at most [`GRACE`].
fn before(now: Timestamp, deadline: Timestamp) -> Timestamp {
    let reserve = (Span::between(now, deadline).0 / 20).min(GRACE);
    deadline - chrono::TimeDelta::from_std(reserve).expect("seconds fit")
}

/// Starts the child. The program is located here, because the standard library uses a slow `fork` instead of
/// `posix_spawn` if the child's `PATH` differs from that of this process.
#[expect(clippy::disallowed_methods, reason = "the one file that starts children")]
fn spawn(job: &Job, environment: &BTreeMap<String, String>, owner: ChildOwner) -> Result<RunningChild, NotStarted> {
    let (name, arguments) = job.argv.split_first().ok_or(NotStarted::Nothing)?;
    let mut command = std::process::Command::new(located(name, job, environment)?);
    command.arg0(name).args(arguments).current_dir(&job.directory).env_clear().envs(environment);
    command.stdin(if job.input.is_some() { Stdio::piped() } else { Stdio::null() });
    // The system returns the same error for a missing program and a missing directory.
    let refused = |error| match job.directory.is_dir() {
        true => NotStarted::Refused(name.clone(), error),
        false => NotStarted::NoDirectory(job.directory.clone()),
    };
    let outlets = Outlets::open().map_err(refused)?;
    let (stdout, stderr) = outlets.for_child().map_err(refused)?;
    command.stdout(stdout).stderr(stderr).process_group(0);
    let (child, mark) = match owner {
        ChildOwner::Step => descendants::marked(|| command.spawn()),
        ChildOwner::None => descendants::unmarked(|| command.spawn()).map(|child| (child, None)),
    }
    .map_err(refused)?;
    RunningChild::new(child, mark, outlets, job.input.clone()).map_err(refused)
}

/// A unique mark for a program on a remote host.
pub(crate) fn new_mark() -> u64 {
    descendants::new_mark()
}

/// A program that belongs to no step, with standard input and output as one stream. It ends when the stream is dropped.
pub(crate) struct Piped {
    pub(crate) stream: tokio::net::UnixStream,
    /// Receives the beginning of its standard error when it has ended.
    pub(crate) stderr: tokio::sync::oneshot::Receiver<String>,
}

/// Bytes kept of a piped program's standard error.
const PIPED_STDERR: u64 = 16 * 1024;

/// Starts a program with standard input and output as one stream. It belongs to no step.
///
/// # Errors
///
/// If it cannot be started.
#[expect(clippy::disallowed_methods, reason = "the one file that starts children")]
pub(crate) fn piped(job: &Job, context: &Context) -> Result<Piped, NotStarted> {
    let environment = child_environment(job, context);
    let (name, arguments) = job.argv.split_first().ok_or(NotStarted::Nothing)?;
    let refused = |error| NotStarted::Refused(name.clone(), error);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(refused)?;
    ours.set_nonblocking(true).map_err(refused)?;
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let mut command = std::process::Command::new(located(name, job, &environment)?);
    command.args(arguments).current_dir(&job.directory).env_clear().envs(environment).process_group(0);
    command.stdin(theirs.try_clone().map_err(refused)?).stdout(theirs).stderr(Stdio::piped());
    let child = spawn_detached(&mut command).map_err(refused)?;
    let (sender, stderr) = tokio::sync::oneshot::channel();
    // A thread waits for the child, since the child may outlive the runtime that started it.
    std::thread::Builder::new().spawn(move || drop(sender.send(wait_for_stderr(child)))).map_err(refused)?;
    let stream = tokio::net::UnixStream::from_std(ours).map_err(refused)?;
    Ok(Piped { stream, stderr })
}

/// Waits until a child ends, and returns the beginning of its standard error.
fn wait_for_stderr(mut child: std::process::Child) -> String {
    use std::io::Read;
    let mut beginning = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        // A read error counts as the end of the output.
        let _ = stderr.by_ref().take(PIPED_STDERR).read_to_end(&mut beginning);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    let _ = child.wait();
    String::from_utf8_lossy(&beginning).into_owned()
}

/// Runs a program that belongs to no step until it ends; the result is ignored.
pub(crate) fn run_ignoring_result(argv: &[String]) {
    if let Some((name, arguments)) = argv.split_first() {
        #[expect(clippy::disallowed_methods, reason = "the one file that starts children")]
        let mut command = std::process::Command::new(name);
        let _ = output_detached(command.args(arguments).process_group(0));
    }
}

/// Starts a program that belongs to no step. Code outside this file must use this function: otherwise a program that is
/// spawned at the same time as a step's child would inherit the step's mark and be killed with it.
pub fn spawn_detached(command: &mut std::process::Command) -> io::Result<std::process::Child> {
    descendants::unmarked(|| command.spawn())
}

/// Runs a program that belongs to no step until it ends, without input, and returns its output.
pub fn output_detached(command: &mut std::process::Command) -> io::Result<std::process::Output> {
    spawn_detached(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?.wait_with_output()
}

/// The file of a program: `name` itself if it contains a slash, otherwise the first match in the child's `PATH`.
fn located(name: &str, job: &Job, environment: &BTreeMap<String, String>) -> Result<PathBuf, NotStarted> {
    if name.contains('/') {
        return Ok(job.directory.join(name));
    }
    let path = environment.get("PATH").map_or("", String::as_str);
    let candidates = path.split(':').filter(|part| !part.is_empty()).map(|part| job.directory.join(part).join(name));
    let found = candidates.into_iter().find(|file| is_program(file));
    found.filter(|_| !name.is_empty()).ok_or_else(|| NotStarted::NotFound(name.to_owned(), path.to_owned()))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
