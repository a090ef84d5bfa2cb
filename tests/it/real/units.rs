//! Real units under a private systemd manager: the nineteen services of the customer, or units of the test.
//!
//! [`Units::start`] starts the services, which answer health requests and log to a private journald. [`Units::bare`] has only
//! the units of the test and starts in a tenth of a second.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use runbook::surface::demo::lab::journald::Journald;
use runbook::surface::demo::lab::manager::{Blueprint, PrivateManager};
use runbook::surface::demo::lab::service_unit::ServiceUnit;
use tempfile::TempDir;

use super::daemon::free_port;
use super::eventually;

/// The customer's services.
pub const SERVICES: [&str; 19] = [
    "gateway",
    "backend",
    "config",
    "notifications",
    "tracking",
    "scheduler",
    "fraud",
    "coupon",
    "loyalty",
    "whatsapp",
    "invoicing",
    "pricing",
    "settlement",
    "reports",
    "reconciliation",
    "search",
    "analytics",
    "moderation",
    "recommendations",
];

/// The units of the datastores.
const OTHERS: [&str; 3] = ["redis-server.service", "meilisearch.service", "nginx.service"];

/// The manager and its units; they end with the value.
pub struct Units {
    // Dropped in this order: the manager's units log until they end.
    manager: PrivateManager,
    journald: Option<Journald>,
    ports: BTreeMap<String, u16>,
    directory: TempDir,
}

impl Units {
    /// All nineteen services, started, with their own journald. Needs root.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::create_dir(directory.path().join("broken")).expect("a directory can be made");
        let journald = Journald::start(directory.path()).expect("a private journald starts");
        let ports: BTreeMap<String, u16> = SERVICES.iter().map(|name| ((*name).to_owned(), free_port())).collect();
        let mut blueprint = Blueprint::new(directory.path()).logging_to(&journald);
        for (name, port) in &ports {
            blueprint = blueprint.unit(unit(name), service_unit(name, *port, &broken(directory.path(), name)));
        }
        for name in OTHERS {
            blueprint = blueprint.unit(name, "[Service]\nExecStart=/bin/sleep infinity\n");
        }
        let manager = blueprint.start().expect("a private systemd manager starts");
        let units = Self { manager, journald: Some(journald), ports, directory };
        let names: Vec<String> = SERVICES.iter().map(|name| unit(name)).collect();
        let mut start = vec!["start"];
        start.extend(names.iter().map(String::as_str).chain(OTHERS));
        units.systemctl(&start);
        for name in SERVICES {
            eventually(&format!("{name} listens"), || TcpStream::connect(("127.0.0.1", units.port(name))).is_ok());
        }
        units
    }

    /// A manager with these units (file name and text) only; none is started.
    pub fn bare(units: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut blueprint = Blueprint::new(directory.path());
        for (name, text) in units {
            blueprint = blueprint.unit(*name, *text);
        }
        let manager = blueprint.start().expect("a private systemd manager starts");
        Self { manager, journald: None, ports: BTreeMap::new(), directory }
    }

    /// The D-Bus address of the manager, for `systemd:` of an environment.
    pub fn bus(&self) -> String {
        self.manager.bus_address()
    }

    /// The directory of the journal's files, for `journal:` of an environment.
    pub fn journal(&self) -> &Path {
        self.journald.as_ref().expect("a manager without services has no journal").files()
    }

    /// The port of a service.
    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }

    /// A directory that is removed with the value.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Gives a service a fault: `crash`, `unready postgres`, `slow` or `error-log`; with ` until-restart` a restart ends it.
    pub fn break_service(&self, service: &str, fault: &str) {
        let file = broken(self.directory.path(), service);
        let draft = file.with_extension("new");
        fs::write(&draft, fault).and_then(|()| fs::rename(&draft, &file)).expect("the fault can be written");
    }

    /// Removes the fault of a service.
    pub fn heal(&self, service: &str) {
        fs::remove_file(broken(self.directory.path(), service)).expect("the service was broken before");
    }

    /// Runs `systemctl --user` against the manager and returns its output; it must succeed.
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        let output = self.try_systemctl(arguments);
        assert!(
            output.status.success(),
            "systemctl {arguments:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("systemctl prints UTF-8").trim_end().to_owned()
    }

    /// The same with any exit code.
    pub fn try_systemctl(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["--user"];
        all.extend(arguments);
        self.on_bus("systemctl", &all)
    }

    /// Runs a program of systemd that finds the manager by the environment, as `systemctl --user` does.
    pub fn on_bus(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).env("XDG_RUNTIME_DIR", self.manager.runtime_directory());
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        runbook::actions::transport::process::output_detached(&mut command)
            .expect("the program starts; install the Debian package `systemd`")
    }

    /// One property of a unit, as `systemctl show` prints it.
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.systemctl(&["show", "--value", "-p", property, unit])
    }

    /// Writes a unit file. The manager does not read it before its next reload.
    pub fn write_unit(&self, name: &str, text: &str) {
        self.manager.write_unit(name, text).expect("a unit file can be written");
    }

    /// An `estate.yaml` of the services with one environment, `production`; `more` is added to that environment.
    pub fn estate(&self, more: &str) -> String {
        let mut text =
            String::from("estate: Pakashop\ndefault_environment: production\nenvironments:\n  production:\n");
        let mut line = |indent: usize, line: String| {
            text.extend([&" ".repeat(indent), line.as_str(), "\n"]);
        };
        line(4, "branch: production".to_owned());
        line(4, "domain: pakashop.store".to_owned());
        line(4, format!("systemd: \"{}\"", self.bus()));
        if let Some(journald) = &self.journald {
            line(4, format!("journal: \"{}\"", journald.files().display()));
        }
        more.lines().for_each(|more| line(4, more.to_owned()));
        line(0, "services:".to_owned());
        for (name, port) in &self.ports {
            let unit = unit(name);
            line(2, format!("{name}: {{ unit: {unit}, port: {port}, health: \"http://127.0.0.1:{port}\" }}"));
        }
        text
    }

    /// Ends the manager and its units; fails the test if a process is left.
    pub fn stop(self) {
        self.manager.stop().expect("nothing is left behind");
    }
}

/// The unit of a service.
pub fn unit(service: &str) -> String {
    format!("pakashop-{service}.service")
}

fn broken(directory: &Path, service: &str) -> PathBuf {
    directory.join("broken").join(service)
}

/// As on the customer's hosts, except that a restart waits 100 ms instead of five seconds.
fn service_unit(name: &str, port: u16, broken: &Path) -> String {
    let port = port.to_string();
    let options = [env!("CARGO_BIN_EXE_runbook"), "demo-service", "--name", name, "--port", &port, "--fault-file"];
    let mut argv: Vec<OsString> = options.map(OsString::from).into();
    argv.push(broken.into());
    let (description, identifier) = (format!("Pakashop {name}"), format!("pakashop-{name}"));
    let unit = ServiceUnit { description: &description, argv: &argv, identifier: &identifier, restart_after: "100ms" };
    unit.text() + "[Install]\nWantedBy=default.target\n"
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    /// Whether a process runs. A zombie does not.
    fn runs(pid: &str) -> bool {
        let state = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    #[test]
    fn two_managers_with_the_same_units_are_separate() {
        let units = [("a.service", "[Service]\nExecStart=/bin/sleep infinity\n")];
        let (one, two) = (Units::bare(&units), Units::bare(&units));
        one.systemctl(&["start", "a.service"]);
        two.systemctl(&["start", "a.service"]);
        let survivor = two.property("a.service", "MainPID");
        let victim = one.property("a.service", "MainPID");
        one.stop();
        assert!(!runs(&victim), "a process of the first manager is left");
        assert_eq!(two.property("a.service", "MainPID"), survivor);
        assert_eq!(two.property("a.service", "ActiveState"), "active");
    }

    #[test]
    fn a_unit_that_ignores_signals_is_ended_too() {
        let stubborn = "[Service]\nExecStart=/bin/sh -c \"trap '' TERM; setsid sleep 1000 & while :; do sleep 1; done\"\n\
                        KillMode=process\nTimeoutStopSec=infinity\n";
        let units = Units::bare(&[("stubborn.service", stubborn)]);
        units.systemctl(&["start", "stubborn.service"]);
        let process = units.property("stubborn.service", "MainPID");
        units.stop();
        assert!(!runs(&process));
    }

    #[test]
    fn the_services_answer_log_fail_and_recover() {
        let units = Units::start();
        let url = format!("http://127.0.0.1:{}/health/ready", units.port("gateway"));
        let get = || Command::new("curl").args(["-s", &url]).output().expect("curl starts").stdout;
        let ready = r#"{"status":"ready","dependencies":{"postgres":"ok","redis":"ok"}}"#;
        assert_eq!(String::from_utf8_lossy(&get()), ready);
        units.break_service("gateway", "unready postgres until-restart");
        eventually("the gateway reports the fault", || String::from_utf8_lossy(&get()).contains("unreachable"));
        eventually("the journal holds an error of the gateway", || {
            let mut command = Command::new("journalctl");
            command.arg("--directory").arg(units.journal()).args(["-u", "pakashop-gateway", "-o", "cat"]);
            String::from_utf8_lossy(&super::super::run(&mut command, "systemd").stdout).contains(r#""level":50"#)
        });
        units.systemctl(&["restart", "pakashop-gateway.service"]);
        eventually("a restart ends the fault", || String::from_utf8_lossy(&get()) == ready);
        units.stop();
    }

    /// The process that the next test kills.
    #[test]
    #[ignore = "`units_do_not_outlive_a_killed_test_process` starts it"]
    fn hold_units() {
        let units = Units::bare(&[("a.service", "[Service]\nExecStart=/bin/sleep infinity\n")]);
        units.systemctl(&["start", "a.service"]);
        let (manager, unit) = (units.property("dbus.service", "MainPID"), units.property("a.service", "MainPID"));
        println!("holding {manager} {unit}");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn units_do_not_outlive_a_killed_test_process() {
        let itself = std::env::current_exe().expect("a running program has a path");
        let mut holder = Command::new(itself)
            .args(["--ignored", "--exact", "--nocapture", "real::units::tests::hold_units"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tests can be started again");
        let mut lines = BufReader::new(holder.stdout.take().expect("stdout was asked for")).lines();
        let held = loop {
            let line = lines.next().expect("the units are started").expect("UTF-8");
            if let Some((_, held)) = line.split_once("holding ") {
                break held.to_owned();
            }
        };
        holder.kill().and_then(|()| holder.wait()).expect("a child can be killed");
        for process in held.split(' ') {
            eventually("the process has ended", || !runs(process));
        }
    }
}
