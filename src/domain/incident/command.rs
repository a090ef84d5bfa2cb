//! Commands: everything that a person or an interface can ask of an incident.

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
pub const WORDS_LIMIT: usize = 16 * 1024;

/// What a person or the engine asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Who asks.
    pub by: Actor,
    /// What is asked.
    pub request: Request,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Opens an incident with a runbook, or starts a further run in it.
    Start(Box<StartRequest>),
    /// Tells what a sender says of one firing.
    Report(Box<AlertReport>),
    /// Opens the record of an occurrence of a schedule.
    Occur {
        /// The runbook.
        start: Box<StartRequest>,
        /// The occurrence.
        occurrence: Occurrence,
    },
    /// Says that an occurrence of a schedule is skipped, since the run before it still goes on.
    SkipOccurrence(Skipped),
    Acknowledge,
    /// Writes something down.
    Note(String),
    /// Answers a question, says that something is done by hand, or whether an unclear attempt `happened`.
    Answer {
        /// The step.
        target: StepTarget,
        /// The answer.
        value: Value,
    },
    /// Agrees to a change.
    Approve {
        /// The step.
        target: StepTarget,
        /// The digest of the change that the person has seen, or how it begins.
        digest: String,
    },
    /// Refuses a change.
    Deny {
        /// The step.
        target: StepTarget,
        /// Why.
        reason: String,
    },
    /// Takes a role, from whoever has it.
    TakeRole {
        /// The role.
        role: String,
    },
    /// Hands a role to somebody.
    GiveRole {
        /// The role.
        role: String,
        /// A person of the estate, or an identity such as `account:ada`.
        to: String,
    },
    /// Gives a role back.
    ReleaseRole {
        /// The role.
        role: String,
    },
    /// Says how bad it is.
    Regrade(Severity),
    /// Tells stakeholders how it stands.
    Update(String),
    /// Tries a failed step again.
    Retry {
        /// The step.
        target: StepTarget,
    },
    /// Goes on without a step.
    Skip {
        /// The step.
        target: StepTarget,
        /// Why.
        reason: String,
    },
    /// Takes a change back.
    Undo {
        /// The step.
        target: StepTarget,
    },
    /// Stops every run.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Says that the trouble is over.
    Resolve {
        /// In words.
        summary: Option<String>,
    },
    /// Says that the post-mortem is complete.
    CompletePostmortem,
    /// Says where a message on the board was posted.
    Post(SlackPost),
    /// Says that a face has turned somebody away.
    TurnAway {
        /// The step, where it was about one.
        step: Option<StepReference>,
        /// What was wanted, in words.
        wanted: String,
    },
}

/// A runbook to start, with everything the run keeps a copy of.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// The incident: a new one's id, made from chance at the door.
    pub incident: IncidentId,
    /// The runbook.
    pub runbook: Runbook,
    /// SHA-256 of the file's text, in hex.
    pub digest: String,
    /// The estate.
    pub estate: Estate,
    /// The environment's name.
    pub environment: String,
    /// What the starter set; defaults are filled in when it is decided.
    pub params: Map<String, Value>,
    /// How much it asks.
    pub mode: Mode,
    /// When the incident was first noticed.
    pub detected_at: Option<Timestamp>,
    /// The title of a new incident; the runbook's when none is given.
    pub title: Option<String>,
    /// The run and step that start it.
    pub parent: Option<Parent>,
    /// The firing that starts it.
    pub alert: Option<AlertKey>,
}

/// What a sender says of one firing, with what the shop makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertReport {
    /// The incident: a new one's id, made from chance at the door.
    pub incident: IncidentId,
    /// The firing's name.
    pub key: AlertKey,
    /// What the sender says.
    pub alert: Arc<Alert>,
    /// How often it was said again since that was recorded last.
    pub times: u32,
    /// How long it must be quiet before the incident is over.
    pub resolve_after: Span,
    /// What is to be done about a firing that is new.
    pub plan: Option<AlertPlan>,
}

/// What the shop makes of a firing that is new to it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPlan {
    /// The environment that it is about.
    pub environment: String,
    /// The group that it belongs to.
    pub group: String,
    /// How bad it is when no runbook says so.
    pub severity: Severity,
    /// What is to be done.
    pub answer: AlertResponse,
    /// The run that tells people when nothing else is done; none where they know of the incident already.
    pub notice: Option<Box<StartRequest>>,
    /// How long a runbook that has ended is not started again in the same incident.
    pub cool_down: Span,
}

/// What the shop's runbooks make of a firing.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertResponse {
    /// A runbook starts.
    Start(Box<StartRequest>),
    /// A person may start a runbook.
    Propose {
        /// It, with the parameters that the alert gives.
        start: Box<StartRequest>,
        /// Why it does not start by itself.
        reason: String,
    },
    /// People are told.
    Notice,
}

/// Our no to a person: nothing has happened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// A fragment that says what cannot be.
    pub message: String,
    /// Sentences that say what to type.
    pub hint: Option<String>,
    /// What sort of no it is, for exit codes.
    pub cause: RefusedCause,
    /// What the log keeps of it, for a no that others have to know of.
    pub record: Option<Box<Event>>,
}

/// What sort of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedCause {
    /// What was asked makes no sense as things stand.
    Usage,
    /// The person may not.
    NotAllowed,
}

impl Refused {
    /// A no because of how things stand.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, cause: RefusedCause::Usage, record: None }
    }

    /// A no because of who asks.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, cause: RefusedCause::NotAllowed, record: None }
    }

    /// The same no, to be kept in the log.
    #[must_use]
    pub fn recorded(self, event: Event) -> Self {
        Self { record: Some(Box::new(event)), ..self }
    }

    /// The same no with what to type instead.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// When trouble was first noticed, as it is typed: an instant, or how long ago.
///
/// # Errors
/// It is neither, or has not come yet.
pub fn noticed(typed: &str, now: Timestamp) -> Result<Timestamp, Refused> {
    let ago = typed.parse::<Span>().ok().and_then(|span| chrono::TimeDelta::from_std(span.0).ok());
    let instant = match ago {
        Some(ago) => now.checked_sub_signed(ago),
        None => typed.parse().ok(),
    };
    let instant = instant.ok_or_else(|| {
        Refused::usage(format!("`{}` is no time", typed.escape_debug()))
            .hint("Type an instant such as `2026-11-22T03:04:05Z`, or how long ago such as `10m`.")
    })?;
    if instant > now {
        return Err(Refused::usage(format!("`{}` has not come yet", typed.escape_debug())));
    }
    Ok(instant)
}
