//! The alert policy, `alerts`.

use super::pattern::ACTION;
use super::{EstateField, EstateShape, Part, Section};
use crate::domain::alert::template_scope::NAMES;

pub(super) static ALERTS: Section = Section::new(
    "`alerts`",
    "Alerts",
    &[
        EstateField::optional(
            "environment",
            EstateShape::NameIn(Part::Environments),
            "The environment of an alert that names none.",
        ),
        EstateField::optional(
            "environment_from",
            EstateShape::ExpressionOver(NAMES),
            "An expression that gives the environment. Without it, or if it gives none of the estate, the alert's field or label `environment`, `env` or `stage` does. It can use the names that `where` can use.",
        ),
        EstateField::optional(
            "service_from",
            EstateShape::ExpressionOver(NAMES),
            "An expression that gives the service or its unit. Without it, or if it gives none of the estate, the alert's field or label `service`, `service_name`, `unit` or `job` does.",
        ),
        EstateField::with_default(
            "group_by",
            EstateShape::OneOrMany(&EstateShape::OneOf(&["environment", "service", "name", "sender"])),
            "[environment, service]",
            "The fields that are the same in all alerts of an incident.",
        ),
        EstateField::with_default(
            "window",
            EstateShape::Duration,
            "30m",
            "How long after its last alert an incident takes further alerts.",
        ),
        EstateField::with_default(
            "resolve_after",
            EstateShape::Duration,
            "5m",
            "How long no alert may fire before an incident that alerts opened is resolved automatically.",
        ),
        EstateField::with_default(
            "cool_down",
            EstateShape::Duration,
            "15m",
            "How long a runbook is not started again in the same incident after it has ended.",
        ),
        EstateField::optional(
            "notify",
            EstateShape::OneOrMany(&EstateShape::NameIn(Part::Channels)),
            "The channels that are notified of alerts without a runbook, and of runbooks that a person has to start.",
        ),
        EstateField::with_default(
            "budget",
            EstateShape::Section(&BUDGET),
            "{ at_most: 3, within: 1h }",
            "How often the same change may happen automatically, across incidents. After that a person is asked.",
        ),
        EstateField::optional(
            "automatic",
            EstateShape::ListOf(&EstateShape::Section(&PERMISSION)),
            "The changes that a runbook started by an alert may make without approval: `{ action: systemd.restart, of: [\"shop-*\"], environments: [staging] }`. A person is asked about all others.",
        ),
    ],
);

static BUDGET: Section = Section::new(
    "a budget",
    "A budget of automatic changes",
    &[
        // A larger number would not limit anything.
        EstateField::required("at_most", EstateShape::Integer { min: 1, max: 1_000 }, "The number of changes."),
        EstateField::required("within", EstateShape::Duration, "The time in which they are counted."),
    ],
);

static PERMISSION: Section = Section::new(
    "a permission",
    "A change that may happen automatically",
    &[
        EstateField::required("action", EstateShape::Pattern(&ACTION), "The action, such as `systemd.restart`."),
        EstateField::optional(
            "of",
            EstateShape::OneOrMany(&EstateShape::Text),
            "Patterns of its objects, such as `shop-*`; without it, any object.",
        ),
        EstateField::optional(
            "environments",
            EstateShape::OneOrMany(&EstateShape::NameIn(Part::Environments)),
            "The environments; without it, every environment.",
        ),
    ],
);
