//! Performs the verbs for unit files: `enable`, `disable`, `daemon_reload`.

use serde_json::{Value, json};

use super::dbus;
use super::dbus::{FileChange, ManagerProxy};
use super::error::SystemdError;
use super::verb::{UnitOperation, UnitVerb};
use crate::actions::Context;
use crate::domain::incident::outcome::Outcome;

/// Reads all unit files again.
pub(super) async fn daemon_reload(context: &Context) -> Result<Outcome, SystemdError> {
    reload(&dbus::manager(context).await?).await?;
    Ok(Outcome::succeeded("systemd has read all unit files again", Value::Null))
}

async fn reload(manager: &ManagerProxy<'_>) -> Result<(), SystemdError> {
    manager.reload().await.map_err(|error| SystemdError::of_bus(UnitOperation::ReloadUnitFiles, &error))
}

/// Creates or removes the symlinks by which units start at boot, and reads all unit files again.
pub(super) async fn change(
    manager: &ManagerProxy<'_>,
    verb: UnitVerb,
    units: &[String],
) -> Result<Outcome, SystemdError> {
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    let listed = names.join(", ");
    let of_bus = |error: zbus::Error| SystemdError::of_bus(UnitOperation::Change(verb, &listed), &error);
    let (installable, changes) = match verb {
        UnitVerb::Enable => manager.enable_unit_files(&names, false, false).await.map_err(of_bus)?,
        _ => (true, manager.disable_unit_files(&names, false).await.map_err(of_bus)?),
    };
    if !installable && changes.is_empty() {
        let message = format!("`{listed}` has no `[Install]` section, which is needed to start it at boot");
        return Err(SystemdError::new("not_installable", message));
    }
    reload(manager).await?;
    Ok(report(verb, &listed, &changes))
}

fn report(verb: UnitVerb, units: &str, changes: &[FileChange]) -> Outcome {
    let listed: Vec<Value> =
        changes.iter().map(|(what, link, to)| json!({ "what": what, "link": link, "to": to })).collect();
    let when = if changes.is_empty() { "already" } else { "now" };
    Outcome::succeeded(format!("`{units}` is {when} {}", verb.past()), json!({ "changes": listed }))
}

/// Whether a unit starts at boot, in systemd's terms: `enabled`, `disabled`, `static`, …
pub(super) async fn state(manager: &ManagerProxy<'_>, unit: &str) -> Option<String> {
    manager.get_unit_file_state(unit).await.ok()
}
