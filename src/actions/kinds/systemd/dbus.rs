//! The D-Bus side of systemd: the manager's interface as a proxy, and one kept connection per bus.
//!
//! Source: `org.freedesktop.systemd1(5)`. Only what the verbs need is declared.
//!
//! Deliberately absent: systemd's private socket, where it answers under a name that the bus library refuses; and the
//! caching of properties, since a value that was true a moment ago is what we must not report.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath, proxy};

use crate::actions::Context;
use crate::actions::transport::host;
use crate::domain::config::estate::{Host, ManagerBus};
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::sync::lock;

/// Limit for one call. Reading all units takes milliseconds, reloading a thousand unit files some seconds.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Limit for connecting to a bus that is reachable.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The error code if the manager cannot be reached although its host can.
const NO_MANAGER: &str = "no_manager";

/// Connections that are kept; there are few environments.
const KEPT: usize = 16;

/// A row of `ListUnits…`: name, description, load, active and sub state, followed unit, path, and the job's id, type
/// and path.
pub(super) type UnitRow =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// A change to the symlinks of unit files: type of change, link, and target.
pub(super) type FileChange = (String, String, String);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(super) trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<UnitRow>>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<UnitRow>>;
    fn list_unit_files_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<(String, String)>>;
    fn get_unit_processes(&self, name: &str) -> zbus::Result<Vec<(String, u32, String)>>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn get_job(&self, id: u32) -> zbus::Result<OwnedObjectPath>;
    fn enable_unit_files(&self, files: &[&str], runtime: bool, force: bool) -> zbus::Result<(bool, Vec<FileChange>)>;
    fn disable_unit_files(&self, files: &[&str], runtime: bool) -> zbus::Result<Vec<FileChange>>;
    fn get_unit_file_state(&self, file: &str) -> zbus::Result<String>;
    fn reload(&self) -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> zbus::Result<String>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: zbus::ObjectPath<'_>, unit: &str, result: &str) -> zbus::Result<()>;
}

/// Connections by bus. Tasks of the runtime that made a connection serve it, so another runtime cannot use it.
static CONNECTIONS: Mutex<Option<HashMap<BusKey, Connection>>> = Mutex::new(None);

/// The host and address of a bus, and the runtime that serves the connection.
type BusKey = (Host, ManagerBus, Id);

/// The manager of the environment's host. Uses the kept connection, or connects if there is none or it is dead.
///
/// # Errors
/// Which bus cannot be reached and why: `no_manager`, or the code of the error of the connection to its host.
pub(super) async fn manager(context: &Context) -> Result<ManagerProxy<'static>, Reason> {
    let (place, bus) = (&context.environment.host, &context.environment.systemd);
    let Host::Ssh(ssh) = place else { return here(bus).await };
    let wrong = |reason: Reason| match reason.code {
        // The host itself cannot be reached.
        ReasonCode::HOST_UNREACHABLE => reason,
        code => {
            let code = if ReasonCode::is_of_host(code.as_str()) { code } else { NO_MANAGER.into() };
            let Reason { text, .. } = reason;
            Reason::new(code, format!("the systemd manager at `{}` of `{}` cannot be reached: {text}", bus.0, ssh.to))
        }
    };
    let said = |text: String| wrong(Reason::new(NO_MANAGER, text));
    let key = (place.clone(), bus.clone(), Handle::current().id());
    if let Some(manager) = alive(&key).await {
        return Ok(manager);
    }
    // `bridge` limits its own time.
    let (stream, fate) = host::bridge(&bridging(bus), ssh, context).await.map_err(wrong)?;
    let stream = stream.into_std().map_err(|error| said(error.to_string()))?;
    match tokio::time::timeout(CONNECT_LIMIT, connected(Builder::unix_stream(stream))).await {
        Ok(Ok((connection, manager))) => {
            keep(key, connection);
            Ok(manager)
        }
        Ok(Err(error)) => {
            let ended = || Reason::new(NO_MANAGER, format!("`systemd-stdio-bridge` has ended there ({error})"));
            Err(wrong(fate.reason().await.unwrap_or_else(ended)))
        }
        Err(_) => Err(said(format!("no answer within {} s", CONNECT_LIMIT.as_secs()))),
    }
}

/// The manager of a bus of this machine.
///
/// # Errors
/// As [`manager`].
pub(super) async fn here(bus: &ManagerBus) -> Result<ManagerProxy<'static>, Reason> {
    let key = (Host::Local, bus.clone(), Handle::current().id());
    if let Some(manager) = alive(&key).await {
        return Ok(manager);
    }
    let said =
        |text: String| Reason::new(NO_MANAGER, format!("the systemd manager at `{}` cannot be reached: {text}", bus.0));
    match tokio::time::timeout(CONNECT_LIMIT, connected(builder(&bus.0))).await {
        Ok(Ok((connection, manager))) => {
            keep(key, connection);
            Ok(manager)
        }
        Ok(Err(error)) => Err(said(error.to_string())),
        Err(_) => Err(said(format!("no answer within {} s", CONNECT_LIMIT.as_secs()))),
    }
}

/// The manager of the kept connection, if it still answers. A broken connection is often noticed only when it is used,
/// and a change must not be the call that notices.
async fn alive(key: &BusKey) -> Option<ManagerProxy<'static>> {
    let manager = proxy(&cached(key)?).await.ok()?;
    let answer = tokio::time::timeout(host::SILENCE, manager.version()).await;
    answer.ok()?.ok().map(|_| manager)
}

async fn connected(builder: Builder<'_>) -> zbus::Result<(Connection, ManagerProxy<'static>)> {
    let connection = builder.method_timeout(CALL_LIMIT).build().await?;
    let manager = proxy(&connection).await?;
    // Without it systemd sends no signals, and a job would seem to run for ever.
    manager.subscribe().await?;
    Ok((connection, manager))
}

/// The command that forwards a remote bus over its standard streams; `systemctl --host` uses it too.
fn bridging(bus: &ManagerBus) -> Vec<String> {
    let rest: &[&str] = match bus.0.as_str() {
        "system" => &[],
        "user" => &["--user"],
        address => &["-p", address],
    };
    ["systemd-stdio-bridge"].iter().chain(rest).map(|&word| word.to_owned()).collect()
}

async fn proxy(connection: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(connection).cache_properties(zbus::proxy::CacheProperties::No).build().await
}

fn builder(bus: &str) -> Builder<'_> {
    match bus {
        "system" => Builder::system(),
        "user" => Builder::session(),
        address => Builder::address(address),
    }
}

fn cached(key: &BusKey) -> Option<Connection> {
    let connections = lock(&CONNECTIONS);
    connections.as_ref()?.get(key).filter(|connection| !connection.is_closed()).cloned()
}

fn keep(key: BusKey, connection: Connection) {
    let mut connections = lock(&CONNECTIONS);
    let connections = connections.get_or_insert_default();
    connections.retain(|_, connection| !connection.is_closed());
    if connections.len() >= KEPT {
        connections.clear();
    }
    connections.insert(key, connection);
}
