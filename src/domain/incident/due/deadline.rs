//! What deadlines require: events for met, missed and near deadlines, notices, and the next period of a repeating deadline.
//!
//! **Invariant:** a deadline that was met in time is recorded as met, even if that is recorded after it was due. No event is due
//! early.

use crate::domain::core::id::StepKey;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::auto_notice;
use crate::domain::incident::deadline::{Deadline, DeadlineStatus, set};
use crate::domain::incident::event::{Conclusion, DeadlineEvent, Event, MessageEvent};
use crate::domain::incident::message::{Message, MessageId, NoticeCause};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::runbook::DeadlineFrom;

/// When a deadline was met, and the step that met it, if one did.
type Met = (Timestamp, Option<StepKey>);

/// The events of deadlines that are due.
pub(super) fn pending(incident: &Incident, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    for deadline in &incident.deadlines {
        let next = status_event(incident, deadline, now).or_else(|| notice(incident, deadline, now));
        // At most one notice: it takes the next number.
        let next = next.filter(|event| !is_notice(event) || !events.iter().any(is_notice));
        events.extend(next);
    }
    events
}

fn is_notice(event: &Event) -> bool {
    matches!(event, Event::Message(MessageEvent::NoticeOwed { .. }))
}

fn status_event(incident: &Incident, deadline: &Deadline, now: Timestamp) -> Option<Event> {
    if !deadline.is_open() {
        return next_period(incident, deadline, deadline.due.min(now));
    }
    let name = || deadline.name.clone();
    let met = met(incident, deadline);
    if let Some((at, step)) = met.filter(|(at, _)| *at <= deadline.due || deadline.status == DeadlineStatus::Missed) {
        return Some(Event::Deadline(DeadlineEvent::Met { name: name(), met_at: at, step }));
    }
    let is_resolved = incident.status == IncidentStatus::Resolved;
    if is_resolved && (deadline.repeats() || deadline.role().is_some()) {
        return Some(Event::Deadline(DeadlineEvent::Lifted { name: name() }));
    }
    let is_missed_period = deadline.status == DeadlineStatus::Missed && deadline.repeats();
    deadline.due_event(now).or_else(|| next_period(incident, deadline, now).filter(|_| is_missed_period))
}

/// Sets the next period of a repeating deadline: from the last update, or after a miss from the end of the missed period.
fn next_period(incident: &Incident, deadline: &Deadline, now: Timestamp) -> Option<Event> {
    let rule = deadline.rule.as_ref().filter(|rule| rule.repeats)?;
    if incident.status == IncidentStatus::Resolved || deadline.status == DeadlineStatus::Lifted {
        return None;
    }
    let from = match &deadline.status {
        DeadlineStatus::Met { at, .. } => *at,
        _ => {
            // Periods that passed while no worker was running count as one miss.
            let mut from = deadline.due;
            while rule.within.after(from) <= now && !rule.within.0.is_zero() {
                from = rule.within.after(from);
            }
            from
        }
    };
    Some(set(rule, from))
}

/// The notice that is due: an escalation of a miss or a warning, or the fallback message to stakeholders.
fn notice(incident: &Incident, deadline: &Deadline, now: Timestamp) -> Option<Event> {
    if deadline.status == DeadlineStatus::Missed && !deadline.miss_notified && !deadline.escalate().is_empty() {
        return auto_notice::escalation(incident, deadline, true);
    }
    let is_running = deadline.status == DeadlineStatus::Running;
    if is_running && deadline.warned && !deadline.warning_notified && !deadline.escalate().is_empty() {
        return auto_notice::escalation(incident, deadline, false);
    }
    fallback_at(incident, deadline).filter(|at| *at <= now).and_then(|_| auto_notice::fallback(incident, deadline))
}

/// When the engine notifies stakeholders itself; none while a message that meets the deadline is pending, because that message
/// takes fallback routes.
fn fallback_at(incident: &Incident, deadline: &Deadline) -> Option<Timestamp> {
    let at = deadline.falls_back_at().filter(|_| auto_notice::can_notify(incident, deadline))?;
    let meets = |message: &&Message| message.deadline.as_deref() == Some(&*deadline.name) && !message.withdrawn;
    let is_pending = incident.messages.values().filter(meets).any(|message| message.open().next().is_some());
    (!is_pending).then_some(at)
}

/// Every instant at which an event of a deadline may become due.
pub(super) fn instants(incident: &Incident) -> impl Iterator<Item = Timestamp> {
    let fallbacks = incident.deadlines.iter().filter_map(|deadline| fallback_at(incident, deadline));
    incident.deadlines.iter().flat_map(Deadline::instants).chain(fallbacks)
}

/// When a deadline's requirement was fulfilled, whether in time or not.
fn met(incident: &Incident, deadline: &Deadline) -> Option<Met> {
    if deadline.from == DeadlineFrom::Resolved {
        return incident.completed.as_ref().map(|stamp| (stamp.at, None));
    }
    if let Some(role) = deadline.role() {
        return incident.roles.get(role).map(|holder| (holder.since, None));
    }
    if let Some(rule) = deadline.rule.as_ref().filter(|rule| rule.repeats) {
        let counts = |channel: &String| rule.to.is_empty() || rule.to.contains(channel);
        let notified = incident.notified_at.iter().filter(|(channel, at)| counts(channel) && **at > deadline.set_at);
        return notified.map(|(_, at)| (*at, None)).max_by_key(|(at, _)| *at);
    }
    let by_message = met_by_message(incident, &deadline.name);
    met_by_step(incident, &deadline.name).into_iter().chain(by_message).min_by_key(|(at, _)| *at)
}

fn met_by_step(incident: &Incident, name: &str) -> Option<Met> {
    let meeting = incident.runs.iter().flat_map(|run| {
        run.runbook.all_steps().into_iter().filter(|step| step.meets.as_deref() == Some(name)).filter_map(|step| {
            let key = StepKey::main(step.id.clone());
            let state = run.state(&key)?;
            let at = state.concluded_at.filter(|_| state.conclusion() == Some(Conclusion::Succeeded))?;
            Some((at, Some(key)))
        })
    });
    meeting.min_by_key(|(at, _)| *at)
}

/// A delivered message counts even if its step has not succeeded.
fn met_by_message(incident: &Incident, name: &str) -> Option<Met> {
    let messages = incident.messages.iter().filter(|(_, message)| message.deadline.as_deref() == Some(name));
    let delivered = messages.filter_map(|(id, message)| {
        let at = message.delivered()?;
        let step = match id {
            MessageId::Step(_, key) => Some(key.clone()),
            MessageId::Notice(_) => None,
        };
        let meets = step.is_some() || matches!(message.cause, Some(NoticeCause::Fallback { .. }));
        meets.then_some((at, step))
    });
    delivered.min_by_key(|(at, _)| *at)
}
