//! The mapping of a JSON body to alerts, for senders without a format of their own.

use super::{Entries, EntryKey, EstateField, EstateShape, Section};

/// An expression over the body, and over one item of it if the mapping has `each`.
const SCOPE: EstateShape = EstateShape::ExpressionOver(&["body", "item"]);

pub(super) static MAPPING: Section = Section {
    about: "Expressions over `body`, the posted JSON, and with `each` over `item`. If an expression fails or its value is missing, the field is left out with a warning. With `| default(none)`, a missing value gives no warning.",
    conditional_name: Some(("each", "item")),
    ..Section::new(
        "a mapping",
        "A mapping",
        &[
            EstateField::optional(
                "each",
                EstateShape::ExpressionOver(&["body"]),
                "The list in `body` whose items are the alerts, each as `item`; without it the body is one alert.",
            ),
            EstateField::required("name", SCOPE, "The alert's name."),
            EstateField::optional(
                "firing",
                SCOPE,
                "The identifier of this firing, the same when it is resolved. Without it, it is computed from name and labels.",
            ),
            EstateField::optional("summary", SCOPE, "One line for people."),
            EstateField::optional("severity", SCOPE, "A name of a severity; see `severities`."),
            EstateField::optional(
                "starts_at",
                SCOPE,
                "When it began to fire: RFC 3339, or seconds or milliseconds since 1970.",
            ),
            EstateField::optional("ends_at", SCOPE, "When it stopped firing, in the same forms."),
            EstateField::optional("value", SCOPE, "The value that was measured."),
            EstateField::optional("link", SCOPE, "The address at which the sender shows it."),
            EstateField::optional("runbook", SCOPE, "The id of a runbook, or an address that ends in one."),
            EstateField::optional("environment", SCOPE, "The environment."),
            EstateField::optional("service", SCOPE, "The service."),
            EstateField::optional(
                "status",
                EstateShape::Section(&STATUS),
                "Whether it fires or is resolved; without `status` every alert fires.",
            ),
            EstateField::optional(
                "labels",
                PAIRS,
                "The labels: one expression that gives a mapping, or one for each label.",
            ),
            EstateField::optional("annotations", PAIRS, "The annotations, likewise."),
            EstateField::with_default(
                "recurs",
                EstateShape::Boolean,
                "true",
                "Whether `firing` is the same when the same thing fires again. If in doubt, leave it `true`.",
            ),
        ],
    )
};

static STATUS: Section = Section::new(
    "`status`",
    "The status of an alert, `status`",
    &[
        EstateField::required("value", SCOPE, "The expression that gives the status."),
        EstateField::optional(
            "firing",
            EstateShape::OneOrMany(&EstateShape::Word),
            "The values that mean firing. Any other value means firing too, with a warning.",
        ),
        EstateField::required("resolved", EstateShape::OneOrMany(&EstateShape::Word), "The values that mean resolved."),
    ],
);

/// One expression for all pairs, or one for each.
const PAIRS: EstateShape = EstateShape::MappingOr { mapping: &EstateShape::Entries(&EXPRESSIONS), other: &SCOPE };

static EXPRESSIONS: Entries = Entries {
    plural: "expressions",
    keyed_by: "by name",
    key: EntryKey::Free,
    value: SCOPE,
    may_be_null: false,
    needed: None,
};
