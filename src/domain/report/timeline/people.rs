//! The words for who was told, who was not, who has which role, and who was refused.

use super::phrase::{Phrase, Sign};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Event, Recorded};
use crate::domain::incident::message::{MessageId, NoticeCause};
use crate::domain::incident::permission::{ApprovalRefusal, Holder, RefusalCause};

/// The words for an event of a message, a role or a refusal.
pub(super) fn of(incident: Option<&Incident>, recorded: &Recorded) -> Phrase {
    match &recorded.event {
        Event::NoticeOwed { cause, to, text, .. } => {
            Phrase::notable(Sign::Begun, pending_notice(cause, &to.join(", "))).detail(text.clone())
        }
        Event::Notified { channel, instead_of, place, .. } => {
            let detail = place.as_ref().map(|place| format!("as {place}"));
            let told = format!("told {channel}{}{}", instead(instead_of.as_ref()), what(incident, &recorded.event));
            Phrase::notable(Sign::Told, told).detail(detail)
        }
        Event::NotifyFailed { channel, instead_of, error, .. } => {
            let to = format!("{channel}{}{}", instead(instead_of.as_ref()), what(incident, &recorded.event));
            Phrase::notable(Sign::Failed, format!("message to {to} not delivered: {error}"))
        }
        Event::RoleTaken { role, person, .. } => {
            let before =
                incident.and_then(|incident| incident.roles.get(role)).filter(|holder| holder.person != *person);
            Phrase::notable(Sign::Words, taken(role, person, before, recorded.by.name()))
        }
        Event::RoleReleased { role } => Phrase::notable(Sign::Words, format!("nobody is {role} any more")),
        Event::ApprovalRefused(ApprovalRefusal { cause: RefusalCause::Stranger, step, reason, .. }) => {
            let step = step.as_ref().map(|step| format!(" at {step}")).unwrap_or_default();
            Phrase::notable(Sign::Failed, format!("turned away{step}: {reason}"))
        }
        Event::ApprovalRefused(ApprovalRefusal { step, reason, digest, .. }) => {
            let step = step.as_ref().map(|step| format!(" to {step}")).unwrap_or_default();
            let seen = digest.as_ref().map(|digest| format!("the digest that was given: {digest}"));
            Phrase::notable(Sign::Failed, format!("agreement{step} refused: {reason}")).detail(seen)
        }
        Event::SeverityChanged(to) => {
            let from = incident.map(|incident| format!(", was {}", incident.severity)).unwrap_or_default();
            Phrase::notable(Sign::Incident, format!("severity {}{from}", to.severity))
        }
        Event::Posted(post) => Phrase::quiet(Sign::Inner, format!("shown in {}", post.channel))
            .detail(Some(format!("as {} {}", post.place, post.message))),
        _ => Phrase::quiet(Sign::Inner, "message"),
    }
}

fn pending_notice(cause: &NoticeCause, to: &str) -> String {
    match cause {
        NoticeCause::Fallback { deadline, built_in } => {
            let words = if *built_in { "its own words" } else { "the runbook's words" };
            format!("nobody has told stakeholders: runbook does it in {words}, to keep {deadline}: {to}")
        }
        NoticeCause::Warning { deadline } => format!("escalated to {to}: deadline {deadline} comes near"),
        NoticeCause::Missed { deadline } => format!("escalated to {to}: deadline {deadline} is missed"),
        NoticeCause::Update => format!("word to stakeholders: {to}"),
    }
}

/// The channel that a fallback stands in for.
fn instead(target: Option<&String>) -> String {
    target.map(|target| format!(" in place of {target}")).unwrap_or_default()
}

/// What a message that no step says is about.
fn what(incident: Option<&Incident>, event: &Event) -> String {
    let (Event::Notified { notice: Some(notice), .. } | Event::NotifyFailed { notice: Some(notice), .. }) = event
    else {
        return String::new();
    };
    let message = incident.and_then(|incident| incident.messages.get(&MessageId::Notice(*notice)));
    match message.and_then(|message| message.cause.as_ref()) {
        Some(NoticeCause::Fallback { .. }) => " (by runbook itself)".to_owned(),
        Some(NoticeCause::Warning { deadline } | NoticeCause::Missed { deadline }) => format!(" (deadline {deadline})"),
        Some(NoticeCause::Update) | None => String::new(),
    }
}

fn taken(role: &str, person: &str, before: Option<&Holder>, by: &str) -> String {
    let before = before.map(|holder| format!(", after {}", holder.person)).unwrap_or_default();
    if person == by {
        format!("takes the role {role}{before}")
    } else {
        format!("gives the role {role} to {person}{before}")
    }
}
