//! The verbs that change units: `start`, `stop`, `restart`, `reload`; each unit after the other, the first failure ends it.

use std::time::Duration;

use serde_json::{Value, json};
use zbus::OwnedObjectPath;

use super::dbus;
use super::dbus::ManagerProxy;
use super::error::SystemdError;
use super::unit::Unit;
use super::{job, names, unit_files};
use crate::actions::Context;
use crate::domain::incident::outcome::{Outcome, Verdict};

/// How a new job treats existing ones: it replaces them, as with `systemctl`.
const MODE: &str = "replace";

/// A change to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitVerb {
    Start,
    Stop,
    Restart,
    Reload,
    Enable,
    Disable,
}

impl UnitVerb {
    /// The verb as in a runbook.
    pub fn code(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }

    /// The verb in the past tense.
    fn past(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
            Self::Reload => "reloaded",
            Self::Enable => "enabled",
            Self::Disable => "disabled",
        }
    }

    /// The verb that undoes this one.
    pub fn undo(self) -> Option<&'static str> {
        match self {
            Self::Start => Some("stop"),
            Self::Stop => Some("start"),
            Self::Enable => Some("disable"),
            Self::Disable => Some("enable"),
            Self::Restart | Self::Reload => None,
        }
    }

    /// Whether it changes what starts at boot, not what runs.
    pub fn is_about_files(self) -> bool {
        matches!(self, Self::Enable | Self::Disable)
    }
}

/// Changes units. Refuses units outside the estate.
pub(super) async fn change(
    verb: UnitVerb,
    words: &[String],
    settle: Duration,
    context: &Context,
) -> Result<Outcome, SystemdError> {
    let units = names::named(words, &context.estate)?;
    let manager = dbus::manager(context).await?;
    if verb.is_about_files() {
        return unit_files::change(&manager, verb, &units).await;
    }
    let mut done: Vec<(Unit, Unit)> = Vec::new();
    for unit in &units {
        let before =
            Unit::one(&manager, unit).await.map_err(|error| SystemdError::of_bus(verb.code(), unit, &error))?;
        context.progress.line(&format!("{} `{unit}`, which is {}", verb.code(), before.state()));
        match one(&manager, verb, &before, settle, context).await {
            Ok(after) => done.push((before, after)),
            Err(trouble) => {
                let after = Unit::one(&manager, unit).await.unwrap_or_default();
                done.push((before, after));
                return Ok(failed(&trouble, output(&done)));
            }
        }
    }
    Ok(Outcome::succeeded(summary(verb, &done), output(&done)))
}

/// Changes one unit, waits for the job, and checks the result.
async fn one(
    manager: &ManagerProxy<'_>,
    verb: UnitVerb,
    before: &Unit,
    settle: Duration,
    context: &Context,
) -> Result<Unit, SystemdError> {
    let name = before.name.as_str();
    if before.load == "not-found" {
        let known: Vec<String> = context.estate.units().filter(|unit| *unit != name).map(str::to_owned).collect();
        return Err(SystemdError::no_such_unit(name, &known));
    }
    let of_bus = |error: zbus::Error| SystemdError::of_bus(verb.code(), name, &error);
    // Subscribe before the request: the job can be over before its response arrives.
    let mut removed = manager.receive_job_removed().await.map_err(of_bus)?;
    let job = request(manager, verb, name).await.map_err(of_bus)?;
    let result = job::result(manager, &mut removed, &job, context).await?;
    let now = Unit::one(manager, name).await.map_err(of_bus)?;
    let untried = now.invocation_id == before.invocation_id && !now.is_up();
    if result == "failed" && untried && matches!(verb, UnitVerb::Start | UnitVerb::Restart) {
        return Err(SystemdError::start_limit(&now));
    }
    if let Some(trouble) = SystemdError::of_job(verb.code(), &now, &result) {
        return Err(trouble);
    }
    match verb {
        UnitVerb::Start | UnitVerb::Restart => {
            // A unit that was running already and only asked to start keeps its count of restarts.
            let is_new = now.invocation_id != before.invocation_id;
            let restarts = if is_new { 0 } else { before.n_restarts.unwrap_or(0) };
            let (unit, trouble) = job::settled(manager, name, restarts, settle, context).await.map_err(of_bus)?;
            trouble.map_or(Ok(unit), Err)
        }
        UnitVerb::Stop if now.active == "active" => {
            Err(SystemdError::new("still_active", format!("`{name}` is {} although it was stopped", now.state())))
        }
        UnitVerb::Reload if !now.is_up() => Err(SystemdError::of_unit(verb.code(), &now)),
        _ => Ok(now),
    }
}

async fn request(manager: &ManagerProxy<'_>, verb: UnitVerb, name: &str) -> zbus::Result<OwnedObjectPath> {
    match verb {
        UnitVerb::Stop => manager.stop_unit(name, MODE).await,
        UnitVerb::Restart => manager.restart_unit(name, MODE).await,
        UnitVerb::Reload => manager.reload_unit(name, MODE).await,
        UnitVerb::Start | UnitVerb::Enable | UnitVerb::Disable => manager.start_unit(name, MODE).await,
    }
}

/// The state of the units before a change, for a later reconciliation.
pub(super) async fn snapshot(units: &[String], context: &Context) -> Option<Value> {
    let manager = dbus::manager(context).await.ok()?;
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    let seen = Unit::many(&manager, &names).await.ok()?;
    let mut files = serde_json::Map::new();
    for unit in &seen {
        files.insert(unit.name.clone(), json!(unit_files::state(&manager, &unit.name).await));
    }
    Some(json!({ "units": seen, "files": files }))
}

/// The outcome of a failed change; unknown if systemd may have acted.
pub(super) fn failed(trouble: &SystemdError, mut output: Value) -> Outcome {
    output["trouble"] = trouble.output();
    let outcome = Outcome::failed(trouble.message.clone(), output);
    if trouble.uncertain { Outcome { verdict: Verdict::Unknown, ..outcome } } else { outcome }
}

/// The outputs for later steps: `units` as they are now; for a single unit also `before` and `after`.
pub(super) fn output(done: &[(Unit, Unit)]) -> Value {
    let units: Vec<&Unit> = done.iter().map(|(_, after)| after).collect();
    let mut output = json!({ "units": units });
    if let [(before, after)] = done {
        output["before"] = json!(before);
        output["after"] = json!(after);
    }
    output
}

/// A one-line summary of a change.
pub(super) fn summary(verb: UnitVerb, done: &[(Unit, Unit)]) -> String {
    let told = |(before, after): &(Unit, Unit)| {
        let already = verb == UnitVerb::Start && before.invocation_id == after.invocation_id && before.is_up();
        let past = if already { "already runs" } else { verb.past() };
        format!("`{}` {past}: {}", after.name, after.state())
    };
    done.iter().map(told).collect::<Vec<_>>().join("; ")
}
