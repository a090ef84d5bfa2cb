//! Lists the services of a manager, with their unit files, working directories and processes.

use zbus::OwnedObjectPath;

use super::dbus;
use super::unit::{SERVICE_INTERFACE, UNIT_INTERFACE, properties, text};
use crate::domain::config::estate::ManagerBus;

/// Maximum number of services that are examined; a machine has some hundreds of unit files.
const SERVICE_LIMIT: usize = 1_000;

/// A service as its manager reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownService {
    pub unit: String,
    /// The path of its unit file; empty if there is none.
    pub file: String,
    /// The working directory; empty if none is set.
    pub directory: String,
    /// Its processes, the main one first.
    pub processes: Vec<u32>,
}

/// Every service that matches a pattern and is loaded or enabled.
///
/// # Errors
/// If the manager cannot be reached or does not answer.
pub async fn services(bus: &ManagerBus, pattern: &str) -> Result<Vec<KnownService>, String> {
    let manager = dbus::here(bus).await.map_err(|reason| reason.text)?;
    let text = |error: zbus::Error| error.to_string();
    let loaded = manager.list_units_by_patterns(&[], &[pattern]).await.map_err(text)?;
    let enabled = manager.list_unit_files_by_patterns(&["enabled"], &[pattern]).await.map_err(text)?;
    let files = enabled.into_iter().filter_map(|(file, _)| Some(file.rsplit('/').next()?.to_owned()));
    let mut names: Vec<String> = loaded.into_iter().map(|row| row.0).chain(files).collect();
    // A template is not a unit; only its instances are.
    names.retain(|name| name.ends_with(".service") && !name.contains("@."));
    names.sort();
    names.dedup();
    names.truncate(SERVICE_LIMIT);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = manager.list_units_by_names(&names).await.map_err(text)?;
    let rows = rows.into_iter().filter(|row| row.2 == "loaded");
    let services = rows.map(|row| described(&manager, row.0, row.6));
    futures_util::future::try_join_all(services).await.map_err(text)
}

async fn described(
    manager: &dbus::ManagerProxy<'_>,
    unit: String,
    path: OwnedObjectPath,
) -> zbus::Result<KnownService> {
    let connection = manager.inner().connection();
    let of_unit = properties(connection, &path, UNIT_INTERFACE, &["FragmentPath"]).await?;
    let of_service = properties(connection, &path, SERVICE_INTERFACE, &["WorkingDirectory"]).await?;
    // A stopped service has no processes, and an older manager lacks the method.
    let processes = manager.get_unit_processes(&unit).await.unwrap_or_default();
    let directory = text(&of_service, "WorkingDirectory").unwrap_or_default();
    Ok(KnownService {
        unit,
        file: text(&of_unit, "FragmentPath").unwrap_or_default(),
        directory: directory.trim_start_matches(['!', '-']).to_owned(),
        processes: processes.into_iter().map(|(_, process, _)| process).collect(),
    })
}
