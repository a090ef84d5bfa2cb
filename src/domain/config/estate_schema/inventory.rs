//! Services, datastores, people, roles and secrets.

use super::pattern::{ADDRESS, MAILBOX, PATH, UNIT, VARIABLE, VARIABLES};
use super::{Alternative, Alternatives, EstateField, EstateShape, Part, Section};

pub(super) static SERVICE: Section = Section::new(
    "a service",
    "A service",
    &[
        EstateField::required("unit", EstateShape::Pattern(&UNIT), "Its systemd unit, the whole name."),
        EstateField::optional("port", EstateShape::PORT, "Its port."),
        EstateField::optional("language", EstateShape::Text, "What it is written in."),
        EstateField::optional(
            "health",
            EstateShape::Pattern(&ADDRESS),
            "Where it is asked for its health, such as `http://127.0.0.1:8000`.",
        ),
        EstateField::with_default("live", EstateShape::Pattern(&PATH), "/health", "Where it says that it lives."),
        EstateField::with_default(
            "ready",
            EstateShape::Pattern(&PATH),
            "/health/ready",
            "Where it says that it is ready.",
        ),
        EstateField::with_default("metrics", EstateShape::Pattern(&PATH), "/health/metrics", "Where its metrics are."),
        EstateField::with_default(
            "criticality",
            EstateShape::OneOf(&["critical", "normal"]),
            "normal",
            "Whether the shop is down without it.",
        ),
        EstateField::optional(
            "depends_on",
            EstateShape::OneOrMany(&EstateShape::NameIn(Part::Services)),
            "The services that it leans on.",
        ),
    ],
);

pub(super) static DATASTORE: Section = Section::new(
    "a datastore",
    "A datastore",
    &[
        EstateField::required("kind", EstateShape::Name, "`postgres`, `redis`, `meilisearch`, or another word."),
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
                "The account on the host, which proves who it is at the command line.",
            ),
            EstateField::optional(
                "slack",
                EstateShape::Text,
                "The Slack user id, such as `U024BE7LH`; a display name proves nothing.",
            ),
            EstateField::optional("email", EstateShape::Pattern(&MAILBOX), "The address."),
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
                "Who may take it; anybody when it is left out, and then it is theirs until somebody takes it from them.",
            ),
        ],
    )
};

pub(super) static SECRET_SOURCE: Section = Section {
    ways: Some(&Alternatives {
        ways: &[
            Alternative::alone("env"),
            Alternative { key: "file", with: &[], may: &["key"] },
            Alternative::alone("credential"),
        ],
        none: "it is not said where the secret is found",
        two: "the secret is found in two places",
        two_help: "",
    }),
    ..Section::new(
        "a secret",
        "A secret is found in exactly one place",
        &[
            EstateField::optional("env", EstateShape::Pattern(&VARIABLE), "An environment variable of `runbook`."),
            EstateField::optional(
                "file",
                EstateShape::Text,
                "A file, whose whole text is the secret, or with `key` one line `KEY=value` of it.",
            ),
            EstateField::optional(
                "key",
                EstateShape::Pattern(&VARIABLES),
                "The line of `file`. A `key` that ends in `*` stands for every line that begins so; such a family is only scrubbed.",
            ),
            EstateField::optional(
                "credential",
                EstateShape::Text,
                "A systemd credential, found under `$CREDENTIALS_DIRECTORY`.",
            ),
        ],
    )
};

/// A secret, named where its value is needed.
pub(in crate::domain) static SECRET_REF: Section = Section {
    is_secret: true,
    ..Section::new(
        "a secret",
        "",
        &[EstateField::required("secret", EstateShape::NameIn(Part::Secrets), "Its name in `secrets`.")],
    )
};
