//! Senders of alerts, and how they prove who they are.

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
            "What it speaks. Its name says so unless given, and a `mapping` does.",
        ),
        EstateField::optional(
            "auth",
            EstateShape::Section(&AUTH),
            "How it proves who it is. Every sender needs it but one of the form `sns`, for which AWS's own signature may do.",
        ),
        EstateField::optional("topics", EstateShape::Items(&TOPICS), "The SNS topics that may post."),
        EstateField::optional(
            "certificate",
            EstateShape::Text,
            "A file with the certificate of SNS, for a host that reaches no network. It is fetched unless given.",
        ),
        EstateField::optional(
            "environment",
            EstateShape::NameIn(Part::Environments),
            "What its alerts are about when they do not say.",
        ),
        EstateField::optional(
            "catch_up",
            EstateShape::Pattern(&ADDRESS),
            "An Alertmanager that is asked after a down-time what fires.",
        ),
        EstateField::optional(
            "severities",
            EstateShape::Entries(&SEVERITY_WORDS),
            "What its own words mean. `critical`, `warning`, `info` and their like are known.",
        ),
        EstateField::optional(
            "mapping",
            EstateShape::Section(&MAPPING),
            "How the body of a sender is read that has no form of its own.",
        ),
        EstateField::optional(
            "workflows",
            EstateShape::Entries(&WORKFLOWS),
            "For `github`: the workflows that matter. Pull requests and forks are left out.",
        ),
    ],
);

static TOPICS: Items = Items {
    item: EstateShape::Pattern(&TOPIC),
    one: true,
    min: 1,
    max: usize::MAX,
    message: "no topic may post then",
    help: "Name at least one.",
};

static SEVERITY_WORDS: Entries = Entries {
    plural: "words",
    by: "to severities",
    key: EntryKey::Free,
    value: EstateShape::OneOf(&SEVERITY_NAMES),
    may_be_null: false,
    needed: None,
};

static WORKFLOWS: Entries = Entries {
    plural: "workflows",
    by: "by file",
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
            "What its alerts are about; the environment that the branch is deployed to unless given.",
        ),
    ],
);

static AUTH: Section = Section {
    about: "Exactly one of these. In place of one secret there may be a list: during a rotation any of them does.",
    ways: Some(&Alternatives {
        ways: &[
            Alternative::alone("bearer"),
            Alternative::alone("basic"),
            Alternative::alone("header"),
            Alternative::alone("github"),
            Alternative::alone("grafana"),
            Alternative::alone("pagerduty"),
            Alternative::alone("standard"),
            Alternative::alone("none"),
        ],
        none: "it is not said how the sender proves who it is",
        two: "the sender proves who it is in two ways",
        two_help: "",
    }),
    ..Section::new(
        "`auth`",
        "How a sender proves who it is",
        &[
            EstateField::optional("bearer", EstateShape::Section(&BEARER), "`Authorization: Bearer …`."),
            EstateField::optional("basic", EstateShape::Section(&BASIC), "`Authorization: Basic …`."),
            EstateField::optional("header", EstateShape::Section(&OWN_HEADER), "A token in a header of its own."),
            EstateField::optional("github", EstateShape::Section(&GITHUB), "HMAC-SHA256 in `X-Hub-Signature-256`."),
            EstateField::optional(
                "grafana",
                EstateShape::Section(&GRAFANA),
                "HMAC-SHA256 in `X-Grafana-Alerting-Signature`; with `timestamp_header` as Grafana has it, old posts are refused.",
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

/// Two during a rotation, and more while the old ones are forgotten.
static SECRETS: Items = Items {
    item: EstateShape::NameIn(Part::Secrets),
    one: true,
    min: 1,
    max: 4,
    message: "expected 1 to 4 secrets",
    help: "",
};

/// A proof that needs a secret and nothing else.
const fn keyed(what: &'static str) -> Section {
    Section { is_secret: true, ..Section::new(what, "", &[SECRET]) }
}

static BEARER: Section = keyed("`bearer`");
static GITHUB: Section = keyed("`github`");
static PAGERDUTY: Section = keyed("`pagerduty`");
static STANDARD: Section = keyed("`standard`");
static PASSWORD: Section = keyed("a secret");

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

static OWN_HEADER: Section = Section {
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
