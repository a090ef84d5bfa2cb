//! The message state of an incident: which are pending, the result of each attempt, and when stakeholders were notified.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{Delivery, MessageEvent, StepEvent};
use crate::domain::incident::message::{FALLBACK_AFTER, Message, MessageId, NoticeCause, RouteAttempt, of_spec};
use crate::domain::incident::outcome::Verdict;
use crate::domain::incident::{Incident, Thread, deadline};
use crate::domain::runbook::DeadlineFrom;

impl Incident {
    /// What an event of a step means for the step's message.
    pub(super) fn follow_step(&mut self, event: &StepEvent, at: Timestamp) {
        let (run, key) = event.place();
        let id = || MessageId::Step(run, key.clone());
        match event {
            StepEvent::Started { action, .. } if action.is_message() => {
                let (text, to) = of_spec(&action.spec);
                let deadline =
                    self.run(run).and_then(|run| run.runbook.step(&key.id)).and_then(|step| step.meets.clone());
                let message = self
                    .messages
                    .entry(id())
                    .or_insert_with(|| Message { deadline, ..Message::new(text.clone(), to.clone(), at) });
                message.again(text, to, at);
            }
            StepEvent::Ended { outcome, .. } if outcome.verdict == Verdict::Cancelled => self.withdraw(&id()),
            StepEvent::Skipped { .. } => self.withdraw(&id()),
            StepEvent::Started { .. }
            | StepEvent::Ended { .. }
            | StepEvent::Expanded { .. }
            | StepEvent::Asked { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Approved { .. }
            | StepEvent::Denied { .. }
            | StepEvent::Reconciled { .. }
            | StepEvent::RetryScheduled { .. }
            | StepEvent::Concluded { .. }
            | StepEvent::UndoRequested { .. } => {}
        }
    }

    fn withdraw(&mut self, id: &MessageId) {
        if let Some(message) = self.messages.get_mut(id) {
            message.withdrawn = true;
        }
    }

    /// Applies a message's event; the reason when it does not fit.
    pub(super) fn follow_message(&mut self, event: &MessageEvent, at: Timestamp) -> Result<(), String> {
        match event {
            MessageEvent::NoticeOwed { notice, cause, to, text } => {
                if *notice != self.next_notice() {
                    return Err(format!("notice {} was to follow", self.next_notice()));
                }
                let mut message = Message::new(text.clone(), to.clone(), at);
                if let NoticeCause::Fallback { deadline, .. } = cause {
                    message.deadline = Some(deadline.clone());
                }
                message.cause = Some(cause.clone());
                self.messages.insert(MessageId::Notice(*notice), message);
                deadline::mark_notified(&mut self.deadlines, cause);
            }
            MessageEvent::Notified { delivery, message, place } => {
                self.tried(delivery, at)?.delivered.get_or_insert(at);
                let thread = || Thread { place: place.clone(), message: message.clone() };
                self.threads.entry(delivery.channel.clone()).or_insert_with(thread);
                let sent = delivery.message().and_then(|id| self.messages.get(&id));
                let cause = sent.and_then(|message| message.cause.as_ref());
                if cause.is_none_or(NoticeCause::is_for_stakeholders) {
                    self.told.insert(delivery.target().to_owned(), at);
                }
            }
            MessageEvent::NotifyFailed { delivery, error, retry_after, permanent } => {
                let tried = self.tried(delivery, at)?;
                *tried = RouteAttempt {
                    times: tried.times.saturating_add(1),
                    failed_at: Some(at),
                    retry_after: *retry_after,
                    permanent: *permanent,
                    error: error.clone(),
                    delivered: tried.delivered,
                };
            }
            MessageEvent::Posted(post) => drop(self.posts.insert(post.subject.clone(), post.clone())),
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

    /// The tries of a message in one channel; the reason when there is no such message.
    fn tried(&mut self, delivery: &Delivery, at: Timestamp) -> Result<&mut RouteAttempt, String> {
        let id = delivery.message().ok_or("it belongs to no message")?;
        let target = delivery.target().to_owned();
        if let MessageId::Notice(notice) = &id
            && !self.messages.contains_key(&id)
        {
            return Err(format!("there is no notice {notice}"));
        }
        // A log from before messages were owed has none of its own.
        let message = self.messages.entry(id).or_insert_with(|| Message::new(String::new(), vec![target.clone()], at));
        Ok(message.tries.entry((target, delivery.channel.clone())).or_default())
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
