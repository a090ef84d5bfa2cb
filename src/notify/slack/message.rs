//! A message as the Web API and an incoming webhook take it.
//!
//! **Invariant:** Slack looks for no markup, mention, link or emoji name in it.

use serde::Serialize;
use slack_morphism::prelude::{
    SlackBlock, SlackBlockPlainText, SlackMessageContent, SlackMessageMetadata, SlackSectionBlock,
};

use super::escape::plain;

/// What `chat.postMessage`, `chat.update` and a webhook take.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    #[serde(flatten)]
    content: SlackMessageContent,
    /// The channel; a webhook has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The message that is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// The message that began the thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Whether the channel sees what is said in the thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_broadcast: Option<bool>,
    parse: &'static str,
    mrkdwn: bool,
    link_names: bool,
    unfurl_links: bool,
    unfurl_media: bool,
}

impl Message {
    /// Blocks, and the words that notifications and old clients show in their place.
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

    /// The same with data for programs, by which a repeat can be recognised.
    #[must_use]
    pub fn with_metadata<const N: usize>(mut self, event: &str, fields: [(&str, String); N]) -> Self {
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
        self.content.metadata = Some(SlackMessageMetadata::new(event.to_owned()).with_event_payload(fields));
        self
    }
}
