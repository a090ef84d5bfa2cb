//! Continues an incident until a person is needed or it is over, then returns the exit code and prints what to type next.
//!
//! Not here: printing events as text, which is in `terminal`.

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::surface::cli::output::error::Result;

use super::{background, undelivered};
use crate::domain::core::id::{IncidentId, RunId};
use crate::domain::core::time::Span;
use crate::domain::incident::event::{Conclusion, Recorded, RunOutcome};
use crate::domain::incident::outcome::Verdict;
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::engine::{EngineError, IncidentUpdate, ReturnWhen, Stop, Subscription};
use crate::surface::cli::context::session::OpenEngine;
use crate::surface::cli::output::format::Format;
use crate::surface::cli::output::{pending, writer};
use crate::surface::exit::Exit;
use crate::surface::terminal::{self, Left, WorkMode};

/// The signals that detach the process from the incident.
const DETACH_SIGNALS: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];

/// Runs the stepper on the terminal until the incident is over or the person leaves.
pub fn step(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result {
    let options = stepper_options(open_engine, 0, ReturnWhen::UntilOver);
    let left = open_engine.wait(terminal::step(&open_engine.engine, id, options))?;
    start_worker_if_detached(open_engine, id, left)?;
    conclude(open_engine, id, left)
}

/// Continues without asking until a person is needed, and prints the events after number `after`.
pub fn plain(open_engine: &OpenEngine<'_>, id: &IncidentId, after: u64) -> Result {
    let left = follow_until(open_engine, id, after, ReturnWhen::UntilPerson)?;
    start_worker_if_detached(open_engine, id, left)?;
    conclude(open_engine, id, left)
}

/// Continues until the incident is over. For the background worker: a signal does not start another worker.
pub fn until_over(open_engine: &OpenEngine<'_>, id: &IncidentId, after: u64) -> Result {
    let left = follow_until(open_engine, id, after, ReturnWhen::UntilOver)?;
    conclude(open_engine, id, left)
}

/// Starts a background worker if the person has detached from a live run.
fn start_worker_if_detached(open_engine: &OpenEngine<'_>, id: &IncidentId, left: Left) -> Result<()> {
    if left == Left::Detached && open_engine.incident(id)?.live_runs().next().is_some() {
        background::start(open_engine, id)?;
    }
    Ok(())
}

fn follow_until(open_engine: &OpenEngine<'_>, id: &IncidentId, after: u64, return_when: ReturnWhen) -> Result<Left> {
    let output = &open_engine.session.output;
    match output.format() {
        Format::Table => Ok(open_engine.wait(terminal::plain(
            &open_engine.engine,
            id,
            stepper_options(open_engine, after, return_when),
        ))?),
        Format::Json | Format::Svg => open_engine.wait(follow(open_engine, id, after, return_when, |_| Ok(()))),
        Format::Jsonl => open_engine.wait(follow(open_engine, id, after, return_when, |event| output.document(event))),
    }
}

/// The options of the stepper and of plain output, for a process that drives the incident.
pub fn stepper_options(open_engine: &OpenEngine<'_>, after: u64, return_when: ReturnWhen) -> terminal::StepperOptions {
    let settings = &open_engine.session.settings;
    terminal::StepperOptions {
        actor: open_engine.actor.clone(),
        after,
        return_when,
        colour: settings.colour(),
        charset: settings.charset(),
        work: WorkMode::Drive,
    }
}

/// A token that is cancelled by the first of [`DETACH_SIGNALS`].
pub fn detach_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    for kind in DETACH_SIGNALS {
        // Without a handler the signal ends the process, which loses nothing either.
        if let Ok(mut signal) = signal(kind) {
            let token = token.clone();
            tokio::spawn(async move {
                signal.recv().await;
                token.cancel();
                // A second signal ends the process at once; the log is consistent at any moment.
                signal.recv().await;
                std::process::exit(i32::from(Exit::INTERRUPTED.code()));
            });
        }
    }
    token
}

/// How long another process is followed before this process tries to acquire the lease again.
const LEASE_RETRY: Span = Span::seconds(2);

/// Drives the incident, or follows the process that does, and passes every event to `show`.
async fn follow(
    open_engine: &OpenEngine<'_>,
    id: &IncidentId,
    after: u64,
    return_when: ReturnWhen,
    mut show: impl FnMut(&Recorded) -> Result<()>,
) -> Result<Left> {
    let detach = detach_on_signal();
    let mut feed = open_engine.engine.subscribe(id, after);
    let mut seen = after;
    loop {
        let drive = open_engine.engine.drive(id, return_when, &detach);
        tokio::pin!(drive);
        let stop = loop {
            tokio::select! {
                stop = &mut drive => break stop?,
                events = next_events(&mut feed) => seen = show_all(&events?, seen, &mut show)?,
            }
        };
        // The holder of the lease may hang, so this process tries again later.
        let retry_at = LEASE_RETRY.after(open_engine.engine.parts().clock.now());
        loop {
            let incident = open_engine.engine.incident(id).await?;
            let driven_elsewhere =
                matches!(stop, Stop::Taken(_)) && exit_of(&incident).is_none() && !detach.is_cancelled();
            if seen >= incident.seq && !driven_elsewhere {
                return Ok(reason_left(&stop));
            }
            tokio::select! {
                () = detach.cancelled() => return Ok(Left::Detached),
                events = next_events(&mut feed) => seen = show_all(&events?, seen, &mut show)?,
                () = open_engine.engine.parts().clock.sleep_until(retry_at), if driven_elsewhere => break,
            }
        }
    }
}

fn reason_left(stop: &Stop) -> Left {
    match stop {
        Stop::Over => Left::Over,
        Stop::NeedsPerson | Stop::Quiet => Left::NeedsPerson,
        Stop::Taken(_) => Left::Taken,
        Stop::Detached => Left::Detached,
    }
}

/// The next events, without the lines that steps print.
async fn next_events(feed: &mut Subscription) -> std::result::Result<Vec<Recorded>, EngineError> {
    loop {
        if let IncidentUpdate::Events(events) = feed.next().await? {
            return Ok(events);
        }
    }
}

/// Shows events; returns the number of the last one, or `seen` if there is none.
fn show_all(events: &[Recorded], seen: u64, show: &mut impl FnMut(&Recorded) -> Result<()>) -> Result<u64> {
    events.iter().try_for_each(show)?;
    Ok(events.last().map_or(seen, |last| last.seq))
}

/// The state of an incident, as JSON.
#[derive(Debug, Serialize)]
struct FollowReport<'a> {
    incident: &'a IncidentId,
    status: &'static str,
    runs: Vec<RunReport<'a>>,
    waiting: Vec<pending::PendingItem<'a>>,
    proposed: Vec<pending::Proposed<'a>>,
    exit: u8,
}

#[derive(Debug, Serialize)]
struct RunReport<'a> {
    run: RunId,
    runbook: &'a str,
    status: &'static str,
}

/// Prints the state and what to type next; returns the exit code.
fn conclude(open_engine: &OpenEngine<'_>, id: &IncidentId, left: Left) -> Result {
    let incident = open_engine.incident(id)?;
    let exit = match left {
        Left::Detached => Exit::INTERRUPTED,
        Left::Over | Left::NeedsPerson | Left::Taken => exit_of(&incident).unwrap_or(Exit::DONE),
    };
    report(open_engine, &incident, exit)?;
    let mut next = next(open_engine, &incident, exit);
    if let Some(deliver) = undelivered::warn_if_undelivered(open_engine, &incident)? {
        next.retain(|command| *command != deliver);
        next.insert(0, deliver);
    }
    open_engine.session.output.next(&next);
    Ok(exit)
}

fn report(open_engine: &OpenEngine<'_>, incident: &Incident, exit: Exit) -> Result<()> {
    let output = &open_engine.session.output;
    let program = open_engine.session.settings.command();
    let (waiting, proposed) = (pending::of(incident, &program), pending::proposed(incident, &program));
    if output.is_table() {
        return output.text(&format!("{}{}", pending::render(&waiting), pending::render_proposed(&proposed)));
    }
    let runs = incident.runs.iter();
    let runs =
        runs.map(|run| RunReport { run: run.id, runbook: &run.runbook.id, status: run_status_name(run) }).collect();
    let (status, exit) = (status_name(incident), exit.code());
    let report = FollowReport { incident: &incident.id, status, runs, waiting, proposed, exit };
    output.text(&writer::json(&report, output.format() == Format::Json))
}

/// The commands to type next.
fn next(open_engine: &OpenEngine<'_>, incident: &Incident, exit: Exit) -> Vec<String> {
    let id = &incident.id;
    let command = |arguments: String| open_engine.session.command(&arguments);
    match exit {
        Exit::WAITING => vec![command(format!("watch {id}"))],
        Exit::INTERRUPTED => vec![command(format!("watch {id}")), command(format!("cancel {id} 'why'"))],
        _ if incident.live_runs().next().is_some() => vec![command(format!("watch {id}"))],
        _ if incident.status == IncidentStatus::Resolved && incident.is_maintenance() => {
            vec![command(format!("report {id}"))]
        }
        _ if incident.status == IncidentStatus::Resolved => vec![command(format!("postmortem {id}"))],
        _ => vec![command(format!("resolve {id} 'what it was'")), command(format!("timeline {id}"))],
    }
}

/// The exit code for an incident that makes no progress; none while a run is in progress without a question.
pub fn exit_of(incident: &Incident) -> Option<Exit> {
    if incident.live_runs().next().is_some() {
        return (!incident.waiting_for_person().is_empty()).then_some(Exit::WAITING);
    }
    if incident.status != IncidentStatus::Resolved && !incident.proposals.is_empty() {
        return Some(Exit::WAITING);
    }
    let run = incident.runs.iter().rev().find(|run| run.parent.is_none())?;
    match run.status {
        RunStatus::Ended(RunOutcome::Succeeded) => Some(Exit::DONE),
        RunStatus::Ended(RunOutcome::Cancelled) => Some(Exit::CANCELLED),
        RunStatus::Ended(RunOutcome::Failed) if timed_out(run) => Some(Exit::CANCELLED),
        RunStatus::Ended(RunOutcome::Failed) => Some(Exit::FAILED),
        RunStatus::Running | RunStatus::Stopping(_) => None,
    }
}

/// Whether every failure that ended the run is a time-out.
fn timed_out(run: &Run) -> bool {
    let mut fatal = run.failures().filter(|(_, state)| state.conclusion() == Some(Conclusion::Failed)).peekable();
    fatal.peek().is_some()
        && fatal.all(|(_, state)| state.outcome.as_ref().is_some_and(|outcome| outcome.verdict == Verdict::TimedOut))
}

/// The name of an incident's status.
pub fn status_name(incident: &Incident) -> &'static str {
    match incident.status {
        IncidentStatus::Open => "open",
        IncidentStatus::Acknowledged => "acknowledged",
        IncidentStatus::Resolved => "resolved",
    }
}

/// The name of a run's status.
pub fn run_status_name(run: &Run) -> &'static str {
    match run.status {
        RunStatus::Running => "running",
        RunStatus::Stopping(_) => "stopping",
        RunStatus::Ended(RunOutcome::Succeeded) => "succeeded",
        RunStatus::Ended(RunOutcome::Failed) => "failed",
        RunStatus::Ended(RunOutcome::Cancelled) => "cancelled",
    }
}
