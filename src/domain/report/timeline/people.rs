//! The texts of messages, roles, refused approvals and severities.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::domain::incident::Incident;
use crate::domain::incident::event::{
    ApprovalRefusal, ApprovalRefusalCause, Delivery, MessageEvent, RoleEvent, SeverityChange,
};
use crate::domain::incident::message::{MessageId, NoticeCause};
use crate::domain::incident::permission::Holder;
use crate::domain::report::timeline::line::{Phrase, Sign};

/// The text of a message's event.
pub(super) fn message(incident: Option<&Incident>, event: &MessageEvent) -> Phrase {
    match event {
        MessageEvent::NoticeOwed { cause, to, text, .. } => {
            Phrase::notable(Sign::Begun, pending_notice(cause, &to.join(", "))).detail(text.clone())
        }
        MessageEvent::Notified { delivery, place, .. } => {
            let detail = place.as_ref().map(|place| format!("as {place}"));
            Phrase::notable(Sign::Delivered, format!("told {}", addressee(incident, delivery))).detail(detail)
        }
        MessageEvent::NotifyFailed { delivery, error, .. } => {
            let to = addressee(incident, delivery);
            Phrase::notable(Sign::Failed, format!("message to {to} not delivered: {error}"))
        }
        MessageEvent::Posted(post) => Phrase::quiet(Sign::Internal, format!("shown in {}", post.channel))
            .detail(Some(format!("as {} {}", post.place, post.message))),
    }
}

/// The text of a role's event, or of a refusal.
pub(super) fn role(incident: Option<&Incident>, event: &RoleEvent, by: &str) -> Phrase {
    match event {
        RoleEvent::Taken { role, person, .. } => {
            let before =
                incident.and_then(|incident| incident.roles.get(role)).filter(|holder| holder.person != *person);
            Phrase::notable(Sign::Statement, taken(role, person, before, by))
        }
        RoleEvent::Released { role } => Phrase::notable(Sign::Statement, format!("nobody is {role} any more")),
        RoleEvent::ApprovalRefused(ApprovalRefusal {
            cause: ApprovalRefusalCause::UnknownUser, step, reason, ..
        }) => {
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

/// The text of a changed severity; `incident` is as it was before.
pub(super) fn severity_changed(incident: Option<&Incident>, to: SeverityChange) -> Phrase {
    let from = incident.map(|incident| format!(", was {}", incident.severity)).unwrap_or_default();
    Phrase::notable(Sign::Incident, format!("severity {}{from}", to.severity))
}

fn pending_notice(cause: &NoticeCause, to: &str) -> String {
    match cause {
        NoticeCause::Fallback { deadline, built_in } => {
            let text = if *built_in { "its own words" } else { "the runbook's words" };
            format!("nobody has told stakeholders: runbook does it in {text}, to keep {deadline}: {to}")
        }
        NoticeCause::Warning { deadline } => format!("escalated to {to}: deadline {deadline} comes near"),
        NoticeCause::Missed { deadline } => format!("escalated to {to}: deadline {deadline} is missed"),
        NoticeCause::Update => format!("word to stakeholders: {to}"),
    }
}

/// The channel, the channel that it replaces, and the cause of a notice.
fn addressee(incident: Option<&Incident>, delivery: &Delivery) -> String {
    let instead = delivery.instead_of.as_ref().map(|target| format!(" in place of {target}")).unwrap_or_default();
    format!("{}{instead}{}", delivery.channel, cause(incident, delivery))
}

fn cause(incident: Option<&Incident>, delivery: &Delivery) -> String {
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
