//! Continues an incident until a person is needed or it is over, then derives the exit code and what to type next.
//!
//! Not here: the display of events, which is in `terminal`.

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

/// Signals after which the process detaches.
const LEAVING: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];

/// Steps through an incident on the terminal.
pub fn step(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result {
    let options = options(open_engine, 0, ReturnWhen::UntilOver);
    let left = open_engine.wait(terminal::step(&open_engine.engine, id, options))?;
    hand_over(open_engine, id, left)?;
    conclude(open_engine, id, left)
}

/// Continues without asking, printing the events after `after`, until a person is needed.
pub fn plain(open_engine: &OpenEngine<'_>, id: &IncidentId, after: u64) -> Result {
    let left = follow_until(open_engine, id, after, ReturnWhen::UntilPerson)?;
    hand_over(open_engine, id, left)?;
    conclude(open_engine, id, left)
}

/// Continues until the incident is over, in a background worker. After a signal no other worker is started.
pub fn to_the_end(open_engine: &OpenEngine<'_>, id: &IncidentId, after: u64) -> Result {
    let left = follow_until(open_engine, id, after, ReturnWhen::UntilOver)?;
    conclude(open_engine, id, left)
}

/// If the person detaches from a live run, a background worker continues it.
fn hand_over(open_engine: &OpenEngine<'_>, id: &IncidentId, left: Left) -> Result<()> {
    if left == Left::Detached && open_engine.incident(id)?.live_runs().next().is_some() {
        background::start(open_engine, id)?;
    }
    Ok(())
}

fn follow_until(open_engine: &OpenEngine<'_>, id: &IncidentId, after: u64, patience: ReturnWhen) -> Result<Left> {
    let output = &open_engine.session.output;
    match output.format() {
        Format::Table => {
            Ok(open_engine.wait(terminal::plain(&open_engine.engine, id, options(open_engine, after, patience)))?)
        }
        Format::Json | Format::Svg => open_engine.wait(follow(open_engine, id, after, patience, |_| Ok(()))),
        Format::Jsonl => open_engine.wait(follow(open_engine, id, after, patience, |event| output.document(event))),
    }
}

fn options(open_engine: &OpenEngine<'_>, after: u64, patience: ReturnWhen) -> terminal::StepperOptions {
    let settings = &open_engine.session.settings;
    terminal::StepperOptions {
        actor: open_engine.who.clone(),
        after,
        patience,
        colour: settings.colour(),
        letters: settings.has_unicode(),
        work: WorkMode::Drive,
    }
}

/// A token that is cancelled when a signal asks the process to leave.
pub fn leaving() -> CancellationToken {
    let token = CancellationToken::new();
    for kind in LEAVING {
        // Without the handler the signal ends the process, which loses nothing either.
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

/// How long another process is followed before the lease is tried again.
const AGAIN: Span = Span::seconds(2);

/// Drives the incident, or follows the process that does, and reports every event.
async fn follow(
    open_engine: &OpenEngine<'_>,
    id: &IncidentId,
    after: u64,
    patience: ReturnWhen,
    mut show: impl FnMut(&Recorded) -> Result<()>,
) -> Result<Left> {
    let detach = leaving();
    let mut feed = open_engine.engine.subscribe(id, after);
    let mut seen = after;
    loop {
        let drive = open_engine.engine.drive(id, patience, &detach);
        tokio::pin!(drive);
        let stop = loop {
            tokio::select! {
                stop = &mut drive => break stop?,
                events = heard(&mut feed) => seen = shown(&events?, seen, &mut show)?,
            }
        };
        // The holder of the lease may hang, so the lease is tried again after a while.
        let again = AGAIN.after(open_engine.engine.parts().clock.now());
        loop {
            let incident = open_engine.engine.incident(id).await?;
            let moving = matches!(stop, Stop::Taken(_)) && verdict(&incident).is_none() && !detach.is_cancelled();
            if seen >= incident.seq && !moving {
                return Ok(left(&stop));
            }
            tokio::select! {
                () = detach.cancelled() => return Ok(Left::Detached),
                events = heard(&mut feed) => seen = shown(&events?, seen, &mut show)?,
                () = open_engine.engine.parts().clock.sleep_until(again), if moving => break,
            }
        }
    }
}

fn left(stop: &Stop) -> Left {
    match stop {
        Stop::Over => Left::Over,
        Stop::NeedsPerson | Stop::Quiet => Left::NeedsPerson,
        Stop::Taken(_) => Left::Taken,
        Stop::Detached => Left::Detached,
    }
}

async fn heard(feed: &mut Subscription) -> std::result::Result<Vec<Recorded>, EngineError> {
    loop {
        if let IncidentUpdate::Events(events) = feed.next().await? {
            return Ok(events);
        }
    }
}

fn shown(events: &[Recorded], seen: u64, show: &mut impl FnMut(&Recorded) -> Result<()>) -> Result<u64> {
    events.iter().try_for_each(show)?;
    Ok(events.last().map_or(seen, |last| last.seq))
}

/// The state of an incident, for programs.
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

/// Prints the state and what to type next; returns the exit code for it.
fn conclude(open_engine: &OpenEngine<'_>, id: &IncidentId, left: Left) -> Result {
    let incident = open_engine.incident(id)?;
    let exit = match left {
        Left::Detached => Exit::INTERRUPTED,
        Left::Over | Left::NeedsPerson | Left::Taken => verdict(&incident).unwrap_or(Exit::DONE),
    };
    report(open_engine, &incident, exit)?;
    let mut next = next(open_engine, &incident, exit);
    if let Some(first) = undelivered::pending_deliveries(open_engine, &incident)? {
        next.retain(|typed| *typed != first);
        next.insert(0, first);
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
    let typed = |words: String| open_engine.session.command(&words);
    match exit {
        Exit::WAITING => vec![typed(format!("watch {id}"))],
        Exit::INTERRUPTED => vec![typed(format!("watch {id}")), typed(format!("cancel {id} 'why'"))],
        _ if incident.live_runs().next().is_some() => vec![typed(format!("watch {id}"))],
        _ if incident.status == IncidentStatus::Resolved && incident.is_maintenance() => {
            vec![typed(format!("report {id}"))]
        }
        _ if incident.status == IncidentStatus::Resolved => vec![typed(format!("postmortem {id}"))],
        _ => vec![typed(format!("resolve {id} 'what it was'")), typed(format!("timeline {id}"))],
    }
}

/// The exit code for an incident that makes no progress; none while a step is running.
pub fn verdict(incident: &Incident) -> Option<Exit> {
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

/// Whether only time-outs stopped the run.
fn timed_out(run: &Run) -> bool {
    let mut fatal = run.failures().filter(|(_, state)| state.conclusion() == Some(Conclusion::Failed)).peekable();
    let late = |verdict| verdict == Verdict::TimedOut;
    fatal.peek().is_some()
        && fatal.all(|(_, state)| state.outcome.as_ref().is_some_and(|outcome| late(outcome.verdict)))
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
