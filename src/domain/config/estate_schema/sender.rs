//! Senders of alerts and their authentication.

use super::pattern::{ADDRESS, HEADER, TOPIC, WORKFLOW_FILE};
use super::senders_mapping::MAPPING;
use super::{Alternative, Alternatives, Entries, EntryKey, EstateField, EstateShape, Items, Part, Section, names};
use crate::domain::config::sender::SenderFormat;
use crate::domain::core::severity::SEVERITIES;

/// The formats of senders, by name.
pub(in crate::domain) static FORMS: [&str; SenderFormat::NAMES.len()] = names(SenderFormat::NAMES);

static SEVERITY_NAMES: [&str; SEVERITIES.len()] = names(SEVERITIES);

pub(super) static SENDER: Section = Section::new(
    "a sender",
    "A sender",
    &[
        EstateField::optional(
            "form",
            EstateShape::OneOf(&FORMS),
            "The format of its bodies. Default: `mapping` if there is a `mapping`, otherwise the name of the sender.",
        ),
        EstateField::optional(
            "auth",
            EstateShape::Section(&AUTH),
            "How its requests are authenticated. Only the form `sns` needs none: then the signature of AWS is verified.",
        ),
        EstateField::optional("topics", EstateShape::Items(&TOPICS), "For `sns`: the topics that may post."),
        EstateField::optional(
            "certificate",
            EstateShape::Text,
            "For `sns`: a file with the certificate of SNS, for a host without network access. Without it, the certificate is fetched.",
        ),
        EstateField::optional(
            "environment",
            EstateShape::NameIn(Part::Environments),
            "The environment of alerts that name none.",
        ),
        EstateField::optional(
            "catch_up",
            EstateShape::Pattern(&ADDRESS),
            "For `alertmanager`: its address. After a downtime, the firing alerts are fetched from it.",
        ),
        EstateField::optional(
            "severities",
            EstateShape::Entries(&SEVERITIES_BY_NAME),
            "The sender's names for severities. Common ones such as `critical`, `warning` and `info` are known.",
        ),
        EstateField::optional("mapping", EstateShape::Section(&MAPPING), "For `mapping`: how the body is read."),
        EstateField::optional(
            "workflows",
            EstateShape::Entries(&WORKFLOWS),
            "For `github`: the workflows whose runs become alerts. Runs of pull requests and forks are ignored.",
        ),
    ],
);

static TOPICS: Items = Items {
    item: EstateShape::Pattern(&TOPIC),
    one: true,
    min: 1,
    max: usize::MAX,
    message: "no topic is given",
    help: "Name at least one.",
};

static SEVERITIES_BY_NAME: Entries = Entries {
    plural: "names",
    keyed_by: "to severities",
    key: EntryKey::Free,
    value: EstateShape::OneOf(&SEVERITY_NAMES),
    may_be_null: false,
    needed: None,
};

static WORKFLOWS: Entries = Entries {
    plural: "workflows",
    keyed_by: "by file",
    key: EntryKey::Pattern(&WORKFLOW_FILE),
    value: EstateShape::Section(&WORKFLOW),
    may_be_null: false,
    needed: None,
};

static WORKFLOW: Section = Section::new(
    "a workflow",
    "A workflow of GitHub",
    &[
        EstateField::optional(
            "failure",
            EstateShape::Name,
            "The alert of a run that fails. A success on the same branch resolves it.",
        ),
        EstateField::optional("success", EstateShape::Name, "The alert of a run that succeeds."),
        EstateField::optional(
            "environment",
            EstateShape::NameIn(Part::Environments),
            "The environment of its alerts. Default: the environment to which the branch is deployed.",
        ),
    ],
);

static AUTH: Section = Section {
    about: "Exactly one of these. `secret` may be a list, for a rotation: then each of the secrets is accepted.",
    alternatives: Some(&Alternatives {
        list: &[
            Alternative::alone("bearer"),
            Alternative::alone("basic"),
            Alternative::alone("header"),
            Alternative::alone("github"),
            Alternative::alone("grafana"),
            Alternative::alone("pagerduty"),
            Alternative::alone("standard"),
            Alternative::alone("none"),
        ],
        message_if_none: "the sender has no authentication",
        message_if_two: "the sender has two kinds of authentication",
        help_if_two: "",
    }),
    ..Section::new(
        "`auth`",
        "The authentication of a sender",
        &[
            EstateField::optional("bearer", EstateShape::Section(&BEARER), "`Authorization: Bearer …`."),
            EstateField::optional("basic", EstateShape::Section(&BASIC), "`Authorization: Basic …`."),
            EstateField::optional("header", EstateShape::Section(&TOKEN_HEADER), "A token in a custom header."),
            EstateField::optional("github", EstateShape::Section(&GITHUB), "HMAC-SHA256 in `X-Hub-Signature-256`."),
            EstateField::optional(
                "grafana",
                EstateShape::Section(&GRAFANA),
                "HMAC-SHA256 in `X-Grafana-Alerting-Signature`. With the `timestamp_header` that is set in Grafana, old requests are refused.",
            ),
            EstateField::optional(
                "pagerduty",
                EstateShape::Section(&PAGERDUTY),
                "HMAC-SHA256 in `X-PagerDuty-Signature`.",
            ),
            EstateField::optional(
                "standard",
                EstateShape::Section(&STANDARD),
                "A Standard Webhook; the secret is `whsec_…`.",
            ),
            EstateField::optional(
                "none",
                EstateShape::True,
                "Every request is accepted; allowed only on loopback, and not behind a proxy.",
            ),
        ],
    )
};

const SECRET: EstateField =
    EstateField::required("secret", EstateShape::Items(&SECRETS), "Its name in `secrets`, or several.");

/// A rotation needs two; more allow for old ones that were not removed.
static SECRETS: Items = Items {
    item: EstateShape::NameIn(Part::Secrets),
    one: true,
    min: 1,
    max: 4,
    message: "expected 1 to 4 secrets",
    help: "",
};

/// A section with `secret` alone.
const fn with_secret(what: &'static str) -> Section {
    Section { is_secret: true, ..Section::new(what, "", &[SECRET]) }
}

static BEARER: Section = with_secret("`bearer`");
static GITHUB: Section = with_secret("`github`");
static PAGERDUTY: Section = with_secret("`pagerduty`");
static STANDARD: Section = with_secret("`standard`");
static PASSWORD: Section = with_secret("a secret");

static BASIC: Section = Section {
    is_secret: true,
    ..Section::new(
        "`basic`",
        "",
        &[
            EstateField::required("user", EstateShape::Text, "The user."),
            EstateField::required("password", EstateShape::Section(&PASSWORD), "The password."),
        ],
    )
};

static TOKEN_HEADER: Section = Section {
    is_secret: true,
    ..Section::new(
        "`header`",
        "",
        &[EstateField::required("name", EstateShape::Pattern(&HEADER), "The header."), SECRET],
    )
};

static GRAFANA: Section = Section {
    is_secret: true,
    ..Section::new(
        "`grafana`",
        "",
        &[
            SECRET,
            EstateField::optional("timestamp_header", EstateShape::Pattern(&HEADER), "The header with the time."),
        ],
    )
};
