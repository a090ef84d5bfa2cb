//! Deadlines: set, warned, met or missed, as events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::event::{DeadlineEvent, Event};
use super::message::{FALLBACK_MARGIN, NoticeCause};
use crate::domain::core::id::StepKey;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::runbook::{DeadlineFrom, DeadlineRule};

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
    /// It is not asked for any more.
    Lifted,
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
    pub name: String,
    /// When its time began to run.
    pub from: DeadlineFrom,
    /// When it was set; one that repeats is set anew.
    pub set_at: Timestamp,
    /// When it is missed.
    pub due: Timestamp,
    /// When to warn.
    pub warn_at: Option<Timestamp>,
    /// When the engine tells stakeholders itself, and messages that keep it take other ways.
    pub fallback_at: Option<Timestamp>,
    /// The rule that it follows.
    pub rule: Option<DeadlineRule>,
    /// Whether the warning is in the log.
    pub warned: bool,
    /// Whether those who are to hear of the warning are owed a message.
    pub told_warning: bool,
    /// Whether those who are to hear of the miss are owed a message.
    pub told_miss: bool,
    /// Whether the engine has taken it upon itself to tell stakeholders.
    pub fell_back: bool,
    /// How it stands.
    pub status: DeadlineStatus,
}

impl Deadline {
    /// What it owes the log at `now`: a warning or a miss, never early.
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

    /// When it owes a warning or a miss.
    pub fn instants(&self) -> impl Iterator<Item = Timestamp> {
        let running = self.status == DeadlineStatus::Running;
        let warning = self.warn_at.filter(|_| !self.warned);
        [Some(self.due), warning].into_iter().flatten().filter(move |_| running)
    }

    /// When the engine has to tell stakeholders, unless somebody else does.
    pub fn falls_back_at(&self) -> Option<Timestamp> {
        let open = self.status == DeadlineStatus::Running && !self.fell_back && self.falls_back();
        self.fallback_at.filter(|_| open)
    }

    /// Whether the engine may tell stakeholders itself to keep it.
    fn falls_back(&self) -> bool {
        self.rule.as_ref().is_some_and(DeadlineRule::is_met_by_step)
    }

    /// Whether the deadline is neither met nor lifted.
    pub fn is_open(&self) -> bool {
        matches!(self.status, DeadlineStatus::Running | DeadlineStatus::Missed)
    }

    /// Whether it is set anew by every word to stakeholders.
    pub fn repeats(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.repeats)
    }

    /// The role whose being taken meets it.
    pub fn role(&self) -> Option<&str> {
        self.rule.as_ref()?.role.as_deref()
    }

    /// The channels that hear when it comes near or is missed.
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

/// When other ways are tried: as the rule says, else early enough for them.
pub fn fallback(rule: &DeadlineRule) -> Option<Span> {
    // Of a short deadline the last fifth has to do.
    let margin = FALLBACK_MARGIN.0.min(rule.within.0 / 5);
    let early = Span(rule.within.0.saturating_sub(margin));
    rule.is_met_by_step().then(|| rule.fallback_at.unwrap_or(early))
}

/// Applies a deadline's event; the reason when it does not fit.
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
                told_warning: false,
                told_miss: false,
                fell_back: false,
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

/// A deadline begins to run: one of a new name, or one that repeats and is over.
fn begin(deadlines: &mut Vec<Deadline>, deadline: Deadline) -> Result<(), String> {
    match deadlines.iter_mut().find(|known| known.name == deadline.name) {
        None => deadlines.push(deadline),
        Some(known) if known.repeats() && known.status != DeadlineStatus::Running => *known = deadline,
        Some(known) => return Err(format!("deadline `{}` is already set", known.name)),
    }
    Ok(())
}

/// Remembers who hears of a deadline by a notice.
pub(crate) fn mark_notified(deadlines: &mut [Deadline], cause: &NoticeCause) {
    let (NoticeCause::Fallback { deadline: name, .. }
    | NoticeCause::Warning { deadline: name }
    | NoticeCause::Missed { deadline: name }) = cause
    else {
        return;
    };
    let Some(deadline) = deadlines.iter_mut().find(|deadline| &deadline.name == name) else { return };
    match cause {
        NoticeCause::Fallback { .. } => deadline.fell_back = true,
        NoticeCause::Warning { .. } => deadline.told_warning = true,
        NoticeCause::Missed { .. } => deadline.told_miss = true,
        NoticeCause::Update => {}
    }
}
