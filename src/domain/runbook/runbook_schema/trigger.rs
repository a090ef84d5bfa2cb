//! The keys of a trigger and of a schedule.

use super::{RunbookField, RunbookSection, RunbookShape};
use crate::domain::config::estate_schema::names;
use crate::domain::runbook::schedule::{CatchUp, Overlap};
use crate::domain::runbook::trigger::StartMode;

/// How an alert may start a runbook.
pub(in crate::domain) const START_MODES: &[(&str, StartMode)] = &[("auto", StartMode::Auto), ("ask", StartMode::Ask)];

static START_NAMES: [&str; START_MODES.len()] = names(START_MODES);

/// What happens to an occurrence while the previous run goes on.
pub(in crate::domain) const OVERLAPS: &[(&str, Overlap)] =
    &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)];

static OVERLAP_NAMES: [&str; OVERLAPS.len()] = names(OVERLAPS);

/// What happens to occurrences that were missed.
pub(in crate::domain) const CATCH_UPS: &[(&str, CatchUp)] = &[("once", CatchUp::Once), ("none", CatchUp::None)];

static CATCH_UP_NAMES: [&str; CATCH_UPS.len()] = names(CATCH_UPS);

pub(in crate::domain) static TRIGGER: RunbookSection = RunbookSection::new(
    "a trigger",
    "A trigger, `on`",
    &[
        RunbookField::required(
            "alert",
            RunbookShape::OneOrMany(&RunbookShape::Text),
            "The alerts, by name; `*` stands for any text and `?` for one character.",
        ),
        RunbookField::optional(
            "where",
            RunbookShape::Expression,
            "A condition on the alert: `value > 5`. It sees `labels`, `annotations`, `value`, `name`, `sender`, `status`, `summary`, `severity`, `environment`, `service`, `starts_at`, `ends_at`, `link`, `runbook`, and the whole alert as `alert`. A missing label is `none`.",
        ),
        RunbookField::with_default(
            "start",
            RunbookShape::OneOf(&START_NAMES),
            "ask",
            "`auto`: the alert starts the runbook, and a person approves its changes unless the estate allows them. `ask`: the alert opens the incident and notifies people, and one of them starts the runbook.",
        ),
        RunbookField::optional(
            "params",
            RunbookShape::Params,
            "The runbook's params, as templates over the same names. A param whose template gives nothing has its default.",
        ),
    ],
);

pub(in crate::domain) static SCHEDULE: RunbookSection = RunbookSection::new(
    "a schedule",
    "A schedule, `on`",
    &[
        RunbookField::required(
            "schedule",
            RunbookShape::Cron,
            "Minute, hour, day of the month, month, day of the week: `0 9 * * mon`. `L` is the last day of a month and `mon#1` its first Monday. `severity` must be `maintenance`.",
        ),
        RunbookField::required(
            "timezone",
            RunbookShape::TimeZone,
            "The IANA name of the time zone: `Africa/Lusaka`. A local time that a clock change skips becomes the first instant after the gap; one that occurs twice becomes the first of the two.",
        ),
        RunbookField::with_default(
            "overlap",
            RunbookShape::OneOf(&OVERLAP_NAMES),
            "skip",
            "What happens while an earlier run in the same environment goes on. `skip`: the occurrence is skipped, and the timeline of that run says so. `queue`: the newest occurrence waits until the run is over. `allow`: both run.",
        ),
        RunbookField::with_default(
            "catch_up",
            RunbookShape::OneOf(&CATCH_UP_NAMES),
            "once",
            "What happens after a time in which `runbook serve` was not running. `once`: the newest missed occurrence runs. `none`: the next occurrence runs. Missed occurrences are listed in the next maintenance incident and by `runbook schedule`.",
        ),
        RunbookField::optional(
            "environments",
            RunbookShape::OneOrMany(&RunbookShape::NameOf("environment")),
            "Where it runs, one maintenance incident each; the default environment unless given. An environment has one schedule of a runbook.",
        ),
        RunbookField::optional("params", RunbookShape::Params, "The runbook's params, as plain values."),
    ],
);
