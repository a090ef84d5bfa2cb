//! The senders of alerts in the estate: format, authentication, and the mapping of fields.
//!
//! These are resolved values. The checker makes them from `senders` of `estate.yaml`, or they are read back from the log.
//!
//! Not here: parsing bodies and verifying signatures; see `surface::intake`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::core::severity::Severity;

/// The format of the bodies that a sender posts.
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
    /// Every format with its name in the estate.
    pub const NAMES: &[(&str, Self)] = &[
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
    /// The format of its bodies.
    pub form: SenderFormat,
    /// How its requests are authenticated.
    pub auth: Auth,
    /// The SNS topics that may post, as ARNs. Never empty with [`Auth::Sns`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// The file of the certificate of SNS, PEM; absolute or relative to the project directory. It is for hosts without network
    /// access: without it the certificate is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The environment of alerts that name none; a name in `environments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The address of an Alertmanager. After a downtime, the firing alerts are fetched from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<String>,
    /// The sender's names for severities, in lower case. They take precedence over [`KNOWN_SEVERITIES`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub severities: BTreeMap<String, Severity>,
    /// How its body is read. Only for [`SenderFormat::Mapping`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// The workflows whose runs become alerts, by file name: `deploy.yml`. Only for [`SenderFormat::Github`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Workflow>,
    /// The environment to which each branch is deployed. The checker takes it from `environments`, and only for
    /// [`SenderFormat::Github`]. A branch with two environments is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub branches: BTreeMap<String, String>,
}

/// How the requests of a sender are authenticated. Secrets are given by name. Where there are several, as during a rotation,
/// one valid secret is enough.
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
    /// A token in a custom header.
    Header {
        /// The header's name, in lower case.
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
        /// The header of the timestamp, in lower case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp_header: Option<String>,
    },
    /// `X-PagerDuty-Signature`: HMAC-SHA256 over the body; one header may have several signatures.
    Pagerduty {
        /// The names of the key's secrets.
        secrets: Vec<String>,
    },
    /// Standard Webhooks: HMAC-SHA256 over id, timestamp and body.
    Standard {
        /// The names of the key's secrets, `whsec_…`.
        secrets: Vec<String>,
    },
    /// The signature of AWS SNS, made with a certificate of AWS. Only the sender's topics are accepted.
    Sns,
    /// Every request is accepted. `runbook serve` listens only on loopback then.
    None,
}

impl Auth {
    /// The names of the secrets that verify a request.
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

    /// Whether requests are accepted without authentication.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether a request is authenticated by its headers alone, before its body is read.
    pub fn is_in_headers(&self) -> bool {
        matches!(self, Self::Bearer { .. } | Self::Basic { .. } | Self::Header { .. } | Self::None)
    }
}

/// The alerts that the completed runs of a workflow become.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// The alert of a failed run. A later run that succeeds on the same branch resolves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The alert of a run that succeeded. It is never resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// The environment of its alerts; without it, the environment to which the branch is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// How a JSON body without a format of its own is read: expressions over `body` and, with `each`, over `item`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// The list whose items are the alerts; without it the body is one alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// The expression of each field, by name. The names are those of [`crate::domain::alert::field::mapped`].
    pub fields: BTreeMap<String, String>,
    /// How the status is read; without it every alert fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusMapping>,
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub labels: Pairs,
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub annotations: Pairs,
    /// Whether `firing` is the same when the same thing fires again (see [`crate::domain::alert::Alert::recurs`]).
    #[serde(default)]
    pub recurs: bool,
}

/// How a mapping reads the status of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMapping {
    /// The expression. Its value is compared as text, in lower case.
    pub value: String,
    /// The values that mean firing, in lower case.
    pub firing: Vec<String>,
    /// The values that mean resolved, in lower case.
    pub resolved: Vec<String>,
}

/// The labels or annotations of a mapping: one expression for all of them, or one for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// An expression whose value is a mapping of names to values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// The expression of each value, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<String, String>,
}

impl Pairs {
    /// Whether there is no expression.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.each.is_empty()
    }
}

/// The severities of common monitoring systems, in lower case. The estate may give a name another meaning.
pub const KNOWN_SEVERITIES: &[(&str, Severity)] = &[
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
    /// A sender with this format and authentication, and no other setting.
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

    /// The severity of this name, in any case, if the name is known.
    pub fn severity(&self, name: &str) -> Option<Severity> {
        let name = name.trim().to_lowercase();
        let known = || KNOWN_SEVERITIES.iter().find(|(known, _)| *known == name).map(|(_, severity)| *severity);
        self.severities.get(&name).copied().or_else(known)
    }
}
