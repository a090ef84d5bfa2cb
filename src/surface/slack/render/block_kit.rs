//! A builder for Slack messages that always respects the limits of Block Kit. The types of blocks are those of the crate
//! slack-morphism, which does not check limits.
//!
//! Text is rich text or plain text, never Slack markup. So foreign text cannot mention a person, change the format or break
//! a block. Types and limits: <https://docs.slack.dev/reference/block-kit/blocks>.
//!
//! **Invariant:** for any input, [`Blocks`] has at most [`BLOCKS`] blocks, a block at most [`TEXT`] characters and the label
//! of a button at most [`LABEL`]. Cut text is marked.

use serde_json::{Value, json};
use slack_morphism::prelude::{
    SlackActionBlockElement, SlackActionsBlock, SlackBlock, SlackBlockButtonElement, SlackBlockButtonStyle,
    SlackBlockConfirmItem, SlackBlockPlainText, SlackContextBlock, SlackDateTime, SlackDividerBlock, SlackEmojiName,
    SlackRelaxedUrl, SlackRichTextBlock, SlackRichTextChannel, SlackRichTextDate, SlackRichTextElement,
    SlackRichTextEmoji, SlackRichTextInlineElement, SlackRichTextLink, SlackRichTextPreformatted, SlackRichTextSection,
    SlackRichTextText,
};

use crate::domain::core::text::one_line;
use crate::domain::core::time::{Timestamp, stamp};
use crate::domain::redact::Redactor;
use crate::notify::slack::without_mentions;

/// The most blocks in a message.
pub const BLOCKS: usize = 50;
/// The most characters in the text of one block.
pub const TEXT: usize = 3_000;
/// The most characters in a message: beyond about 12,000 Slack answers `msg_blocks_too_long`.
pub const SHEET_TEXT: usize = 10_000;
/// The most characters on a button or an option.
pub const LABEL: usize = 75;
/// The most characters in the value of a button.
pub const VALUE: usize = 2_000;
/// The most buttons in one block.
const BUTTONS: usize = 25;
/// The most characters in the text of a confirmation.
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
    /// A link. Its address never comes from foreign text.
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
    /// The data of the action. A button whose value is too long is left out, since a cut value could have another meaning.
    pub value: String,
    pub style: ButtonStyle,
    /// The question of the confirmation dialog.
    pub confirm: Option<String>,
}

/// The blocks of a message or a view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Blocks {
    blocks: Vec<SlackBlock>,
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
        let mut space = TEXT.min(SHEET_TEXT.saturating_sub(self.length));
        let before = space;
        let mut elements = Vec::new();
        for line in lines {
            if !elements.is_empty() {
                push(&mut elements, &text("\n"), &mut space);
            }
            line.iter().for_each(|part| push(&mut elements, part, &mut space));
        }
        if elements.is_empty() {
            return self;
        }
        self.length += before - space;
        self.rich_text(SlackRichTextSection::new(elements))
    }

    /// Adds one line of text as a block.
    pub fn line(&mut self, parts: Vec<Text>) -> &mut Self {
        self.lines([parts])
    }

    /// Adds a program's output as preformatted text.
    pub fn output(&mut self, words: &str) -> &mut Self {
        let mut space = TEXT.min(SHEET_TEXT.saturating_sub(self.length));
        let before = space;
        let mut elements = Vec::new();
        push(&mut elements, &text(words.trim_end()), &mut space);
        if elements.is_empty() {
            return self;
        }
        self.length += before - space;
        self.rich_text(SlackRichTextPreformatted::new(elements))
    }

    fn rich_text(&mut self, element: impl Into<SlackRichTextElement>) -> &mut Self {
        self.block(SlackRichTextBlock::new(vec![element.into()]))
    }

    /// Adds a row of buttons.
    pub fn buttons(&mut self, buttons: impl IntoIterator<Item = Button>) -> &mut Self {
        let mut elements: Vec<SlackActionBlockElement> = Vec::new();
        for button in buttons.into_iter().filter(|button| button.value.chars().count() <= VALUE).take(BUTTONS) {
            elements.push(self.button(&button).into());
        }
        if elements.is_empty() { self } else { self.block(SlackActionsBlock::new(elements)) }
    }

    /// Adds a small grey line.
    pub fn note(&mut self, words: &str) -> &mut Self {
        let words = label(words, TEXT.min(SHEET_TEXT.saturating_sub(self.length)));
        if words.is_empty() {
            return self;
        }
        self.length += words.chars().count();
        self.block(context(&words))
    }

    /// Adds a divider.
    pub fn rule(&mut self) -> &mut Self {
        self.block(SlackDividerBlock::new())
    }

    /// Adds a block that already respects the limits.
    fn block(&mut self, block: impl Into<SlackBlock>) -> &mut Self {
        if self.blocks.len() < BLOCKS {
            self.blocks.push(block.into())
        } else {
            self.dropped += 1
        }
        self
    }

    /// The blocks. If some exceed the limit, the last one shows their number.
    pub fn blocks(&self) -> Vec<SlackBlock> {
        let mut blocks = self.blocks.clone();
        if self.dropped > 0 {
            blocks.pop();
            blocks.push(context(&format!("{} blocks more are not shown", self.dropped + 1)).into());
        }
        blocks
    }

    /// The blocks as they are sent.
    pub fn json(&self) -> Value {
        json!(self.blocks())
    }

    fn button(&mut self, button: &Button) -> SlackBlockButtonElement {
        self.buttons += 1;
        let shown = match label(&button.label, LABEL) {
            blank if blank.is_empty() => CUT.to_owned(),
            shown => shown,
        };
        let style = match button.style {
            ButtonStyle::Plain => None,
            ButtonStyle::Primary => Some(SlackBlockButtonStyle::Primary),
            ButtonStyle::Danger => Some(SlackBlockButtonStyle::Danger),
        };
        let question = button.confirm.as_deref().map(|text| label(text, CONFIRM)).filter(|q| !q.is_empty());
        let confirm = question.map(|question| {
            let [title, yes, no] = ["Are you sure?", "Yes", "Cancel"].map(|text| plain(text).into());
            SlackBlockConfirmItem::new(title, plain(&question).into(), yes, no)
        });
        SlackBlockButtonElement::new(plain(&shown).into())
            .with_action_id(format!("press_{}", self.buttons).into())
            .with_value(button.value.clone())
            .opt_style(style)
            .opt_confirm(confirm)
    }
}

/// Text on one line, cut to a limit in characters.
pub(crate) fn label(words: &str, limit: usize) -> String {
    // `without_mentions` inserts characters, so the text is cut again.
    one_line(&visible(&without_mentions(&masked(&one_line(words, limit)))), limit)
}

/// Masks phone numbers, so that a channel does not show those of customers.
pub(crate) fn masked(words: &str) -> String {
    Redactor::default().mask_phones(words).into_owned()
}

/// Replaces an at sign with the joiner that `dead` inserts by a full-width at sign, since `one_line` would escape the joiner.
fn visible(words: &str) -> String {
    words.replace("@\u{2060}", "＠")
}

/// Plain text, in which Slack interprets neither markup nor emoji.
pub(crate) fn plain(words: &str) -> SlackBlockPlainText {
    SlackBlockPlainText::new(words.to_owned()).with_emoji(false)
}

fn context(words: &str) -> SlackContextBlock {
    SlackContextBlock::new(vec![plain(words).into()])
}

/// Appends a piece to a line if there is space. Text is cut to the space that is left.
fn push(elements: &mut Vec<SlackRichTextInlineElement>, part: &Text, space: &mut usize) {
    let mut has_space = |length: usize, least: usize| {
        let fits = *space >= least;
        *space -= if fits { length } else { 0 };
        fits
    };
    let element = match part {
        Text::Time(at) => has_space(40, 40).then(|| SlackRichTextInlineElement::Date(date(*at))),
        Text::Channel(id) => has_space(id.len(), id.len() + 1)
            .then(|| SlackRichTextInlineElement::Channel(SlackRichTextChannel::new(id.clone().into()))),
        Text::Link { url, words } => has_space(words.len(), words.len() + 1).then(|| {
            let link = SlackRichTextLink::new(SlackRelaxedUrl(url.clone())).with_text((*words).to_owned());
            SlackRichTextInlineElement::Link(link)
        }),
        Text::Emoji(name) => has_space(name.len(), name.len() + 1)
            .then(|| SlackRichTextInlineElement::Emoji(SlackRichTextEmoji::new(SlackEmojiName((*name).to_owned())))),
        Text::Text(words) => truncated(words, space).map(SlackRichTextInlineElement::from),
        Text::Strong(words) => {
            truncated(words, space).map(|words| SlackRichTextInlineElement::Text(SlackRichTextText::new(words).bold()))
        }
        Text::Code(words) => {
            truncated(words, space).map(|words| SlackRichTextInlineElement::Text(SlackRichTextText::new(words).code()))
        }
    };
    elements.extend(element);
}

/// An instant, which Slack shows in the reader's time zone.
fn date(at: Timestamp) -> SlackRichTextDate {
    let second = jiff::Timestamp::from_second(at.timestamp()).unwrap_or(jiff::Timestamp::MAX);
    SlackRichTextDate::new(SlackDateTime(second), "{date_short_pretty} {time}".to_owned()).with_fallback(stamp(at))
}

/// The text cut to the space that is left, with a mark.
fn truncated(words: &str, space: &mut usize) -> Option<String> {
    let words = without_mentions(&masked(words));
    let length = words.chars().count();
    if words.is_empty() || *space == 0 {
        return None;
    }
    if length <= *space {
        *space -= length;
        return Some(words);
    }
    let mut cut: String = words.chars().take(*space - 1).collect();
    cut.push_str(CUT);
    *space = 0;
    Some(cut)
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
    fn foreign_text_mentions_nobody() {
        let mut blocks = Blocks::default();
        blocks.line(vec![text("<!channel> @here *x* `y`")]).note("@everyone");
        let blocks = blocks.json().to_string();
        assert!(!blocks.contains("@here") && !blocks.contains("@everyone") && !blocks.contains("mrkdwn"), "{blocks}");
    }

    #[test]
    fn a_customers_number_is_masked() {
        let mut blocks = Blocks::default();
        blocks.line(vec![text("called +260971234556")]).note("+260971234556");
        assert_eq!(blocks.json().to_string().matches("+26097*****56").count(), 2);
    }

    #[test]
    fn blocks_over_the_limit_are_counted() {
        let mut blocks = Blocks::default();
        for number in 0..60 {
            blocks.line(vec![text(format!("{number}"))]);
        }
        let blocks = blocks.json();
        assert_eq!(blocks.as_array().unwrap().len(), BLOCKS);
        assert_eq!(blocks[BLOCKS - 1]["elements"][0]["text"], "11 blocks more are not shown");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn blocks_respect_slacks_limits_for_any_text(
            words in proptest::collection::vec("\\PC{0,4000}", 0..8),
            repeat in 1usize..20,
        ) {
            let mut blocks = Blocks::default();
            for one in words.iter().cycle().take(words.len() * repeat) {
                let button = Button {
                    label: one.clone(), value: one.clone(), style: ButtonStyle::Danger, confirm: Some(one.clone()),
                };
                blocks.lines([vec![Text::Strong(one.clone())], vec![text(one.clone())]]).output(one).note(one);
                blocks.buttons(vec![button; 30]);
            }
            let blocks = blocks.json();
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
