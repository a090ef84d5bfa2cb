//! Ids of incidents, runs and steps.
//!
//! Not here: random numbers; the bits of an id are an argument.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name of a step, runbook, service or parameter, in bytes.
pub const NAME_LIMIT: usize = 64;

/// An incident's id: two pronounceable words such as `lusab-fidok`, easy to say on a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct IncidentId(String);

impl IncidentId {
    /// Consonants and vowels of a proquint (Wilkerson 2009): 16 bits make one five-letter word.
    const CONSONANTS: &'static [u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &'static [u8; 4] = b"aiou";

    /// The id of 32 random bits.
    pub fn from_bits(bits: u32) -> Self {
        let mut text = String::with_capacity(11);
        for half in [bits >> 16, bits & 0xffff] {
            if !text.is_empty() {
                text.push('-');
            }
            for (shift, vowel) in [(12, false), (10, true), (6, false), (4, true), (0, false)] {
                let index = (half >> shift) as usize;
                text.push(char::from(if vowel { Self::VOWELS[index & 3] } else { Self::CONSONANTS[index & 15] }));
            }
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IncidentId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{}` is not an incident id such as `lusab-fidok`", text.escape_debug()))
        }
    }
}

impl<'de> Deserialize<'de> for IncidentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a text can be the name of a step, runbook, service or incident: a lower-case letter, then lower-case letters,
/// digits, `-` and `_`, at most [`NAME_LIMIT`] in all.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_LIMIT
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

/// The number of a run within its incident; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One of the actions of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepPart {
    /// The action of the step.
    Main,
    /// The check after it.
    Verify,
    /// The undo, on request.
    Undo,
}

/// The address of an action in a run: `restart`, `restart[2]` of a `for_each`, `restart[2].verify`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// The step's id in its runbook.
    pub id: String,
    /// The index of the item, for a step with `for_each`.
    pub index: Option<u32>,
    pub part: StepPart,
}

impl StepKey {
    /// The key of a step's main action.
    pub fn main(id: impl Into<String>) -> Self {
        Self { id: id.into(), index: None, part: StepPart::Main }
    }

    /// The same key for the item at `index`.
    #[must_use]
    pub fn at(&self, index: u32) -> Self {
        Self { index: Some(index), ..self.clone() }
    }

    /// Another part of the same step.
    #[must_use]
    pub fn part(&self, part: StepPart) -> Self {
        Self { part, ..self.clone() }
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        match self.part {
            StepPart::Main => Ok(()),
            StepPart::Verify => f.write_str(".verify"),
            StepPart::Undo => f.write_str(".undo"),
        }
    }
}

impl FromStr for StepKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{}` is not a step such as `rollback` or `restart[2]`", text.escape_debug());
        let (rest, part) = match text.split_once('.') {
            None => (text, StepPart::Main),
            Some((rest, "verify")) => (rest, StepPart::Verify),
            Some((rest, "undo")) => (rest, StepPart::Undo),
            Some(_) => return Err(wrong()),
        };
        let (id, index) = match rest.split_once('[') {
            None => (rest, None),
            Some((id, tail)) => {
                let digits = tail.strip_suffix(']').ok_or_else(wrong)?;
                (id, Some(digits.parse().map_err(|_| wrong())?))
            }
        };
        if !is_name(id) {
            return Err(wrong());
        }
        Ok(Self { id: id.to_owned(), index, part })
    }
}

impl Serialize for StepKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_make_a_pronounceable_id() {
        assert_eq!(IncidentId::from_bits(0x7f00_0001).as_str(), "lusab-babad");
    }

    #[test]
    fn a_step_key_is_parsed_from_its_text() {
        for text in ["rollback", "restart[2]", "restart[2].verify", "restart.undo"] {
            assert_eq!(text.parse::<StepKey>().unwrap().to_string(), text);
        }
        for text in ["", "Restart", "a[", "a[x]", "a.b", "../x", "a\u{1b}"] {
            assert!(text.parse::<StepKey>().is_err(), "{text}");
        }
    }
}
