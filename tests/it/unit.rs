//! The output of `runbook unit`, read by systemd, `systemd-analyze` and polkit.

use std::path::Path;
use std::process::Command;

use runbook::actions::transport::process::output_detached;

use super::real;
use super::real::daemon::{free_port, get};
use super::real::eventually;
use super::real::http;
use super::real::polkit::Polkit;
use super::real::units::Units;

const TOKEN: &str = "0123456789abcdef";

const ESTATE: &str = r#"
estate: Shop
default_environment: live
environments: { live: { repository: /srv/my shop } }
services:
  gateway: { unit: shop-gateway }
  search: { unit: 'shop-a\x2db@1.service' }
datastores:
  cache: { kind: redis, unit: redis-server.service }
secrets:
  hook: { credential: hook }
  slack: { env: SLACK }
senders:
  alertmanager: { auth: { bearer: { secret: hook } } }
alerts: { environment: live }
"#;

const RUNBOOK: &str = r#"
runbook: mends
title: Mends
severity: p3
on: { alert: trouble, start: auto }
steps:
  - { id: beat, command: [sleep, "1"], effect: read }
  - { id: slow, command: [sleep, "3"], effect: read }
  - { id: restart, systemd: { restart: "{{ services[item].unit }}" }, for_each: "['gateway', 'search']", verify: { systemd: { status: gateway } } }
  - { id: reload, systemd: { reload: redis-server.service }, verify: { systemd: { status: gateway } } }
"#;

/// A project directory with an estate and a runbook.
fn directory(estate: &str, runbook: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let runbooks = directory.path().join("runbooks");
    std::fs::create_dir(&runbooks).expect("a directory can be made");
    for (name, text) in [("estate", estate), ("mends", runbook)] {
        std::fs::write(runbooks.join(format!("{name}.yaml")), text.trim_start()).expect("a file can be written");
    }
    directory
}

/// The output of `runbook unit` for a project.
fn printed(directory: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--dir").arg(directory).arg("unit").args(words);
    let output = output_detached(&mut command).expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_service_is_exposed_by_less_than_two() {
    let project = directory(ESTATE, RUNBOOK);
    let file = project.path().join("runbook.service");
    std::fs::write(&file, printed(project.path(), &["service", "--user", "oncall"])).expect("a file can be written");
    let mut analysis = Command::new("systemd-analyze");
    analysis.args(["security", "--offline=true", "--no-pager"]).arg(&file);
    let output = real::run(&mut analysis, "systemd");
    let printed_text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let exposure =
        printed_text.lines().find_map(|line| line.split_once("runbook.service: ")).expect("a level is found").1;
    let exposure: f64 = exposure.split(' ').next().and_then(|level| level.parse().ok()).expect("a number");
    assert!(exposure <= 2.0, "{printed_text}");
}

#[test]
fn systemd_reads_every_line_of_the_service_and_the_socket() {
    let project = directory(ESTATE, RUNBOOK);
    for file in ["service", "socket"] {
        let text = printed(project.path(), &[file, "--user", "root"]);
        std::fs::write(project.path().join(format!("runbook.{file}")), text).expect("a file can be written");
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(project.path().join("runbook.socket"));
    verify.arg(project.path().join("runbook.service"));
    let output = output_detached(&mut verify).expect("systemd-analyze starts; install the Debian package `systemd`");
    let printed_text = String::from_utf8_lossy(&output.stderr);
    // It also reports problems of other units.
    let ours: Vec<&str> = printed_text.lines().filter(|line| line.contains("runbook.s")).collect();
    assert_eq!(ours, [""; 0], "{printed_text}");
}

#[test]
fn secrets_are_loaded_or_a_comment_names_the_remedy() {
    let project = directory(ESTATE, RUNBOOK);
    let text = printed(project.path(), &["service"]);
    assert!(text.contains("\nLoadCredential=hook:/etc/credstore/hook\n"), "{text}");
    assert!(text.contains("# `slack` is read from a variable, which this service does not get"), "{text}");
    assert!(text.contains("\nReadWritePaths=\"-/srv/my shop\"\n"), "{text}");
    assert!(!text.contains("sudo"), "{text}");
    let raising = directory(ESTATE, &RUNBOOK.replace("[sleep, \"1\"]", "[sudo, --, \"true\"]"));
    assert!(printed(raising.path(), &["service"]).contains("these runbooks call it: mends."));
}

#[test]
fn an_invalid_account_name_is_refused() {
    let project = directory(ESTATE, RUNBOOK);
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--dir").arg(project.path()).args(["unit", "service", "--user", "a\nExecStartPre=+/bin/x"]);
    assert_eq!(output_detached(&mut command).expect("the program starts").status.code(), Some(2));
}

const MANAGE: &str = "org.freedesktop.systemd1.manage-units";
const FILES: &str = "org.freedesktop.systemd1.manage-unit-files";
const RELOAD: &str = "org.freedesktop.systemd1.reload-daemon";

#[test]
fn the_rule_allows_only_the_actions_of_runbooks_on_units_of_the_estate() {
    let project = directory(ESTATE, RUNBOOK);
    let polkit = Polkit::with(&printed(project.path(), &["polkit", "--user", "nobody"]));
    let may = |user: &str, verb: &str, unit: &str| polkit.allows(user, MANAGE, &[("verb", verb), ("unit", unit)]);
    for (verb, unit) in [
        ("restart", "shop-gateway.service"),
        ("restart", "shop-a\\x2db@1.service"),
        ("restart", "redis-server.service"),
        ("reload", "redis-server.service"),
    ] {
        assert!(may("nobody", verb, unit), "{verb} {unit}");
    }
    for (user, verb, unit) in [
        ("daemon", "restart", "shop-gateway.service"),
        ("nobody", "stop", "shop-gateway.service"),
        ("nobody", "reload", "shop-gateway.service"),
        ("nobody", "restart", "shop-gateway"),
        ("nobody", "restart", "sshd.service"),
        ("nobody", "constructor", "name"),
        ("nobody", "start", "run-1.service"),
    ] {
        assert!(!may(user, verb, unit), "{user} {verb} {unit}");
    }
    for action in [MANAGE, FILES, RELOAD] {
        assert!(!polkit.allows("nobody", action, &[]), "{action} as a whole");
    }
    let other = [("verb", "restart"), ("unit", "shop-gateway.service")];
    assert!(!polkit.allows("nobody", "org.freedesktop.login1.power-off", &other));
}

#[test]
fn actions_without_details_are_allowed_only_when_used() {
    let enabling = RUNBOOK.replace("{ reload: redis-server.service }", "{ enable: redis-server.service }");
    let project = directory(ESTATE, &enabling);
    let rule = printed(project.path(), &["polkit", "--user", "nobody"]);
    assert!(rule.contains("can only be allowed for all units"), "{rule}");
    let polkit = Polkit::with(&rule);
    assert!(polkit.allows("nobody", FILES, &[]) && polkit.allows("nobody", RELOAD, &[]));
    assert!(!polkit.allows("daemon", FILES, &[]) && !polkit.allows("daemon", RELOAD, &[]));
}

/// The service for a private user manager: without settings that need the system manager.
fn adapted(service: &str, units: &Units) -> String {
    const KEPT: [&str; 9] = [
        "Type=",
        "NotifyAccess=",
        "ExecStart=",
        "ExecReload=",
        "Restart",
        "KillMode=",
        "TimeoutStopSec=",
        "Description=",
        "[",
    ];
    let lines = service.lines().filter(|line| KEPT.iter().any(|prefix| line.starts_with(prefix)));
    let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
    let (directory, state) = (units.directory().join("shop"), units.directory().join("state"));
    let own = format!(
        "[Service]\nWatchdogSec=2s\nEnvironment=RUNBOOK_DIR={} RUNBOOK_STATE={} PATH=/usr/bin:/bin\nExecStartPre=/bin/mkdir -p {2}\n",
        directory.display(),
        state.display(),
        state.display()
    );
    lines.concat() + &own
}

/// Posts an alert to the service; the body of the answer.
fn post(port: u16, number: u32) -> String {
    let body = format!(
        r#"{{"version":"4","status":"firing","alerts":[{{"status":"firing","labels":{{"alertname":"trouble"}},"startsAt":"2026-01-01T03:00:00Z","fingerprint":"{number}"}}]}}"#
    );
    let bearer = format!("Bearer {TOKEN}");
    http::send(port, "POST /hooks/alertmanager", &[("Authorization", &bearer)], body.as_bytes()).body
}

/// A manager with the generated service and socket, both adapted, and a project with one slow runbook.
fn installed_service(port: u16) -> Units {
    let estate = ESTATE.replace("credential: hook", "file: token");
    let units = Units::bare(&[]);
    let made = directory(&estate, RUNBOOK.split("  - { id: restart").next().expect("it has steps"));
    std::fs::write(made.path().join("token"), TOKEN).expect("a file can be written");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(made.path()).arg(units.directory().join("shop"));
    real::run(&mut copy, "coreutils");
    units.write_unit("runbook.service", &adapted(&printed(made.path(), &["service"]), &units));
    units.write_unit("runbook.socket", &printed(made.path(), &["socket", "--listen", &format!("127.0.0.1:{port}")]));
    units.systemctl(&["daemon-reload"]);
    units.systemctl(&["start", "runbook.socket"]);
    units
}

fn timeline(units: &Units) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--state").arg(units.directory().join("state")).args(["timeline", "-o", "jsonl"]);
    command.current_dir(units.directory());
    let output = output_detached(&mut command).expect("the program starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_first_alert_starts_the_service_and_it_serves_the_watchdog() {
    let port = free_port();
    let units = installed_service(port);
    assert_eq!(units.property("runbook.service", "ActiveState"), "inactive");
    assert!(post(port, 1).contains("opened"), "the alert waits until the service is ready");
    assert_eq!(units.property("runbook.service", "ActiveState"), "active");
    let process = units.property("runbook.service", "MainPID");
    let watchdog_time = || units.property("runbook.service", "WatchdogTimestampMonotonic").parse::<u64>().unwrap_or(0);
    let start = watchdog_time();
    // Twice the watchdog's time limit.
    eventually("the service has served the watchdog for four seconds", || watchdog_time() > start + 4_000_000);
    assert_eq!(units.property("runbook.service", "MainPID"), process);
    assert_eq!(get(port, "/health/ready").expect("it answers").0, 200);
    units.stop();
}

#[test]
fn a_reload_loads_valid_files_and_fails_with_a_problem() {
    let port = free_port();
    let units = installed_service(port);
    assert!(post(port, 1).contains("opened"));
    let process = units.property("runbook.service", "MainPID");
    let file = units.directory().join("shop/runbooks/mends.yaml");
    let valid = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, valid.replace("steps:", "stepps:")).expect("a file can be written");
    assert!(!units.try_systemctl(&["reload", "runbook.service"]).status.success(), "there is a problem");
    assert_eq!(units.property("runbook.service", "ActiveState"), "active");
    assert_eq!(units.property("runbook.service", "StatusText"), "receiving alerts", "the process serves as before");
    std::fs::write(&file, valid.replace("Mends", "Mends otherwise")).expect("a file can be written");
    units.systemctl(&["reload", "runbook.service"]);
    let metric = |line: &str| get(port, "/metrics").expect("it answers").1.lines().any(|known| known == line);
    eventually("the files are loaded", || metric("runbook_reloads_total 1"));
    eventually("systemd knows that the reload has ended", || {
        units.property("runbook.service", "ActiveState") == "active"
    });
    assert!(metric("runbook_last_reload_successful 1"));
    assert_eq!(units.property("runbook.service", "MainPID"), process);
    units.stop();
}

#[test]
fn a_run_continues_after_a_stop_and_a_start() {
    let port = free_port();
    let units = installed_service(port);
    assert!(post(port, 1).contains("opened"));
    let slow_runs = |line: &str| line.contains("step_started") && line.contains(r#""slow""#);
    eventually("the slow step runs", || timeline(&units).lines().any(slow_runs));
    units.systemctl(&["stop", "runbook.service"]);
    assert_eq!(units.property("runbook.service", "Result"), "success");
    assert_eq!(units.property("runbook.service", "ExecMainStatus"), "0");
    let stopped = timeline(&units);
    assert!(!stopped.contains("run_ended"), "{stopped}");
    units.systemctl(&["start", "runbook.service"]);
    eventually("the run ends", || timeline(&units).contains("run_ended"));
    units.stop();
}
