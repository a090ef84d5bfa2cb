//! The text of a timeline entry, and its sign.

/// The sort of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// The incident was opened, acknowledged, changed or resolved, or an alert of it fired or ended.
    Incident,
    /// A person decided, answered or noted something.
    Statement,
    /// A step waits for a person.
    Question,
    /// A run, an attempt or a message begins.
    Begun,
    /// A check or a change succeeded.
    Done,
    /// Something failed or was refused.
    Failed,
    /// Something was skipped or stopped.
    Skipped,
    /// A message was delivered.
    Delivered,
    /// A deadline was set, is near, or is over.
    Deadline,
    /// Bookkeeping of the engine.
    Internal,
}

impl Sign {
    /// The character for the sign.
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Incident => "●",
            Self::Statement => "›",
            Self::Question => "?",
            Self::Begun => "▸",
            Self::Done => "✓",
            Self::Failed => "✗",
            Self::Skipped => "–",
            Self::Delivered => "→",
            Self::Deadline => "⏱",
            Self::Internal => "·",
        }
    }
}

/// The text of an entry, before control characters and line breaks are removed.
#[derive(Debug)]
pub(super) struct Phrase {
    pub sign: Sign,
    pub text: String,
    pub detail: Option<String>,
    pub notable: bool,
}

impl Phrase {
    pub(super) fn notable(sign: Sign, text: impl Into<String>) -> Self {
        Self { sign, text: text.into(), detail: None, notable: true }
    }

    pub(super) fn quiet(sign: Sign, text: impl Into<String>) -> Self {
        Self { notable: false, ..Self::notable(sign, text) }
    }

    pub(super) fn detail(self, detail: impl Into<Option<String>>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

/// `: reason`, or nothing for an empty reason.
pub(super) fn because(reason: &str) -> String {
    if reason.trim().is_empty() { String::new() } else { format!(": {reason}") }
}
