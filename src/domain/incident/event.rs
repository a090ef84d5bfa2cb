//! Events: facts as plain data, which are only appended. [`super::fold`] computes the state from them.
//!
//! Each event belongs to a family, and each family has a transition table. In the log an event is a flat object whose `type` is
//! the event's name, such as `run_started`; `event/wire.rs` finds the family by it.
//!
//! **Invariant:** each table names every event of its family and has no catch-all arm. A table that lacks an event does not
//! compile.

use serde::Serialize;

mod alert;
mod approval_refusal;
mod deadline;
mod event_record;
mod gate;
mod incident;
mod message;
mod role;
mod run;
mod run_lifecycle;
mod step;
mod wire;

pub use self::alert::AlertEvent;
pub use self::approval_refusal::{ApprovalRefusal, ApprovalRefusalCause};
pub use self::deadline::DeadlineEvent;
pub use self::event_record::{EVENT_LIMIT, Recorded};
pub use self::gate::{Conclusion, Gate, Reconciliation, SkipReason};
pub use self::incident::{IncidentEvent, SeverityChange, SuggestedRunbook};
pub use self::message::{Delivery, MessageEvent};
pub use self::role::RoleEvent;
pub use self::run::RunEvent;
pub use self::run_lifecycle::{Mode, Parent, RunOutcome, StopCause};
pub use self::step::StepEvent;
pub use self::wire::TYPES;
pub use crate::domain::core::actor::{Actor, Identity};

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// An event of the incident itself.
    Incident(IncidentEvent),
    /// An event of an alert.
    Alert(AlertEvent),
    /// An event of a deadline.
    Deadline(DeadlineEvent),
    /// An event of a role, or a refused approval.
    Role(RoleEvent),
    /// An event of a message.
    Message(MessageEvent),
    /// An event of a run.
    Run(RunEvent),
    /// An event of a step.
    Step(StepEvent),
}

/// Implements `From` for the event types of the families.
macro_rules! from {
    ($($family:ident($event:ident),)*) => {
        $(impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self::$family(event)
            }
        })*
    };
}

from! {
    Incident(IncidentEvent),
    Alert(AlertEvent),
    Deadline(DeadlineEvent),
    Role(RoleEvent),
    Message(MessageEvent),
    Run(RunEvent),
    Step(StepEvent),
}
