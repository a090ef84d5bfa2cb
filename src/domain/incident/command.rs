//! Commands: the requests of people, interfaces and the engine to an incident.

use std::sync::Arc;

use serde_json::{Map, Value};

use self::target::{StepReference, StepTarget};
use super::event::{Actor, Event, Mode, Parent};
use super::slack_post::SlackPost;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::runbook::Runbook;
use crate::domain::runbook::schedule::{Occurrence, Skipped};

pub mod target;

/// The longest note, answer or reason, in bytes.
pub const TEXT_LIMIT: usize = 16 * 1024;

/// A request with its sender.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub by: Actor,
    pub request: Request,
}

/// What a command requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Start a run. A new incident is opened if none exists.
    Start(Box<StartRequest>),
    /// Report an alert.
    Report(Box<AlertReport>),
    /// Start the run of an occurrence of a schedule.
    StartOccurrence {
        start: Box<StartRequest>,
        occurrence: Occurrence,
    },
    /// Record that an occurrence of a schedule is skipped, because the run of an earlier one has not ended.
    SkipOccurrence(Skipped),
    Acknowledge,
    /// Add a note.
    Note(String),
    /// Answer a question, confirm work by hand, or confirm with [`HAPPENED`](super::decide::HAPPENED) that an unclear attempt
    /// happened.
    Answer {
        target: StepTarget,
        value: Value,
    },
    /// Approve a change.
    Approve {
        target: StepTarget,
        /// The digest of the change that the person saw, or the beginning of the digest.
        digest: String,
    },
    /// Deny a change.
    Deny {
        target: StepTarget,
        reason: String,
    },
    /// Take a role from its present holder.
    TakeRole {
        role: String,
    },
    /// Assign a role to a person.
    GiveRole {
        role: String,
        /// A person of the estate, or an identity such as `account:ada`.
        to: String,
    },
    /// Release a role.
    ReleaseRole {
        role: String,
    },
    ChangeSeverity(Severity),
    /// Send stakeholders an update.
    Update(String),
    /// Retry a failed step.
    Retry {
        target: StepTarget,
    },
    /// Skip a step.
    Skip {
        target: StepTarget,
        reason: String,
    },
    /// Run a step's undo.
    Undo {
        target: StepTarget,
    },
    /// Stop every run.
    Cancel {
        reason: String,
    },
    Resolve {
        summary: Option<String>,
    },
    CompletePostmortem,
    /// Record the place of a message that shows the incident in Slack.
    Post(SlackPost),
    /// Record that an interface refused a request of an unknown user.
    RefuseUnknownUser {
        /// The step of the request, if it named one.
        step: Option<StepReference>,
        /// The request, as a phrase that follows "may not".
        wanted: String,
    },
}

/// A runbook to start, with all that the run stores.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// The incident's id; a random one for a new incident.
    pub incident: IncidentId,
    pub runbook: Runbook,
    /// SHA-256 of the runbook's file, in hex.
    pub digest: String,
    pub estate: Estate,
    /// The environment's name.
    pub environment: String,
    /// The parameters that were given, without defaults.
    pub params: Map<String, Value>,
    pub mode: Mode,
    /// When the problem was first noticed, if that is known.
    pub detected_at: Option<Timestamp>,
    /// The title of a new incident; without one, the runbook's title.
    pub title: Option<String>,
    /// The run and step that start it, if a `start` step does.
    pub parent: Option<Parent>,
    /// The alert that starts it, if one does.
    pub alert: Option<AlertKey>,
}

/// A report of one alert, and the response that the configuration plans.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertReport {
    /// The incident's id; a random one for a new incident.
    pub incident: IncidentId,
    pub key: AlertKey,
    pub alert: Arc<Alert>,
    /// How many reports arrived since the last recorded one.
    pub times: u32,
    /// How long all alerts must be quiet before the incident is resolved.
    pub resolve_after: Span,
    /// The response to an alert that is new to the incident.
    pub plan: Option<AlertPlan>,
}

/// The planned response to a new alert.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPlan {
    pub environment: String,
    /// The alert group.
    pub group: String,
    /// The severity if no runbook sets one.
    pub severity: Severity,
    pub response: AlertResponse,
    /// The run that notifies people if no runbook starts; none if they already know of the incident.
    pub notice: Option<Box<StartRequest>>,
    /// How long after the end of its run a runbook is not started again in the same incident.
    pub cool_down: Span,
}

/// The response to a new alert.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertResponse {
    /// Start a runbook.
    Start(Box<StartRequest>),
    /// Propose a runbook that a person may start.
    Propose {
        /// The runbook, with the parameters that the alert sets.
        start: Box<StartRequest>,
        /// Why it does not start automatically.
        reason: String,
    },
    /// Notify people.
    Notice,
}

/// A refused command: nothing has happened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// A fragment that states the problem.
    pub message: String,
    /// Sentences that say what to type.
    pub hint: Option<String>,
    /// The cause, for exit codes.
    pub cause: RefusedCause,
    /// The event that records the refusal, if it is recorded.
    pub record: Option<Box<Event>>,
}

/// The cause of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedCause {
    /// The state of the incident does not allow the command, or the command is wrong.
    Usage,
    /// The person does not have the permission.
    NotAllowed,
}

impl Refused {
    /// A refusal because of the state or the command.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, cause: RefusedCause::Usage, record: None }
    }

    /// A refusal because of the person.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, cause: RefusedCause::NotAllowed, record: None }
    }

    /// The same refusal, recorded by this event.
    #[must_use]
    pub fn recorded(self, event: Event) -> Self {
        Self { record: Some(Box::new(event)), ..self }
    }

    /// The same refusal with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Parses the time of a detection: an instant, or how long ago.
///
/// # Errors
/// The text is neither, or the instant is in the future.
pub fn parse_detected_at(typed: &str, now: Timestamp) -> Result<Timestamp, Refused> {
    let ago = typed.parse::<Span>().ok().and_then(|span| chrono::TimeDelta::from_std(span.0).ok());
    let instant = match ago {
        Some(ago) => now.checked_sub_signed(ago),
        None => typed.parse().ok(),
    };
    let instant = instant.ok_or_else(|| {
        Refused::usage(format!("`{}` is not a time", typed.escape_debug()))
            .hint("Type an instant such as `2026-11-22T03:04:05Z`, or how long ago such as `10m`.")
    })?;
    if instant > now {
        return Err(Refused::usage(format!("`{}` has not come yet", typed.escape_debug())));
    }
    Ok(instant)
}
