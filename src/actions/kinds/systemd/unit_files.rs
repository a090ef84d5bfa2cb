//! The verbs about unit files: `enable`, `disable`, `daemon_reload`.

use serde_json::{Value, json};

use super::change::UnitVerb;
use super::dbus;
use super::dbus::{FileChange, ManagerProxy};
use super::error::SystemdError;
use crate::actions::Context;
use crate::domain::incident::outcome::Outcome;

/// The verb for reloading all unit files, in messages and in the choice of the polkit action.
const RELOAD: &str = "reload the unit files of";

/// Reloads all unit files.
pub(super) async fn daemon_reload(context: &Context) -> Result<Outcome, SystemdError> {
    let manager = dbus::manager(context).await?;
    manager.reload().await.map_err(|error| SystemdError::of_bus(RELOAD, "the manager", &error))?;
    Ok(Outcome::succeeded("systemd has read all unit files again", Value::Null))
}

/// Creates or removes the symlinks by which units start at boot, and reloads the unit files.
pub(super) async fn change(
    manager: &ManagerProxy<'_>,
    verb: UnitVerb,
    units: &[String],
) -> Result<Outcome, SystemdError> {
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    let said = names.join(", ");
    let trouble = |error: zbus::Error| SystemdError::of_bus(verb.code(), &said, &error);
    let (installable, changes) = match verb {
        UnitVerb::Enable => manager.enable_unit_files(&names, false, false).await.map_err(trouble)?,
        _ => (true, manager.disable_unit_files(&names, false).await.map_err(trouble)?),
    };
    if !installable && changes.is_empty() {
        let message = format!("`{said}` has no `[Install]` section, so that nothing says when it would start");
        return Err(SystemdError::new("not_installable", message));
    }
    manager.reload().await.map_err(|error| SystemdError::of_bus(RELOAD, "the manager", &error))?;
    Ok(report(verb, &said, &changes))
}

fn report(verb: UnitVerb, units: &str, changes: &[FileChange]) -> Outcome {
    let listed: Vec<Value> =
        changes.iter().map(|(what, link, to)| json!({ "what": what, "link": link, "to": to })).collect();
    let noted = if changes.is_empty() { "already" } else { "now" };
    Outcome::succeeded(format!("`{units}` is {noted} {}d", verb.code()), json!({ "changes": listed }))
}

/// Whether a unit starts at boot: `enabled`, `disabled`, `static`, …
pub(super) async fn state(manager: &ManagerProxy<'_>, unit: &str) -> Option<String> {
    manager.get_unit_file_state(unit).await.ok()
}
