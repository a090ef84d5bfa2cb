//! Messages: requested, delivered, failed, posted. The table is `apply/message_state.rs`.

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Span;
use crate::domain::incident::message::{MessageId, NoticeCause};
use crate::domain::incident::slack_post::SlackPost;

/// An event of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessageEvent {
    /// A message of the engine or of a person was requested.
    NoticeOwed {
        /// Its number within the incident.
        notice: u32,
        cause: NoticeCause,
        /// The names of channels in the estate.
        to: Vec<String>,
        text: String,
    },
    /// A message was delivered to a channel.
    Notified {
        #[serde(flatten)]
        delivery: Delivery,
        /// The message's id in the channel, such as Slack's `ts`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The place in the channel's own notation, such as Slack's `C0123456`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// An attempt to deliver a message failed.
    NotifyFailed {
        #[serde(flatten)]
        delivery: Delivery,
        error: String,
        /// The pause that the channel demands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
        /// Whether a retry cannot succeed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permanent: bool,
    },
    /// A message that shows the incident in Slack was posted.
    Posted(SlackPost),
}

/// One attempt to deliver a message to a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The run of the step that sends the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step that sends the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// The number of the notice, if no step sends the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<u32>,
    /// The channel's name in the estate.
    pub channel: String,
    /// The channel that the message was for, if `channel` is a fallback of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

impl Delivery {
    /// An attempt to deliver the message for `target` by `channel`.
    pub fn new(id: &MessageId, target: &str, channel: &str) -> Self {
        let (run, step, notice) = match id {
            MessageId::Step(run, step) => (Some(*run), Some(step.clone()), None),
            MessageId::Notice(notice) => (None, None, Some(*notice)),
        };
        let instead_of = (target != channel).then(|| target.to_owned());
        Self { run, step, notice, channel: channel.to_owned(), instead_of }
    }

    /// The run and step that send the message; none for a notice.
    pub fn step(&self) -> Option<(RunId, &StepKey)> {
        Some((self.run?, self.step.as_ref()?))
    }

    /// The message's id; none in a damaged log that has neither step nor notice.
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
    /// The attempt whose result this event is, if it is one.
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
    fn the_result_of_a_delivery_is_flat_in_the_log() {
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
    fn a_delivery_names_its_message_and_the_channel_that_it_was_for() {
        let id = MessageId::Step(RunId(1), StepKey::main("stakeholders"));
        let fallback = Delivery::new(&id, "customers", "mail");
        assert_eq!((fallback.message(), fallback.target()), (Some(id.clone()), "customers"));
        let direct = Delivery::new(&MessageId::Notice(3), "mail", "mail");
        assert_eq!((direct.message(), direct.target(), direct.step()), (Some(MessageId::Notice(3)), "mail", None));
        assert_eq!(Delivery { notice: None, ..direct }.message(), None);
    }
}
