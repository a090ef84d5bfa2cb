//! Messages: pending, delivered, failed, posted. The table is `apply/message_state.rs`.

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Span;
use crate::domain::incident::message::{MessageId, NoticeCause};
use crate::domain::incident::slack_post::SlackPost;

/// An event of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessageEvent {
    /// A message is owed that no step says.
    NoticeOwed {
        /// Its number within the incident.
        notice: u32,
        /// Why.
        cause: NoticeCause,
        /// The channels of the estate.
        to: Vec<String>,
        /// What it says.
        text: String,
    },
    /// A message reached a channel.
    Notified {
        /// Which message, and to which channel.
        #[serde(flatten)]
        delivery: Delivery,
        /// The message's id there, such as Slack's `ts`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Where it went, as the channel names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// A message did not reach a channel.
    NotifyFailed {
        /// Which message, and to which channel.
        #[serde(flatten)]
        delivery: Delivery,
        /// Why not.
        error: String,
        /// How long the channel asks to be left alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
        /// Whether trying again cannot help.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permanent: bool,
    },
    /// A message was posted that shows how the incident stands.
    Posted(SlackPost),
}

/// One try of a message, in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The run of the step whose message it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step whose message it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// The notice, when it is no step's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<u32>,
    /// The channel's name in the estate.
    pub channel: String,
    /// The channel that the message was for, when this one is a fallback of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

impl Delivery {
    /// A try of the message for `target`, in `channel`.
    pub fn new(id: &MessageId, target: &str, channel: &str) -> Self {
        let (run, step, notice) = match id {
            MessageId::Step(run, step) => (Some(*run), Some(step.clone()), None),
            MessageId::Notice(notice) => (None, None, Some(*notice)),
        };
        let instead_of = (target != channel).then(|| target.to_owned());
        Self { run, step, notice, channel: channel.to_owned(), instead_of }
    }

    /// The step whose message it is, if it is a step's.
    pub fn step(&self) -> Option<(RunId, &StepKey)> {
        Some((self.run?, self.step.as_ref()?))
    }

    /// The message; none in a log that names neither step nor notice.
    pub fn message(&self) -> Option<MessageId> {
        let of_step = self.step().map(|(run, step)| MessageId::Step(run, step.clone()));
        of_step.or_else(|| self.notice.map(MessageId::Notice))
    }

    /// The channel that the message was for.
    pub fn target(&self) -> &str {
        self.instead_of.as_deref().unwrap_or(&self.channel)
    }
}

impl MessageEvent {
    /// The try that this is the result of, if it is one.
    pub const fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Notified { delivery, .. } | Self::NotifyFailed { delivery, .. } => Some(delivery),
            Self::NoticeOwed { .. } | Self::Posted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::event::Event;

    #[test]
    fn what_became_of_a_try_is_flat_in_the_log() {
        let of_step = MessageId::Step(RunId(1), StepKey::main("stakeholders"));
        let notified = MessageEvent::Notified {
            delivery: Delivery::new(&of_step, "customers", "mail"),
            message: Some("1.2".to_owned()),
            place: Some("C1".to_owned()),
        };
        let failed = MessageEvent::NotifyFailed {
            delivery: Delivery::new(&MessageId::Notice(3), "mail", "mail"),
            error: "no answer".to_owned(),
            retry_after: Some(Span::seconds(30)),
            permanent: true,
        };
        for (event, text) in [
            (
                notified,
                r#"{"type":"notified","run":1,"step":"stakeholders","channel":"mail","instead_of":"customers","message":"1.2","place":"C1"}"#,
            ),
            (
                failed,
                r#"{"type":"notify_failed","notice":3,"channel":"mail","error":"no answer","retry_after":"30s","permanent":true}"#,
            ),
        ] {
            let event = Event::from(event);
            assert_eq!(serde_json::to_string(&event).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<Event>(text).expect(text), event);
        }
    }

    #[test]
    fn a_try_names_its_message_and_the_channel_that_it_was_for() {
        let id = MessageId::Step(RunId(1), StepKey::main("stakeholders"));
        let fallback = Delivery::new(&id, "customers", "mail");
        assert_eq!((fallback.message(), fallback.target()), (Some(id.clone()), "customers"));
        let direct = Delivery::new(&MessageId::Notice(3), "mail", "mail");
        assert_eq!((direct.message(), direct.target(), direct.step()), (Some(MessageId::Notice(3)), "mail", None));
        assert_eq!(Delivery { notice: None, ..direct }.message(), None);
    }
}
