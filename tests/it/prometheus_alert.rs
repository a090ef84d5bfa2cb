//! From a service's metric to a resolved incident, with a real Prometheus and a real Alertmanager in between.

use crate::project::Project;
use crate::real::daemon::free_port;
use crate::real::eventually;
use crate::real::prometheus::{Page, alertmanager, prometheus};

const ESTATE: &str = "\
estate: Shop
environments: { production: { branch: production } }
services: { queue: { unit: queue.service } }
secrets: { hook: { env: HOOK } }
senders: { alertmanager: { auth: { bearer: { secret: hook } } } }
alerts: { environment: production, resolve_after: 1s }
";

/// It measures the queue itself, and drains it after approval.
const RUNBOOK: &str = "\
runbook: queue
title: The queue is long
severity: p3
on: { alert: QueueLong, where: \"labels.severity == 'warning' and value > 5\", start: auto, params: { length: \"{{ value }}\" } }
params: { length: { type: number, default: 0 } }
steps:
  - id: measured
    metrics: { scrape: \"PAGE/metrics\", select: queue_length, above: 5 }
  - id: drain
    name: Drain it
    command: [\"touch\", \"DRAINED\"]
    verify: { command: [\"true\"], effect: read }
";

/// The alerting rule; its value is in the summary for people and in an annotation for programs.
const RULES: &str = "\
groups:
- name: shop
  rules:
  - alert: QueueLong
    expr: queue_length > 5
    labels: { severity: warning, service: queue }
    annotations: { summary: \"{{ $value }} wait\", value: \"{{ $value }}\" }
";

fn routes(port: u16) -> String {
    format!(
        "route: {{ receiver: runbook, group_wait: 100ms, group_interval: 1s, repeat_interval: 1h }}\n\
         receivers:\n- name: runbook\n  webhook_configs:\n  - url: http://127.0.0.1:{port}/hooks/alertmanager\n    \
         send_resolved: true\n    http_config: {{ authorization: {{ credentials: let-me-in }} }}\n"
    )
}

fn scraping(page: &Page, alertmanager: u16) -> String {
    format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
         rule_files: [ rules.yml ]\n\
         alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: [ \"127.0.0.1:{alertmanager}\" ] }} ] }} ] }}\n\
         scrape_configs:\n- job_name: page\n  static_configs: [ {{ targets: [ \"127.0.0.1:{}\" ] }} ]\n",
        page.port()
    )
}

#[test]
fn a_rising_metric_starts_a_run_and_a_falling_one_resolves_the_incident() {
    let page = Page::serve("queue_length 1\n");
    let project = Project::new(ESTATE, &[("HOOK", "let-me-in")]);
    let drained = project.path("drained");
    let runbook = RUNBOOK.replace("PAGE", &page.url()).replace("DRAINED", drained.to_str().unwrap());
    project.write("runbooks/queue.yaml", &runbook);
    let port = free_port();
    let _serve = project.serve(port, &["--listen", &format!("127.0.0.1:{port}")]);
    let alertmanager = alertmanager(&routes(port));
    let _prometheus = prometheus(&scraping(&page, alertmanager.port()), &[("rules.yml", RULES)]);

    page.show("queue_length 9\n");
    eventually("the run waits for approval", || project.json(&["incidents"])[0]["waiting"][0] == "drain");
    let timeline = project.json(&["timeline", "last"]).to_string();
    assert!(timeline.contains("9 wait"), "the summary of the alert: {timeline}");
    assert!(timeline.contains("\"length\":9"), "the value is a parameter of the run: {timeline}");

    page.show("queue_length 2\n");
    eventually("the incident is resolved automatically", || project.json(&["incidents"])[0]["status"] == "resolved");
    assert!(!drained.exists(), "the change was not approved");
    assert_eq!(project.json(&["incidents"]).as_array().unwrap().len(), 1, "one firing opens one incident");
}
