//! What an incident remembers of its messages: which are owed, what became of each try, and when stakeholders were told.

use super::{Incident, Thread};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::deadline;
use crate::domain::incident::event::{Event, Recorded};
use crate::domain::incident::message::{FALLBACK_AFTER, Message, MessageId, NoticeCause, RouteAttempt, of_spec};
use crate::domain::incident::outcome::Verdict;
use crate::domain::runbook::DeadlineFrom;

impl Incident {
    /// What an event of a step means for the step's message.
    pub(super) fn follow_message(&mut self, run: RunId, key: &StepKey, recorded: &Recorded) {
        let id = || MessageId::Step(run, key.clone());
        match &recorded.event {
            Event::StepStarted { action, .. } if action.is_message() => {
                let (text, to) = of_spec(&action.spec);
                let deadline =
                    self.run(run).and_then(|run| run.runbook.step(&key.id)).and_then(|step| step.meets.clone());
                let message = self
                    .messages
                    .entry(id())
                    .or_insert_with(|| Message { deadline, ..Message::new(text.clone(), to.clone(), recorded.at) });
                message.again(text, to, recorded.at);
            }
            Event::StepEnded { outcome, .. } if outcome.verdict == Verdict::Cancelled => self.withdraw(&id()),
            Event::StepSkipped { .. } => self.withdraw(&id()),
            Event::Notified { .. } | Event::NotifyFailed { .. } => self.tried(&id(), recorded),
            _ => {}
        }
    }

    fn withdraw(&mut self, id: &MessageId) {
        if let Some(message) = self.messages.get_mut(id) {
            message.withdrawn = true;
        }
    }

    /// What an event says of a message that no step owes; the reason when it does not fit.
    pub(super) fn follow_notice(&mut self, recorded: &Recorded) -> Result<(), String> {
        match &recorded.event {
            Event::NoticeOwed { notice, cause, to, text } => {
                let id = MessageId::Notice(*notice);
                if *notice != self.next_notice() {
                    return Err(format!("notice {} was to follow", self.next_notice()));
                }
                let mut message = Message::new(text.clone(), to.clone(), recorded.at);
                if let NoticeCause::Fallback { deadline, .. } = cause {
                    message.deadline = Some(deadline.clone());
                }
                message.cause = Some(cause.clone());
                self.messages.insert(id, message);
                deadline::mark_notified(&mut self.deadlines, cause);
            }
            Event::Notified { notice: Some(notice), .. } | Event::NotifyFailed { notice: Some(notice), .. } => {
                let id = MessageId::Notice(*notice);
                if !self.messages.contains_key(&id) {
                    return Err(format!("there is no notice {notice}"));
                }
                self.tried(&id, recorded);
            }
            _ => return Err("it belongs to no message".to_owned()),
        }
        Ok(())
    }

    /// The number that the next notice has.
    pub fn next_notice(&self) -> u32 {
        let last = self.messages.keys().next_back();
        match last {
            Some(MessageId::Notice(number)) => number + 1,
            Some(MessageId::Step(..)) | None => 1,
        }
    }

    /// What became of one try.
    fn tried(&mut self, id: &MessageId, recorded: &Recorded) {
        let (channel, instead_of) = match &recorded.event {
            Event::Notified { channel, instead_of, .. } | Event::NotifyFailed { channel, instead_of, .. } => {
                (channel, instead_of)
            }
            _ => return,
        };
        let target = instead_of.as_ref().unwrap_or(channel).clone();
        // A log from before messages were owed has none of its own.
        let message = self
            .messages
            .entry(id.clone())
            .or_insert_with(|| Message::new(String::new(), vec![target.clone()], recorded.at));
        let tells = message.cause.as_ref().is_none_or(NoticeCause::is_for_stakeholders);
        let tried = message.tries.entry((target.clone(), channel.clone())).or_default();
        match &recorded.event {
            Event::Notified { message, place, .. } => {
                tried.delivered.get_or_insert(recorded.at);
                let (place, message) = (place.clone(), message.clone());
                self.threads.entry(channel.clone()).or_insert_with(|| Thread { place, message });
                if tells {
                    self.told.insert(target, recorded.at);
                }
            }
            Event::NotifyFailed { error, retry_after, permanent, .. } => {
                *tried = RouteAttempt {
                    times: tried.times.saturating_add(1),
                    failed_at: Some(recorded.at),
                    retry_after: *retry_after,
                    permanent: *permanent,
                    error: error.clone(),
                    delivered: tried.delivered,
                };
            }
            _ => {}
        }
    }

    /// When other ways open for a message: early enough for the deadline that it keeps.
    pub fn fallback_at(&self, message: &Message) -> Timestamp {
        let deadline = message.deadline.as_ref();
        let deadline = deadline.and_then(|name| self.deadlines.iter().find(|deadline| &deadline.name == name));
        let by_deadline =
            deadline.filter(|deadline| deadline.from == DeadlineFrom::Opened && message.owed_at < deadline.due);
        match (by_deadline.and_then(|deadline| deadline.fallback_at), &message.cause) {
            (Some(at), _) => at,
            // Those on call are told by whatever works.
            (None, Some(_)) => message.owed_at,
            (None, None) => FALLBACK_AFTER.after(message.owed_at),
        }
    }
}
