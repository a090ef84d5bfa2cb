//! Quotes a value for its place in a script.
//!
//! Not here: which place it is; see [`lexer`](super::lexer).

use super::Datum;

/// A place in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuotingContext {
    /// Outside quotes.
    Bare,
    /// Inside `'…'`.
    Single,
    /// Inside `"…"`.
    Double,
    /// Inside `$(( … ))`.
    Arithmetic,
    /// After `#`.
    Comment,
    /// In a here-document whose end word is quoted.
    Verbatim,
    /// In a here-document whose end word is not quoted.
    Expanded,
}

impl QuotingContext {
    /// The name of the place in a message.
    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "outside quotes",
            Self::Single => "inside single quotes",
            Self::Double => "inside double quotes",
            Self::Arithmetic => "in arithmetic",
            Self::Comment => "in a comment",
            Self::Verbatim | Self::Expanded => "in a here-document",
        }
    }
}

/// Why a value cannot be quoted: the message and what to do.
pub(super) type Unwritable = (String, &'static str);

/// Quotes a value for a place.
pub(super) fn write(datum: &Datum, place: QuotingContext) -> Result<String, Unwritable> {
    match datum {
        Datum::Unknown => Ok(if place == QuotingContext::Arithmetic { "1".to_owned() } else { "x".to_owned() }),
        Datum::Unfit(what) => Err((
            format!("{what} has no form in a script"),
            "Interpolate one of its parts, or its text with `| tojson`.",
        )),
        Datum::Text(text) => scalar(text, place),
        Datum::Words(words) if place == QuotingContext::Bare => {
            let quoted: Result<Vec<String>, Unwritable> = words.iter().map(|word| scalar(word, place)).collect();
            Ok(quoted?.join(" "))
        }
        Datum::Words(_) => Err((
            format!("a list cannot stand {}", place.name()),
            "Take the quotes away to get one word for each item, or use `| join(' ')` for one text.",
        )),
    }
}

fn scalar(text: &str, place: QuotingContext) -> Result<String, Unwritable> {
    if text.contains('\0') {
        return Err((
            "the value holds a NUL byte, which no program can be given".to_owned(),
            "Remove it with a filter.",
        ));
    }
    if text.contains([super::MARK, super::MARK_END]) {
        return Err((
            "the value is text that was captured by a block or holds U+FDD0".to_owned(),
            "Interpolate the values themselves, outside `{% set %}`, `{% filter %}` and macros.",
        ));
    }
    match place {
        QuotingContext::Bare => Ok(format!("'{}'", text.replace('\'', r"'\''"))),
        QuotingContext::Single => Ok(text.replace('\'', r"'\''")),
        QuotingContext::Double => Ok(escaped(text, &['\\', '$', '`', '"'])),
        QuotingContext::Expanded => Ok(escaped(text, &['\\', '$', '`'])),
        QuotingContext::Verbatim => Ok(text.to_owned()),
        QuotingContext::Comment => Ok(text.chars().map(|c| if harmless(c) { c } else { '_' }).collect()),
        QuotingContext::Arithmetic => integer(text),
    }
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Characters that have no special meaning to a shell. So a comment is harmless even if a shell reads it as code.
const fn harmless(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, ' ' | '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',')
}

fn integer(text: &str) -> Result<String, Unwritable> {
    let canonical = text.parse::<i64>().is_ok_and(|number| number.to_string() == text && number != i64::MIN);
    match (canonical, text.starts_with('-')) {
        (true, true) => Ok(format!("({text})")),
        (true, false) => Ok(text.to_owned()),
        (false, _) => Err((
            "only whole numbers can stand in arithmetic".to_owned(),
            "Use `| int`, or take the value out of `$(( … ))`.",
        )),
    }
}
