//! What is done about alerts in general.

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
            "Gives the environment, where it is not in the label `environment`, `env` or `stage`. It sees what `where` sees.",
        ),
        EstateField::optional(
            "service_from",
            EstateShape::ExpressionOver(NAMES),
            "Gives the service or its unit, where it is not in the label `service`, `service_name`, `unit` or `job`.",
        ),
        EstateField::with_default(
            "group_by",
            EstateShape::OneOrMany(&EstateShape::OneOf(&["environment", "service", "name", "sender"])),
            "[environment, service]",
            "What the alerts of one incident have in common.",
        ),
        EstateField::with_default(
            "window",
            EstateShape::Duration,
            "30m",
            "How long after its last alert an incident still gathers new ones.",
        ),
        EstateField::with_default(
            "resolve_after",
            EstateShape::Duration,
            "5m",
            "How long nothing may fire before an incident that alerts opened is over by itself.",
        ),
        EstateField::with_default(
            "cool_down",
            EstateShape::Duration,
            "15m",
            "How long a runbook that has ended is not started again in the same incident.",
        ),
        EstateField::optional(
            "notify",
            EstateShape::OneOrMany(&EstateShape::NameIn(Part::Channels)),
            "Who hears of an alert that no runbook is for, and of runbooks that ask to be started.",
        ),
        EstateField::with_default(
            "budget",
            EstateShape::Section(&BUDGET),
            "{ at_most: 3, within: 1h }",
            "How often the same change may happen by itself, across incidents. After that a person is asked.",
        ),
        EstateField::optional(
            "automatic",
            EstateShape::ListOf(&EstateShape::Section(&PERMISSION)),
            "The changes that a runbook which an alert has started may make by itself: `{ action: systemd.restart, of: [\"shop-*\"], environments: [staging] }`. Everything else is asked for.",
        ),
    ],
);

static BUDGET: Section = Section::new(
    "a budget",
    "A budget of automatic changes",
    &[
        // More would be no budget.
        EstateField::required("at_most", EstateShape::Integer { min: 1, max: 1_000 }, "How many times."),
        EstateField::required("within", EstateShape::Duration, "Within which time."),
    ],
);

static PERMISSION: Section = Section::new(
    "a permission",
    "A change that may happen by itself",
    &[
        EstateField::required("action", EstateShape::Pattern(&ACTION), "The action, such as `systemd.restart`."),
        EstateField::optional(
            "of",
            EstateShape::OneOrMany(&EstateShape::Text),
            "Patterns of what it is done to, such as `shop-*`; anything when it is left out.",
        ),
        EstateField::optional(
            "environments",
            EstateShape::OneOrMany(&EstateShape::NameIn(Part::Environments)),
            "Where; in every environment when it is left out.",
        ),
    ],
);
