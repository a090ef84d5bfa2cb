//! Alerts of each sender format: sample bodies, cases from the documentation of senders, and hostile bodies.

mod admission;
mod aws;
mod certificate;
mod hostile;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::DateTime;
use runbook::domain::alert::{Alert, AlertStatus};
use runbook::domain::config::estate::Estate;
use runbook::domain::config::estate_check;
use runbook::domain::core::diagnostic::Source;
use runbook::domain::core::severity::Severity;
use runbook::domain::core::time::Timestamp;
use runbook::surface::intake::{self, ParsedBody, SenderRequest};
use serde_json::{Value, json};

/// The senders of these tests.
const ESTATE: &str = "\
estate: Shop
environments: { staging: { branch: main }, live: { branch: production } }
alerts: { environment: staging }
secrets: { key: { env: KEY }, next: { env: NEXT } }
senders:
  alertmanager: { auth: { bearer: { secret: [key, next] } } }
  prometheus: { form: alertmanager, auth: { basic: { user: am, password: { secret: key } } }, environment: live }
  grafana: { auth: { grafana: { secret: key } } }
  grafana_timed: { form: grafana, auth: { grafana: { secret: key, timestamp_header: X-Time } } }
  sns: { topics: ['arn:aws:sns:ap-northeast-1:863886017929:developers'], environment: live }
  sns_pinned: { form: sns, topics: ['arn:aws:sns:ap-northeast-1:863886017929:developers'], certificate: sns.pem }
  sns_raw: { form: sns, auth: { header: { name: X-Token, secret: key } } }
  github:
    auth: { github: { secret: [key, next] } }
    workflows: { test.yml: { failure: tests_failed, success: tests_passed }, health-check.yml: { failure: health_check_failed } }
  pagerduty: { auth: { pagerduty: { secret: [key, next] } } }
  standard: { form: alertmanager, auth: { standard: { secret: key } } }
  open: { form: alertmanager, auth: { none: true } }
  listed:
    auth: { bearer: { secret: key } }
    mapping:
      each: body.events
      name: item.check
      firing: item.id
      recurs: false
      status: { value: item.state, firing: [2, down], resolved: [0, up] }
      severity: item.level
      starts_at: item.since
      value: item.measured
      labels: { host: item.host, site: body.site }
";

/// The estate of these tests.
fn estate() -> Estate {
    estate_check::check(&Source::new("estate.yaml", ESTATE)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn now() -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 0).expect("an instant")
}

fn at(text: &str) -> Option<Timestamp> {
    Some(DateTime::parse_from_rfc3339(text).expect("an instant").to_utc())
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().expect("the name of a header");
        headers.append(name, HeaderValue::from_str(value).expect("the value of a header"));
    }
    headers
}

/// A sample as it was captured.
fn sample(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/payloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("it is JSON")
}

fn read_with(sender: &str, pairs: &[(&str, &str)], body: &[u8]) -> ParsedBody {
    let estate = estate();
    let headers = headers(pairs);
    intake::read(sender, &estate.senders[sender], &SenderRequest { headers: &headers, body, now: now() })
}

fn read(sender: &str, body: &Value) -> Vec<Alert> {
    match read_with(sender, &[], body.to_string().as_bytes()) {
        ParsedBody::Alerts(alerts) => alerts,
        other => panic!("no alerts: {other:?}"),
    }
}

#[track_caller]
fn one(sender: &str, body: &Value) -> Alert {
    let mut alerts = read(sender, body);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    alerts.remove(0)
}

#[test]
fn a_firing_and_its_end_in_alertmanager_have_one_identity() {
    let firing = one("alertmanager", &sample("alertmanager_v4_firing_single"));
    let resolved = one("alertmanager", &sample("alertmanager_v4_resolved_single"));
    assert_eq!(firing.firing, "fa65a21db3335b7d 2022-11-02T08:12:16.003Z");
    assert_eq!(firing.identity(), resolved.identity());
    assert_eq!((firing.status, resolved.status), (AlertStatus::Firing, AlertStatus::Resolved));
    assert_eq!((firing.ends_at, resolved.ends_at), (None, at("2022-11-02T08:12:31.003Z")));
    assert_eq!((firing.name.as_str(), firing.recurs), ("high-memory-usage", false));
    assert!(firing.summary.is_some_and(|summary| summary.ends_with("High Memory usage detected")));
    assert!(firing.link.is_some_and(|link| link.starts_with("http://10CNL5CG203849X:9090/graph")));
    assert!(firing.warnings.is_empty(), "{:?}", firing.warnings);
}

#[test]
fn a_missing_fingerprint_is_computed_as_prometheus_does() {
    let mut body = sample("alertmanager_v4_firing_single");
    let with = one("alertmanager", &body);
    body["alerts"][0].as_object_mut().unwrap().remove("fingerprint");
    assert_eq!(one("alertmanager", &body).identity(), with.identity());
}

#[test]
fn each_alert_of_a_body_has_its_own_status() {
    let mut body = sample("alertmanager_v4_firing_single");
    let resolved = sample("alertmanager_v4_resolved_single")["alerts"][0].clone();
    let labels =
        json!({ "alertname": "payment_error_rate", "severity": "critical", "env": "production", "service": "backend" });
    let annotations = json!({ "value": "7.5%", "runbook_url": "https://wiki/payment", "description": "two\nlines" });
    let other = json!({ "status": "firing", "labels": labels, "annotations": annotations, "startsAt": "2022-11-02T09:12:16+01:00" });
    body["alerts"] = json!([body["alerts"][0], resolved, other]);
    let alerts = read("prometheus", &body);
    let firing: Vec<bool> = alerts.iter().map(Alert::is_firing).collect();
    assert_eq!(firing, [true, false, true], "the body as a whole is firing");
    let other = &alerts[2];
    assert_eq!((other.value, other.severity), (Some(7.5), Some(Severity::P1)));
    assert_eq!((other.environment.as_deref(), other.service.as_deref()), (Some("production"), Some("backend")));
    assert_eq!((other.runbook.as_deref(), other.summary.as_deref()), (Some("https://wiki/payment"), Some("two lines")));
    assert_eq!(other.starts_at, at("2022-11-02T08:12:16Z"));
    assert_eq!(alerts[0].environment.as_deref(), Some("live"), "the environment of the sender");
}

#[test]
fn truncated_alerts_of_a_body_are_counted() {
    let mut body = sample("alertmanager_v4_firing_single");
    body["truncatedAlerts"] = json!(7);
    let alerts = read("alertmanager", &body);
    assert_eq!((alerts.len(), alerts[1].name.as_str(), alerts[1].value), (2, "alerts_not_read", Some(7.0)));
    let many: Vec<Value> = (0..intake::ALERTS_PER_BODY + 3)
        .map(|number| json!({ "labels": { "alertname": number.to_string() } }))
        .collect();
    let alerts = read("alertmanager", &json!({ "status": "firing", "alerts": many }));
    let last = alerts.last().unwrap();
    assert_eq!(
        (alerts.len(), last.name.as_str(), last.value),
        (intake::ALERTS_PER_BODY + 1, "alerts_not_read", Some(3.0))
    );
}

#[test]
fn alerts_from_the_alertmanager_api_equal_posted_ones() {
    let posted = one("alertmanager", &sample("alertmanager_v4_firing_single"));
    let mut listed = sample("alertmanager_v4_firing_single")["alerts"][0].clone();
    listed["status"] = json!({ "state": "active", "silencedBy": [], "inhibitedBy": [] });
    listed["endsAt"] = json!("2022-11-02T08:16:16.003Z");
    let mut silenced = listed.clone();
    silenced["status"]["state"] = json!("suppressed");
    assert_eq!(one("alertmanager", &json!([listed, silenced])), posted);
    assert!(matches!(read_with("alertmanager", &[], b"[]"), ParsedBody::Ignored(_)));
}

#[test]
fn fields_of_a_wrong_type_lose_no_alert() {
    let labels = json!({ "alertname": 5, "zone": null, "list": [1] });
    let alert = json!({ "status": true, "labels": labels, "annotations": "none", "startsAt": "soon", "fingerprint": 12, "generatorURL": "javascript:alert(1)" });
    let alert = one("alertmanager", &json!({ "status": "firing", "alerts": [alert], "truncatedAlerts": "x" }));
    assert_eq!((alert.name.as_str(), alert.firing.as_str(), alert.recurs), ("5", "12", true));
    assert_eq!(alert.labels["list"], "[1]");
    assert_eq!((alert.starts_at, alert.link), (None, None));
    assert_eq!(alert.warnings.len(), 4, "{:?}", alert.warnings);
}

#[test]
fn values_and_links_of_grafana_are_read() {
    let alerts = read("grafana", &sample("grafana_unified_firing_docs"));
    let first = &alerts[0];
    assert_eq!((alerts.len(), first.value), (2, Some(44.239_437_375_419_08)));
    assert_eq!(first.annotations["values.C"], "1");
    assert!(first.annotations["silence"].starts_with("https://play.grafana.org/alerting/silence/new"));
    assert_eq!(first.firing, "c6eadffa33fcdf37 2021-10-12T07:51:03.157076Z");
    assert_eq!(first.runbook.as_deref(), Some("https://myrunbook.com/runbook/1234"));
    let mut body = sample("grafana_unified_firing_docs");
    body["alerts"][0]["generatorURL"] = json!("/alerting/1/edit");
    body["alerts"][0]["values"] = Value::Null;
    body["alerts"][1]["generatorURL"] = json!("");
    let alerts = read("grafana", &body);
    assert_eq!(alerts[0].link.as_deref(), Some("https://play.grafana.org/alerting/1/edit"));
    assert_eq!((alerts[0].value, alerts[1].link.as_deref()), (None, None));
}

/// The event of a workflow run with this conclusion.
fn completed_run(file: &str, conclusion: &str) -> Value {
    let mut body = sample("github_workflow_run_completed");
    body["workflow_run"]["path"] = json!(format!(".github/workflows/{file}"));
    body["workflow_run"]["conclusion"] = json!(conclusion);
    body
}

#[test]
fn a_failed_workflow_fires_once_until_it_succeeds() {
    let failed = one("github", &completed_run("test.yml", "failure"));
    assert_eq!((failed.name.as_str(), failed.recurs, failed.is_firing()), ("tests_failed", true, true));
    assert_eq!(failed.labels["commit"], "3484a3fb816e0859fd6e1cea078d76385ff50625");
    let alerts = read("github", &completed_run("test.yml", "success"));
    assert_eq!((alerts.len(), alerts[0].identity(), alerts[0].status), (2, failed.identity(), AlertStatus::Resolved));
    assert_eq!(
        (alerts[1].name.as_str(), alerts[1].firing.as_str(), alerts[1].recurs),
        ("tests_passed", "run 289782451 1", false)
    );
    assert_eq!(one("github", &completed_run("health-check.yml", "timed_out")).name, "health_check_failed");
}

#[test]
fn the_branch_gives_the_environment_unless_a_schedule_ran_the_workflow() {
    let mut body = completed_run("test.yml", "failure");
    body["workflow_run"]["head_branch"] = json!("production");
    assert_eq!(one("github", &body).environment.as_deref(), Some("live"));
    body["workflow_run"]["event"] = json!("schedule");
    assert_eq!(one("github", &body).environment, None);
}

#[test]
fn ignored_github_events_have_a_reason() {
    let run = |body: &Value, event| match read_with("github", &[("x-github-event", event)], body.to_string().as_bytes())
    {
        ParsedBody::Ignored(why) => why,
        other => panic!("{other:?}"),
    };
    let body = completed_run("test.yml", "failure");
    assert_eq!(run(&json!({ "zen": "Keep it simple" }), "ping"), "event `ping` is not a workflow run");
    assert_eq!(
        run(&completed_run("lint.yml", "failure"), "workflow_run"),
        "the estate does not name workflow `lint.yml`"
    );
    assert_eq!(
        run(&completed_run("test.yml", "cancelled"), "workflow_run"),
        "the conclusion `cancelled` is neither a success nor a failure"
    );
    let changed = |pointer: &str, value: &str| {
        let mut body = body.clone();
        *body.pointer_mut(pointer).unwrap() = json!(value);
        body
    };
    assert_eq!(run(&changed("/action", "in_progress"), "workflow_run"), "the run has not ended");
    let why = "it ran for a pull request or a fork";
    assert_eq!(run(&changed("/workflow_run/event", "pull_request_target"), "workflow_run"), why);
    assert_eq!(run(&changed("/workflow_run/head_repository/full_name", "eve/fork"), "workflow_run"), why);
}

#[test]
fn a_github_body_may_be_form_encoded() {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    let form = form.append_pair("payload", &completed_run("test.yml", "failure").to_string()).finish();
    let pairs = [("x-github-event", "workflow_run"), ("content-type", "application/x-www-form-urlencoded")];
    assert!(
        matches!(read_with("github", &pairs, form.as_bytes()), ParsedBody::Alerts(alerts) if alerts[0].name == "tests_failed")
    );
}

#[test]
fn a_pagerduty_incident_fires_and_is_resolved() {
    let event = |kind: &str| {
        let service = json!({ "id": "PF9KMXH", "summary": "backend" });
        let data = json!({ "id": "PGR0VU2", "type": "incident", "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2", "number": 2, "status": "triggered", "incident_key": "d3640fbd41094207a1c11e58e46b1662", "title": "A little bump in the road", "service": service, "priority": { "summary": "P1" }, "urgency": "low" });
        json!({ "event": { "id": "01", "event_type": kind, "resource_type": "incident", "occurred_at": "2020-10-02T18:45:22.169Z", "agent": null, "client": null, "data": data } })
    };
    let firing = one("pagerduty", &event("incident.triggered"));
    assert_eq!(
        (firing.firing.as_str(), firing.severity, firing.service.as_deref()),
        ("PGR0VU2", Some(Severity::P1), Some("backend"))
    );
    let resolved = one("pagerduty", &event("incident.resolved"));
    assert_eq!(
        (resolved.identity(), resolved.status, resolved.ends_at),
        (firing.identity(), AlertStatus::Resolved, at("2020-10-02T18:45:22.169Z"))
    );
    for quiet in ["incident.acknowledged", "pagey.ping", "service.updated"] {
        assert!(
            matches!(read_with("pagerduty", &[], event(quiet).to_string().as_bytes()), ParsedBody::Ignored(_)),
            "{quiet}"
        );
    }
}

#[test]
fn the_shipped_mapping_reads_the_known_middleware_body() {
    let path = format!("{}/runbooks/estate.yaml", env!("CARGO_MANIFEST_DIR"));
    let shipped = Source::new("estate.yaml", std::fs::read_to_string(path).unwrap());
    let shipped = estate_check::check(&shipped).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let (headers, mut body) = (HeaderMap::new(), sample("middleware_alert_model_UNVERIFIED"));
    let read = |body: &Value| {
        let text = body.to_string();
        match intake::read(
            "middleware",
            &shipped.senders["middleware"],
            &SenderRequest { headers: &headers, body: text.as_bytes(), now: now() },
        ) {
            ParsedBody::Alerts(mut alerts) => alerts.remove(0),
            other => panic!("{other:?}"),
        }
    };
    let firing = read(&body);
    assert_eq!((firing.name.as_str(), firing.value), ("High CPU on host ip-10-0-1-15", Some(96.4)));
    assert_eq!((firing.severity, firing.service.as_deref()), (Some(Severity::P1), Some("checkout-api")));
    assert_eq!((firing.starts_at, &firing.warnings), (at("2026-09-01T10:00:00Z"), &Vec::new()));
    assert_eq!((firing.labels["host.id"].as_str(), firing.annotations["operator"].as_str()), ("ip-10-0-1-15", ">"));
    body["status"] = json!("Resolved");
    body["attributes"] = Value::Null;
    let resolved = read(&body);
    assert_eq!((resolved.identity(), resolved.status), (firing.identity(), AlertStatus::Resolved), "{resolved:#?}");
}

#[test]
fn a_mapping_reads_every_item_and_warns_of_unknown_values() {
    let good = json!({ "check": "disk", "id": 7, "state": 2, "level": "warning", "since": 1_700_000_000, "measured": "93%", "host": "a" });
    let resolved = json!({ "check": "disk", "id": 7, "state": "UP", "since": 1_700_000_000_000_u64 });
    let strange = json!({ "check": "net", "id": [1], "state": "odd", "since": "soon", "measured": "hot" });
    let alerts = read("listed", &json!({ "site": "here", "events": [good, resolved, strange, { "id": 1 }, 5] }));
    assert_eq!((alerts[0].value, alerts[0].severity, alerts[0].recurs), (Some(93.0), Some(Severity::P3), false));
    assert_eq!((alerts[0].labels["site"].as_str(), &alerts[0].warnings), ("here", &Vec::new()));
    assert_eq!(
        (alerts[1].identity(), alerts[1].status, alerts[1].starts_at),
        (alerts[0].identity(), AlertStatus::Resolved, alerts[0].starts_at)
    );
    assert!(alerts[2].is_firing() && alerts[2].recurs, "the missing identity is computed");
    assert_eq!(alerts[2].warnings.len(), 6, "{:#?}", alerts[2].warnings);
    assert_eq!((alerts[3].name.as_str(), alerts[4].name.as_str()), (intake::UNRECOGNISED, intake::UNRECOGNISED));
    assert!(alerts[3].warnings[0].contains("`item.check` is not defined"), "{:?}", alerts[3].warnings);
}
