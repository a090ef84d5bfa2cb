//! The state of a unit at one moment.

use std::collections::HashMap;
use std::fmt;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use zbus::{Connection, ObjectPath, OwnedVariant};

use super::dbus::{ManagerProxy, UnitRow};
use crate::domain::core::time::{Timestamp, stamp};

/// systemd's value for an unknown number of bytes.
pub(super) const UNKNOWN_BYTES: u64 = u64::MAX;

/// The D-Bus interface of every unit, and that of services.
pub(super) const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
pub(super) const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";

/// The properties that are read of every unit, and of services.
const UNIT_PROPERTIES: &[&str] = &["ActiveState", "SubState", "StateChangeTimestamp", "InvocationID"];
const SERVICE_PROPERTIES: &[&str] =
    &["Result", "Type", "NRestarts", "MemoryCurrent", "MainPID", "ExecMainCode", "ExecMainStatus"];

/// A unit in the log and in the outputs for later steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// The full name, such as `shop-gateway.service`.
    pub name: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`.
    pub active: String,
    /// The state in terms of the unit type: `running`, `dead`, `auto-restart`.
    pub sub: String,
    /// Whether its file was loaded: `loaded`, `not-found`, `bad-setting`, `error`, `masked`.
    pub load: String,
    /// The result of its last invocation: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`, …
    pub result: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<String>,
    /// Automatic restarts by systemd since the last manual start.
    pub n_restarts: Option<u32>,
    /// The invocation id in hexadecimal; empty if it never ran.
    pub invocation_id: String,
    /// Memory in use, in bytes.
    pub memory: Option<u64>,
    pub main_pid: Option<u32>,
    /// The last exit of its main process.
    pub exit: Option<ProcessExit>,
    /// Such as `simple`, `notify` or `oneshot`.
    #[serde(rename = "type")]
    pub service_type: Option<String>,
    /// The id of its queued or running job; 0 if none.
    #[serde(skip)]
    pub job: u32,
}

impl Unit {
    /// The units with these names. One call lists them all, then their properties are read concurrently.
    pub async fn many(manager: &ManagerProxy<'_>, names: &[&str]) -> zbus::Result<Vec<Self>> {
        let rows = manager.list_units_by_names(names).await?;
        let connection = manager.inner().connection();
        futures_util::future::try_join_all(rows.into_iter().map(|row| Self::of(connection, row))).await
    }

    /// One unit; `not-found` if systemd does not know it.
    pub async fn one(manager: &ManagerProxy<'_>, name: &str) -> zbus::Result<Self> {
        let unit = Self::many(manager, &[name]).await?.pop();
        Ok(unit.unwrap_or_else(|| Self {
            name: name.to_owned(),
            load: "not-found".to_owned(),
            active: "inactive".to_owned(),
            ..Self::default()
        }))
    }

    async fn of(connection: &Connection, row: UnitRow) -> zbus::Result<Self> {
        let (name, _, load, active, sub, _, path, job, _, _) = row;
        let mut unit = Self { name, active, sub, load, job, ..Self::default() };
        if unit.load == "not-found" {
            return Ok(unit);
        }
        unit.add_unit(&properties(connection, &path, UNIT_INTERFACE, UNIT_PROPERTIES).await?);
        // The restart count is read after the invocation id. Otherwise an automatic restart in between would seem to be
        // requested by somebody.
        if unit.name.ends_with(".service") {
            unit.add_service(&properties(connection, &path, SERVICE_INTERFACE, SERVICE_PROPERTIES).await?);
        }
        Ok(unit)
    }

    fn add_unit(&mut self, properties: &HashMap<String, OwnedVariant>) {
        // The states are replaced, so that they are of the same moment as the other properties.
        self.active = text(properties, "ActiveState").unwrap_or_else(|| std::mem::take(&mut self.active));
        self.sub = text(properties, "SubState").unwrap_or_else(|| std::mem::take(&mut self.sub));
        self.since = number(properties, "StateChangeTimestamp").and_then(instant).map(stamp);
        if let Some(id) = properties.get("InvocationID").and_then(|value| Vec::<u8>::try_from(value.clone()).ok()) {
            self.invocation_id = hex::encode(id);
        }
    }

    fn add_service(&mut self, properties: &HashMap<String, OwnedVariant>) {
        self.result = text(properties, "Result");
        self.service_type = text(properties, "Type");
        self.n_restarts = properties.get("NRestarts").and_then(|value| u32::try_from(value).ok());
        self.memory = number(properties, "MemoryCurrent").filter(|bytes| *bytes != UNKNOWN_BYTES);
        self.main_pid = properties.get("MainPID").and_then(|value| u32::try_from(value).ok()).filter(|pid| *pid != 0);
        let code = properties.get("ExecMainCode").and_then(|value| i32::try_from(value).ok());
        let status = properties.get("ExecMainStatus").and_then(|value| i32::try_from(value).ok());
        self.exit = code.zip(status).and_then(|(code, status)| ProcessExit::of(code, status));
    }

    /// Whether a started unit does its job: it runs, or it is a `oneshot` that succeeded.
    pub fn is_up(&self) -> bool {
        self.active == "active"
            || self.active == "reloading"
            || (self.active == "inactive" && self.is_oneshot() && self.has_succeeded())
    }

    fn is_oneshot(&self) -> bool {
        self.service_type.as_deref() == Some("oneshot")
    }

    fn has_succeeded(&self) -> bool {
        self.result.as_deref().is_none_or(|result| result == "success")
    }

    /// A short description of its state: `active (running)`, `failed (exit-code)`, `not found`.
    pub fn state(&self) -> String {
        if self.load == "not-found" {
            return "not found".to_owned();
        }
        match self.result.as_deref().filter(|result| self.active == "failed" && *result != "success") {
            Some(result) => format!("failed ({result})"),
            None => format!("{} ({})", self.active, self.sub),
        }
    }
}

/// How a process ended. In the log and in outputs it is a text: `exited 1`, `killed 9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) enum ProcessExit {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl ProcessExit {
    /// From `ExecMainCode` and `ExecMainStatus`, which are `si_code` and `si_status` of `waitid(2)`. `None` if the process
    /// still runs.
    pub fn of(code: i32, status: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Exited(status)),
            2 | 3 => Some(Self::Killed(status)),
            _ => None,
        }
    }
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited {code}"),
            Self::Killed(signal) => write!(f, "killed {signal}"),
        }
    }
}

impl From<ProcessExit> for String {
    fn from(exit: ProcessExit) -> Self {
        exit.to_string()
    }
}

impl TryFrom<String> for ProcessExit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once(' ').and_then(|(how, number)| match (how, number.parse()) {
            ("exited", Ok(code)) => Some(Self::Exited(code)),
            ("killed", Ok(signal)) => Some(Self::Killed(signal)),
            _ => None,
        });
        parsed.ok_or_else(|| format!("`{text}` is not the exit of a process"))
    }
}

pub(super) fn instant(microseconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(microseconds).ok().filter(|microseconds| *microseconds > 0)?;
    DateTime::from_timestamp_micros(microseconds)
}

pub(super) fn text(properties: &HashMap<String, OwnedVariant>, name: &str) -> Option<String> {
    properties.get(name).and_then(|value| <&str>::try_from(value).ok()).map(str::to_owned)
}

fn number(properties: &HashMap<String, OwnedVariant>, name: &str) -> Option<u64> {
    properties.get(name).and_then(|value| u64::try_from(value).ok())
}

/// Reads some properties of one interface, without waiting between the requests.
///
/// `GetAll` is one message, but returns hundreds of unused properties. For nineteen units, it takes a third longer.
pub(super) async fn properties(
    connection: &Connection,
    path: &ObjectPath<'_>,
    interface: &str,
    names: &[&str],
) -> zbus::Result<HashMap<String, OwnedVariant>> {
    let gets = names.iter().map(|name| async move {
        Ok::<_, zbus::Error>(((*name).to_owned(), property(connection, path, interface, name).await?))
    });
    Ok(futures_util::future::try_join_all(gets).await?.into_iter().collect())
}

pub(super) async fn property(
    connection: &Connection,
    path: &ObjectPath<'_>,
    interface: &str,
    name: &str,
) -> zbus::Result<OwnedVariant> {
    let (destination, properties) = (Some("org.freedesktop.systemd1"), Some("org.freedesktop.DBus.Properties"));
    let reply = connection.call_method(destination, path, properties, "Get", &(interface, name)).await?;
    reply.body().deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_holds_an_exit_as_text() {
        for (exit, text) in [(ProcessExit::Exited(203), "exited 203"), (ProcessExit::Killed(9), "killed 9")] {
            assert_eq!(serde_json::json!(exit), text);
            assert_eq!(serde_json::from_value::<ProcessExit>(text.into()).unwrap(), exit);
        }
        assert!(serde_json::from_value::<ProcessExit>("ended".into()).is_err());
    }

    #[test]
    fn a_oneshot_that_succeeded_is_up() {
        let unit = Unit {
            active: "inactive".to_owned(),
            result: Some("success".to_owned()),
            service_type: Some("oneshot".to_owned()),
            ..Unit::default()
        };
        assert!(unit.is_up());
        assert!(!Unit { service_type: Some("simple".to_owned()), ..unit }.is_up());
    }
}
