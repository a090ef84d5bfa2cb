//! The built-in runbook that handles an alert when no runbook matches it, or when the matching one needs confirmation to start.
//!
//! A project replaces it with a runbook that has `on: { alert: "*" }`.

use serde_json::{Map, Value, json};

use crate::domain::alert::Alert;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::severity::Severity;
use crate::domain::incident::decide::alert::PROPOSAL;
use crate::domain::runbook::{Action, OnFailure, Param, ParamKind, Runbook, Step, StepBody};

const ID: &str = "notice";

/// The message to people. Its values are data of the incident and the alert.
const MESSAGE: &str = "\
{{ incident.severity }} in {{ incident.environment }}: {{ incident.title }} ({{ incident.id }})
{{ params.alert }}{% if params.summary %}: {{ params.summary }}{% endif %}{% if params.link %}
{{ params.link }}{% endif %}{% if params.proposal %}
{{ params.proposal }}{% endif %}";

/// The runbook and its parameters for an alert.
pub(super) fn of(alert: &Alert, channels: &[String]) -> (Runbook, Map<String, Value>) {
    let runbook = Runbook {
        id: ID.to_owned(),
        title: "Notify people of an alert".to_owned(),
        severity: Severity::P4,
        summary: None,
        environments: Vec::new(),
        deadlines: Vec::new(),
        params: ["alert", "summary", "link", PROPOSAL].map(param).into(),
        on: Vec::new(),
        schedules: Vec::new(),
        steps: if channels.is_empty() { Vec::new() } else { vec![notify_step(channels)] },
        finally: Vec::new(),
    };
    let mut params = Map::new();
    params.insert("alert".to_owned(), Value::String(alert.name.clone()));
    for (name, text) in [("summary", &alert.summary), ("link", &alert.link)] {
        params.insert(name.to_owned(), Value::String(text.clone().unwrap_or_default()));
    }
    (runbook, params)
}

fn param(name: &str) -> Param {
    Param { name: name.to_owned(), kind: ParamKind::Text, default: Some(Value::String(String::new())), help: None }
}

fn notify_step(channels: &[String]) -> Step {
    let action = Action {
        kind: "notify".to_owned(),
        spec: json!({"to": channels, "message": MESSAGE}),
        effect: EffectClass::Repeatable,
        scripts: Vec::new(),
        host: None,
    };
    Step {
        id: "tell".to_owned(),
        name: "Notify people".to_owned(),
        phase: Some("notify".to_owned()),
        why: None,
        when: None,
        for_each: None,
        max_parallel: None,
        body: StepBody::Action(action),
        approve: None,
        timeout: None,
        // No retry: delivery keeps the message pending until it arrives.
        retry: None,
        until: None,
        verify: None,
        on_failure: OnFailure::Continue,
        undo: None,
        meets: None,
    }
}
