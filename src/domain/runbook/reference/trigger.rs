//! What the reference says of what starts a runbook by itself.

use super::Keys;

pub(super) const TRIGGER: Keys = &[
    ("alert", "text or list, required", "The alerts, by name; `*` stands for any text and `?` for one character."),
    (
        "where",
        "expression",
        "What must hold of the alert. It sees `labels`, `annotations`, `value`, `name`, `sender`, `status`, `summary`, `severity`, `environment`, `service`, `starts_at`, `ends_at`, `link`, `runbook`, and all of it as `alert`. A label that is not there is `none`.",
    ),
    (
        "start",
        "`auto` or `ask`",
        "`auto`: it starts by itself; what it changes is asked for, unless the estate allows it. `ask`, the default: the incident is opened, people are told, and one of them starts it.",
    ),
    (
        "params",
        "mapping",
        "The runbook's params, as templates over the same names. One that gives nothing is left to its default.",
    ),
];

pub(super) const SCHEDULE: Keys = &[
    (
        "schedule",
        "cron expression, required",
        "Minute, hour, day of the month, month, day of the week: `0 9 * * mon`. `L` is the last day of a month and `mon#1` its first Monday. `severity` must be `maintenance`.",
    ),
    (
        "timezone",
        "zone, required",
        "The IANA name of the zone whose clocks it follows: `Africa/Lusaka`. A time that they leave out is the first instant after the gap; one that they show twice is the first of the two.",
    ),
    (
        "overlap",
        "`skip` `queue` `allow`",
        "What happens while a run of it in the same environment still goes on. `skip`, the default: the occurrence is skipped, and that run's record says so. `queue`: the newest waits until it is over. `allow`: both go on.",
    ),
    (
        "catch_up",
        "`once` or `none`",
        "After a time in which `runbook serve` was not running: `once`, the default, runs the newest occurrence that was missed; `none` waits for the next. Those that never ran are named in the next record, and by `runbook schedule`.",
    ),
    (
        "environments",
        "name or list",
        "Where it runs, a record each; the default environment unless given. An environment has one schedule of a runbook.",
    ),
    ("params", "mapping", "The runbook's params, as plain values."),
];
