//! One program on another host, from its start to its end.
//!
//! **Invariant:** the script that starts the program is sent once, when the far side has said that it is ready. What fails before has
//! changed nothing, and may be tried again over a new connection; what breaks off after it is [`Ending::Lost`].

use std::path::Path;
use std::time::Duration;

use super::connect_error::ConnectError;
use super::connection;
use super::output_framing::{FrameReader, RemoteExit};
use super::remote_supervisor;
use super::remote_supervisor::SupervisorScript;
use crate::actions::Context;
use crate::actions::transport::process;
use crate::actions::transport::process::capture::Sink;
use crate::actions::transport::process::{ChildExit, Ending, GRACE, Job, NotStarted, RunningChild};
use crate::domain::config::estate::SshHost;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;

/// How long to wait for the report after a stop: the supervisor's grace period and the round trip.
const FAREWELL: Duration = Duration::from_secs(GRACE.as_secs() + 3);

/// How long output is read after the program ended, while processes it left behind hold the streams.
const LINGER: Duration = Duration::from_millis(500);

/// How much later than our deadline the supervisor ends a program by itself, in case the connection is lost.
const SPARE: Duration = Duration::from_secs(10);

/// Characters of a remote message that are quoted.
const SAID: usize = 200;

enum SessionResult {
    Over(ChildExit),
    /// Nothing was started; what the remote host printed.
    NotBegun(String),
}

/// A job for a remote host, with its script.
struct Call<'c> {
    job: &'c Job,
    to: &'c str,
    context: &'c Context,
    tag: String,
    text: String,
}

/// Runs a job on a remote host. If the session does not begin because the connection died, connects and tries once
/// more.
pub(crate) async fn run_into(
    job: &Job,
    host: &SshHost,
    context: &Context,
    sink: &mut (dyn Sink + Send),
) -> Result<ChildExit, NotStarted> {
    let tag = crate::actions::transport::host::random();
    let text = scripted(job, context, &tag)?;
    let call = Call { job, to: &host.to, context, tag, text };
    let link = connection::to(host, context);
    let _place = tokio::select! {
        place = link.place() => place,
        ending = stopped(context) => return Ok(ChildExit { ending, left_behind: false }),
    };
    let mut is_second = false;
    loop {
        let control = link.up(context).await.map_err(|error| NotStarted::Unreachable(error.into()))?;
        match call.session(&control, sink).await? {
            SessionResult::Over(exit) => return Ok(exit),
            SessionResult::NotBegun(said) => {
                // A dead connection is often noticed only when it is used.
                if is_second || link.is_alive(&control, context).await {
                    let said = one_line(&context.redactor.scrub(&said), SAID);
                    let said = if said.is_empty() { "the session ended before it began".to_owned() } else { said };
                    let what = format!("takes no command: {said}");
                    return Err(NotStarted::Unreachable(ConnectError { host: host.to.clone(), what }.into()));
                }
                is_second = true;
            }
        }
    }
}

/// The script of the job.
fn scripted(job: &Job, context: &Context, tag: &str) -> Result<String, NotStarted> {
    let refuse = |reason: String| Err(NotStarted::NotThere(reason));
    if job.argv.is_empty() {
        return Err(NotStarted::Nothing);
    }
    if let Some(name) = job.environment.keys().find(|name| !remote_supervisor::is_variable(name)) {
        return refuse(format!("`{}` cannot be the name of a variable on another host", one_line(name, SAID)));
    }
    let Ok(input) = job.input.as_deref().map(std::str::from_utf8).transpose() else {
        return refuse("what it is to read is no text".to_owned());
    };
    let mut words =
        job.argv.iter().map(String::as_str).chain(job.environment.values().map(String::as_str)).chain(input);
    if words.any(|word| word.contains('\0')) {
        return refuse("a NUL byte cannot be sent to another host".to_owned());
    }
    let rest = context.deadline.map(|deadline| Span::between(context.clock.now(), deadline).0 + SPARE);
    let (argv, environment, directory) = (&job.argv[..], &job.environment, job.directory.as_path());
    Ok(remote_supervisor::of(
        &SupervisorScript { argv, environment, directory, input, limit: rest, mark: process::new_mark() },
        tag,
    ))
}

impl Call<'_> {
    async fn session(&self, control: &Path, sink: &mut (dyn Sink + Send)) -> Result<SessionResult, NotStarted> {
        let mut ssh = connection::local(connection::session(control), self.context);
        ssh.input = Some(Vec::new());
        let mut running = process::start(&ssh, self.context)?;
        running.keep_input_open();
        let mut frame = FrameReader::new(&self.tag, sink);
        let (mut is_sent, mut stop) = (false, std::pin::pin!(stopped(self.context)));
        loop {
            let has_ended = tokio::select! {
                biased;
                ending = &mut stop => return halted(running, frame, is_sent, ending).await,
                has_ended = running.flow(&mut frame) => has_ended,
            };
            if frame.begun() && !is_sent {
                running.give(self.text.as_bytes().to_vec());
                is_sent = true;
            }
            if has_ended || frame.report.is_some() {
                return self.ended(running, frame, is_sent).await;
            }
        }
    }

    /// The program or the connection has ended by itself.
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
        let over = |ending, left_behind| Ok(SessionResult::Over(ChildExit { ending, left_behind }));
        match frame.report.take() {
            Some(RemoteExit::Code(code, left)) => over(Ending::Code(code), left || !in_time),
            Some(RemoteExit::Halted) => over(Ending::TimedOut, false),
            Some(RemoteExit::Missing(path)) => {
                let name = one_line(self.job.argv.first().map_or("", String::as_str), SAID);
                Err(NotStarted::NoProgramThere(format!(
                    "`{name}` is not in `{}` on `{}`",
                    one_line(&path, SAID),
                    self.to
                )))
            }
            Some(RemoteExit::NoDirectory) => {
                let directory = one_line(&self.job.directory.display().to_string(), SAID);
                Err(NotStarted::NotThere(format!("there is no directory `{directory}` on `{}`", self.to)))
            }
            None if is_sent => over(Ending::Lost, false),
            None => Ok(SessionResult::NotBegun(frame.complaint())),
        }
    }
}

/// Stops the program: the supervisor watches for the end of its standard input.
async fn halted(
    mut running: RunningChild,
    mut frame: FrameReader<'_>,
    is_sent: bool,
    ending: Ending,
) -> Result<SessionResult, NotStarted> {
    running.close_input();
    let farewell = if is_sent { FAREWELL } else { Duration::ZERO };
    if tokio::time::timeout(farewell, running.flow_until_exit(&mut frame)).await.is_ok() {
        running.ended(&mut frame).await;
    } else {
        running.stop(Duration::ZERO, &mut frame).await;
    }
    frame.finish();
    Ok(SessionResult::Over(ChildExit { ending, left_behind: false }))
}

/// Completes at the context's deadline or when it is cancelled.
async fn stopped(context: &Context) -> Ending {
    tokio::select! {
        () = context.cancel.cancelled() => Ending::Cancelled,
        () = process::over(context) => Ending::TimedOut,
    }
}
