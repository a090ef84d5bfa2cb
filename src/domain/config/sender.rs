//! The senders of alerts as the estate describes them: format, authentication, and the mapping of fields.
//!
//! These are resolved values, made by the checker from `senders` of `estate.yaml` or read back from the log. Not here: parsing
//! bodies and verifying signatures; see `surface::intake`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::core::severity::Severity;

/// What a sender speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderFormat {
    /// Prometheus' Alertmanager, webhook version 4.
    Alertmanager,
    /// Grafana's unified alerting.
    Grafana,
    /// AWS SNS: CloudWatch's alarms and plain messages.
    Sns,
    /// GitHub: runs of workflows.
    Github,
    /// PagerDuty's webhooks, version 3.
    Pagerduty,
    /// Anything that a [`Mapping`] describes.
    Mapping,
}

impl SenderFormat {
    /// Every form, as it is written.
    pub const WORDS: &[(&str, Self)] = &[
        ("alertmanager", Self::Alertmanager),
        ("grafana", Self::Grafana),
        ("sns", Self::Sns),
        ("github", Self::Github),
        ("pagerduty", Self::Pagerduty),
        ("mapping", Self::Mapping),
    ];
}

/// One sender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sender {
    /// What it speaks.
    pub form: SenderFormat,
    /// How it proves who it is.
    pub auth: Auth,
    /// SNS topics that may post, as ARNs. Never empty where [`Auth::Sns`] is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// A file with the certificate of SNS in PEM, absolute or relative to the shop's directory, for hosts that reach no
    /// network. Without it the certificate is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// What its alerts are about when they do not say; a name in `environments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The address of an Alertmanager that is asked what fires after a down-time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<String>,
    /// What its own words for severities mean, in small letters, before [`SEVERITY_WORDS`] are looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub severities: BTreeMap<String, Severity>,
    /// How its body is read, where the form is [`SenderFormat::Mapping`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// The workflows that matter, by the name of their file: `deploy.yml`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Workflow>,
    /// The environment that each branch is deployed to; not written at the sender but taken from `environments`, for
    /// GitHub only. A branch that goes to two of them is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub branches: BTreeMap<String, String>,
}

/// How a sender proves who it is. Secrets are named; during a rotation there are several, and any of them does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer {
        /// The names of the token's secrets.
        secrets: Vec<String>,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The names of the password's secrets.
        secrets: Vec<String>,
    },
    /// A header of its own with a token in it.
    Header {
        /// The header's name in small letters.
        name: String,
        /// The names of the token's secrets.
        secrets: Vec<String>,
    },
    /// `X-Hub-Signature-256`: HMAC-SHA256 over the body.
    Github {
        /// The names of the key's secrets.
        secrets: Vec<String>,
    },
    /// `X-Grafana-Alerting-Signature`: HMAC-SHA256 over the body, with a timestamp before it where one is configured.
    Grafana {
        /// The names of the key's secrets.
        secrets: Vec<String>,
        /// The header of the timestamp, in small letters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp_header: Option<String>,
    },
    /// `X-PagerDuty-Signature`: HMAC-SHA256 over the body, several of them at once.
    Pagerduty {
        /// The names of the key's secrets.
        secrets: Vec<String>,
    },
    /// Standard Webhooks: HMAC-SHA256 over id, timestamp and body.
    Standard {
        /// The names of the key's secrets, `whsec_…`.
        secrets: Vec<String>,
    },
    /// The signature of AWS SNS, by a certificate that AWS serves; only from the sender's topics.
    Sns,
    /// Nothing: whoever reaches the port is believed. The server takes such a post only on loopback.
    None,
}

impl Auth {
    /// The names of the secrets that it needs.
    pub fn secrets(&self) -> &[String] {
        match self {
            Self::Bearer { secrets }
            | Self::Basic { secrets, .. }
            | Self::Header { secrets, .. }
            | Self::Github { secrets }
            | Self::Grafana { secrets, .. }
            | Self::Pagerduty { secrets }
            | Self::Standard { secrets } => secrets,
            Self::Sns | Self::None => &[],
        }
    }

    /// Whether whoever reaches the port is believed.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether the headers alone decide, so that a body need not be read first.
    pub fn is_in_headers(&self) -> bool {
        matches!(self, Self::Bearer { .. } | Self::Basic { .. } | Self::Header { .. } | Self::None)
    }
}

/// What the end of a workflow's run becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// The alert of a failed run. A later run that succeeds on the same branch resolves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The alert of a run that succeeded. Nothing resolves it: it is news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// What its alerts are about; without it, the environment that the branch is deployed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// How the body of a sender that nobody has documented is read: expressions over `body` and, with `each`, over `item`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// The list whose every `item` is an alert; without it the body is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// The expression of each field, by one of [`Mapping::FIELDS`].
    pub fields: BTreeMap<String, String>,
    /// How it is told whether an alert fires; without it every alert does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusMapping>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub labels: Pairs,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub annotations: Pairs,
    /// Whether `firing` comes back when the same thing fires again (see [`crate::domain::alert::Alert::recurs`]).
    #[serde(default)]
    pub recurs: bool,
}

impl Mapping {
    /// The fields of an alert that an expression gives.
    pub const FIELDS: &[&str] = &[
        "name",
        "firing",
        "summary",
        "severity",
        "starts_at",
        "ends_at",
        "value",
        "link",
        "runbook",
        "environment",
        "service",
    ];
}

/// How a mapping tells whether an alert fires.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMapping {
    /// The expression; its value is compared as text, whatever its case.
    pub value: String,
    /// The words that mean firing, in small letters.
    pub firing: Vec<String>,
    /// The words that mean resolved, in small letters.
    pub resolved: Vec<String>,
}

/// Labels or annotations of a mapping: one expression that gives all of them, or one for each name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// An expression whose value is a mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// Expressions by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<String, String>,
}

impl Pairs {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.each.is_empty()
    }
}

/// What monitoring systems call severities, in small letters, and what we take it for unless the estate says otherwise.
pub const SEVERITY_WORDS: &[(&str, Severity)] = &[
    ("critical", Severity::P1),
    ("disaster", Severity::P1),
    ("emergency", Severity::P1),
    ("fatal", Severity::P1),
    ("page", Severity::P1),
    ("p1", Severity::P1),
    ("error", Severity::P2),
    ("high", Severity::P2),
    ("major", Severity::P2),
    ("p2", Severity::P2),
    ("average", Severity::P3),
    ("medium", Severity::P3),
    ("moderate", Severity::P3),
    ("warn", Severity::P3),
    ("warning", Severity::P3),
    ("p3", Severity::P3),
    ("info", Severity::P4),
    ("informational", Severity::P4),
    ("low", Severity::P4),
    ("minor", Severity::P4),
    ("none", Severity::P4),
    ("notice", Severity::P4),
    ("p4", Severity::P4),
];

impl Sender {
    /// A sender of this form with nothing else said.
    pub fn new(form: SenderFormat, auth: Auth) -> Self {
        Self {
            form,
            auth,
            topics: Vec::new(),
            certificate: None,
            environment: None,
            catch_up: None,
            severities: BTreeMap::new(),
            mapping: None,
            workflows: BTreeMap::new(),
            branches: BTreeMap::new(),
        }
    }

    /// What a word for a severity means, if it is known.
    pub fn severity(&self, word: &str) -> Option<Severity> {
        let word = word.trim().to_lowercase();
        let ours = || SEVERITY_WORDS.iter().find(|(known, _)| *known == word).map(|(_, severity)| *severity);
        self.severities.get(&word).copied().or_else(ours)
    }
}
