//! The D-Bus proxy of systemd's manager, and one cached connection per bus. Declares only the used part of
//! `org.freedesktop.systemd1(5)`.
//!
//! Not here: systemd's private socket, which replies under a name that the bus library rejects; cached properties, since
//! a stale value must not be reported.

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

/// Time limit for one call. Reading all units takes milliseconds, reloading a thousand unit files some seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit for connecting to a bus that is reachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The error code if the host can be reached but its manager cannot.
const NO_MANAGER: &str = "no_manager";

/// Maximum number of cached connections; there are few environments.
const CACHED: usize = 16;

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

/// Connections by bus. Tasks of one runtime serve a connection, so another runtime cannot use it.
static CONNECTIONS: Mutex<Option<HashMap<BusKey, Connection>>> = Mutex::new(None);

/// The host and address of a bus, and the runtime that serves the connection.
type BusKey = (Host, ManagerBus, Id);

/// The manager of the environment's host. Uses the cached connection, or connects if there is none or it is dead.
///
/// # Errors
/// Which bus cannot be reached and why: `no_manager`, or the code of the error of the connection to its host.
pub(super) async fn manager(context: &Context) -> Result<ManagerProxy<'static>, Reason> {
    let (host, bus) = (&context.environment.host, &context.environment.systemd);
    let Host::Ssh(ssh) = host else { return here(bus).await };
    let of_manager = |reason: Reason| match reason.code {
        ReasonCode::HOST_UNREACHABLE => reason,
        code => {
            let code = if ReasonCode::is_of_host(code.as_str()) { code } else { NO_MANAGER.into() };
            let Reason { text, .. } = reason;
            Reason::new(code, format!("the systemd manager at `{}` of `{}` cannot be reached: {text}", bus.0, ssh.to))
        }
    };
    let no_manager = |text: String| of_manager(Reason::new(NO_MANAGER, text));
    let key = (host.clone(), bus.clone(), Handle::current().id());
    if let Some(manager) = alive(&key).await {
        return Ok(manager);
    }
    // `bridge` has its own time limit.
    let (stream, end) = host::bridge(&bridge_command(bus), ssh, context).await.map_err(of_manager)?;
    let stream = stream.into_std().map_err(|error| no_manager(error.to_string()))?;
    match tokio::time::timeout(CONNECT_TIMEOUT, connected(Builder::unix_stream(stream))).await {
        Ok(Ok((connection, manager))) => {
            keep(key, connection);
            Ok(manager)
        }
        Ok(Err(error)) => {
            let ended = || Reason::new(NO_MANAGER, format!("`systemd-stdio-bridge` has ended there ({error})"));
            Err(of_manager(end.reason().await.unwrap_or_else(ended)))
        }
        Err(_) => Err(no_manager(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
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
    let no_manager =
        |text: String| Reason::new(NO_MANAGER, format!("the systemd manager at `{}` cannot be reached: {text}", bus.0));
    match tokio::time::timeout(CONNECT_TIMEOUT, connected(builder(&bus.0))).await {
        Ok(Ok((connection, manager))) => {
            keep(key, connection);
            Ok(manager)
        }
        Ok(Err(error)) => Err(no_manager(error.to_string())),
        Err(_) => Err(no_manager(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

/// The manager of the cached connection, if it still answers. A broken connection is often noticed only when it is used,
/// and that use must not be a change.
async fn alive(key: &BusKey) -> Option<ManagerProxy<'static>> {
    let manager = proxy(&cached(key)?).await.ok()?;
    let reply = tokio::time::timeout(host::SILENCE, manager.version()).await;
    reply.ok()?.ok().map(|_| manager)
}

async fn connected(builder: Builder<'_>) -> zbus::Result<(Connection, ManagerProxy<'static>)> {
    let connection = builder.method_timeout(CALL_TIMEOUT).build().await?;
    let manager = proxy(&connection).await?;
    // Without a subscription systemd sends no signals, and a job would seem to run for ever.
    manager.subscribe().await?;
    Ok((connection, manager))
}

/// The command that forwards a remote bus over its standard streams; `systemctl --host` uses it too.
fn bridge_command(bus: &ManagerBus) -> Vec<String> {
    let arguments: &[&str] = match bus.0.as_str() {
        "system" => &[],
        "user" => &["--user"],
        address => &["-p", address],
    };
    ["systemd-stdio-bridge"].iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
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
    if connections.len() >= CACHED {
        connections.clear();
    }
    connections.insert(key, connection);
}
