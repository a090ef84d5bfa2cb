//! Which services a manager knows, where their files come from, and which processes they have.
//!
//! Deliberately absent: what they are for, and processes of units that are no services.

use zbus::OwnedObjectPath;

use super::dbus;
use super::unit::{properties, text};
use crate::domain::config::estate::ManagerBus;

/// Services that are examined; a machine has some hundreds of unit files.
const MOST: usize = 1_000;

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
    let said = |error: zbus::Error| error.to_string();
    let loaded = manager.list_units_by_patterns(&[], &[pattern]).await.map_err(said)?;
    let enabled = manager.list_unit_files_by_patterns(&["enabled"], &[pattern]).await.map_err(said)?;
    let files = enabled.into_iter().filter_map(|(file, _)| Some(file.rsplit('/').next()?.to_owned()));
    let mut names: Vec<String> = loaded.into_iter().map(|row| row.0).chain(files).collect();
    // A template is not a unit; only its instances are.
    names.retain(|name| name.ends_with(".service") && !name.contains("@."));
    names.sort();
    names.dedup();
    names.truncate(MOST);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = manager.list_units_by_names(&names).await.map_err(said)?;
    let rows = rows.into_iter().filter(|row| row.2 == "loaded");
    let known = rows.map(|row| described(&manager, row.0, row.6));
    futures_util::future::try_join_all(known).await.map_err(said)
}

async fn described(
    manager: &dbus::ManagerProxy<'_>,
    unit: String,
    path: OwnedObjectPath,
) -> zbus::Result<KnownService> {
    let connection = manager.inner().connection();
    let about = properties(connection, &path, "org.freedesktop.systemd1.Unit", &["FragmentPath"]).await?;
    let own = properties(connection, &path, "org.freedesktop.systemd1.Service", &["WorkingDirectory"]).await?;
    // A stopped service has none, and an older manager lacks the method.
    let processes = manager.get_unit_processes(&unit).await.unwrap_or_default();
    let directory = text(&own, "WorkingDirectory").unwrap_or_default();
    Ok(KnownService {
        unit,
        file: text(&about, "FragmentPath").unwrap_or_default(),
        directory: directory.trim_start_matches(['!', '-']).to_owned(),
        processes: processes.into_iter().map(|(_, process, _)| process).collect(),
    })
}
