//! What deadlines need recorded or sent: met, missed, warnings, and the next update.
//!
//! **Invariant:** a deadline that was met in time is recorded as met, however late that is noticed; nothing is due early.

use crate::domain::core::id::StepKey;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::auto_notice;
use crate::domain::incident::deadline::{Deadline, DeadlineStatus, set};
use crate::domain::incident::event::{Conclusion, DeadlineEvent, Event, MessageEvent};
use crate::domain::incident::message::{Message, MessageId, NoticeCause};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::runbook::DeadlineFrom;

type Met = (Timestamp, Option<StepKey>);

/// What deadlines owe the log.
pub(super) fn pending(incident: &Incident, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    for deadline in &incident.deadlines {
        let next = of(incident, deadline, now).or_else(|| notified(incident, deadline, now));
        // One at a time: each notice takes the number that is next.
        let next = next.filter(|event| !is_notice(event) || !events.iter().any(is_notice));
        events.extend(next);
    }
    events
}

fn is_notice(event: &Event) -> bool {
    matches!(event, Event::Message(MessageEvent::NoticeOwed { .. }))
}

fn of(incident: &Incident, deadline: &Deadline, now: Timestamp) -> Option<Event> {
    if !deadline.is_open() {
        return again(incident, deadline, deadline.due.min(now));
    }
    let name = || deadline.name.clone();
    let met = met(incident, deadline);
    if let Some((at, step)) = met.filter(|(at, _)| *at <= deadline.due || deadline.status == DeadlineStatus::Missed) {
        return Some(Event::Deadline(DeadlineEvent::Met { name: name(), met_at: at, step }));
    }
    let over = incident.status == IncidentStatus::Resolved;
    if over && (deadline.repeats() || deadline.role().is_some()) {
        return Some(Event::Deadline(DeadlineEvent::Lifted { name: name() }));
    }
    let passed = deadline.status == DeadlineStatus::Missed && deadline.repeats();
    deadline.due_event(now).or_else(|| again(incident, deadline, now).filter(|_| passed))
}

/// A deadline that repeats is set anew: from the last word on, and after a miss from the end of the missed time on.
fn again(incident: &Incident, deadline: &Deadline, now: Timestamp) -> Option<Event> {
    let rule = deadline.rule.as_ref().filter(|rule| rule.repeats)?;
    if incident.status == IncidentStatus::Resolved || deadline.status == DeadlineStatus::Lifted {
        return None;
    }
    let from = match &deadline.status {
        DeadlineStatus::Met { at, .. } => *at,
        _ => {
            // What passed while nobody was at work is one miss, not many.
            let mut from = deadline.due;
            while rule.within.after(from) <= now && !rule.within.0.is_zero() {
                from = rule.within.after(from);
            }
            from
        }
    };
    Some(set(rule, from))
}

/// Who is to hear of it: those who are named for it, and stakeholders when nobody else has told them.
fn notified(incident: &Incident, deadline: &Deadline, now: Timestamp) -> Option<Event> {
    if deadline.status == DeadlineStatus::Missed && !deadline.told_miss && !deadline.escalate().is_empty() {
        return auto_notice::escalation(incident, deadline, true);
    }
    let running = deadline.status == DeadlineStatus::Running;
    if running && deadline.warned && !deadline.told_warning && !deadline.escalate().is_empty() {
        return auto_notice::escalation(incident, deadline, false);
    }
    fallback_at(incident, deadline).filter(|at| *at <= now).and_then(|_| auto_notice::fallback(incident, deadline))
}

/// When the engine has to tell stakeholders itself: unless a message that keeps the deadline is owed, for that one takes
/// other ways by itself.
fn fallback_at(incident: &Incident, deadline: &Deadline) -> Option<Timestamp> {
    let at = deadline.falls_back_at().filter(|_| auto_notice::is_notified(incident, deadline))?;
    let keeps = |message: &&Message| message.deadline.as_deref() == Some(&*deadline.name) && !message.withdrawn;
    let on_its_way = incident.messages.values().filter(keeps).any(|message| message.open().next().is_some());
    (!on_its_way).then_some(at)
}

/// Every instant at which a deadline may owe something without a further event.
pub(super) fn instants(incident: &Incident) -> impl Iterator<Item = Timestamp> {
    let fallbacks = incident.deadlines.iter().filter_map(|deadline| fallback_at(incident, deadline));
    incident.deadlines.iter().flat_map(Deadline::instants).chain(fallbacks)
}

/// When what it asks for was done, and by which step.
fn met(incident: &Incident, deadline: &Deadline) -> Option<Met> {
    if deadline.from == DeadlineFrom::Resolved {
        return incident.completed.as_ref().map(|mark| (mark.at, None));
    }
    if let Some(role) = deadline.role() {
        return incident.roles.get(role).map(|holder| (holder.since, None));
    }
    if let Some(rule) = deadline.rule.as_ref().filter(|rule| rule.repeats) {
        let counts = |channel: &String| rule.to.is_empty() || rule.to.contains(channel);
        let told = incident.told.iter().filter(|(channel, at)| counts(channel) && **at > deadline.set_at);
        return told.map(|(_, at)| (*at, None)).max_by_key(|(at, _)| *at);
    }
    let by_message = messages(incident, &deadline.name);
    by_step(incident, &deadline.name).into_iter().chain(by_message).min_by_key(|(at, _)| *at)
}

fn by_step(incident: &Incident, name: &str) -> Option<Met> {
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

/// A message that keeps it counts when it has arrived, whatever became of its step meanwhile.
fn messages(incident: &Incident, name: &str) -> Option<Met> {
    let keeping = incident.messages.iter().filter(|(_, message)| message.deadline.as_deref() == Some(name));
    let arrived = keeping.filter_map(|(id, message)| {
        let at = message.delivered()?;
        let step = match id {
            MessageId::Step(_, key) => Some(key.clone()),
            MessageId::Notice(_) => None,
        };
        let keeps = step.is_some() || matches!(message.cause, Some(NoticeCause::Fallback { .. }));
        keeps.then_some((at, step))
    });
    arrived.min_by_key(|(at, _)| *at)
}
