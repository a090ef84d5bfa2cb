//! How the body of a sender that has no form of its own is read.

use super::{Entries, EntryKey, EstateField, EstateShape, Section};

/// Expressions of a mapping see the body, and one item of it where the mapping has `each`.
const SCOPE: EstateShape = EstateShape::ExpressionOver(&["body", "item"]);

pub(super) static MAPPING: Section = Section {
    about: "Expressions over `body`, the JSON that was posted, and with `each` over `item`. What is not there leaves its field out, with a warning; `| default(none)` says that it may be missing.",
    brings: Some(("each", "item")),
    ..Section::new(
        "a mapping",
        "A mapping",
        &[
            EstateField::optional(
                "each",
                EstateShape::ExpressionOver(&["body"]),
                "The list in `body` whose every `item` is an alert; without it the body is one.",
            ),
            EstateField::required("name", SCOPE, "The alert's name."),
            EstateField::optional(
                "firing",
                SCOPE,
                "What the sender calls this firing, the same when it is resolved. Computed from name and labels unless given.",
            ),
            EstateField::optional("summary", SCOPE, "One line for people."),
            EstateField::optional("severity", SCOPE, "A word; see `severities`."),
            EstateField::optional(
                "starts_at",
                SCOPE,
                "When it began: RFC 3339, or seconds or milliseconds since 1970.",
            ),
            EstateField::optional("ends_at", SCOPE, "When it ended."),
            EstateField::optional("value", SCOPE, "The value that was measured."),
            EstateField::optional("link", SCOPE, "Where the sender shows it."),
            EstateField::optional("runbook", SCOPE, "The runbook that it names."),
            EstateField::optional("environment", SCOPE, "The environment."),
            EstateField::optional("service", SCOPE, "The service."),
            EstateField::optional(
                "status",
                EstateShape::Section(&STATUS),
                "Whether it fires or is resolved; without `status` every alert fires.",
            ),
            EstateField::optional("labels", PAIRS, "What it is about."),
            EstateField::optional("annotations", PAIRS, "What is said of it."),
            EstateField::with_default(
                "recurs",
                EstateShape::Boolean,
                "true",
                "Whether `firing` comes back when the same thing fires again. `true` is the safe side.",
            ),
        ],
    )
};

static STATUS: Section = Section::new(
    "`status`",
    "The status of an alert, `status`",
    &[
        EstateField::required("value", SCOPE, "It gives a word."),
        EstateField::optional(
            "firing",
            EstateShape::OneOrMany(&EstateShape::Word),
            "The words that mean firing. A word that stands nowhere is taken for it, with a warning.",
        ),
        EstateField::required("resolved", EstateShape::OneOrMany(&EstateShape::Word), "The words that mean resolved."),
    ],
);

/// One expression that gives all of them, or one for each name.
const PAIRS: EstateShape = EstateShape::MappingOr { mapping: &EstateShape::Entries(&EXPRESSIONS), other: &SCOPE };

static EXPRESSIONS: Entries = Entries {
    plural: "expressions",
    by: "by name",
    key: EntryKey::Free,
    value: SCOPE,
    may_be_null: false,
    needed: None,
};
