//! Lists the states of many units with few calls: one for all units, then concurrent reads of the properties that its
//! reply lacks.
//!
//! Not here: properties that only a change needs; see [`Unit`](super::unit::Unit).

use std::collections::HashMap;

use futures_util::future::join_all;
use zbus::{Connection, ObjectPath, OwnedVariant};

use super::dbus;
use super::dbus::UnitRow;
use super::unit::{ProcessExit, SERVICE_INTERFACE, UNIT_INTERFACE, UNKNOWN_BYTES, instant, property};
use crate::actions::Context;
use crate::domain::host::status::UnitState;

/// The states of these units by name. An unknown unit is `not-found`.
///
/// # Errors
/// The bus that cannot be reached, and why.
pub async fn list_states(names: &[&str], context: &Context) -> Result<HashMap<String, UnitState>, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let rows = manager.list_units_by_names(names).await;
    let rows = rows.map_err(|error| {
        format!("the systemd manager at `{}` does not answer: {error}", context.environment.systemd.0)
    })?;
    let connection = manager.inner().connection();
    let requested = requested_names(names, &rows);
    let units = join_all(requested.into_iter().zip(rows).map(|(name, row)| read_unit(connection, name, row))).await;
    let mut states: HashMap<String, UnitState> = units.into_iter().map(|unit| (unit.name.clone(), unit)).collect();
    for name in names {
        // systemd leaves out names that no unit can have.
        states.entry((*name).to_owned()).or_insert_with(|| missing(name));
    }
    Ok(states)
}

/// The name by which each row was requested. The row of a unit with aliases holds its main name.
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
    let since = get::<u64>(connection, &path, UNIT_INTERFACE, "StateChangeTimestamp");
    let (since, ()) = futures_util::join!(since, async {
        if is_service {
            add_service(connection, &path, &mut unit).await;
        }
    });
    unit.since = since.and_then(instant);
    unit
}

/// Reads the properties of a service. Those that show why it is not up are read only in that case.
async fn add_service(connection: &Connection, path: &ObjectPath<'_>, unit: &mut UnitState) {
    let restarts = get::<u32>(connection, path, SERVICE_INTERFACE, "NRestarts");
    let memory = get::<u64>(connection, path, SERVICE_INTERFACE, "MemoryCurrent");
    let (restarts, memory, ()) = futures_util::join!(restarts, memory, async {
        if unit.is_up {
            return;
        }
        let result = get::<String>(connection, path, SERVICE_INTERFACE, "Result");
        let service_type = get::<String>(connection, path, SERVICE_INTERFACE, "Type");
        let code = get::<i32>(connection, path, SERVICE_INTERFACE, "ExecMainCode");
        let status = get::<i32>(connection, path, SERVICE_INTERFACE, "ExecMainStatus");
        let (result, service_type, code, status) = futures_util::join!(result, service_type, code, status);
        let exit = code.zip(status).and_then(|(code, status)| ProcessExit::of(code, status));
        unit.exit = exit.map(|exit| exit.to_string());
        // A `oneshot` that succeeded is up.
        let has_succeeded = unit.active == "inactive" && result.as_deref() == Some("success");
        unit.is_up = has_succeeded && service_type.as_deref() == Some("oneshot");
        unit.result = result;
    });
    unit.restarts = restarts;
    unit.memory = memory.filter(|bytes| *bytes != UNKNOWN_BYTES);
}

/// One property; `None` if the unit is gone.
async fn get<T: TryFrom<OwnedVariant>>(
    connection: &Connection,
    path: &ObjectPath<'_>,
    interface: &str,
    name: &str,
) -> Option<T> {
    T::try_from(property(connection, path, interface, name).await.ok()?).ok()
}
