//! What must be done by when: warned, met or missed, as events.

use super::event::Event;
use super::id::StepKey;
use super::runbook::DeadlineFrom;
use super::time::Timestamp;

/// How a deadline stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadlineStatus {
    /// Its time runs.
    Running,
    /// It was kept.
    Met {
        /// When.
        at: Timestamp,
        /// By which step.
        step: Option<StepKey>,
    },
    /// It passed.
    Missed,
    /// It passed, and was done afterwards.
    MetLate {
        /// When.
        at: Timestamp,
        /// By which step.
        step: Option<StepKey>,
    },
}

/// A deadline whose time has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// Its name.
    pub name: String,
    /// When its time began to run.
    pub from: DeadlineFrom,
    /// When it is missed.
    pub due: Timestamp,
    /// When to warn.
    pub warn_at: Option<Timestamp>,
    /// Whether the warning is in the log.
    pub warned: bool,
    /// How it stands.
    pub status: DeadlineStatus,
}

impl Deadline {
    /// What it owes the log at `now`: a warning or a miss, never early.
    pub fn owed(&self, now: Timestamp) -> Option<Event> {
        if self.status != DeadlineStatus::Running {
            return None;
        }
        if now >= self.due {
            return Some(Event::DeadlineMissed { name: self.name.clone() });
        }
        let warning = self.warn_at.is_some_and(|at| now >= at) && !self.warned;
        warning.then(|| Event::DeadlineWarned { name: self.name.clone() })
    }

    /// When it owes something next.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.status != DeadlineStatus::Running {
            return None;
        }
        Some(self.warn_at.filter(|_| !self.warned).map_or(self.due, |at| at.min(self.due)))
    }

    /// Whether what it asks for is still to be done.
    pub fn is_open(&self) -> bool {
        matches!(self.status, DeadlineStatus::Running | DeadlineStatus::Missed)
    }
}

/// Applies a deadline's event; the reason when it does not fit.
pub(super) fn apply(deadlines: &mut Vec<Deadline>, event: &Event) -> Result<(), String> {
    let (name, change): (&str, &dyn Fn(&mut Deadline) -> bool) = match event {
        Event::NoteAdded { .. } => return Ok(()),
        Event::DeadlineSet { name, from, due, warn_at } => {
            if deadlines.iter().any(|deadline| &deadline.name == name) {
                return Err(format!("deadline `{name}` is already set"));
            }
            deadlines.push(Deadline {
                name: name.clone(),
                from: *from,
                due: *due,
                warn_at: *warn_at,
                warned: false,
                status: DeadlineStatus::Running,
            });
            return Ok(());
        }
        Event::DeadlineWarned { name } => (name, &|deadline| {
            !std::mem::replace(&mut deadline.warned, true) && deadline.status == DeadlineStatus::Running
        }),
        Event::DeadlineMissed { name } => (name, &|deadline| {
            std::mem::replace(&mut deadline.status, DeadlineStatus::Missed) == DeadlineStatus::Running
        }),
        Event::DeadlineMet { name, met_at, step } => (name, &|deadline| {
            let (at, step) = (*met_at, step.clone());
            let met = match deadline.status {
                DeadlineStatus::Running => DeadlineStatus::Met { at, step },
                DeadlineStatus::Missed => DeadlineStatus::MetLate { at, step },
                DeadlineStatus::Met { .. } | DeadlineStatus::MetLate { .. } => return false,
            };
            deadline.status = met;
            true
        }),
        _ => return Err("it belongs to nothing".to_owned()),
    };
    let deadline = deadlines
        .iter_mut()
        .find(|deadline| deadline.name == name)
        .ok_or_else(|| format!("there is no deadline `{name}`"))?;
    if change(deadline) { Ok(()) } else { Err(format!("deadline `{name}` is {:?}", deadline.status)) }
}
