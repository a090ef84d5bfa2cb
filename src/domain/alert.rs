//! An alert in one form, the same for every sender. The intake makes it from the body that a sender posts.
//!
//! **Invariant:** everything in an alert is data. No text of it is ever rendered as a template.
//!
//! Not here: the formats of senders (see `surface::intake::senders`), and which runbook an alert starts (see
//! [`crate::domain::runbook::trigger`]).

pub mod field;
pub mod template_scope;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::core::severity::Severity;
use crate::domain::core::text::head_and_tail;
use crate::domain::core::time::Timestamp;

/// The most labels, and the most annotations, of one alert. No monitoring system sends more on purpose.
pub const LABEL_LIMIT: usize = 64;

/// The longest text of an alert, in bytes: a stack trace in an annotation fits, a dump does not.
pub const TEXT_LIMIT: usize = 4 * 1024;

/// The most warnings of one alert.
pub const WARNING_LIMIT: usize = 16;

/// The longest name of a label, in bytes.
pub const NAME_LIMIT: usize = 256;

/// The largest alert, in bytes of JSON: a quarter of the largest event. In a larger one, every text is cut to
/// [`SHORT_TEXT_LIMIT`].
pub const ALERT_LIMIT: usize = 64 * 1024;

/// The longest text of an alert that is over [`ALERT_LIMIT`], in bytes.
const SHORT_TEXT_LIMIT: usize = 256;

/// The status of an alert, as its sender reports it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    #[default]
    Firing,
    Resolved,
}

/// One alert: the report of a sender about one thing that it monitors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The name of the sender in the estate.
    pub sender: String,
    /// The sender's identifier of this firing, unique among its firings: for Alertmanager the fingerprint and the start. It is
    /// the same in every repeat, and when the alert is resolved.
    pub firing: String,
    /// Whether all firings of the monitored thing have the same `firing`, as those of a CloudWatch alarm do. A firing after a
    /// resolve is then a new firing, or a late repeat if its `starts_at` is not after the resolve's `ends_at`. A resolve is late if
    /// its `ends_at` is before the `starts_at` of the current firing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recurs: bool,
    #[serde(default)]
    pub status: AlertStatus,
    /// Its name: `payment_error_rate`.
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The severity that the sender gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// When it began to fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it stopped firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The value that was measured, a finite number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Pairs that identify what the alert is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Pairs that describe it for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The address at which the sender shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The runbook that it names: an id, or an address that ends in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// The environment that the alert names, or that the estate gives its sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The service that the alert names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Sentences about what was wrong with the body: a field of a wrong type, too many labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The key of one firing, unique among the firings of all senders: 16 bytes, written in hex. The first four are the second of
/// the start, so that firings of the same time are neighbours in an index; the other twelve are of a SHA-256 digest. Without a
/// known start, the first four bytes are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey([u8; 16]);

impl Alert {
    /// The key of this firing. If the alert recurs, the start is a part of it.
    pub fn key(&self) -> AlertKey {
        let start = self.starts_at.filter(|_| self.recurs).map(crate::domain::core::time::stamp).unwrap_or_default();
        self.key_with_start(&start)
    }

    /// The key without the start. If the alert recurs, it is the same for all firings.
    pub fn identity(&self) -> AlertKey {
        self.key_with_start("")
    }

    fn key_with_start(&self, start: &str) -> AlertKey {
        let mut hasher = Sha256::new();
        for part in [self.sender.as_str(), &self.firing, start] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        // The identifiers of Alertmanager's firings end in the start.
        let starts = [Some(start), self.firing.rsplit(' ').next()].into_iter().flatten();
        let began = starts.filter_map(|text| text.parse::<Timestamp>().ok()).next();
        let second = began.and_then(|began| u32::try_from(began.timestamp()).ok()).unwrap_or_default();
        let mut key = [0; 16];
        key[..4].copy_from_slice(&second.to_be_bytes());
        key[4..].copy_from_slice(&digest[..12]);
        AlertKey(key)
    }

    /// Whether it is not resolved.
    pub fn is_firing(&self) -> bool {
        self.status == AlertStatus::Firing
    }

    /// The same alert within the limits. A warning is added when something was cut.
    #[must_use]
    pub fn limited(mut self) -> Self {
        let mut cut = self.shorten(TEXT_LIMIT);
        // The estimate spares most alerts, which are small, the serialization.
        if self.json_size_bound() > ALERT_LIMIT && serde_json::to_vec(&self).map_or(0, |json| json.len()) > ALERT_LIMIT
        {
            cut |= self.shorten(SHORT_TEXT_LIMIT);
        }
        self.value = self.value.filter(|value| value.is_finite());
        if cut {
            self.warnings.push("the alert was over the limits, and parts of it were cut".to_owned());
        }
        self
    }

    /// An upper bound of the size of its JSON, in bytes.
    fn json_size_bound(&self) -> usize {
        /// The longest escape of a byte, such as `\u001b`.
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

    /// Cuts every text to about `most` bytes and drops what is over the other limits; whether something was cut.
    fn shorten(&mut self, most: usize) -> bool {
        let mut cut = false;
        let texts = [&mut self.sender, &mut self.firing, &mut self.name];
        let optional = [&mut self.summary, &mut self.link, &mut self.runbook, &mut self.environment, &mut self.service];
        for text in texts.into_iter().chain(optional.into_iter().flatten()) {
            cut |= shorten(text, most);
        }
        for pairs in [&mut self.labels, &mut self.annotations] {
            cut |= shorten_pairs(pairs, most);
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

fn shorten_pairs(pairs: &mut BTreeMap<String, String>, most: usize) -> bool {
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
    fn the_key_of_a_firing_does_not_depend_on_its_status_or_value() {
        let firing = Alert { sender: "am".into(), firing: "f1 2026".into(), ..Alert::default() };
        let resolved = Alert { status: AlertStatus::Resolved, value: Some(2.0), ..firing.clone() };
        assert_eq!(firing.key(), resolved.key());
        let moved = Alert { sender: "am".to_owned() + "f", firing: "1 2026".into(), ..Alert::default() };
        assert_ne!(firing.key(), moved.key(), "the border between sender and firing counts");
        let text = serde_json::to_string(&firing.key()).unwrap();
        assert_eq!(serde_json::from_str::<AlertKey>(&text).unwrap(), firing.key());
    }

    #[test]
    fn keys_are_in_the_order_of_the_starts() {
        let key = |firing: &str| Alert { firing: firing.into(), ..Alert::default() }.key();
        assert!(key("f2 2026-01-01T00:00:01Z") > key("f1 2026-01-01T00:00:00Z"));
    }

    #[test]
    fn an_alert_over_the_limits_is_cut() {
        let many = (0..1000).map(|number| (format!("l{number}"), "x".repeat(100_000))).collect();
        let long = ("n".repeat(NAME_LIMIT + 1), String::new());
        let alert = Alert { name: "y".repeat(1 << 20), labels: many, annotations: [long].into(), ..Alert::default() };
        let alert = Alert { value: Some(f64::INFINITY), ..alert }.limited();
        assert!(serde_json::to_string(&alert).unwrap().len() < ALERT_LIMIT);
        assert_eq!((alert.value, alert.annotations.len(), alert.warnings.len()), (None, 0, 1));
    }
}
