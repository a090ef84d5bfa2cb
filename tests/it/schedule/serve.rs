//! Schedules in a running `serve` and on the command line: `schedule`, the list of incidents, the calendar.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::calendar::read;
use crate::project::Project;
use crate::real::daemon::{Daemon, free_port};
use crate::real::http;

const ESTATE: &str = "
estate: Shop
default_environment: production
environments: { production: {} }
secrets: { key: { env: KEY } }
";

const CARE: &str = "
runbook: care
title: Yearly care
severity: maintenance
on: { schedule: 0 9 1 jan *, timezone: Africa/Lusaka }
steps:
  - { id: look, name: Look, set: { values: { x: 1 } } }
";

/// How long one answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A project with a schedule.
struct ScheduledProject(Project);

impl ScheduledProject {
    /// A project whose schedule was loaded long ago, and that no dispatcher has served since.
    fn neglected() -> Self {
        let project = Project::new(ESTATE, &[("KEY", "key-5511"), ("TZ", "Europe/Berlin")]);
        project.write("runbooks/care.yaml", CARE);
        let since = json!({"schedule/care/production/0 9 1 jan * Africa/Lusaka": "2025-06-01T00:00:00Z"});
        project.write("state/schedules.json", &since.to_string());
        Self(project)
    }

    /// A server with these further arguments, and its port.
    fn serve(&self, arguments: &[&str]) -> (Daemon, u16) {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        (self.0.serve(port, &[&["--listen", &address], arguments].concat()), port)
    }

    /// The standard output and the standard error of a command, which must succeed.
    fn run(&self, arguments: &[&str]) -> (String, String) {
        let output = self.0.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.0.json(arguments)
    }

    /// Waits until the maintenance incident is resolved and its report is written.
    fn wait_until_resolved(&self) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let incidents = self.json(&["incidents", "--maintenance"]);
            let written = || fs::read_dir(self.0.path("reports")).is_ok_and(|all| all.count() > 0);
            if incidents[0]["status"] == "resolved" && written() {
                return incidents;
            }
            assert!(Instant::now() < until, "{incidents:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The status and the body of a GET with a bearer token.
fn get(port: u16, path: &str, token: &str) -> (u16, String) {
    let authorization = format!("Bearer {token}");
    let response = http::send(port, &format!("GET {path}"), &[("Authorization", &authorization)], b"");
    (response.status, response.body)
}

#[test]
fn a_server_catches_up_and_maintenance_is_not_listed_as_an_incident() {
    let project = ScheduledProject::neglected();
    let before = project.json(&["schedule"]);
    assert!(before[0]["last"].is_null() && !before[0]["missed"].as_array().unwrap().is_empty(), "{before:#}");
    let (_serve, port) = project.serve(&[]);
    let incidents = project.wait_until_resolved();
    assert_eq!((incidents.as_array().unwrap().len(), &incidents[0]["severity"]), (1, &json!("maintenance")));
    assert_eq!(project.json(&["incidents"]), json!([]), "maintenance is not an incident");
    let rows = project.json(&["schedule"]);
    assert_eq!((&rows[0]["last"]["incident"], &rows[0]["last"]["became"]), (&incidents[0]["id"], &json!("succeeded")));
    let (table, stderr) = project.run(&["schedule"]);
    assert!(table.contains("09:00 Africa/Lusaka") && table.contains("08:00 +01:00"), "{table}");
    assert!(stderr.contains("incidents --maintenance"), "{stderr}");
    let (report, _) = project.run(&["report", incidents[0]["id"].as_str().unwrap(), "--print"]);
    assert!(report.contains("scheduled for ") && report.contains("# Yearly care, production"), "{report}");
    let (status, text) = get(port, "/calendar.ics", "");
    let calendar = read(&text);
    assert_eq!((status, &calendar["name"]), (200, &json!("Shop: maintenance")));
    let named = |event: &Value| event["description"].as_str().unwrap().contains(incidents[0]["id"].as_str().unwrap());
    let events = calendar["events"].as_array().unwrap();
    assert!(events.iter().any(named) && events.iter().any(|event| !named(event)), "{events:#?}");
    assert!(
        events.iter().all(|event| event["start"].as_str().unwrap().contains("-01-01T07:00:00+00:00")),
        "{events:#?}"
    );
    let printed = read(&project.run(&["schedule", "--ics"]).0);
    let starts = |calendar: &Value| -> Vec<Value> {
        calendar["events"].as_array().unwrap().iter().map(|event| event["start"].clone()).collect()
    };
    assert_eq!(starts(&printed), starts(&calendar));
}

#[test]
fn the_calendar_needs_the_same_token_as_the_other_routes() {
    let project = ScheduledProject::neglected();
    let (_serve, port) = project.serve(&["--token-secret", "key"]);
    assert_eq!(get(port, "/calendar.ics", "guessed").0, 401);
    let (status, text) = get(port, "/calendar.ics", "key-5511");
    assert_eq!((status, text.starts_with("BEGIN:VCALENDAR\r\n")), (200, true));
}

#[test]
fn a_maintenance_runbook_started_by_hand_gives_the_same_incident() {
    let project = ScheduledProject::neglected();
    let (_, stderr) = project.run(&["start", "care", "--auto"]);
    assert!(stderr.contains("next: ") && stderr.contains(" report "), "{stderr}");
    let incidents = project.wait_until_resolved();
    assert_eq!((&incidents[0]["severity"], &incidents[0]["status"]), (&json!("maintenance"), &json!("resolved")));
    let (timeline, _) = project.run(&["timeline", "last"]);
    assert!(timeline.contains("opened maintenance in production: Yearly care"), "{timeline}");
}
