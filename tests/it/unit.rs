//! What `runbook unit` prints, put to those who read it: systemd, its analysis of exposure, and polkit.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use runbook::actions::transport::process::output_detached;

use super::real;
use super::real::daemon::{free_port, get};
use super::real::polkit::Polkit;
use super::real::shop::{Shop, eventually};

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

const MENDS: &str = r#"
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

/// A shop's directory with an estate and a runbook.
fn directory(estate: &str, runbook: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let runbooks = directory.path().join("runbooks");
    std::fs::create_dir(&runbooks).expect("a directory can be made");
    for (name, text) in [("estate", estate), ("mends", runbook)] {
        std::fs::write(runbooks.join(format!("{name}.yaml")), text.trim_start()).expect("a file can be written");
    }
    directory
}

/// What `runbook unit` prints for a shop.
fn printed(directory: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--dir").arg(directory).arg("unit").args(words);
    let output = output_detached(&mut command).expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_service_is_exposed_by_less_than_two() {
    let shop = directory(ESTATE, MENDS);
    let file = shop.path().join("runbook.service");
    std::fs::write(&file, printed(shop.path(), &["service", "--user", "oncall"])).expect("a file can be written");
    let mut analysis = Command::new("systemd-analyze");
    analysis.args(["security", "--offline=true", "--no-pager"]).arg(&file);
    let output = real::run(&mut analysis, "systemd");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let exposure = said.lines().find_map(|line| line.split_once("runbook.service: ")).expect("a level is found").1;
    let exposure: f64 = exposure.split(' ').next().and_then(|level| level.parse().ok()).expect("a number");
    assert!(exposure <= 2.0, "{said}");
}

#[test]
fn the_service_and_its_socket_are_understood_whole() {
    let shop = directory(ESTATE, MENDS);
    for file in ["service", "socket"] {
        let text = printed(shop.path(), &[file, "--user", "root"]);
        std::fs::write(shop.path().join(format!("runbook.{file}")), text).expect("a file can be written");
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(shop.path().join("runbook.socket"));
    verify.arg(shop.path().join("runbook.service"));
    let output = output_detached(&mut verify).expect("systemd-analyze starts; install the Debian package `systemd`");
    let said = String::from_utf8_lossy(&output.stderr);
    // It has a word for other units of the machine too.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("runbook.s")).collect();
    assert_eq!(ours, [""; 0], "{said}");
}

#[test]
fn secrets_are_loaded_or_it_is_said_how_they_can_be() {
    let shop = directory(ESTATE, MENDS);
    let text = printed(shop.path(), &["service"]);
    assert!(text.contains("\nLoadCredential=hook:/etc/credstore/hook\n"), "{text}");
    assert!(text.contains("# `slack` is read from the environment"), "{text}");
    assert!(text.contains("\nReadWritePaths=\"-/srv/my shop\"\n"), "{text}");
    assert!(!text.contains("sudo"), "{text}");
    let raising = directory(ESTATE, &MENDS.replace("[sleep, \"1\"]", "[sudo, --, \"true\"]"));
    assert!(printed(raising.path(), &["service"]).contains("these runbooks call it: mends."));
}

#[test]
fn an_account_that_is_none_is_refused() {
    let shop = directory(ESTATE, MENDS);
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--dir").arg(shop.path()).args(["unit", "service", "--user", "a\nExecStartPre=+/bin/x"]);
    assert_eq!(output_detached(&mut command).expect("the program starts").status.code(), Some(2));
}

const MANAGE: &str = "org.freedesktop.systemd1.manage-units";
const FILES: &str = "org.freedesktop.systemd1.manage-unit-files";
const RELOAD: &str = "org.freedesktop.systemd1.reload-daemon";

#[test]
fn the_rule_allows_what_runbooks_do_to_the_units_of_the_estate_and_nothing_else() {
    let shop = directory(ESTATE, MENDS);
    let polkit = Polkit::with(&printed(shop.path(), &["polkit", "--user", "nobody"]));
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
fn what_can_only_be_allowed_whole_is_allowed_only_where_it_is_used() {
    let enabling = MENDS.replace("{ reload: redis-server.service }", "{ enable: redis-server.service }");
    let shop = directory(ESTATE, &enabling);
    let rule = printed(shop.path(), &["polkit", "--user", "nobody"]);
    assert!(rule.contains("can only be allowed whole"), "{rule}");
    let polkit = Polkit::with(&rule);
    assert!(polkit.allows("nobody", FILES, &[]) && polkit.allows("nobody", RELOAD, &[]));
    assert!(!polkit.allows("daemon", FILES, &[]) && !polkit.allows("daemon", RELOAD, &[]));
}

/// The service as a private manager of a user can start it: without what needs the machine's own.
fn adapted(service: &str, shop: &Shop) -> String {
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
    let kept = service.lines().filter(|line| KEPT.iter().any(|kept| line.starts_with(kept)));
    let kept: Vec<String> = kept.map(|line| format!("{line}\n")).collect();
    let (directory, state) = (shop.directory().join("shop"), shop.directory().join("state"));
    let own = format!(
        "[Service]\nWatchdogSec=2s\nEnvironment=RUNBOOK_DIR={} RUNBOOK_STATE={} PATH=/usr/bin:/bin\nExecStartPre=/bin/mkdir -p {2}\n",
        directory.display(),
        state.display(),
        state.display()
    );
    kept.concat() + &own
}

fn post(port: u16, number: u32) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the socket listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time can be set");
    let body = format!(
        r#"{{"version":"4","status":"firing","alerts":[{{"status":"firing","labels":{{"alertname":"trouble"}},"startsAt":"2026-01-01T03:00:00Z","fingerprint":"{number}"}}]}}"#
    );
    let head = format!(
        "POST /hooks/alertmanager HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer
}

/// A manager with the generated service and socket, both adapted, and a shop with one slow runbook.
fn on_duty(port: u16) -> Shop {
    let estate = ESTATE.replace("credential: hook", "file: token");
    let shop = Shop::bare(&[]);
    let made = directory(&estate, MENDS.split("  - { id: restart").next().expect("it has steps"));
    std::fs::write(made.path().join("token"), TOKEN).expect("a file can be written");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(made.path()).arg(shop.directory().join("shop"));
    real::run(&mut copy, "coreutils");
    shop.write_unit("runbook.service", &adapted(&printed(made.path(), &["service"]), &shop));
    shop.write_unit("runbook.socket", &printed(made.path(), &["socket", "--listen", &format!("127.0.0.1:{port}")]));
    shop.systemctl(&["daemon-reload"]);
    shop.systemctl(&["start", "runbook.socket"]);
    shop
}

fn timeline(shop: &Shop) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--state").arg(shop.directory().join("state")).args(["timeline", "-o", "jsonl"]);
    command.current_dir(shop.directory());
    let output = output_detached(&mut command).expect("the program starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_first_alert_starts_the_service_and_the_watchdog_finds_it_well() {
    let port = free_port();
    let shop = on_duty(port);
    assert_eq!(shop.property("runbook.service", "ActiveState"), "inactive");
    assert!(post(port, 1).contains("opened"), "the alert waits until the service is there");
    assert_eq!(shop.property("runbook.service", "ActiveState"), "active");
    let process = shop.property("runbook.service", "MainPID");
    let heard = || shop.property("runbook.service", "WatchdogTimestampMonotonic").parse::<u64>().unwrap_or(0);
    let begun = heard();
    // Twice as long as without a word it would live.
    eventually("the watchdog has heard of it for four seconds", || heard() > begun + 4_000_000);
    assert_eq!(shop.property("runbook.service", "MainPID"), process);
    assert_eq!(get(port, "/health/ready").expect("it answers").0, 200);
    shop.stop();
}

#[test]
fn a_reload_takes_up_what_is_sound_and_fails_with_what_is_not() {
    let port = free_port();
    let shop = on_duty(port);
    assert!(post(port, 1).contains("opened"));
    let process = shop.property("runbook.service", "MainPID");
    let file = shop.directory().join("shop/runbooks/mends.yaml");
    let sound = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, sound.replace("steps:", "stepps:")).expect("a file can be written");
    assert!(!shop.try_systemctl(&["reload", "runbook.service"]).status.success(), "there is a problem");
    assert_eq!(shop.property("runbook.service", "ActiveState"), "active");
    assert_eq!(shop.property("runbook.service", "StatusText"), "receiving alerts", "the process was not troubled");
    std::fs::write(&file, sound.replace("Mends", "Mends otherwise")).expect("a file can be written");
    shop.systemctl(&["reload", "runbook.service"]);
    let metric = |line: &str| get(port, "/metrics").expect("it answers").1.lines().any(|known| known == line);
    eventually("the files are taken up", || metric("runbook_reloads_total 1"));
    eventually("systemd knows that it is over", || shop.property("runbook.service", "ActiveState") == "active");
    assert!(metric("runbook_last_reload_successful 1"));
    assert_eq!(shop.property("runbook.service", "MainPID"), process);
    shop.stop();
}

#[test]
fn a_stop_parks_what_runs_and_a_start_goes_on_with_it() {
    let port = free_port();
    let shop = on_duty(port);
    assert!(post(port, 1).contains("opened"));
    let slow_runs = |line: &str| line.contains("step_started") && line.contains(r#""slow""#);
    eventually("the slow step runs", || timeline(&shop).lines().any(slow_runs));
    shop.systemctl(&["stop", "runbook.service"]);
    assert_eq!(shop.property("runbook.service", "Result"), "success");
    assert_eq!(shop.property("runbook.service", "ExecMainStatus"), "0");
    let parked = timeline(&shop);
    assert!(!parked.contains("run_ended"), "{parked}");
    shop.systemctl(&["start", "runbook.service"]);
    eventually("the run ends", || timeline(&shop).contains("run_ended"));
    shop.stop();
}
