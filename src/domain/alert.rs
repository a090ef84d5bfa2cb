//! An alert in our own words, whoever sent it: what every sender's body is turned into before anything is decided.
//!
//! Deliberately absent: what senders speak (see the intake face) and which runbook an alert starts (see
//! [`crate::domain::runbook::trigger`]).
//!
//! **Invariant:** everything in an alert is data. No text of it is ever rendered as a template.

pub mod template_scope;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::core::severity::Severity;
use crate::domain::core::text::head_and_tail;
use crate::domain::core::time::Timestamp;

/// The labels and annotations that are kept of one alert, each: more than any monitoring system sends on purpose.
pub const LABEL_LIMIT: usize = 64;

/// The longest text of an alert that is kept, in bytes: a stack trace in an annotation fits, a dump does not.
pub const TEXT_LIMIT: usize = 4 * 1024;

/// The warnings that are kept of one alert.
pub const WARNING_LIMIT: usize = 16;

/// The longest name of a label, in bytes.
pub const NAME_LIMIT: usize = 256;

/// The largest alert that is kept as it is, in bytes of JSON: a quarter of the largest event.
pub const ALERT_LIMIT: usize = 64 * 1024;

/// What is kept of each text of a larger one, in bytes.
const TEXT_OF_MANY: usize = 256;

/// How an alert stands, as its sender says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// What it warns of is so.
    #[default]
    Firing,
    /// What it warned of is over.
    Resolved,
}

/// One alert: what some sender says of one thing that it watches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The name of the sender in the estate.
    pub sender: String,
    /// What the sender calls this firing, unique among its own: for Alertmanager the fingerprint and the start. The same
    /// in every repeat and when it is resolved.
    pub firing: String,
    /// Whether `firing` names what is watched rather than one firing of it, so that it comes back: a CloudWatch alarm has
    /// one name for ever. Then a firing after a resolve is a new one, unless its `starts_at` is not later than that
    /// `ends_at`, which makes it a late repeat; and a resolve whose `ends_at` is earlier than the `starts_at` of what
    /// fires is late as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recurs: bool,
    /// How it stands.
    #[serde(default)]
    pub status: AlertStatus,
    /// Its name: `payment_error_rate`.
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// How bad the sender thinks it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// When it began to fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The value that was measured; never infinite and never not a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where its sender shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The runbook that it names: an id, or an address that ends in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// The environment, where the sender or the estate's rule says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The service, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What was strange about the body, in words: a field of a wrong type, more labels than are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The name of one firing among all senders' firings: the second in which it began, where its name says that, and 12 bytes
/// of SHA-256; in hex. So the firings of one storm lie side by side wherever they are kept in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey([u8; 16]);

impl Alert {
    /// The name of this firing. Where the sender's own name comes back with every firing, its start tells them apart.
    pub fn key(&self) -> AlertKey {
        let start = self.starts_at.filter(|_| self.recurs).map(crate::domain::core::time::stamp).unwrap_or_default();
        self.named(&start)
    }

    /// The name of what fires, the same for every firing of it where the sender's own name comes back.
    pub fn identity(&self) -> AlertKey {
        self.named("")
    }

    fn named(&self, start: &str) -> AlertKey {
        let mut hasher = Sha256::new();
        for part in [self.sender.as_str(), &self.firing, start] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let named = [Some(start), self.firing.rsplit(' ').next()].into_iter().flatten();
        let began = named.filter_map(|word| word.parse::<Timestamp>().ok()).next();
        let second = began.and_then(|began| u32::try_from(began.timestamp()).ok()).unwrap_or_default();
        let mut key = [0; 16];
        key[..4].copy_from_slice(&second.to_be_bytes());
        key[4..].copy_from_slice(&digest[..12]);
        AlertKey(key)
    }

    /// Whether what it warns of is so.
    pub fn is_firing(&self) -> bool {
        self.status == AlertStatus::Firing
    }

    /// The same alert with nothing in it that is larger than we keep; what was cut is among its warnings.
    #[must_use]
    pub fn limited(mut self) -> Self {
        let mut cut = self.shorten(TEXT_LIMIT);
        // Most alerts are so small that they need not be written down to know it.
        if self.at_most() > ALERT_LIMIT && serde_json::to_vec(&self).map_or(0, |json| json.len()) > ALERT_LIMIT {
            cut |= self.shorten(TEXT_OF_MANY);
        }
        self.value = self.value.filter(|value| value.is_finite());
        if cut {
            self.warnings.push("it was larger than is kept, and parts of it were cut".to_owned());
        }
        self
    }

    /// More bytes than its JSON has.
    fn at_most(&self) -> usize {
        /// A character that is escaped, such as `\u001b`.
        const LONGEST: usize = 6;
        /// The names of the fields, numbers and instants.
        const FRAME: usize = 1_024;
        /// Quotes, colon and comma.
        const MARKS: usize = 8;
        let texts = [&self.sender, &self.firing, &self.name].into_iter();
        let optional =
            [&self.summary, &self.link, &self.runbook, &self.environment, &self.service].into_iter().flatten();
        let pairs = self.labels.iter().chain(&self.annotations).flat_map(|(name, text)| [name, text]);
        let all = texts.chain(optional).chain(pairs).chain(&self.warnings);
        all.fold(FRAME, |sum, text| sum + LONGEST * text.len() + MARKS)
    }

    /// Leaves no text longer than `most` and no more labels than are kept; whether something was cut.
    fn shorten(&mut self, most: usize) -> bool {
        let mut cut = false;
        let texts = [&mut self.sender, &mut self.firing, &mut self.name];
        let optional = [&mut self.summary, &mut self.link, &mut self.runbook, &mut self.environment, &mut self.service];
        for text in texts.into_iter().chain(optional.into_iter().flatten()) {
            cut |= shorten(text, most);
        }
        for kept in [&mut self.labels, &mut self.annotations] {
            cut |= few(kept, most);
        }
        self.warnings.truncate(WARNING_LIMIT);
        self.warnings.iter_mut().fold(cut, |cut, warning| shorten(warning, most) || cut)
    }
}

fn shorten(text: &mut String, most: usize) -> bool {
    let long = text.len() > most;
    if long {
        *text = head_and_tail(text, most / 2, most / 2);
    }
    long
}

fn few(pairs: &mut BTreeMap<String, String>, most: usize) -> bool {
    let before = pairs.len();
    pairs.retain(|name, _| name.len() <= NAME_LIMIT);
    while pairs.len() > LABEL_LIMIT {
        pairs.pop_last();
    }
    let mut cut = pairs.len() < before;
    for text in pairs.values_mut() {
        cut |= shorten(text, most);
    }
    cut
}

impl std::fmt::Display for AlertKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for AlertKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for AlertKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut key = [0; 16];
        hex::decode_to_slice(text, &mut key).map_err(|_| "not an alert's key")?;
        Ok(Self(key))
    }
}

impl<'de> Deserialize<'de> for AlertKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firing_has_one_key_however_it_stands() {
        let firing = Alert { sender: "am".into(), firing: "f1 2026".into(), ..Alert::default() };
        let resolved = Alert { status: AlertStatus::Resolved, value: Some(2.0), ..firing.clone() };
        assert_eq!(firing.key(), resolved.key());
        let moved = Alert { sender: "am".to_owned() + "f", firing: "1 2026".into(), ..Alert::default() };
        assert_ne!(firing.key(), moved.key(), "no character moves from one part to the other");
        let dated = |firing: &str| Alert { firing: firing.into(), ..Alert::default() }.key();
        assert!(
            dated("f2 2026-01-01T00:00:01Z") > dated("f1 2026-01-01T00:00:00Z"),
            "in the order of their beginnings"
        );
        let text = serde_json::to_string(&firing.key()).unwrap();
        assert_eq!(serde_json::from_str::<AlertKey>(&text).unwrap(), firing.key());
    }

    #[test]
    fn nothing_of_an_alert_is_larger_than_is_kept() {
        let many = (0..1000).map(|number| (format!("l{number}"), "x".repeat(100_000))).collect();
        let long = ("n".repeat(NAME_LIMIT + 1), String::new());
        let alert = Alert { name: "y".repeat(1 << 20), labels: many, annotations: [long].into(), ..Alert::default() };
        let alert = Alert { value: Some(f64::INFINITY), ..alert }.limited();
        assert!(serde_json::to_string(&alert).unwrap().len() < ALERT_LIMIT);
        assert_eq!((alert.value, alert.annotations.len(), alert.warnings.len()), (None, 0, 1));
    }
}
