//! Runs one program on a remote host, from start to exit.
//!
//! **Invariant:** the script that starts the program is sent once, when the supervisor is ready. A failure before that has
//! changed nothing and is retried over a new connection. If the connection is lost later, the result is [`Ending::Lost`].

use std::path::Path;
use std::time::Duration;

use super::connect_error::ConnectError;
use super::connection;
use super::output_framing::{FrameReader, RemoteExit};
use super::remote_supervisor;
use super::remote_supervisor::SupervisorScript;
use crate::actions::Context;
use crate::actions::transport::nonce::nonce;
use crate::actions::transport::process;
use crate::actions::transport::process::capture::Sink;
use crate::actions::transport::process::{ChildExit, Ending, GRACE, Job, NotStarted, RunningChild};
use crate::domain::config::estate::SshHost;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;

/// How long to wait for the report after a stop: the supervisor's grace period and the round trip.
const REPORT_TIMEOUT: Duration = Duration::from_secs(GRACE.as_secs() + 3);

/// How long output is read after the program ended, while background processes hold the streams.
const LINGER: Duration = Duration::from_millis(500);

/// How much later than our deadline the supervisor ends a program by itself, in case the connection is lost.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(10);

/// Characters of a message or a name that are shown.
const SHOWN_LIMIT: usize = 200;

enum SessionResult {
    Ended(ChildExit),
    /// Nothing was started. The text is the output of ssh or the remote host.
    NotBegun(String),
}

/// A job for a remote host, with its script.
struct RemoteJob<'c> {
    job: &'c Job,
    host: &'c str,
    context: &'c Context,
    tag: String,
    script: String,
}

/// Runs a job on a remote host. If the session does not begin because the connection died, connects and tries once
/// more.
pub(crate) async fn run_into(
    job: &Job,
    host: &SshHost,
    context: &Context,
    sink: &mut (dyn Sink + Send),
) -> Result<ChildExit, NotStarted> {
    let tag = nonce();
    let script = script(job, context, &tag)?;
    let remote_job = RemoteJob { job, host: &host.to, context, tag, script };
    let connection = connection::to(host, context);
    let _slot = tokio::select! {
        slot = connection.slot() => slot,
        ending = stopped(context) => return Ok(ChildExit { ending, left_behind: false }),
    };
    let mut is_second = false;
    loop {
        let control = connection.open(context).await.map_err(|error| NotStarted::Unreachable(error.into()))?;
        match remote_job.run_session(&control, sink).await? {
            SessionResult::Ended(exit) => return Ok(exit),
            SessionResult::NotBegun(message) => {
                // A dead connection is often noticed only when it is used.
                if is_second || connection.is_alive(&control, context).await {
                    let message = one_line(&context.redactor.scrub(&message), SHOWN_LIMIT);
                    let reason = if message.is_empty() { "the session ended before it began" } else { &message };
                    return Err(NotStarted::Unreachable(ConnectError::no_command(host, reason).into()));
                }
                is_second = true;
            }
        }
    }
}

/// The script of the job. Fails if the job cannot be sent to another host.
fn script(job: &Job, context: &Context, tag: &str) -> Result<String, NotStarted> {
    let refuse = |reason: String| Err(NotStarted::NotThere(reason));
    if job.argv.is_empty() {
        return Err(NotStarted::Nothing);
    }
    if let Some(name) = job.environment.keys().find(|name| !remote_supervisor::is_variable(name)) {
        return refuse(format!("`{}` cannot be the name of a variable on another host", one_line(name, SHOWN_LIMIT)));
    }
    let Ok(input) = job.input.as_deref().map(std::str::from_utf8).transpose() else {
        return refuse("its standard input is not UTF-8".to_owned());
    };
    let mut values =
        job.argv.iter().map(String::as_str).chain(job.environment.values().map(String::as_str)).chain(input);
    if values.any(|value| value.contains('\0')) {
        return refuse("a NUL byte cannot be sent to another host".to_owned());
    }
    let limit = context.deadline.map(|deadline| Span::between(context.clock.now(), deadline).0 + SUPERVISOR_MARGIN);
    let (argv, environment, directory) = (&job.argv[..], &job.environment, job.directory.as_path());
    Ok(remote_supervisor::script(
        &SupervisorScript { argv, environment, directory, input, limit, mark: process::new_mark() },
        tag,
    ))
}

impl RemoteJob<'_> {
    async fn run_session(&self, control: &Path, sink: &mut (dyn Sink + Send)) -> Result<SessionResult, NotStarted> {
        let mut ssh = connection::local(connection::session_command(control), self.context);
        ssh.input = Some(Vec::new());
        let mut running = process::start(&ssh, self.context)?;
        running.keep_input_open();
        let mut frame = FrameReader::new(&self.tag, sink);
        let (mut is_sent, mut stopped) = (false, std::pin::pin!(stopped(self.context)));
        loop {
            let has_ended = tokio::select! {
                biased;
                ending = &mut stopped => return halt(running, frame, is_sent, ending).await,
                has_ended = running.flow(&mut frame) => has_ended,
            };
            if frame.begun() && !is_sent {
                running.give(self.script.as_bytes().to_vec());
                is_sent = true;
            }
            if has_ended || frame.report.is_some() {
                return self.ended(running, frame, is_sent).await;
            }
        }
    }

    /// The result when the program or the connection has ended by itself.
    async fn ended(
        &self,
        mut running: RunningChild,
        mut frame: FrameReader<'_>,
        is_sent: bool,
    ) -> Result<SessionResult, NotStarted> {
        let in_time = tokio::time::timeout(LINGER, running.flow_until_exit(&mut frame)).await.is_ok();
        if in_time {
            running.ended(&mut frame).await;
        } else {
            drop(running);
        }
        frame.finish();
        let ended = |ending, left_behind| Ok(SessionResult::Ended(ChildExit { ending, left_behind }));
        match frame.report.take() {
            Some(RemoteExit::Code(code, left_behind)) => ended(Ending::Code(code), left_behind || !in_time),
            Some(RemoteExit::Halted) => ended(Ending::TimedOut, false),
            Some(RemoteExit::Missing(path)) => {
                let name = one_line(self.job.argv.first().map_or("", String::as_str), SHOWN_LIMIT);
                let path = one_line(&path, SHOWN_LIMIT);
                Err(NotStarted::NoProgramThere(format!("`{name}` is not in `{path}` on `{}`", self.host)))
            }
            Some(RemoteExit::NoDirectory) => {
                let directory = one_line(&self.job.directory.display().to_string(), SHOWN_LIMIT);
                Err(NotStarted::NotThere(format!("there is no directory `{directory}` on `{}`", self.host)))
            }
            None if is_sent => ended(Ending::Lost, false),
            None => Ok(SessionResult::NotBegun(frame.preface())),
        }
    }
}

/// Stops the program by closing its session's standard input, which the supervisor watches.
async fn halt(
    mut running: RunningChild,
    mut frame: FrameReader<'_>,
    is_sent: bool,
    ending: Ending,
) -> Result<SessionResult, NotStarted> {
    running.close_input();
    let timeout = if is_sent { REPORT_TIMEOUT } else { Duration::ZERO };
    if tokio::time::timeout(timeout, running.flow_until_exit(&mut frame)).await.is_ok() {
        running.ended(&mut frame).await;
    } else {
        running.stop(Duration::ZERO, &mut frame).await;
    }
    frame.finish();
    Ok(SessionResult::Ended(ChildExit { ending, left_behind: false }))
}

/// Completes at the context's deadline or on a cancellation. Returns which.
async fn stopped(context: &Context) -> Ending {
    tokio::select! {
        () = context.cancel.cancelled() => Ending::Cancelled,
        () = process::expiry(context) => Ending::TimedOut,
    }
}
