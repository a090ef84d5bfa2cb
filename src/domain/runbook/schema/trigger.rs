//! The schema of what starts a runbook by itself: an alert, or the clock.

use serde_json::{Value, json};

use super::{closed, described, name, one_or_many, text};
use crate::domain::runbook::check::{CATCH_UPS, LAUNCHES, OVERLAPS, SCHEDULE_KEYS, TRIGGER_KEYS};

/// A trigger or a schedule.
pub(super) fn either() -> Value {
    json!({ "anyOf": [trigger(), schedule()] })
}

fn trigger() -> Value {
    let launches: Vec<&str> = LAUNCHES.iter().map(|(word, _)| *word).collect();
    closed(
        TRIGGER_KEYS,
        &json!({
            "alert": described(one_or_many(&text()), "The alerts, by name; `*` stands for any text."),
            "where": described(json!({ "$ref": "#/$defs/expression" }), "What must hold of the alert: `value > 5`."),
            "start": { "enum": launches, "description": "Whether it starts by itself or a person is asked." },
            "params": { "type": "object", "description": "Parameters from the alert.", "propertyNames": name() },
        }),
        &["alert"],
    )
}

fn schedule() -> Value {
    let overlaps: Vec<&str> = OVERLAPS.iter().map(|(word, _)| *word).collect();
    let catch_ups: Vec<&str> = CATCH_UPS.iter().map(|(word, _)| *word).collect();
    closed(
        SCHEDULE_KEYS,
        &json!({
            "schedule": described(text(), "Minute, hour, day of the month, month, day of the week: `0 9 * * mon`."),
            "timezone": described(text(), "The zone whose clocks it follows: `Africa/Lusaka`."),
            "overlap": { "enum": overlaps, "description": "What happens while the run before still goes on." },
            "catch_up": { "enum": catch_ups, "description": "Whether the newest missed occurrence runs after a time in which nobody was on duty." },
            "environments": described(one_or_many(&name()), "Where it runs; the default environment unless given."),
            "params": { "type": "object", "description": "The runbook's params.", "propertyNames": name() },
        }),
        &["schedule", "timezone"],
    )
}
