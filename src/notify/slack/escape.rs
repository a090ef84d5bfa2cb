//! Escapes text for Slack, so that it contains no mention, no named link and no formatting.
//!
//! Slack parses `&`, `<` and `>` (<https://docs.slack.dev/messaging/formatting-message-text>); mentions and named links
//! need them, so entities replace them. `@here` needs them too, but some clients and bridges react to the bare name. A
//! word joiner after the `@` keeps the name readable without effect.

use crate::domain::core::text::printable;
use crate::notify::MESSAGE_LIMIT;

/// Names after an `@` that notify a whole channel.
const CHANNEL_MENTIONS: &[&str] = &["here", "channel", "everyone", "group"];

/// Appended to a message that was cut.
const CUT: &str = "… (cut)";

/// The text for Slack: at most [`MESSAGE_LIMIT`] characters, with a mark if it was cut.
pub fn plain(text: &str) -> String {
    let text = printable(text);
    let safe = escape(text.trim_end(), MESSAGE_LIMIT);
    if safe.complete {
        return safe.text;
    }
    let mut short = escape(&text, MESSAGE_LIMIT - CUT.chars().count()).text;
    short.push_str(CUT);
    short
}

/// Printable text without channel-wide mentions, for plain text and rich text, where Slack parses nothing else.
pub fn without_mentions(text: &str) -> String {
    let text = printable(text);
    let mut safe = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        safe.push(c);
        if c == '@' && is_channel_mention(&text[at + 1..]) {
            safe.push('\u{2060}');
        }
    }
    safe
}

struct Escaped {
    text: String,
    complete: bool,
}

/// Escapes the text up to `limit` characters. An entity is never cut in two.
fn escape(text: &str, limit: usize) -> Escaped {
    let mut safe = String::with_capacity(text.len().min(limit * 4));
    let mut length = 0;
    for (at, c) in text.char_indices() {
        let mut one = [0; 4];
        let piece: &str = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '@' if is_channel_mention(&text[at + 1..]) => "@\u{2060}",
            c => c.encode_utf8(&mut one),
        };
        length += piece.chars().count();
        if length > limit {
            return Escaped { text: safe, complete: false };
        }
        safe.push_str(piece);
    }
    Escaped { text: safe, complete: true }
}

/// Whether the text after an `@` starts with a name that notifies a whole channel.
fn is_channel_mention(rest: &str) -> bool {
    CHANNEL_MENTIONS.iter().any(|name| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_and_links_have_no_effect_in_slack() {
        let sent = plain("<!here> <@U1> <http://evil|bank> @here @Channel a@b *bold* & \u{1b}[31mred");
        assert_eq!(
            sent,
            "&lt;!here&gt; &lt;@U1&gt; &lt;http://evil|bank&gt; @\u{2060}here @\u{2060}Channel a@b *bold* &amp; ␛[31mred"
        );
    }

    #[test]
    fn a_long_message_is_cut_visibly_and_between_entities() {
        let sent = plain(&"<".repeat(5_000));
        assert!(sent.chars().count() <= MESSAGE_LIMIT);
        assert!(sent.ends_with("&lt;… (cut)"), "{}", &sent[sent.len() - 30..]);
        let exact = "x".repeat(MESSAGE_LIMIT);
        assert_eq!(plain(&exact), exact);
    }
}
