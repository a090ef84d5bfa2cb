//! What has happened: plain data, only ever appended. What follows from it is found by [`super::fold`].
//!
//! Events come in families, each with its own transition table. In the log they are flat: an object whose `type` is the name of
//! the event, such as `run_started`; `event/wire.rs` finds the family by it.
//!
//! **Invariant:** each table matches its own family without an arm for any other event, so that a table that has not placed
//! an event does not compile.

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
pub use self::approval_refusal::{ApprovalRefusal, RefusalCause};
pub use self::deadline::DeadlineEvent;
pub use self::event_record::{EVENT_LIMIT, Recorded};
pub use self::gate::{Conclusion, Gate, Reconciliation, SkipReason};
pub use self::incident::IncidentEvent;
pub use self::message::{Delivery, MessageEvent};
pub use self::role::RoleEvent;
pub use self::run::RunEvent;
pub use self::run_lifecycle::{Mode, Parent, Regrade, RunOutcome, StopCause, SuggestedRunbook};
pub use self::step::StepEvent;
pub use self::wire::TYPES;
pub use crate::domain::core::actor::{Actor, Identity};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// An event of the incident itself.
    Incident(IncidentEvent),
    /// An event of one of its alerts.
    Alert(AlertEvent),
    /// An event of a deadline.
    Deadline(DeadlineEvent),
    /// An event of a role or a permission.
    Role(RoleEvent),
    /// An event of a message.
    Message(MessageEvent),
    /// An event of a run.
    Run(RunEvent),
    /// An event of a step of a run.
    Step(StepEvent),
}

/// An event of a family is an event.
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
