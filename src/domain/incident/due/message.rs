//! What messages require: the next attempts, a record of each message that expired, and the end of the step that sends one.

use serde_json::json;

use super::walk::Walk;
use super::{Effect, PendingDelivery};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::StepKey;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Delivery, Event, MessageEvent, StepEvent};
use crate::domain::incident::message::{MESSAGE_LIFE, Message, MessageId, PendingAttempt};
use crate::domain::incident::outcome::{Outcome, Verdict};

/// The longest error of an expired message, in characters.
const REASON_LIMIT: usize = 400;

/// The attempts that are due, and the records of messages that expired.
pub(super) fn pending(incident: &Incident, now: Timestamp) -> impl Iterator<Item = Effect> {
    let pending = incident.messages.iter().filter(move |(_, message)| message.is_pending(now));
    let deliveries = pending
        .flat_map(move |(id, message)| pending_deliveries(incident, id, message, now))
        .map(|delivery| Effect::Deliver(Box::new(delivery)));
    let all = incident.messages.iter();
    deliveries.chain(all.flat_map(move |(id, message)| {
        message.given_up(now).map(move |target| Effect::Record(expired(id, message, target)))
    }))
}

/// The event that a message expired before it was delivered for `target`.
fn expired(id: &MessageId, message: &Message, target: &str) -> Event {
    let errors = message.errors().into_iter().find(|(channel, _)| channel == target);
    let last = errors.map(|(_, error)| error).unwrap_or_default();
    Event::Message(MessageEvent::NotifyFailed {
        delivery: Delivery::new(id, target, target),
        error: one_line(&format!("given up after {MESSAGE_LIFE}: {last}"), REASON_LIMIT),
        retry_after: None,
        permanent: true,
    })
}

fn pending_deliveries(incident: &Incident, id: &MessageId, message: &Message, now: Timestamp) -> Vec<PendingDelivery> {
    let Some(estate) = estate(incident, id) else { return Vec::new() };
    let attempts = message.pending_attempts(&incident.id, id, estate, incident.fallback_at(message));
    let due = attempts.into_iter().filter(|attempt| attempt.at <= now);
    let delivery = |attempt: PendingAttempt| PendingDelivery {
        id: id.clone(),
        target: attempt.target,
        channel: attempt.channel,
        text: message.text.clone(),
        requested_at: message.requested_at,
    };
    due.map(delivery).collect()
}

/// Every instant at which an attempt is due or a message expires.
pub(super) fn instants(incident: &Incident) -> impl Iterator<Item = Timestamp> {
    let open = incident.messages.iter().filter(|(_, message)| !message.withdrawn && message.open().next().is_some());
    open.flat_map(|(id, message)| {
        let attempts = estate(incident, id)
            .map(|estate| message.pending_attempts(&incident.id, id, estate, incident.fallback_at(message)))
            .unwrap_or_default();
        let end = message.expires_at();
        let expiry = message.given_up(end).next().map(|_| end);
        attempts.into_iter().map(|attempt| attempt.at).filter(move |at| *at < end).chain(expiry).collect::<Vec<_>>()
    })
}

/// The estate with a message's channels: for a step's message that of its run, for a notice that of the last run.
fn estate<'a>(incident: &'a Incident, id: &MessageId) -> Option<&'a Estate> {
    let run = match id {
        MessageId::Step(run, _) => incident.run(*run),
        MessageId::Notice(_) => incident.runs.last(),
    };
    run.map(|run| &*run.estate)
}

impl Walk<'_> {
    /// Whether the step sends a message, so that its attempt ends with the delivery.
    pub(super) fn is_message(&self, key: &StepKey) -> bool {
        self.incident.messages.contains_key(&MessageId::Step(self.run.id, key.clone()))
    }

    /// Ends the attempt of a step that sends a message: it was delivered, cannot be delivered, or the step has timed out. After a
    /// timeout the message is still pending.
    pub(super) fn settle_message(&mut self, key: &StepKey, halt: bool) {
        let (run, id) = (self.run, MessageId::Step(self.run.id, key.clone()));
        let (Some(message), Some(state)) = (self.incident.messages.get(&id), run.state(key)) else { return };
        let timed_out = state.attempt.as_ref().and_then(|attempt| attempt.deadline).is_some_and(|end| end <= self.now);
        let outcome = if halt {
            Outcome::ended(Verdict::Cancelled, "it was stopped")
        } else if message.open().next().is_none() {
            delivered(message)
        } else if message.is_undeliverable(&run.estate) {
            Outcome { verdict: Verdict::Failed, ..undelivered(message) }
        } else if timed_out {
            Outcome { verdict: Verdict::TimedOut, ..undelivered(message) }
        } else {
            return;
        };
        self.record(Event::Step(StepEvent::Ended {
            run: run.id,
            step: key.clone(),
            attempt: state.attempts,
            outcome: outcome.into(),
        }));
    }
}

fn delivered(message: &Message) -> Outcome {
    Outcome::succeeded(format!("told {}", message.to.join(", ")), json!({"delivered": message.to, "failed": []}))
}

fn undelivered(message: &Message) -> Outcome {
    let errors = message.errors();
    let reasons: Vec<String> = errors.iter().map(|(channel, error)| format!("{channel}: {error}")).collect();
    let failed: Vec<_> = errors.iter().map(|(channel, error)| json!({"channel": channel, "error": error})).collect();
    let open: Vec<&String> = message.open().collect();
    let delivered: Vec<&String> = message.to.iter().filter(|target| !open.contains(target)).collect();
    let output = json!({"delivered": delivered, "failed": failed});
    Outcome::failed(format!("not delivered: {}", reasons.join("; ")), output)
}
