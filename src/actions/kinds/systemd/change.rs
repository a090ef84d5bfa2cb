//! Performs the verbs `start`, `stop`, `restart` and `reload`, one unit after the other. The first failure ends the step.

use std::time::Duration;

use serde_json::{Value, json};
use zbus::OwnedObjectPath;

use super::dbus;
use super::dbus::ManagerProxy;
use super::error::SystemdError;
use super::unit::Unit;
use super::verb::{UnitOperation, UnitVerb};
use super::{job, names, unit_files};
use crate::actions::Context;
use crate::domain::incident::outcome::{Outcome, Verdict};

/// How a new job treats existing ones: it replaces them, as with `systemctl`.
const MODE: &str = "replace";

/// Changes units. Refuses units outside the estate.
pub(super) async fn change(
    verb: UnitVerb,
    names: &[String],
    settle: Duration,
    context: &Context,
) -> Result<Outcome, SystemdError> {
    let units = names::named(names, &context.estate)?;
    let manager = dbus::manager(context).await?;
    if verb.is_about_files() {
        return unit_files::change(&manager, verb, &units).await;
    }
    let mut done: Vec<(Unit, Unit)> = Vec::new();
    for unit in &units {
        let before = Unit::one(&manager, unit).await;
        let before = before.map_err(|error| SystemdError::of_bus(UnitOperation::Read(unit), &error))?;
        context.progress.line(&format!("{} `{unit}` ({})", verb.code(), before.state()));
        match change_unit(&manager, verb, &before, settle, context).await {
            Ok(after) => done.push((before, after)),
            Err(error) => {
                let after = Unit::one(&manager, unit).await.unwrap_or_default();
                done.push((before, after));
                return Ok(failed(&error, output(&done)));
            }
        }
    }
    Ok(Outcome::succeeded(summary(verb, &done), output(&done)))
}

/// Changes one unit, waits for the job, and checks the result.
async fn change_unit(
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
    let of_bus = |error: zbus::Error| SystemdError::of_bus(UnitOperation::Change(verb, name), &error);
    // Subscribed before the request, because the job can be over before the reply arrives.
    let mut removed = manager.receive_job_removed().await.map_err(of_bus)?;
    let job = request(manager, verb, name).await.map_err(of_bus)?;
    let result = job::result(manager, &mut removed, &job, context).await?;
    let now = Unit::one(manager, name).await.map_err(of_bus)?;
    let was_not_started = now.invocation_id == before.invocation_id && !now.is_up();
    if result == "failed" && was_not_started && matches!(verb, UnitVerb::Start | UnitVerb::Restart) {
        return Err(SystemdError::start_limit(&now));
    }
    if let Some(error) = SystemdError::of_job(verb, &now, &result) {
        return Err(error);
    }
    match verb {
        UnitVerb::Start | UnitVerb::Restart => {
            // A `start` of a running unit does not reset its count of restarts.
            let is_new = now.invocation_id != before.invocation_id;
            let restarts = if is_new { 0 } else { before.n_restarts.unwrap_or(0) };
            let (unit, error) = job::settled(manager, name, restarts, settle, context).await.map_err(of_bus)?;
            error.map_or(Ok(unit), Err)
        }
        UnitVerb::Stop if now.active == "active" => {
            Err(SystemdError::new("still_active", format!("`{name}` is {} although it was stopped", now.state())))
        }
        UnitVerb::Reload if !now.is_up() => Err(SystemdError::of_unit(verb, &now)),
        _ => Ok(now),
    }
}

/// Queues the job. Returns its object path.
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
    let units = Unit::many(&manager, &names).await.ok()?;
    let mut files = serde_json::Map::new();
    for unit in &units {
        files.insert(unit.name.clone(), json!(unit_files::state(&manager, &unit.name).await));
    }
    Some(json!({ "units": units, "files": files }))
}

/// The outcome of a failed change; its verdict is unknown if systemd may have acted.
pub(super) fn failed(error: &SystemdError, mut output: Value) -> Outcome {
    output["trouble"] = error.output();
    let outcome = Outcome::failed(error.message.clone(), output);
    if error.uncertain { Outcome { verdict: Verdict::Unknown, ..outcome } } else { outcome }
}

/// The outputs for later steps: `units` after the change; for a single unit also `before` and `after`.
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
    let line = |(before, after): &(Unit, Unit)| {
        let already = verb == UnitVerb::Start && before.invocation_id == after.invocation_id && before.is_up();
        let past = if already { "already runs" } else { verb.past() };
        format!("`{}` {past}: {}", after.name, after.state())
    };
    done.iter().map(line).collect::<Vec<_>>().join("; ")
}
