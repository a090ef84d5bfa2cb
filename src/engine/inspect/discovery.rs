//! Finds a shop on this machine: its services, where they listen, what answers there, its datastores and its work tree.
//!
//! Only loopback is asked, and only ports on which the services that were found listen.
//!
//! Deliberately absent: writing, and looking at other machines.
//!
//! **Invariant:** what is not found is left out; nothing here fails but the first question, to systemd.

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

/// Directories with units of the distribution, and with units that programs create at run time.
const NOT_THE_SHOPS: [&str; 4] = ["/usr/lib/", "/lib/", "/run/", "/usr/share/"];

/// Administrators' own units that do not belong to a project.
const NEVER: [&str; 3] = ["runbook.service", "user@*.service", "dbus.service"];

/// Paths that are tried for liveness, readiness and metrics, the usual one first.
const LIVE: [&str; 4] = ["/health", "/healthz", "/health/live", "/livez"];
const READY: [&str; 4] = ["/health/ready", "/ready", "/readyz", "/healthz/ready"];
const METRICS: [&str; 2] = ["/health/metrics", "/metrics"];

/// Limit for one response, and services that are asked concurrently.
const PATIENCE: &str = "2s";
const AT_ONCE: usize = 16;

/// Ports of one service that are tried; a service with more is no web service.
const PORTS: usize = 4;

/// Services in a new estate.
const SERVICES: usize = 200;

/// Parent directories that are searched for a work tree.
const CLIMB: usize = 32;

/// Discovers the project. `pattern` selects its units; without it, units outside the distribution are taken.
///
/// # Errors
/// If the systemd manager cannot be reached.
pub async fn find(context: &Context, pattern: Option<&str>, hostname: String) -> Result<DiscoveredProject, String> {
    let bus = &context.environment.systemd;
    let everything = inventory::services(bus, "*.service").await?;
    let (stores, others): (Vec<KnownService>, Vec<KnownService>) =
        everything.into_iter().partition(|known| scaffold::store_of(&known.unit).is_some());
    let (own, prefix) = chosen(others, pattern, bus);
    let tree = own.iter().find_map(|known| tree(Path::new(&known.directory)));
    let looked = own.into_iter().take(SERVICES).map(|known| service(known, context));
    let services: Vec<DiscoveredService> = stream::iter(looked).buffered(AT_ONCE).collect().await;
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
fn chosen(known: Vec<KnownService>, pattern: Option<&str>, bus: &ManagerBus) -> (Vec<KnownService>, Option<String>) {
    if let Some(pattern) = pattern {
        let begins = pattern.split(['*', '?']).next().filter(|begins| !begins.is_empty()).map(str::to_owned);
        let fits = |known: &KnownService| {
            matches(pattern, &known.unit) || matches(pattern, known.unit.trim_end_matches(".service"))
        };
        return (known.into_iter().filter(fits).collect(), begins);
    }
    let own: Vec<KnownService> = known.into_iter().filter(|known| belongs_to_project(known, bus)).collect();
    match scaffold::prefix(own.iter().map(|known| known.unit.as_str())) {
        Some(prefix) => (own.into_iter().filter(|known| known.unit.starts_with(&prefix)).collect(), Some(prefix)),
        None => (own, None),
    }
}

fn belongs_to_project(known: &KnownService, bus: &ManagerBus) -> bool {
    let never = NEVER.iter().any(|pattern| matches(pattern, &known.unit));
    // A private manager may keep its units anywhere; the distribution's units are in one place on every machine.
    let elsewhere = bus.0 != "system" && !known.file.starts_with("/usr/lib/");
    let own = !known.file.is_empty() && !NOT_THE_SHOPS.iter().any(|place| known.file.starts_with(place));
    !never && (own || (elsewhere && !known.file.is_empty()))
}

async fn service(known: KnownService, context: &Context) -> DiscoveredService {
    let ports = listeners::ports(&known.processes);
    let language = known.processes.iter().find_map(|process| language(*process));
    let mut health = None;
    for port in ports.iter().take(PORTS) {
        health = answers(*port, context).await;
        if health.is_some() {
            break;
        }
    }
    DiscoveredService { unit: known.unit, ports, health, language }
}

/// The health addresses on a port.
async fn answers(port: u16, context: &Context) -> Option<DiscoveredHealth> {
    let live = first(port, &LIVE, context).await?;
    let (ready, metrics) = tokio::join!(first(port, &READY, context), first(port, &METRICS, context));
    Some(DiscoveredHealth { port, live, ready, metrics })
}

/// The first path that exists. A 503 response counts, since it comes from an unhealthy service.
async fn first(port: u16, paths: &[&str], context: &Context) -> Option<String> {
    let http = actions::kind("http").expect("the kind is in the list");
    for path in paths {
        let spec = json!({ "get": format!("http://127.0.0.1:{port}{path}"), "timeout": PATIENCE });
        let seen = http.perform(&spec, context).await;
        if matches!(seen.output["code"].as_u64(), Some(200..=299 | 503)) {
            return Some((*path).to_owned());
        }
        if seen.output["code"].is_null() {
            return None;
        }
    }
    None
}

/// The language of a process, as far as its program shows it.
fn language(process: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let name = program.file_name()?.to_string_lossy().into_owned();
    let known = [
        ("node", "Node.js"),
        ("python", "Python"),
        ("ruby", "Ruby"),
        ("java", "Java"),
        ("php", "PHP"),
        ("beam", "Erlang"),
    ];
    known.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, language)| (*language).to_owned())
}

/// The datastores: by their units, otherwise by their usual port if no service uses it.
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
    let root = directory.ancestors().take(CLIMB).find(|above| above.join(".git").exists())?;
    let head = fs::read_to_string(git_directory(root)?.join("HEAD")).ok()?;
    let branch = head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned);
    Some(DiscoveredWorktree { directory: root.to_string_lossy().into_owned(), branch })
}

/// The git directory of a work tree. A linked work tree has a file with its path.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(git).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}
