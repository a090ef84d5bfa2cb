//! The state of a deadline, and the transition table of its events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::event::{DeadlineEvent, Event};
use super::message::{FALLBACK_MARGIN, NoticeCause};
use crate::domain::core::id::StepKey;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::runbook::{DeadlineFrom, DeadlineRule};

/// The status of a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadlineStatus {
    /// It is set and not due yet.
    Running,
    Met {
        at: Timestamp,
        /// The step that met it, if one did.
        step: Option<StepKey>,
    },
    Missed,
    /// The incident was resolved, so it no longer applies.
    Lifted,
    /// It was missed, and met afterwards.
    MetLate {
        at: Timestamp,
        /// The step that met it, if one did.
        step: Option<StepKey>,
    },
}

/// A deadline that has been set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    pub name: String,
    /// Whether its time is counted from the opening or the resolution.
    pub from: DeadlineFrom,
    /// When it was set; a repeating deadline is set again for each period.
    pub set_at: Timestamp,
    pub due: Timestamp,
    pub warn_at: Option<Timestamp>,
    /// When the engine notifies stakeholders itself, and fallback routes open for messages that meet the deadline.
    pub fallback_at: Option<Timestamp>,
    /// The runbook's rule; none in old logs.
    pub rule: Option<DeadlineRule>,
    /// Whether the warning is in the log.
    pub warned: bool,
    /// Whether the message about the warning was requested.
    pub warning_notified: bool,
    /// Whether the message about the miss was requested.
    pub miss_notified: bool,
    /// Whether the engine has requested a message to stakeholders.
    pub fallback_notified: bool,
    pub status: DeadlineStatus,
}

impl Deadline {
    /// The event that is due at `now`: a warning or a miss.
    pub fn due_event(&self, now: Timestamp) -> Option<Event> {
        if self.status != DeadlineStatus::Running {
            return None;
        }
        if now >= self.due {
            return Some(Event::Deadline(DeadlineEvent::Missed { name: self.name.clone() }));
        }
        let warning = self.warn_at.is_some_and(|at| now >= at) && !self.warned;
        warning.then(|| Event::Deadline(DeadlineEvent::Warned { name: self.name.clone() }))
    }

    /// When its warning and its miss are due.
    pub fn instants(&self) -> impl Iterator<Item = Timestamp> {
        let running = self.status == DeadlineStatus::Running;
        let warning = self.warn_at.filter(|_| !self.warned);
        [Some(self.due), warning].into_iter().flatten().filter(move |_| running)
    }

    /// When the engine notifies stakeholders, unless somebody else has; none if it does not.
    pub fn falls_back_at(&self) -> Option<Timestamp> {
        let is_met_by_step = self.rule.as_ref().is_some_and(DeadlineRule::is_met_by_step);
        let is_open = self.status == DeadlineStatus::Running && !self.fallback_notified && is_met_by_step;
        self.fallback_at.filter(|_| is_open)
    }

    /// Whether the deadline is neither met nor lifted.
    pub fn is_open(&self) -> bool {
        matches!(self.status, DeadlineStatus::Running | DeadlineStatus::Missed)
    }

    /// Whether it is set again after each update to stakeholders.
    pub fn repeats(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.repeats)
    }

    /// The role that somebody must take to meet it.
    pub fn role(&self) -> Option<&str> {
        self.rule.as_ref()?.role.as_deref()
    }

    /// The channels that are notified of its warning and its miss.
    pub fn escalate(&self) -> &[String] {
        self.rule.as_ref().map(|rule| rule.escalate.as_slice()).unwrap_or_default()
    }
}

/// The event that sets a deadline by its rule, counted from `from`.
pub(crate) fn set(rule: &DeadlineRule, from: Timestamp) -> Event {
    Event::Deadline(DeadlineEvent::Set {
        name: rule.name.clone(),
        from: rule.from,
        due: rule.within.after(from),
        warn_at: rule.warn_at.map(|length| length.after(from)),
        fallback_at: fallback(rule).map(|length| length.after(from)),
        rule: Some(Box::new(rule.clone())),
    })
}

/// How long after its start a deadline falls back: the rule's `fallback_at`, or [`FALLBACK_MARGIN`] before it is due. None
/// if no step meets the deadline.
pub fn fallback(rule: &DeadlineRule) -> Option<Span> {
    // A short deadline reserves its last fifth.
    let margin = FALLBACK_MARGIN.0.min(rule.within.0 / 5);
    let early = Span(rule.within.0.saturating_sub(margin));
    rule.is_met_by_step().then(|| rule.fallback_at.unwrap_or(early))
}

/// Applies an event of a deadline; the error is the reason why it is illegal.
pub(crate) fn apply(deadlines: &mut Vec<Deadline>, event: &DeadlineEvent, at: Timestamp) -> Result<(), String> {
    let (name, change): (&str, &dyn Fn(&mut Deadline) -> bool) = match event {
        DeadlineEvent::Set { name, from, due, warn_at, fallback_at, rule } => {
            let deadline = Deadline {
                name: name.clone(),
                from: *from,
                set_at: at,
                due: *due,
                warn_at: *warn_at,
                fallback_at: *fallback_at,
                rule: rule.as_deref().cloned(),
                warned: false,
                warning_notified: false,
                miss_notified: false,
                fallback_notified: false,
                status: DeadlineStatus::Running,
            };
            return begin(deadlines, deadline);
        }
        DeadlineEvent::Warned { name } => (name, &|deadline| {
            !std::mem::replace(&mut deadline.warned, true) && deadline.status == DeadlineStatus::Running
        }),
        DeadlineEvent::Missed { name } => (name, &|deadline| {
            std::mem::replace(&mut deadline.status, DeadlineStatus::Missed) == DeadlineStatus::Running
        }),
        DeadlineEvent::Met { name, met_at, step } => (name, &|deadline| {
            let (at, step) = (*met_at, step.clone());
            let met = match deadline.status {
                DeadlineStatus::Running => DeadlineStatus::Met { at, step },
                DeadlineStatus::Missed => DeadlineStatus::MetLate { at, step },
                DeadlineStatus::Met { .. } | DeadlineStatus::MetLate { .. } | DeadlineStatus::Lifted => return false,
            };
            deadline.status = met;
            true
        }),
        DeadlineEvent::Lifted { name } => (name, &|deadline| {
            let open = deadline.is_open();
            deadline.status = DeadlineStatus::Lifted;
            open
        }),
    };
    let deadline = deadlines
        .iter_mut()
        .find(|deadline| deadline.name == name)
        .ok_or_else(|| format!("there is no deadline `{name}`"))?;
    if change(deadline) { Ok(()) } else { Err(format!("deadline `{name}` is {:?}", deadline.status)) }
}

/// Sets a deadline with a new name, or a repeating deadline that is not running.
fn begin(deadlines: &mut Vec<Deadline>, deadline: Deadline) -> Result<(), String> {
    match deadlines.iter_mut().find(|known| known.name == deadline.name) {
        None => deadlines.push(deadline),
        Some(known) if known.repeats() && known.status != DeadlineStatus::Running => *known = deadline,
        Some(known) => return Err(format!("deadline `{}` is already set", known.name)),
    }
    Ok(())
}

/// Records that the message with this cause was requested.
pub(crate) fn mark_notified(deadlines: &mut [Deadline], cause: &NoticeCause) {
    let (NoticeCause::Fallback { deadline: name, .. }
    | NoticeCause::Warning { deadline: name }
    | NoticeCause::Missed { deadline: name }) = cause
    else {
        return;
    };
    let Some(deadline) = deadlines.iter_mut().find(|deadline| &deadline.name == name) else { return };
    match cause {
        NoticeCause::Fallback { .. } => deadline.fallback_notified = true,
        NoticeCause::Warning { .. } => deadline.warning_notified = true,
        NoticeCause::Missed { .. } => deadline.miss_notified = true,
        NoticeCause::Update => {}
    }
}
