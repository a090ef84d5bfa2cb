//! The command handler: the events that a command produces, or a refusal.
//!
//! It performs nothing. [`super::due`] finds the effects of the events.

use super::command::{Command, Refused, Request, StartRequest, TEXT_LIMIT};
use super::deadline::{self, Deadline};
use super::event::{DeadlineEvent, Event, IncidentEvent, MessageEvent, RunEvent, SeverityChange, StopCause};
use super::run::{Run, RunStatus};
use super::{Incident, IncidentStatus};
use crate::domain::core::id::RunId;
use crate::domain::core::severity::Severity;
use crate::domain::core::suggest::{did_you_mean, nearest};
use crate::domain::core::time::Timestamp;
use crate::domain::runbook::{DeadlineFrom, DeadlineRule, Runbook};

pub mod alert;
mod approval;
mod params;
mod role;
mod scheduled;
mod step;
pub mod step_verb;
pub mod target_lookup;

/// The answer that confirms that an unclear attempt happened.
pub const HAPPENED: &str = "happened";
/// The most runs of one incident. The limit stops a runbook that starts itself.
pub const RUN_LIMIT: usize = 50;

/// The events that a command produces at `now`.
///
/// # Errors
/// The command is refused.
pub fn decide(incident: Option<&Incident>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refused> {
    if let Request::Start(start) = &command.request {
        return start_run(incident, start, now);
    }
    if let Request::Report(report) = &command.request {
        return alert::decide(incident, report, now);
    }
    if let Request::StartOccurrence { start, occurrence } = &command.request {
        return scheduled::start(incident, start, occurrence, now);
    }
    let incident = incident.ok_or_else(|| Refused::usage("there is no such incident"))?;
    match &command.request {
        Request::Start(_) | Request::Report(_) | Request::StartOccurrence { .. } => Ok(Vec::new()),
        Request::Acknowledge => acknowledge(incident),
        Request::Note(text) => {
            Ok(vec![Event::Incident(IncidentEvent::NoteAdded { text: required_text("note", text)? })])
        }
        Request::Answer { target, value } => step::answer(incident, target, value),
        Request::Approve { target, digest } => approval::approve(incident, &command.by, target, digest, now),
        Request::Deny { target, reason } => approval::deny(incident, &command.by, target, reason),
        Request::TakeRole { role } => role::take(incident, &command.by, role),
        Request::GiveRole { role, to } => role::give(incident, &command.by, role, to),
        Request::ReleaseRole { role } => role::release(incident, &command.by, role),
        Request::Update(text) => update(incident, &required_text("update", text)?),
        Request::ChangeSeverity(severity) => change_severity(incident, *severity),
        Request::Retry { target } => step::retry(incident, target, now),
        Request::Skip { target, reason } => step::skip(incident, target, reason),
        Request::Undo { target } => step::undo(incident, target),
        Request::Cancel { reason } => cancel(incident, reason),
        Request::Resolve { summary } => resolve(incident, summary.as_deref(), now),
        Request::CompletePostmortem => complete(incident),
        Request::SkipOccurrence(skipped) => scheduled::skip(incident, skipped),
        Request::Post(post) if incident.posted(&post.subject).is_some() => Ok(Vec::new()),
        Request::Post(post) => Ok(vec![Event::Message(MessageEvent::Posted(post.clone()))]),
        Request::RefuseUnknownUser { step, wanted } => {
            Ok(approval::refuse_unknown_user(incident, &command.by, step.as_ref(), wanted))
        }
    }
}

fn start_run(incident: Option<&Incident>, start: &StartRequest, now: Timestamp) -> Result<Vec<Event>, Refused> {
    let runbook = &start.runbook;
    check_environment(start)?;
    let params = params::params(runbook, start)?;
    let mut events = Vec::new();
    match incident {
        None => events.push(Event::Incident(IncidentEvent::Opened {
            id: start.incident.clone(),
            title: start.title.clone().unwrap_or_else(|| runbook.title.clone()),
            severity: runbook.severity,
            environment: start.environment.clone(),
            detected_at: start.detected_at.filter(|at| *at <= now),
            group: None,
        })),
        Some(incident) if incident.status == IncidentStatus::Resolved => {
            return Err(Refused::usage("the incident is resolved")
                .hint(format!("Open a new one: `runbook start {} --env {}`.", runbook.id, incident.environment)));
        }
        Some(incident) if incident.environment != start.environment => {
            return Err(Refused::usage(format!("the incident is in `{}`", incident.environment)));
        }
        Some(incident) if incident.runs.len() >= RUN_LIMIT => {
            return Err(Refused::usage(format!("the incident has {RUN_LIMIT} runs already")));
        }
        Some(_) => {}
    }
    let set = incident.map_or(&[][..], |incident| &incident.deadlines);
    // In maintenance, a runbook's deadlines do not apply.
    if incident.map_or(runbook.severity, |incident| incident.severity) != Severity::Maintenance {
        events.extend(deadlines(runbook, DeadlineFrom::Opened, set, now));
    }
    events.push(Event::Run(RunEvent::Started {
        run: RunId(incident.map_or(0, |incident| incident.runs.len() as u32) + 1),
        runbook: Box::new(runbook.clone()),
        digest: start.digest.clone(),
        estate: Box::new(start.estate.clone()),
        params,
        mode: start.mode,
        parent: start.parent.clone(),
        alert: start.alert,
        schedule: None,
    }));
    Ok(events)
}

fn check_environment(start: &StartRequest) -> Result<(), Refused> {
    let known: Vec<&str> = start.estate.environments.keys().map(String::as_str).collect();
    if !known.contains(&start.environment.as_str()) {
        let refused = Refused::usage(format!("there is no environment `{}`", start.environment));
        return Err(refused.hint(suggest(&start.environment, &known, "--env ")));
    }
    let allowed = &start.runbook.environments;
    if !allowed.is_empty() && !allowed.contains(&start.environment) {
        let refused = Refused::usage(format!("`{}` does not run in `{}`", start.runbook.id, start.environment));
        return Err(refused.hint(format!("It runs in: {}.", allowed.join(", "))));
    }
    Ok(())
}

/// A sentence that suggests the known name nearest to `given`, after `lead`; if none is near, it lists all names.
pub fn suggest(given: &str, known: &[&str], lead: &str) -> String {
    match nearest(given, known.iter().copied()) {
        Some(name) => did_you_mean(&format!("{lead}{name}")),
        None if known.is_empty() => "None are known.".to_owned(),
        None => format!("Known are: {}.", known.join(", ")),
    }
}

/// The events that set a runbook's deadlines of this start, except those that are set already.
fn deadlines<'a>(
    runbook: &'a Runbook,
    from: DeadlineFrom,
    set: &'a [Deadline],
    now: Timestamp,
) -> impl Iterator<Item = Event> + 'a {
    let is_new =
        move |rule: &&DeadlineRule| rule.from == from && !set.iter().any(|deadline| deadline.name == rule.name);
    runbook.deadlines.iter().filter(is_new).map(move |rule| deadline::set(rule, now))
}

fn acknowledge(incident: &Incident) -> Result<Vec<Event>, Refused> {
    match (&incident.acknowledged, incident.status) {
        (Some(stamp), _) => Err(Refused::usage(format!("`{}` has acknowledged it already", stamp.by.name()))
            .hint(format!("See what waits: `runbook watch {}`.", incident.id))),
        (None, IncidentStatus::Resolved) => Err(Refused::usage("the incident is resolved")),
        (None, _) => Ok(vec![Event::Incident(IncidentEvent::Acknowledged)]),
    }
}

fn change_severity(incident: &Incident, severity: Severity) -> Result<Vec<Event>, Refused> {
    if incident.status == IncidentStatus::Resolved {
        return Err(Refused::usage("the incident is resolved"));
    }
    if incident.is_maintenance() || severity == Severity::Maintenance {
        return Err(scheduled::refuse_maintenance_severity());
    }
    if incident.severity == severity {
        return Err(Refused::usage(format!("it is {severity} already")));
    }
    Ok(vec![Event::Incident(IncidentEvent::SeverityChanged(SeverityChange { severity }))])
}

fn cancel(incident: &Incident, reason: &str) -> Result<Vec<Event>, Refused> {
    let reason = required_text("reason", reason)?;
    let stop = |run: &Run| {
        Event::Run(RunEvent::Stopping { run: run.id, cause: StopCause::Cancelled { reason: reason.clone() } })
    };
    let events: Vec<Event> = incident.live_runs().filter(|run| !is_cancelled(run)).map(stop).collect();
    if events.is_empty() {
        return Err(match incident.status {
            IncidentStatus::Resolved => Refused::usage("nothing is running: the incident is resolved")
                .hint(format!("See its state: `runbook timeline {}`.", incident.id)),
            _ => Refused::usage("nothing is running").hint(format!("Resolve it: `runbook resolve {}`.", incident.id)),
        });
    }
    Ok(events)
}

fn is_cancelled(run: &Run) -> bool {
    matches!(run.status, RunStatus::Stopping(StopCause::Cancelled { .. }))
}

fn resolve(incident: &Incident, summary: Option<&str>, now: Timestamp) -> Result<Vec<Event>, Refused> {
    if let Some(stamp) = &incident.resolved {
        return Err(Refused::usage(format!("`{}` has resolved it already", stamp.by.name()))
            .hint(format!("Read the draft: `runbook postmortem {}`.", incident.id)));
    }
    let summary = summary.map(|text| required_text("summary", text)).transpose()?;
    Ok(resolution(incident, summary, now))
}

/// The resolution, and the deadlines that are counted from it.
pub(crate) fn resolution(incident: &Incident, summary: Option<String>, now: Timestamp) -> Vec<Event> {
    let mut events = vec![Event::Incident(IncidentEvent::Resolved { summary })];
    for run in incident.runs.iter().filter(|_| !incident.is_maintenance()) {
        let new: Vec<Event> = deadlines(&run.runbook, DeadlineFrom::Resolved, &incident.deadlines, now)
            .filter(|event| !events.iter().any(|other| same_deadline(event, other)))
            .collect();
        events.extend(new);
    }
    events
}

fn same_deadline(one: &Event, other: &Event) -> bool {
    matches!((one, other), (Event::Deadline(DeadlineEvent::Set { name: a, .. }), Event::Deadline(DeadlineEvent::Set { name: b, .. })) if a == b)
}

fn complete(incident: &Incident) -> Result<Vec<Event>, Refused> {
    if incident.is_maintenance() {
        return Err(Refused::usage("maintenance has a report and no post-mortem: there is nothing to complete"));
    }
    match (&incident.completed, &incident.draft, incident.status) {
        (Some(stamp), _, _) => Err(Refused::usage(format!("`{}` has completed it already", stamp.by.name()))),
        (None, Some(_), IncidentStatus::Resolved) => Ok(vec![Event::Incident(IncidentEvent::PostmortemCompleted)]),
        (None, _, _) => Err(Refused::usage("there is no post-mortem to complete before the incident is resolved")
            .hint(format!("Type `runbook resolve {}`.", incident.id))),
    }
}

/// Sends stakeholders an update.
fn update(incident: &Incident, text: &str) -> Result<Vec<Event>, Refused> {
    super::auto_notice::update(incident, text).map(|event| vec![event]).ok_or_else(|| {
        Refused::usage("no channel for stakeholders is configured")
            .hint("Name a channel: `alerts: { notify: [...] }` in estate.yaml, or a `notify` step with `meets`.")
    })
}

/// A person's text, trimmed: not empty, and at most [`TEXT_LIMIT`] long.
fn required_text(name: &str, text: &str) -> Result<String, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refused::usage(format!("the {name} is empty")));
    }
    if text.len() > TEXT_LIMIT {
        return Err(Refused::usage(format!("the {name} is longer than {TEXT_LIMIT} bytes")));
    }
    Ok(text.to_owned())
}
