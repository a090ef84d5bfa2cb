//! Services, datastores, people, roles and secrets.

use super::pattern::{ADDRESS, MAILBOX, PATH, UNIT, VARIABLE, VARIABLES};
use super::{Alternative, Alternatives, EstateField, EstateShape, Part, Section};

pub(super) static SERVICE: Section = Section::new(
    "a service",
    "A service",
    &[
        EstateField::required("unit", EstateShape::Pattern(&UNIT), "Its systemd unit, the whole name."),
        EstateField::optional("port", EstateShape::PORT, "Its port."),
        EstateField::optional("language", EstateShape::Text, "The programming language."),
        EstateField::optional(
            "health",
            EstateShape::Pattern(&ADDRESS),
            "The address of its health endpoints, such as `http://127.0.0.1:8000`. The paths below are appended.",
        ),
        EstateField::with_default("live", EstateShape::Pattern(&PATH), "/health", "The path of the liveness endpoint."),
        EstateField::with_default(
            "ready",
            EstateShape::Pattern(&PATH),
            "/health/ready",
            "The path of the readiness endpoint.",
        ),
        EstateField::with_default(
            "metrics",
            EstateShape::Pattern(&PATH),
            "/health/metrics",
            "The path of the Prometheus metrics.",
        ),
        EstateField::with_default(
            "criticality",
            EstateShape::OneOf(&["critical", "normal"]),
            "normal",
            "`critical` if the platform is down without it.",
        ),
        EstateField::optional(
            "depends_on",
            EstateShape::OneOrMany(&EstateShape::NameIn(Part::Services)),
            "The services that it depends on.",
        ),
    ],
);

pub(super) static DATASTORE: Section = Section::new(
    "a datastore",
    "A datastore",
    &[
        EstateField::required("kind", EstateShape::Name, "`postgres`, `redis`, `meilisearch`, or another name."),
        EstateField::optional("unit", EstateShape::Pattern(&UNIT), "Its systemd unit, where it runs on the host."),
        EstateField::optional("url", EstateShape::Section(&SECRET_REF), "The secret that holds its address."),
        EstateField::optional("port", EstateShape::PORT, "Its port."),
    ],
);

pub(super) static PERSON: Section = Section {
    may_be_empty: true,
    ..Section::new(
        "a person",
        "A person",
        &[
            EstateField::optional("name", EstateShape::Text, "The name as it is shown."),
            EstateField::optional(
                "account",
                EstateShape::Text,
                "The account on the host, which identifies the person on the command line.",
            ),
            EstateField::optional(
                "slack",
                EstateShape::Text,
                "The Slack user id, such as `U024BE7LH`; a display name does not identify a person.",
            ),
            EstateField::optional("email", EstateShape::Pattern(&MAILBOX), "The e-mail address."),
        ],
    )
};

pub(super) static ROLE: Section = Section {
    may_be_empty: true,
    ..Section::new(
        "a role",
        "A role",
        &[
            EstateField::optional("summary", EstateShape::Text, "One sentence."),
            EstateField::optional(
                "people",
                EstateShape::OneOrMany(&EstateShape::NameIn(Part::People)),
                "The people who may take the role. Without them, anybody may take it, also from the person who has it.",
            ),
        ],
    )
};

pub(super) static SECRET_SOURCE: Section = Section {
    about: "Exactly one of `env`, `file` and `credential`: the source of its value.",
    alternatives: Some(&Alternatives {
        list: &[
            Alternative::alone("env"),
            Alternative { key: "file", required: &[], optional: &["key"] },
            Alternative::alone("credential"),
        ],
        message_if_none: "the secret has no source",
        message_if_two: "the secret has two sources",
        help_if_two: "",
    }),
    ..Section::new(
        "a secret",
        "A secret",
        &[
            EstateField::optional("env", EstateShape::Pattern(&VARIABLE), "An environment variable of `runbook`."),
            EstateField::optional(
                "file",
                EstateShape::Text,
                "A file. Its whole text is the secret, or with `key`, the value of one line `KEY=value`.",
            ),
            EstateField::optional(
                "key",
                EstateShape::Pattern(&VARIABLES),
                "The key of the line in `file`. A `key` that ends in `*` is a family: all lines whose key begins so. A family is redacted, but its values cannot be used.",
            ),
            EstateField::optional(
                "credential",
                EstateShape::Text,
                "A systemd credential, found under `$CREDENTIALS_DIRECTORY`.",
            ),
        ],
    )
};

/// A reference to a secret, in place of its value.
pub(in crate::domain) static SECRET_REF: Section = Section {
    is_secret: true,
    ..Section::new(
        "a secret",
        "",
        &[EstateField::required("secret", EstateShape::NameIn(Part::Secrets), "Its name in `secrets`.")],
    )
};
