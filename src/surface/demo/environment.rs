//! The demo's shop, brought up and taken away: small real services, under systemd where that can be had.
//!
//! What is missing on a machine makes the demo smaller, never impossible: without a user manager the services are
//! plain children, without root there is no private journal, without git the fault is planted by hand.
//!
//! **Invariant:** nothing that was started here outlives its [`DemoEnvironment`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::fake_slack::FakeSlack;
use super::lab::journald::Journald;
use super::lab::manager::{Blueprint, PrivateManager};
use super::lab::plain_supervisor::{Processes, Service};
use super::lab::repository;
use super::lab::repository::DemoRepository;
use crate::clock::{SharedClock, sleep};
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::template::expression;

/// The services, the critical one first.
pub const SERVICES: &[&str] = &["gateway", "checkout", "payments", "search", "notifications"];

/// The service that is affected by the fault and does not recover by itself.
const CAUGHT: &str = "search";

/// The fault of that service.
const CAUGHT_IN: &str = "unready gateway until-restart\n";

/// The fault of the gateway when there is no git to introduce it.
const PLANTED: &str = "unready payments until-restart\n";

/// The token for the demo's own Slack, which does not check it.
const TOKEN: &str = "xoxb-demo-not-a-secret";

/// How long the services may take to respond for the first time; usually a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often they are checked.
const LOOK: Duration = Duration::from_millis(50);

const ESTATE: &str = include_str!("files/estate.yaml");
const P1: &str = include_str!("files/p1.yaml");

/// The inputs of the demo.
#[derive(Debug, Clone)]
pub struct Ground {
    /// A new, empty directory with a short path.
    pub directory: PathBuf,
    /// The command that runs one small service; its options are appended.
    pub service: Vec<OsString>,
    pub clock: SharedClock,
}

/// The running project.
#[derive(Debug)]
pub struct DemoEnvironment {
    ground: Ground,
    keeper: Supervisor,
    journal: Option<Journald>,
    repository: Option<DemoRepository>,
    slack: FakeSlack,
    missing: Vec<String>,
}

/// The supervisor of the services.
#[derive(Debug)]
enum Supervisor {
    Systemd(Box<PrivateManager>),
    Processes(Processes),
}

impl DemoEnvironment {
    /// Starts the project in a healthy state. Its `runbooks/` exist when this returns.
    ///
    /// # Errors
    /// When the services cannot be started in any way.
    pub async fn build(ground: Ground) -> io::Result<Self> {
        let parts = ground.parts();
        std::fs::create_dir_all(&parts)?;
        let ports = free_ports(SERVICES.len()).await?;
        let repository = DemoRepository::create(&parts)?;
        let mut missing = Vec::new();
        if repository.is_none() {
            missing.push("git is not installed, so there is no merge to take back".to_owned());
        }
        let (keeper, journal) = keeper(&ground, &ports, repository.as_ref(), &mut missing).await?;
        let slack = FakeSlack::start().await?;
        let stage = Self { ground, keeper, journal, repository, slack, missing };
        stage.write_project(&ports)?;
        stage.wait_for(&ports).await?;
        Ok(stage)
    }

    /// Introduces the fault: a bad merge if there is git, and a second service that it affects.
    ///
    /// # Errors
    /// When git or the disk fails.
    pub fn break_it(&self) -> io::Result<()> {
        match &self.repository {
            Some(repository) => repository.merge_the_fault()?,
            None => std::fs::write(self.ground.fault_file(SERVICES[0]), PLANTED)?,
        }
        std::fs::write(self.ground.fault_file(CAUGHT), CAUGHT_IN)
    }

    /// What this machine lacks, as sentences.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The server for the demo's `#incidents`.
    pub fn slack(&self) -> &FakeSlack {
        &self.slack
    }

    /// The value of the estate's only secret.
    pub fn token() -> &'static str {
        TOKEN
    }

    /// Whether the services run under systemd.
    pub fn has_systemd(&self) -> bool {
        matches!(self.keeper, Supervisor::Systemd(_))
    }

    /// Stops everything that was started and removes its files.
    ///
    /// # Errors
    /// When a process does not end, or its files cannot be removed.
    pub async fn strike(self) -> io::Result<()> {
        match self.keeper {
            Supervisor::Systemd(manager) => {
                let stopped = tokio::task::spawn_blocking(move || manager.stop().map_err(io::Error::other));
                stopped.await.map_err(io::Error::other)??;
            }
            Supervisor::Processes(processes) => processes.stop().await,
        }
        drop(self.journal);
        std::fs::remove_dir_all(self.ground.parts())
    }

    fn write_project(&self, ports: &[u16]) -> io::Result<()> {
        let shop = &self.ground.directory;
        let token = self.ground.parts().join("token");
        std::fs::write(&token, TOKEN)?;
        let services: Vec<Value> =
            SERVICES.iter().zip(ports).map(|(name, port)| json!({ "name": name, "port": port })).collect();
        let bus = match &self.keeper {
            Supervisor::Systemd(manager) => manager.bus_address(),
            Supervisor::Processes(_) => String::new(),
        };
        let scope = json!({
            "services": services,
            "bus": bus,
            "token": shown(&token),
            "slack": self.slack.api(),
            "journal": self.journal.as_ref().map_or_else(String::new, |journal| shown(journal.files())),
            "repository": self.repository.as_ref().map_or_else(String::new, |repository| shown(repository.work())),
            "processes": shown(&self.ground.processes()),
        });
        let scope = minijinja::Value::from(minijinja::value::Serde(&scope));
        let estate = expression::render_text(ESTATE, &scope).map_err(io::Error::other)?;
        std::fs::create_dir_all(shop.join("runbooks"))?;
        std::fs::write(shop.join("runbooks/estate.yaml"), estate)?;
        std::fs::write(shop.join("runbooks/p1.yaml"), P1)
    }

    /// Waits until every service accepts connections.
    async fn wait_for(&self, ports: &[u16]) -> io::Result<()> {
        let clock = &*self.ground.clock;
        let until = Span(PATIENCE).after(clock.now());
        for (name, port) in SERVICES.iter().zip(ports) {
            while TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
                over(clock.now(), until).map_err(|error| io::Error::other(format!("`{name}` {error}")))?;
                sleep(clock, LOOK).await;
            }
        }
        Ok(())
    }
}

impl Ground {
    /// The directory that is removed at the end.
    fn parts(&self) -> PathBuf {
        self.directory.join("parts")
    }

    fn processes(&self) -> PathBuf {
        self.parts().join("processes")
    }

    fn fault_file(&self, service: &str) -> PathBuf {
        self.parts().join(format!("{service}.trouble"))
    }

    fn argv(&self, service: &str, port: u16, repository: Option<&DemoRepository>) -> Vec<OsString> {
        let trouble = match repository {
            Some(repository) if service == SERVICES[0] => repository.work().join(repository::GATEWAY),
            _ => self.fault_file(service),
        };
        let mut argv = self.service.clone();
        argv.extend(
            ["--shop", "demo", "--name", service, "--port", &port.to_string(), "--broken-file"].map(OsString::from),
        );
        argv.push(trouble.into_os_string());
        argv
    }
}

/// Starts systemd if possible, with a journal if possible; otherwise plain child processes.
async fn keeper(
    ground: &Ground,
    ports: &[u16],
    repository: Option<&DemoRepository>,
    missing: &mut Vec<String>,
) -> io::Result<(Supervisor, Option<Journald>)> {
    let services: Vec<Service> = SERVICES
        .iter()
        .zip(ports)
        .map(|(name, port)| Service { name: (*name).to_owned(), argv: ground.argv(name, *port, repository) })
        .collect();
    let (parts, units) = (ground.parts(), units(&services));
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
            missing.push(format!("{error}; the services are plain children"));
            let processes = Processes::start(services, &ground.processes(), ground.clock.clone())?;
            Ok((Supervisor::Processes(processes), None))
        }
    }
}

/// The unit of each service, and the target that starts them all.
fn units(services: &[Service]) -> BTreeMap<String, String> {
    let mut units = BTreeMap::new();
    for service in services {
        let command: Vec<String> = service.argv.iter().map(|word| quoted(&word.to_string_lossy())).collect();
        let text = format!(
            "[Unit]\nDescription=The demo's {name}\n\
             [Service]\nExecStart={command}\nRestart=always\nRestartSec=1\nSyslogIdentifier=demo-{name}\n",
            name = service.name,
            command = command.join(" "),
        );
        units.insert(format!("demo-{}.service", service.name), text);
    }
    let wanted: Vec<&str> = units.keys().map(String::as_str).collect();
    let target = format!(
        "[Unit]\nRequires=basic.target dbus.service\nAfter=basic.target dbus.service\nWants={}\n",
        wanted.join(" ")
    );
    units.insert("default.target".to_owned(), target);
    units
}

/// Quotes a word for a unit file.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn over(now: Timestamp, until: Timestamp) -> Result<(), &'static str> {
    if now < until { Ok(()) } else { Err("does not answer") }
}

/// Ports that are free now. If another program takes one before the service does, the demo reports it and ends.
async fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(TcpListener::bind("127.0.0.1:0").await?);
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_any_word_unchanged() {
        assert_eq!(quoted(r#"/a b/100%/$x/"\"#), r#""/a b/100%%/$$x/\"\\""#);
    }

    #[test]
    fn every_service_is_wanted_and_restarted() {
        let service = Service { name: "gateway".to_owned(), argv: vec!["/bin/true".into()] };
        let units = units(&[service]);
        assert!(units["default.target"].contains("Wants=demo-gateway.service"));
        assert!(units["demo-gateway.service"].contains("Restart=always"));
    }
}
