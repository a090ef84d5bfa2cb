//! One line of the timeline: its sign, its text and its detail.

/// What sort of line an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// The incident begins, is taken notice of, or is over.
    Incident,
    /// A person said something.
    Words,
    /// A person is waited for.
    Question,
    /// Something begins.
    Begun,
    /// Something was done or found.
    Done,
    /// The world said no.
    Failed,
    /// Something was passed over or stopped.
    Skipped,
    /// A message arrived.
    Told,
    /// A time that must be kept.
    Deadline,
    /// What we do for ourselves.
    Inner,
}

impl Sign {
    /// One character for it.
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Incident => "●",
            Self::Words => "›",
            Self::Question => "?",
            Self::Begun => "▸",
            Self::Done => "✓",
            Self::Failed => "✗",
            Self::Skipped => "–",
            Self::Told => "→",
            Self::Deadline => "⏱",
            Self::Inner => "·",
        }
    }
}

/// An entry's words, not yet made printable.
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

pub(super) fn because(reason: &str) -> String {
    if reason.trim().is_empty() { String::new() } else { format!(": {reason}") }
}
