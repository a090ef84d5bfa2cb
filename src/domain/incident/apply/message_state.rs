//! The messages of an incident: which are pending, the result of each attempt, and when stakeholders were last notified.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{Delivery, MessageEvent, StepEvent};
use crate::domain::incident::message::{FALLBACK_AFTER, Message, MessageId, NoticeCause, RouteAttempts, of_spec};
use crate::domain::incident::outcome::Verdict;
use crate::domain::incident::{Incident, Thread, deadline};
use crate::domain::runbook::DeadlineFrom;

impl Incident {
    /// Applies an event of a step to the step's message.
    pub(super) fn apply_step_to_messages(&mut self, event: &StepEvent, at: Timestamp) {
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
                message.restart(text, to, at);
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

    /// Applies an event of a message; the error is the reason why it is illegal.
    pub(super) fn apply_to_messages(&mut self, event: &MessageEvent, at: Timestamp) -> Result<(), String> {
        match event {
            MessageEvent::NoticeOwed { notice, cause, to, text } => {
                if *notice != self.next_notice() {
                    return Err(format!("notice {} must follow", self.next_notice()));
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
                self.route_attempts(delivery, at)?.delivered.get_or_insert(at);
                let thread = || Thread { place: place.clone(), message: message.clone() };
                self.threads.entry(delivery.channel.clone()).or_insert_with(thread);
                let sent = delivery.message().and_then(|id| self.messages.get(&id));
                let cause = sent.and_then(|message| message.cause.as_ref());
                if cause.is_none_or(NoticeCause::is_for_stakeholders) {
                    self.notified_at.insert(delivery.target().to_owned(), at);
                }
            }
            MessageEvent::NotifyFailed { delivery, error, retry_after, permanent } => {
                let route = self.route_attempts(delivery, at)?;
                *route = RouteAttempts {
                    failures: route.failures.saturating_add(1),
                    failed_at: Some(at),
                    retry_after: *retry_after,
                    permanent: *permanent,
                    error: error.clone(),
                    delivered: route.delivered,
                };
            }
            MessageEvent::Posted(post) => drop(self.posts.insert(post.subject.clone(), post.clone())),
        }
        Ok(())
    }

    /// The number of the next notice.
    pub fn next_notice(&self) -> u32 {
        match self.messages.keys().next_back() {
            Some(MessageId::Notice(number)) => number + 1,
            Some(MessageId::Step(..)) | None => 1,
        }
    }

    /// The attempts of a message by one route; the error says that there is no such message.
    fn route_attempts(&mut self, delivery: &Delivery, at: Timestamp) -> Result<&mut RouteAttempts, String> {
        let id = delivery.message().ok_or("it belongs to no message")?;
        let target = delivery.target().to_owned();
        if let MessageId::Notice(notice) = &id
            && !self.messages.contains_key(&id)
        {
            return Err(format!("there is no notice {notice}"));
        }
        // Older logs record the delivery of a step's message and not that it was pending.
        let message = self.messages.entry(id).or_insert_with(|| Message::new(String::new(), vec![target.clone()], at));
        Ok(message.attempts.entry((target, delivery.channel.clone())).or_default())
    }

    /// When fallback routes open for a message: early enough for the deadline that it meets.
    pub fn fallback_at(&self, message: &Message) -> Timestamp {
        let deadline = message.deadline.as_ref();
        let deadline = deadline.and_then(|name| self.deadlines.iter().find(|deadline| &deadline.name == name));
        let by_deadline =
            deadline.filter(|deadline| deadline.from == DeadlineFrom::Opened && message.requested_at < deadline.due);
        match (by_deadline.and_then(|deadline| deadline.fallback_at), &message.cause) {
            (Some(at), _) => at,
            // A notice without such a deadline may take any route at once.
            (None, Some(_)) => message.requested_at,
            (None, None) => FALLBACK_AFTER.after(message.requested_at),
        }
    }
}
