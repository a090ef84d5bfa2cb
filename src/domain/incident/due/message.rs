//! What messages need: the next attempt of each, a record for those that were given up, and the end of the step that sends one.

use serde_json::json;

use super::position::Walk;
use super::{Effect, PendingDelivery};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::StepKey;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Delivery, Event, MessageEvent, StepEvent};
use crate::domain::incident::message::{MESSAGE_LIFE, Message, MessageId};
use crate::domain::incident::outcome::{Outcome, Verdict};

/// The longest reason, in characters.
const REASON_LIMIT: usize = 400;

/// Every try that is owed now.
pub(super) fn pending(incident: &Incident, now: Timestamp) -> impl Iterator<Item = Effect> {
    let open = incident.messages.iter().filter(move |(_, message)| message.is_pending(now));
    let tries = open
        .flat_map(move |(id, message)| pending_deliveries(incident, id, message, now))
        .map(|parcel| Effect::Deliver(Box::new(parcel)));
    let all = incident.messages.iter();
    tries.chain(all.flat_map(move |(id, message)| {
        message.given_up(now).map(move |target| Effect::Record(abandoned(id, message, target)))
    }))
}

/// That a message is not tried any more.
fn abandoned(id: &MessageId, message: &Message, target: &str) -> Event {
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
    let tries = message.pending_tries(&incident.id, id, estate, incident.fallback_at(message));
    let due = tries.into_iter().filter(|one| one.at <= now);
    let parcel = |one: crate::domain::incident::message::Try| PendingDelivery {
        id: id.clone(),
        target: one.target,
        channel: one.channel,
        text: message.text.clone(),
        owed_at: message.owed_at,
    };
    due.map(parcel).collect()
}

/// Every instant at which a message may owe a try, or is not owed any more.
pub(super) fn instants(incident: &Incident) -> impl Iterator<Item = Timestamp> {
    let open = incident.messages.iter().filter(|(_, message)| !message.withdrawn && message.open().next().is_some());
    open.flat_map(|(id, message)| {
        let tries = estate(incident, id)
            .map(|estate| message.pending_tries(&incident.id, id, estate, incident.fallback_at(message)))
            .unwrap_or_default();
        let end = message.expires_at();
        let word = message.given_up(end).next().map(|_| end);
        tries.into_iter().map(|one| one.at).filter(move |at| *at < end).chain(word).collect::<Vec<_>>()
    })
}

/// The estate that a message is sent by: the run's own, and for a notice that of the last run.
fn estate<'a>(incident: &'a Incident, id: &MessageId) -> Option<&'a Estate> {
    let run = match id {
        MessageId::Step(run, _) => incident.run(*run),
        MessageId::Notice(_) => incident.runs.last(),
    };
    run.map(|run| &*run.estate)
}

impl Walk<'_> {
    /// Whether a step that is under way only waits for its message to arrive.
    pub(super) fn is_message(&self, key: &StepKey) -> bool {
        self.incident.messages.contains_key(&MessageId::Step(self.run.id, key.clone()))
    }

    /// A step that says something is over when that has arrived, or cannot, or its time is over; what has not arrived
    /// then is owed all the same.
    pub(super) fn message(&mut self, key: &StepKey, halt: bool) {
        let (run, id) = (self.run, MessageId::Step(self.run.id, key.clone()));
        let (Some(message), Some(state)) = (self.incident.messages.get(&id), run.state(key)) else { return };
        let late = state.attempt.as_ref().and_then(|attempt| attempt.deadline).is_some_and(|end| end <= self.now);
        let outcome = if halt {
            Outcome::ended(Verdict::Cancelled, "it was stopped")
        } else if message.open().next().is_none() {
            delivered(message)
        } else if message.hopeless(&run.estate) {
            Outcome { verdict: Verdict::Failed, ..untold(message) }
        } else if late {
            Outcome { verdict: Verdict::TimedOut, ..untold(message) }
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

/// Who was not reached, and why.
fn untold(message: &Message) -> Outcome {
    let errors = message.errors();
    let reasons: Vec<String> = errors.iter().map(|(channel, error)| format!("{channel}: {error}")).collect();
    let failed: Vec<_> = errors.iter().map(|(channel, error)| json!({"channel": channel, "error": error})).collect();
    let open: Vec<&String> = message.open().collect();
    let delivered: Vec<&String> = message.to.iter().filter(|target| !open.contains(target)).collect();
    let output = json!({"delivered": delivered, "failed": failed});
    Outcome::failed(format!("not delivered: {}", reasons.join("; ")), output)
}
