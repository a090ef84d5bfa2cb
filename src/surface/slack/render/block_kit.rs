//! A small part of Block Kit, in which nothing can be built that Slack would not take.
//!
//! Text is rich text or plain text and never Slack's markup, so foreign words are data: they can mention nobody, format
//! nothing and break no block. Source of shapes and limits: <https://docs.slack.dev/reference/block-kit/blocks>.
//!
//! **Invariant:** whatever goes in, a [`Blocks`] has at most [`BLOCKS`] blocks, a block at most [`TEXT`] characters, a button
//! at most [`LABEL`]; a cut is visible.

use serde_json::{Value, json};

use crate::domain::core::text::one_line;
use crate::domain::core::time::{Timestamp, stamp};
use crate::domain::redact::Redactor;
use crate::notify::slack::dead;

/// Maximum number of blocks in a message.
pub const BLOCKS: usize = 50;
/// Maximum number of characters in the text of one block.
pub const TEXT: usize = 3_000;
/// Maximum number of characters in a message; beyond about 12,000 Slack answers `msg_blocks_too_long`.
pub const SHEET_TEXT: usize = 10_000;
/// Maximum number of characters on a button or an option.
pub const LABEL: usize = 75;
/// Maximum number of characters in a button's value.
pub const VALUE: usize = 2_000;
/// Maximum number of buttons in one block.
const BUTTONS: usize = 25;
/// Maximum number of characters in a confirmation's text.
const CONFIRM: usize = 300;

/// Marks cut text.
const CUT: &str = "…";

/// A piece of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// Plain text, which may be foreign.
    Text(String),
    Strong(String),
    Code(String),
    /// An instant, shown in the reader's time zone.
    Time(Timestamp),
    /// A Slack channel, by its id.
    Channel(String),
    /// A link; its address is never foreign.
    Link {
        url: String,
        words: &'static str,
    },
    /// An emoji, by its name in Slack.
    Emoji(&'static str),
}

/// Plain text as a piece of a line.
pub fn text(words: impl Into<String>) -> Text {
    Text::Text(words.into())
}

/// The visual style of a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ButtonStyle {
    Plain,
    /// The recommended action.
    Primary,
    /// An action that is hard to undo.
    Danger,
}

/// A button with its label, value and style.
#[derive(Debug, Clone, PartialEq)]
pub struct Button {
    /// The action and its object.
    pub label: String,
    /// The data of the action. A button with too long a value is left out, as a cut value would mean something else.
    pub value: String,
    pub look: ButtonStyle,
    /// The question of the confirmation dialog.
    pub confirm: Option<String>,
}

/// The blocks of a message or a view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Blocks {
    blocks: Vec<Value>,
    /// Number of characters so far.
    length: usize,
    /// Number of blocks beyond the limit.
    dropped: usize,
    /// Number of buttons so far; each needs a unique `action_id`.
    buttons: usize,
}

impl Blocks {
    /// Adds lines of text as one block.
    pub fn lines(&mut self, lines: impl IntoIterator<Item = Vec<Text>>) -> &mut Self {
        let mut room = TEXT.min(SHEET_TEXT.saturating_sub(self.length));
        let before = room;
        let mut elements = Vec::new();
        for line in lines {
            if !elements.is_empty() {
                push(&mut elements, &text("\n"), &mut room);
            }
            line.iter().for_each(|part| push(&mut elements, part, &mut room));
        }
        if elements.is_empty() {
            return self;
        }
        self.length += before - room;
        let section = json!({"type": "rich_text_section", "elements": elements});
        self.block(json!({"type": "rich_text", "elements": [section]}))
    }

    /// Adds one line of text as a block.
    pub fn line(&mut self, parts: Vec<Text>) -> &mut Self {
        self.lines([parts])
    }

    /// Adds a program's output as preformatted text.
    pub fn output(&mut self, words: &str) -> &mut Self {
        let mut room = TEXT.min(SHEET_TEXT.saturating_sub(self.length));
        let before = room;
        let mut elements = Vec::new();
        push(&mut elements, &text(words.trim_end()), &mut room);
        if elements.is_empty() {
            return self;
        }
        self.length += before - room;
        let shown = json!({"type": "rich_text_preformatted", "elements": elements});
        self.block(json!({"type": "rich_text", "elements": [shown]}))
    }

    /// Adds a row of buttons.
    pub fn buttons(&mut self, buttons: impl IntoIterator<Item = Button>) -> &mut Self {
        let mut elements = Vec::new();
        for button in buttons.into_iter().filter(|button| button.value.chars().count() <= VALUE).take(BUTTONS) {
            elements.push(self.button(&button));
        }
        if elements.is_empty() { self } else { self.block(json!({"type": "actions", "elements": elements})) }
    }

    /// Adds a small grey line.
    pub fn note(&mut self, words: &str) -> &mut Self {
        let words = label(words, TEXT.min(SHEET_TEXT.saturating_sub(self.length)));
        if words.is_empty() {
            return self;
        }
        self.length += words.chars().count();
        self.block(json!({"type": "context", "elements": [plain(&words)]}))
    }

    /// Adds a divider.
    pub fn rule(&mut self) -> &mut Self {
        self.block(json!({"type": "divider"}))
    }

    /// Adds a block that already respects the limits.
    pub(crate) fn block(&mut self, block: Value) -> &mut Self {
        if self.blocks.len() < BLOCKS {
            self.blocks.push(block)
        } else {
            self.dropped += 1
        }
        self
    }

    /// The blocks as JSON. If some exceeded the limit, the last block says how many.
    pub fn blocks(&self) -> Value {
        let mut blocks = self.blocks.clone();
        if self.dropped > 0 {
            let words = format!("{} blocks more are not shown", self.dropped + 1);
            blocks.pop();
            blocks.push(json!({"type": "context", "elements": [plain(&words)]}));
        }
        Value::Array(blocks)
    }

    fn button(&mut self, button: &Button) -> Value {
        self.buttons += 1;
        let shown = match label(&button.label, LABEL) {
            blank if blank.is_empty() => CUT.to_owned(),
            shown => shown,
        };
        let mut element = json!({
            "type": "button", "action_id": format!("press_{}", self.buttons), "text": plain(&shown), "value": button.value,
        });
        match button.look {
            ButtonStyle::Plain => {}
            ButtonStyle::Primary => element["style"] = json!("primary"),
            ButtonStyle::Danger => element["style"] = json!("danger"),
        }
        if let Some(question) = button.confirm.as_deref().map(|words| label(words, CONFIRM)).filter(|q| !q.is_empty()) {
            element["confirm"] = json!({
                "title": plain("Are you sure?"), "text": plain(&question),
                "confirm": plain("Yes"), "deny": plain("Not now"),
            });
        }
        element
    }
}

/// Text on one line, cut to a limit in characters.
pub(crate) fn label(words: &str, limit: usize) -> String {
    // `dead` inserts a character, so the text is cut again.
    one_line(&visible(&dead(&masked(&one_line(words, limit)))), limit)
}

/// Masks phone numbers, so that those of customers are not shown in a channel.
pub(crate) fn masked(words: &str) -> String {
    Redactor::default().mask_phones(words).into_owned()
}

/// Replaces the inserted joiner by a full-width at sign, since `one_line` would show the joiner as an escape.
fn visible(words: &str) -> String {
    words.replace("@\u{2060}", "＠")
}

pub(crate) fn plain(words: &str) -> Value {
    json!({"type": "plain_text", "text": words, "emoji": false})
}

/// Appends a piece to a line as far as space allows.
fn push(elements: &mut Vec<Value>, part: &Text, room: &mut usize) {
    let style = |words: &str, style: Option<&str>| {
        let mut element = json!({"type": "text", "text": words});
        if let Some(style) = style {
            element["style"] = json!({ style: true });
        }
        element
    };
    let element = match part {
        Text::Time(at) => {
            let shown = json!({
                "type": "date", "timestamp": at.timestamp(), "format": "{date_short_pretty} {time}", "fallback": stamp(*at),
            });
            (*room >= 40).then(|| {
                *room -= 40;
                shown
            })
        }
        Text::Channel(id) => (*room > id.len()).then(|| {
            *room -= id.len();
            json!({"type": "channel", "channel_id": id})
        }),
        Text::Link { url, words } => (*room > words.len()).then(|| {
            *room -= words.len();
            json!({"type": "link", "url": url, "text": words})
        }),
        Text::Emoji(name) => (*room > name.len()).then(|| {
            *room -= name.len();
            json!({"type": "emoji", "name": name})
        }),
        Text::Text(words) => truncated(words, room).map(|words| style(&words, None)),
        Text::Strong(words) => truncated(words, room).map(|words| style(&words, Some("bold"))),
        Text::Code(words) => truncated(words, room).map(|words| style(&words, Some("code"))),
    };
    elements.extend(element);
}

/// The text cut to the space that is left, with a mark.
fn truncated(words: &str, room: &mut usize) -> Option<String> {
    let words = dead(&masked(words));
    let length = words.chars().count();
    if words.is_empty() || *room == 0 {
        return None;
    }
    if length <= *room {
        *room -= length;
        return Some(words);
    }
    let mut kept: String = words.chars().take(*room - 1).collect();
    kept.push_str(CUT);
    *room = 0;
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn characters(value: &Value) -> usize {
        match value {
            Value::Object(fields) if fields.contains_key("text") && fields["text"].is_string() => {
                fields["text"].as_str().unwrap_or_default().chars().count()
            }
            Value::Object(fields) => fields.values().map(characters).sum(),
            Value::Array(items) => items.iter().map(characters).sum(),
            _ => 0,
        }
    }

    #[test]
    fn foreign_words_call_nobody() {
        let mut sheet = Blocks::default();
        sheet.line(vec![text("<!channel> @here *x* `y`")]).note("@everyone");
        let blocks = sheet.blocks().to_string();
        assert!(!blocks.contains("@here") && !blocks.contains("@everyone") && !blocks.contains("mrkdwn"), "{blocks}");
    }

    #[test]
    fn a_customers_number_is_masked() {
        let mut sheet = Blocks::default();
        sheet.line(vec![text("called +260971234556")]).note("+260971234556");
        assert_eq!(sheet.blocks().to_string().matches("+26097*****56").count(), 2);
    }

    #[test]
    fn what_has_no_place_is_counted() {
        let mut sheet = Blocks::default();
        for number in 0..60 {
            sheet.line(vec![text(format!("{number}"))]);
        }
        let blocks = sheet.blocks();
        assert_eq!(blocks.as_array().unwrap().len(), BLOCKS);
        assert_eq!(blocks[BLOCKS - 1]["elements"][0]["text"], "11 blocks more are not shown");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_sheet_is_more_than_slack_takes(
            words in proptest::collection::vec("\\PC{0,4000}", 0..8),
            repeat in 1usize..20,
        ) {
            let mut sheet = Blocks::default();
            for one in words.iter().cycle().take(words.len() * repeat) {
                let button = Button {
                    label: one.clone(), value: one.clone(), look: ButtonStyle::Danger, confirm: Some(one.clone()),
                };
                sheet.lines([vec![Text::Strong(one.clone())], vec![text(one.clone())]]).output(one).note(one);
                sheet.buttons(vec![button; 30]);
            }
            let blocks = sheet.blocks();
            let blocks = blocks.as_array().unwrap();
            prop_assert!(blocks.len() <= BLOCKS);
            for block in blocks {
                if block["type"] == "actions" {
                    let buttons = block["elements"].as_array().unwrap();
                    prop_assert!(!buttons.is_empty() && buttons.len() <= BUTTONS);
                    for button in buttons {
                        let length = button["text"]["text"].as_str().unwrap().chars().count();
                        prop_assert!((1..=LABEL).contains(&length));
                        prop_assert!(button["value"].as_str().unwrap().chars().count() <= VALUE);
                    }
                } else {
                    prop_assert!(characters(block) <= TEXT, "{}", characters(block));
                    let empty = block.to_string().contains("\"text\":\"\"");
                    prop_assert!(!empty, "{}", block);
                }
            }
        }
    }
}
