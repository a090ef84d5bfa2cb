//! The demo's environment: a project and its small real services, under systemd if possible.
//!
//! A missing program only makes the demo smaller. Without a user manager the services are plain child processes. Without
//! root there is no private journal. Without git the fault is written to its file directly.
//!
//! **Invariant:** nothing started here outlives its [`DemoEnvironment`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::fake_slack::FakeSlack;
use super::lab::journald::Journald;
use super::lab::manager::{Blueprint, PrivateManager};
use super::lab::plain_supervisor::{Processes, Service};
use super::lab::port::free_port;
use super::lab::repository::{DemoRepository, Project};
use super::lab::service_unit::ServiceUnit;
use crate::clock::{SharedClock, sleep};
use crate::domain::core::time::Span;
use crate::domain::template::expression;

/// The services, the critical one first.
pub const SERVICES: &[&str] = &["gateway", "checkout", "payments", "search", "notifications"];

/// The service that the fault affects too, and that recovers only by a restart.
const AFFECTED_SERVICE: &str = "search";

/// The fault of that service.
const AFFECTED_FAULT: &str = "unready gateway until-restart\n";

/// The fault of the gateway without git.
const GATEWAY_FAULT: &str = "unready payments until-restart\n";

/// The first commit of the repository.
const PROJECT: Project<'static> =
    Project { author: "Corner shop", email: "shop@localhost", readme: "# Corner shop\n", message: "Open the shop" };

/// The gateway's fault file, in the work tree. The gateway reads it repeatedly, so a revert takes effect at once.
const GATEWAY_FILE: &str = "gateway/fault";

/// The contents of that file in the bad merge.
const MERGED_FAULT: &str = "unready payments\n";

/// The token for the demo's Slack server, which does not check it.
const TOKEN: &str = "xoxb-demo-not-a-secret";

/// How long the services may take to accept connections; usually a tenth of a second.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// How often they are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

const ESTATE: &str = include_str!("files/estate.yaml");
const P1: &str = include_str!("files/p1.yaml");

/// The inputs of the demo.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// A new, empty directory with a short path.
    pub directory: PathBuf,
    /// The command that runs one small service; its options are appended.
    pub service: Vec<OsString>,
    pub clock: SharedClock,
}

/// The running services and what belongs to them.
#[derive(Debug)]
pub struct DemoEnvironment {
    options: DemoOptions,
    supervisor: Supervisor,
    journal: Option<Journald>,
    repository: Option<DemoRepository>,
    slack: FakeSlack,
    missing: Vec<String>,
}

/// What runs and restarts the services.
#[derive(Debug)]
enum Supervisor {
    Systemd(Box<PrivateManager>),
    Processes(Processes),
}

impl DemoEnvironment {
    /// Starts the services in a healthy state and writes the project's files.
    ///
    /// # Errors
    /// When the services cannot be started, neither under systemd nor as child processes.
    pub async fn build(options: DemoOptions) -> io::Result<Self> {
        let parts = options.parts();
        std::fs::create_dir_all(&parts)?;
        let ports = SERVICES.iter().map(|_| free_port()).collect::<io::Result<Vec<u16>>>()?;
        let repository = DemoRepository::create(&parts, &PROJECT)?;
        let mut missing = Vec::new();
        if repository.is_none() {
            missing.push("git is not installed, so there is no merge to revert".to_owned());
        }
        let (supervisor, journal) = start_services(&options, &ports, repository.as_ref(), &mut missing).await?;
        let slack = FakeSlack::start().await?;
        let environment = Self { options, supervisor, journal, repository, slack, missing };
        environment.write_project(&ports)?;
        environment.wait_for_services(&ports).await?;
        Ok(environment)
    }

    /// Breaks the gateway, by a bad merge if there is git, and a second service.
    ///
    /// # Errors
    /// When git or the disk fails.
    pub fn break_it(&self) -> io::Result<()> {
        match &self.repository {
            Some(repository) => merge_fault(repository)?,
            None => std::fs::write(self.options.fault_file(SERVICES[0]), GATEWAY_FAULT)?,
        }
        std::fs::write(self.options.fault_file(AFFECTED_SERVICE), AFFECTED_FAULT)
    }

    /// What this machine lacks, as messages.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The server that receives the messages to `#incidents`.
    pub fn slack(&self) -> &FakeSlack {
        &self.slack
    }

    /// The value of the estate's only secret.
    pub fn token() -> &'static str {
        TOKEN
    }

    /// Whether the services run under systemd.
    pub fn has_systemd(&self) -> bool {
        matches!(self.supervisor, Supervisor::Systemd(_))
    }

    /// Stops everything that was started and removes its files.
    ///
    /// # Errors
    /// When a process does not end, or its files cannot be removed.
    pub async fn remove(self) -> io::Result<()> {
        match self.supervisor {
            Supervisor::Systemd(manager) => {
                let stopped = tokio::task::spawn_blocking(move || manager.stop().map_err(io::Error::other));
                stopped.await.map_err(io::Error::other)??;
            }
            Supervisor::Processes(processes) => processes.stop().await,
        }
        drop(self.journal);
        std::fs::remove_dir_all(self.options.parts())
    }

    fn write_project(&self, ports: &[u16]) -> io::Result<()> {
        let directory = &self.options.directory;
        let token = self.options.parts().join("token");
        std::fs::write(&token, TOKEN)?;
        let services: Vec<Value> =
            SERVICES.iter().zip(ports).map(|(name, port)| json!({ "name": name, "port": port })).collect();
        let bus = match &self.supervisor {
            Supervisor::Systemd(manager) => manager.bus_address(),
            Supervisor::Processes(_) => String::new(),
        };
        let scope = json!({
            "services": services,
            "bus": bus,
            "token": path_text(&token),
            "slack": self.slack.api(),
            "journal": self.journal.as_ref().map_or_else(String::new, |journal| path_text(journal.files())),
            "repository": self.repository.as_ref().map_or_else(String::new, |repository| path_text(repository.work())),
            "processes": path_text(&self.options.processes()),
        });
        let scope = minijinja::Value::from(minijinja::value::Serde(&scope));
        let estate = expression::render_text(ESTATE, &scope).map_err(io::Error::other)?;
        std::fs::create_dir_all(directory.join("runbooks"))?;
        std::fs::write(directory.join("runbooks/estate.yaml"), estate)?;
        std::fs::write(directory.join("runbooks/p1.yaml"), P1)
    }

    /// Waits until every service accepts connections.
    async fn wait_for_services(&self, ports: &[u16]) -> io::Result<()> {
        let clock = &*self.options.clock;
        let give_up_at = Span(START_TIMEOUT).after(clock.now());
        for (name, port) in SERVICES.iter().zip(ports) {
            while TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
                if clock.now() >= give_up_at {
                    return Err(io::Error::other(format!("`{name}` does not accept connections")));
                }
                sleep(clock, CHECK_INTERVAL).await;
            }
        }
        Ok(())
    }
}

impl DemoOptions {
    /// The directory that [`DemoEnvironment::remove`] removes.
    fn parts(&self) -> PathBuf {
        self.directory.join("parts")
    }

    /// The directory with one file per child process, which holds its id.
    fn processes(&self) -> PathBuf {
        self.parts().join("processes")
    }

    fn fault_file(&self, service: &str) -> PathBuf {
        self.parts().join(format!("{service}.fault"))
    }

    /// The command line of a service.
    fn argv(&self, service: &str, port: u16, repository: Option<&DemoRepository>) -> Vec<OsString> {
        let fault_file = match repository {
            Some(repository) if service == SERVICES[0] => repository.work().join(GATEWAY_FILE),
            _ => self.fault_file(service),
        };
        let mut argv = self.service.clone();
        argv.extend(
            ["--shop", "demo", "--name", service, "--port", &port.to_string(), "--fault-file"].map(OsString::from),
        );
        argv.push(fault_file.into_os_string());
        argv
    }
}

/// Starts the services under a private systemd manager, with a private journal if possible; otherwise as child processes.
async fn start_services(
    options: &DemoOptions,
    ports: &[u16],
    repository: Option<&DemoRepository>,
    missing: &mut Vec<String>,
) -> io::Result<(Supervisor, Option<Journald>)> {
    let services: Vec<Service> = SERVICES
        .iter()
        .zip(ports)
        .map(|(name, port)| Service { name: (*name).to_owned(), argv: options.argv(name, *port, repository) })
        .collect();
    let (parts, units) = (options.parts(), units(&services));
    let started = tokio::task::spawn_blocking(move || {
        let journal = Journald::start(&parts);
        let mut blueprint = Blueprint::new(&parts);
        for (name, text) in units {
            blueprint = blueprint.unit(name, text);
        }
        if let Ok(journal) = &journal {
            blueprint = blueprint.logging_to(journal);
        }
        (blueprint.start(), journal)
    });
    let (manager, journal) = started.await.map_err(io::Error::other)?;
    match manager {
        Ok(manager) => {
            let journal = journal.map_err(|error| missing.push(error.to_string())).ok();
            Ok((Supervisor::Systemd(Box::new(manager)), journal))
        }
        Err(error) => {
            missing.push(format!("{error}; the services are plain child processes"));
            let processes = Processes::start(services, &options.processes(), options.clock.clone())?;
            Ok((Supervisor::Processes(processes), None))
        }
    }
}

/// The unit of each service, and the target that starts them all.
fn units(services: &[Service]) -> BTreeMap<String, String> {
    let mut units = BTreeMap::new();
    for service in services {
        let identifier = format!("demo-{}", service.name);
        let description = format!("The demo's {}", service.name);
        let unit = ServiceUnit {
            description: &description,
            argv: &service.argv,
            identifier: &identifier,
            restart_after: "1s",
        };
        units.insert(format!("{identifier}.service"), unit.text());
    }
    let wanted: Vec<&str> = units.keys().map(String::as_str).collect();
    let target = format!(
        "[Unit]\nRequires=basic.target dbus.service\nAfter=basic.target dbus.service\nWants={}\n",
        wanted.join(" ")
    );
    units.insert("default.target".to_owned(), target);
    units
}

/// Merges and pushes a branch that breaks the gateway.
fn merge_fault(repository: &DemoRepository) -> io::Result<()> {
    let commit = (GATEWAY_FILE, MERGED_FAULT, "Ask payments for every request");
    repository.merge("faster-checkout", &[commit], "Merge branch 'faster-checkout'")?;
    repository.push()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revert_of_the_last_merge_removes_the_fault() {
        let directory = tempfile::tempdir().unwrap();
        let repository = DemoRepository::create(directory.path(), &PROJECT).unwrap();
        let repository = repository.expect("git is installed (Debian package `git`)");
        assert!(!repository.work().join(GATEWAY_FILE).exists());
        merge_fault(&repository).unwrap();
        assert_eq!(std::fs::read_to_string(repository.work().join(GATEWAY_FILE)).unwrap(), MERGED_FAULT);
        repository.git(&["revert", "--no-edit", "--mainline", "1", "HEAD"]).unwrap();
        assert!(!repository.work().join(GATEWAY_FILE).exists());
    }

    #[test]
    fn the_target_starts_every_service_and_systemd_restarts_it() {
        let service = Service { name: "gateway".to_owned(), argv: vec!["/bin/true".into()] };
        let units = units(&[service]);
        assert!(units["default.target"].contains("Wants=demo-gateway.service"));
        assert!(units["demo-gateway.service"].contains("Restart=always"));
    }
}
