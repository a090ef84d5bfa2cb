//! Discovers a project on this machine: its services with their ports and health addresses, its datastores and its work tree.
//!
//! It sends requests only to loopback addresses, and only to ports of the discovered services.
//!
//! **Invariant:** information that cannot be found is left out. Only the first request to systemd can fail.
//!
//! Not here: writing the estate, and other machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use crate::actions::kinds::systemd::inventory;
use crate::actions::kinds::systemd::inventory::KnownService;
use crate::actions::{self, Context};
use crate::domain::config::estate::ManagerBus;
use crate::domain::core::glob_name::matches;
use crate::domain::host::scaffold;
use crate::domain::host::scaffold::{
    DiscoveredDatastore, DiscoveredHealth, DiscoveredProject, DiscoveredService, DiscoveredWorktree, STORES,
};

mod listeners;

/// The directories of units of the distribution, and of units that programs create at run time.
const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr/lib/", "/lib/", "/run/", "/usr/share/"];

/// Units that never belong to a project, wherever their files are.
const EXCLUDED_UNITS: [&str; 3] = ["runbook.service", "user@*.service", "dbus.service"];

/// Paths that are tried for liveness, readiness and metrics, the usual one first.
const LIVE: [&str; 4] = ["/health", "/healthz", "/health/live", "/livez"];
const READY: [&str; 4] = ["/health/ready", "/ready", "/readyz", "/healthz/ready"];
const METRICS: [&str; 2] = ["/health/metrics", "/metrics"];

/// How long one response may take.
const TIMEOUT: &str = "2s";

/// How many services are probed at the same time.
const CONCURRENCY: usize = 16;

/// The most ports of one service that are tried: a web service has no more.
const PORT_LIMIT: usize = 4;

/// The most services in a new estate.
const SERVICE_LIMIT: usize = 200;

/// The most parent directories that are searched for a work tree.
const PARENT_LIMIT: usize = 32;

/// Discovers the project. `pattern` selects its units; without it, units outside the distribution are taken.
///
/// # Errors
/// If the systemd manager cannot be reached.
pub async fn find(context: &Context, pattern: Option<&str>, hostname: String) -> Result<DiscoveredProject, String> {
    let bus = &context.environment.systemd;
    let everything = inventory::services(bus, "*.service").await?;
    let (stores, others): (Vec<KnownService>, Vec<KnownService>) =
        everything.into_iter().partition(|known| scaffold::store_of(&known.unit).is_some());
    let (own, prefix) = project_services(others, pattern, bus);
    let tree = own.iter().find_map(|known| tree(Path::new(&known.directory)));
    let probed = own.into_iter().take(SERVICE_LIMIT).map(|known| service(known, context));
    let services: Vec<DiscoveredService> = stream::iter(probed).buffered(CONCURRENCY).collect().await;
    let taken = services.iter().flat_map(|service| service.ports.iter().copied()).collect();
    Ok(DiscoveredProject {
        hostname,
        systemd: bus.0.clone(),
        prefix,
        stores: self::stores(&stores, &taken),
        services,
        tree: tree.or_else(|| self::tree(&context.directory)),
        environments: Vec::new(),
    })
}

/// The project's services, and the common prefix of their names.
fn project_services(
    known: Vec<KnownService>,
    pattern: Option<&str>,
    bus: &ManagerBus,
) -> (Vec<KnownService>, Option<String>) {
    if let Some(pattern) = pattern {
        let prefix = pattern.split(['*', '?']).next().filter(|prefix| !prefix.is_empty()).map(str::to_owned);
        let is_match = |known: &KnownService| {
            matches(pattern, &known.unit) || matches(pattern, known.unit.trim_end_matches(".service"))
        };
        return (known.into_iter().filter(is_match).collect(), prefix);
    }
    let own: Vec<KnownService> = known.into_iter().filter(|known| belongs_to_project(known, bus)).collect();
    match scaffold::prefix(own.iter().map(|known| known.unit.as_str())) {
        Some(prefix) => (own.into_iter().filter(|known| known.unit.starts_with(&prefix)).collect(), Some(prefix)),
        None => (own, None),
    }
}

fn belongs_to_project(known: &KnownService, bus: &ManagerBus) -> bool {
    let excluded = EXCLUDED_UNITS.iter().any(|pattern| matches(pattern, &known.unit));
    // The units of a private manager may be in any directory. Only the units below `/usr/lib` come with the distribution.
    let elsewhere = bus.0 != "system" && !known.file.starts_with("/usr/lib/");
    let own = !known.file.is_empty() && !SYSTEM_DIRECTORIES.iter().any(|place| known.file.starts_with(place));
    !excluded && (own || (elsewhere && !known.file.is_empty()))
}

async fn service(known: KnownService, context: &Context) -> DiscoveredService {
    let ports = listeners::ports(&known.processes);
    let language = known.processes.iter().find_map(|process| language(*process));
    let mut health = None;
    for port in ports.iter().take(PORT_LIMIT) {
        health = health_on(*port, context).await;
        if health.is_some() {
            break;
        }
    }
    DiscoveredService { unit: known.unit, ports, health, language }
}

/// The health addresses on a port; none if it has no liveness address.
async fn health_on(port: u16, context: &Context) -> Option<DiscoveredHealth> {
    let live = first_existing(port, &LIVE, context).await?;
    let (ready, metrics) = tokio::join!(first_existing(port, &READY, context), first_existing(port, &METRICS, context));
    Some(DiscoveredHealth { port, live, ready, metrics })
}

/// The first path that exists. A 503 response counts, since an unhealthy service sends it.
async fn first_existing(port: u16, paths: &[&str], context: &Context) -> Option<String> {
    let http = actions::kind("http").expect("the kind is in the list");
    for path in paths {
        let spec = json!({ "get": format!("http://127.0.0.1:{port}{path}"), "timeout": TIMEOUT });
        let outcome = http.perform(&spec, context).await;
        if matches!(outcome.output["code"].as_u64(), Some(200..=299 | 503)) {
            return Some((*path).to_owned());
        }
        if outcome.output["code"].is_null() {
            return None;
        }
    }
    None
}

/// The programming language of a process, if the name of its program shows it.
fn language(process: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let name = program.file_name()?.to_string_lossy().into_owned();
    let languages = [
        ("node", "Node.js"),
        ("python", "Python"),
        ("ruby", "Ruby"),
        ("java", "Java"),
        ("php", "PHP"),
        ("beam", "Erlang"),
    ];
    languages.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, language)| (*language).to_owned())
}

/// The datastores that have a unit, or that listen on their usual port if no service uses it.
fn stores(units: &[KnownService], taken: &BTreeSet<u16>) -> Vec<DiscoveredDatastore> {
    let listening = listeners::listening();
    let mut found: BTreeMap<&str, DiscoveredDatastore> = BTreeMap::new();
    for (kind, patterns, usual) in STORES {
        let unit = patterns.iter().find_map(|pattern| units.iter().find(|known| matches(pattern, &known.unit)));
        let own = unit.map(|known| listeners::ports(&known.processes)).unwrap_or_default();
        let port = if own.contains(usual) { *usual } else { own.first().copied().unwrap_or(*usual) };
        let listens = listening.contains(&port) && (!own.is_empty() || !taken.contains(&port));
        if unit.is_some() || (listens && *kind != "nginx") {
            let unit = unit.map(|known| known.unit.clone());
            found.insert(kind, DiscoveredDatastore { kind: (*kind).to_owned(), unit, port, listens });
        }
    }
    STORES.iter().filter_map(|(kind, _, _)| found.remove(kind)).collect()
}

/// The work tree that contains a directory.
fn tree(directory: &Path) -> Option<DiscoveredWorktree> {
    if !directory.is_absolute() {
        return None;
    }
    let root = directory.ancestors().take(PARENT_LIMIT).find(|ancestor| ancestor.join(".git").exists())?;
    let head = fs::read_to_string(git_directory(root)?.join("HEAD")).ok()?;
    let branch = head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned);
    Some(DiscoveredWorktree { directory: root.to_string_lossy().into_owned(), branch })
}

/// The git directory of a work tree. In a linked work tree, `.git` is a file with its path.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(git).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}
