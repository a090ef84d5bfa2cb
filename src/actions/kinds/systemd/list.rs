//! Many units at a glance, as cheaply as the bus allows: one call for the states of all, then only what the states
//! do not say, asked for one behind the other without waiting in between.
//!
//! Deliberately absent: changes, invocations, and what only somebody who changes a unit needs; that is
//! [`Unit`](super::unit::Unit).

use std::collections::HashMap;

use futures_util::future::join_all;
use zbus::{Connection, ObjectPath, OwnedVariant};

use super::dbus;
use super::dbus::UnitRow;
use super::unit::{ended, instant};
use crate::actions::Context;
use crate::domain::host::status::Unit;

/// The interfaces that every unit and every service has.
const COMMON: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// What systemd says of these units, by name. One that it does not know is `not-found`.
///
/// # Errors
/// A sentence that says which bus cannot be reached and why.
pub async fn list_states(names: &[&str], context: &Context) -> Result<HashMap<String, Unit>, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let rows = manager.list_units_by_names(names).await;
    let rows = rows.map_err(|error| {
        format!("the systemd manager at `{}` does not answer: {error}", context.environment.systemd.0)
    })?;
    let connection = manager.inner().connection();
    let asked = asked(names, &rows);
    let units = join_all(asked.into_iter().zip(rows).map(|(asked, row)| look(connection, asked, row))).await;
    let mut seen: HashMap<String, Unit> = units.into_iter().map(|unit| (unit.name.clone(), unit)).collect();
    for name in names {
        // A name that no unit can have is passed over by systemd.
        seen.entry((*name).to_owned()).or_insert_with(|| missing(name));
    }
    Ok(seen)
}

/// The name that each row was asked for by: a unit that has several answers with the first of them.
fn asked(names: &[&str], rows: &[UnitRow]) -> Vec<String> {
    if names.len() == rows.len() {
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    rows.iter().map(|row| row.0.clone()).collect()
}

fn missing(name: &str) -> Unit {
    let (active, load) = ("inactive".to_owned(), "not-found".to_owned());
    Unit { name: name.to_owned(), active, load, ..Unit::default() }
}

async fn look(connection: &Connection, name: String, row: UnitRow) -> Unit {
    let (_, _, load, active, sub, _, path, ..) = row;
    let is_up = active == "active" || active == "reloading";
    let mut unit = Unit { is_up, active, sub, load, ..missing(&name) };
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

/// What a service has. Why it is not up is read only of one that is not.
async fn service(connection: &Connection, path: &ObjectPath<'_>, unit: &mut Unit) {
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
        // One that runs once and has ended well does what it should.
        let has_succeeded = unit.active == "inactive" && result.as_deref() == Some("success");
        unit.is_up = has_succeeded && kind.as_deref() == Some("oneshot");
        unit.result = result;
    });
    unit.restarts = restarts;
    // What systemd does not know, it says by the largest number.
    unit.memory = memory.filter(|bytes| *bytes != u64::MAX);
}

/// One property; none when the unit has gone in the meantime.
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
