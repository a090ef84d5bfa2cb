//! The keys of the document and of a param.

use super::{DEADLINE, RunbookField, RunbookSection, RunbookShape, SCHEDULE, TRIGGER};
use crate::domain::config::estate_schema::names;
use crate::domain::core::severity::Severity;

/// The severities of runbooks.
pub(in crate::domain) const RUNBOOK_SEVERITIES: &[(&str, Severity)] = &[
    ("p1", Severity::P1),
    ("p2", Severity::P2),
    ("p3", Severity::P3),
    ("p4", Severity::P4),
    ("maintenance", Severity::Maintenance),
];

static SEVERITY_NAMES: [&str; RUNBOOK_SEVERITIES.len()] = names(RUNBOOK_SEVERITIES);

/// The types of params.
pub(in crate::domain) const PARAM_TYPES: &[&str] =
    &["text", "integer", "number", "boolean", "duration", "service", "unit", "choice"];

pub(in crate::domain) static RUNBOOK: RunbookSection = RunbookSection::new(
    "a runbook",
    "A runbook",
    &[
        RunbookField::required("runbook", RunbookShape::Name, "The id. The file is called `<id>.yaml`."),
        RunbookField::required("title", RunbookShape::Text, "What it is for, in a few words."),
        RunbookField::required(
            "severity",
            RunbookShape::OneOf(&SEVERITY_NAMES),
            "The severity of the incident that it opens. `maintenance` opens a maintenance incident for planned work: it has no deadlines, ends with the work, and has a report in place of a post-mortem.",
        ),
        RunbookField::optional("summary", RunbookShape::Text, "One or two sentences."),
        RunbookField::optional(
            "environments",
            RunbookShape::OneOrMany(&RunbookShape::NameOf("environment")),
            "The environments it may run in; every one unless given.",
        ),
        RunbookField::optional(
            "on",
            RunbookShape::OneOrMany(&RunbookShape::Either(&[
                RunbookShape::Section(&TRIGGER),
                RunbookShape::Section(&SCHEDULE),
            ])),
            "The alerts or the schedule that start it.",
        ),
        RunbookField::optional(
            "deadlines",
            RunbookShape::Entries(&RunbookShape::Section(&DEADLINE)),
            "What must be done by when, by name.",
        ),
        RunbookField::optional(
            "params",
            RunbookShape::Entries(&RunbookShape::Section(&PARAM)),
            "The values that can be set at the start, by name.",
        ),
        RunbookField::required("steps", RunbookShape::Steps { min: 1 }, "The steps, in order."),
        RunbookField::optional(
            "finally",
            RunbookShape::Steps { min: 0 },
            "Always run at the end, however the steps ended.",
        ),
    ],
);

pub(in crate::domain) static PARAM: RunbookSection = RunbookSection::new(
    "a param",
    "A param",
    &[
        RunbookField::required("type", RunbookShape::OneOf(PARAM_TYPES), "The type of its values."),
        RunbookField::optional(
            "choices",
            RunbookShape::List { item: &RunbookShape::Text, min: 1 },
            "The values of a `choice`. Required with `type: choice`.",
        ),
        RunbookField::optional("default", RunbookShape::Scalar, "Without one, the param must be given."),
        RunbookField::optional("help", RunbookShape::Text, "One sentence for the person who starts the runbook."),
    ],
);
