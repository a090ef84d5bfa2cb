//! The words for who was told, who was not, who has which role, and who was refused.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::domain::incident::Incident;
use crate::domain::incident::event::{ApprovalRefusal, Delivery, MessageEvent, RefusalCause, Regrade, RoleEvent};
use crate::domain::incident::message::{MessageId, NoticeCause};
use crate::domain::incident::permission::Holder;
use crate::domain::report::timeline::line::{Phrase, Sign};

/// The words for a message's event.
pub(super) fn message(incident: Option<&Incident>, event: &MessageEvent) -> Phrase {
    match event {
        MessageEvent::NoticeOwed { cause, to, text, .. } => {
            Phrase::notable(Sign::Begun, pending_notice(cause, &to.join(", "))).detail(text.clone())
        }
        MessageEvent::Notified { delivery, place, .. } => {
            let detail = place.as_ref().map(|place| format!("as {place}"));
            Phrase::notable(Sign::Told, format!("told {}", addressee(incident, delivery))).detail(detail)
        }
        MessageEvent::NotifyFailed { delivery, error, .. } => {
            let to = addressee(incident, delivery);
            Phrase::notable(Sign::Failed, format!("message to {to} not delivered: {error}"))
        }
        MessageEvent::Posted(post) => Phrase::quiet(Sign::Inner, format!("shown in {}", post.channel))
            .detail(Some(format!("as {} {}", post.place, post.message))),
    }
}

/// The words for a role's event, or for a refusal.
pub(super) fn role(incident: Option<&Incident>, event: &RoleEvent, by: &str) -> Phrase {
    match event {
        RoleEvent::Taken { role, person, .. } => {
            let before =
                incident.and_then(|incident| incident.roles.get(role)).filter(|holder| holder.person != *person);
            Phrase::notable(Sign::Words, taken(role, person, before, by))
        }
        RoleEvent::Released { role } => Phrase::notable(Sign::Words, format!("nobody is {role} any more")),
        RoleEvent::ApprovalRefused(ApprovalRefusal { cause: RefusalCause::Stranger, step, reason, .. }) => {
            let step = step.as_ref().map(|step| format!(" at {step}")).unwrap_or_default();
            Phrase::notable(Sign::Failed, format!("turned away{step}: {reason}"))
        }
        RoleEvent::ApprovalRefused(ApprovalRefusal { step, reason, digest, .. }) => {
            let step = step.as_ref().map(|step| format!(" to {step}")).unwrap_or_default();
            let seen = digest.as_ref().map(|digest| format!("the digest that was given: {digest}"));
            Phrase::notable(Sign::Failed, format!("agreement{step} refused: {reason}")).detail(seen)
        }
    }
}

/// The words for a changed severity.
pub(super) fn regraded(incident: Option<&Incident>, to: Regrade) -> Phrase {
    let from = incident.map(|incident| format!(", was {}", incident.severity)).unwrap_or_default();
    Phrase::notable(Sign::Incident, format!("severity {}{from}", to.severity))
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

/// The channel, the one that it stands in for, and what a message that no step says is about.
fn addressee(incident: Option<&Incident>, delivery: &Delivery) -> String {
    let instead = delivery.instead_of.as_ref().map(|target| format!(" in place of {target}")).unwrap_or_default();
    format!("{}{instead}{}", delivery.channel, what(incident, delivery))
}

fn what(incident: Option<&Incident>, delivery: &Delivery) -> String {
    let Some(notice) = delivery.notice else { return String::new() };
    let message = incident.and_then(|incident| incident.messages.get(&MessageId::Notice(notice)));
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
