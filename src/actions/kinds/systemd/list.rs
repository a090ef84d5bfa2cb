//! Many units at a glance, as cheaply as the bus allows: one call for the states of all, then only what the states
//! do not say, asked for one behind the other without waiting in between.
//!
//! Deliberately absent: changes, invocations, and what only somebody who changes a unit needs; that is
//! [`UnitState`](super::unit::Unit).

use std::collections::HashMap;

use futures_util::future::join_all;
use zbus::{Connection, ObjectPath, OwnedVariant};

use super::dbus;
use super::dbus::UnitRow;
use super::unit::{ended, instant};
use crate::actions::Context;
use crate::domain::host::status::UnitState;

/// The interface of every unit, and that of services.
const COMMON: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// The states of these units by name. An unknown unit is `not-found`.
///
/// # Errors
/// A sentence that names the bus that cannot be reached, and why.
pub async fn list_states(names: &[&str], context: &Context) -> Result<HashMap<String, UnitState>, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let rows = manager.list_units_by_names(names).await;
    let rows = rows.map_err(|error| {
        format!("the systemd manager at `{}` does not answer: {error}", context.environment.systemd.0)
    })?;
    let connection = manager.inner().connection();
    let asked = requested_names(names, &rows);
    let units = join_all(asked.into_iter().zip(rows).map(|(asked, row)| read_unit(connection, asked, row))).await;
    let mut seen: HashMap<String, UnitState> = units.into_iter().map(|unit| (unit.name.clone(), unit)).collect();
    for name in names {
        // systemd leaves out names that no unit can have.
        seen.entry((*name).to_owned()).or_insert_with(|| missing(name));
    }
    Ok(seen)
}

/// The name by which each row was requested. A unit with aliases returns its first name.
fn requested_names(names: &[&str], rows: &[UnitRow]) -> Vec<String> {
    if names.len() == rows.len() {
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    rows.iter().map(|row| row.0.clone()).collect()
}

fn missing(name: &str) -> UnitState {
    let (active, load) = ("inactive".to_owned(), "not-found".to_owned());
    UnitState { name: name.to_owned(), active, load, ..UnitState::default() }
}

async fn read_unit(connection: &Connection, name: String, row: UnitRow) -> UnitState {
    let (_, _, load, active, sub, _, path, ..) = row;
    let is_up = active == "active" || active == "reloading";
    let mut unit = UnitState { is_up, active, sub, load, ..missing(&name) };
    if unit.is_missing() {
        return unit;
    }
    let is_service = name.ends_with(".service");
    let common = get::<u64>(connection, &path, COMMON, "StateChangeTimestamp");
    let (since, ()) = futures_util::join!(common, async {
        if is_service {
            service(connection, &path, &mut unit).await;
        }
    });
    unit.since = since.and_then(instant);
    unit
}

/// Reads the properties of a service. The reason why it is not up is read only if it is not.
async fn service(connection: &Connection, path: &ObjectPath<'_>, unit: &mut UnitState) {
    let restarts = get::<u32>(connection, path, SERVICE, "NRestarts");
    let memory = get::<u64>(connection, path, SERVICE, "MemoryCurrent");
    let (restarts, memory, ()) = futures_util::join!(restarts, memory, async {
        if unit.is_up {
            return;
        }
        let result = get::<String>(connection, path, SERVICE, "Result");
        let kind = get::<String>(connection, path, SERVICE, "Type");
        let code = get::<i32>(connection, path, SERVICE, "ExecMainCode");
        let status = get::<i32>(connection, path, SERVICE, "ExecMainStatus");
        let (result, kind, code, status) = futures_util::join!(result, kind, code, status);
        unit.exit = code.zip(status).and_then(|(code, status)| ended(code, status));
        // A `oneshot` that succeeded is up.
        let has_succeeded = unit.active == "inactive" && result.as_deref() == Some("success");
        unit.is_up = has_succeeded && kind.as_deref() == Some("oneshot");
        unit.result = result;
    });
    unit.restarts = restarts;
    // The largest number stands for an unknown value.
    unit.memory = memory.filter(|bytes| *bytes != u64::MAX);
}

/// One property; `None` if the unit is gone.
async fn get<T: TryFrom<OwnedVariant>>(
    connection: &Connection,
    path: &ObjectPath<'_>,
    interface: &str,
    name: &str,
) -> Option<T> {
    let (manager, properties) = (Some("org.freedesktop.systemd1"), Some("org.freedesktop.DBus.Properties"));
    let reply = connection.call_method(manager, path, properties, "Get", &(interface, name)).await.ok()?;
    T::try_from(reply.body().deserialize::<OwnedVariant>().ok()?).ok()
}
