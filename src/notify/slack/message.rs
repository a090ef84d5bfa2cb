//! A message for the Web API or an incoming webhook.
//!
//! **Invariant:** Slack interprets no markup, mention, link or emoji name in its text.

use serde::Serialize;
use slack_morphism::prelude::{
    SlackBlock, SlackBlockPlainText, SlackMessageContent, SlackMessageMetadata, SlackSectionBlock,
};

use super::escape::plain;

/// The body of `chat.postMessage`, of `chat.update` and of a request to a webhook.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    #[serde(flatten)]
    content: SlackMessageContent,
    /// The channel; `None` for a webhook, whose channel is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The message to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// The message that began the thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Whether a reply in a thread is shown in the channel too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_broadcast: Option<bool>,
    parse: &'static str,
    mrkdwn: bool,
    link_names: bool,
    unfurl_links: bool,
    unfurl_media: bool,
}

impl Message {
    /// A message of blocks. Notifications and old clients show `text` in their place.
    pub fn new(text: &str, blocks: Vec<SlackBlock>) -> Self {
        Self {
            content: SlackMessageContent::new().with_text(plain(text)).with_blocks(blocks),
            channel: None,
            ts: None,
            thread_ts: None,
            reply_broadcast: None,
            parse: "none",
            mrkdwn: false,
            link_names: false,
            unfurl_links: false,
            unfurl_media: false,
        }
    }

    /// One section of plain text.
    pub fn of_text(text: &str) -> Self {
        let shown = SlackBlockPlainText::new(plain(text)).with_emoji(false);
        Self::new(text, vec![SlackSectionBlock::new().with_text(shown.into()).into()])
    }

    /// Adds metadata for programs, by which a repeat can be recognised.
    #[must_use]
    pub fn with_metadata<const N: usize>(mut self, event: &str, fields: [(&str, String); N]) -> Self {
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
        self.content.metadata = Some(SlackMessageMetadata::new(event.to_owned()).with_event_payload(fields));
        self
    }
}
