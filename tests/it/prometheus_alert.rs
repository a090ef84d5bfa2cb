//! From a service's metric to a resolved incident, with a real Prometheus and a real Alertmanager in between.

use std::fs;
use std::path::Path;
use std::process::Command;

use runbook::actions::transport::process::output_detached;
use serde_json::Value;

use crate::real::daemon::{Daemon, free_port, get};
use crate::real::prometheus::{Page, alertmanager, prometheus};
use crate::real::shop::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

const ESTATE: &str = "\
estate: Shop
environments: { production: { branch: production } }
services: { queue: { unit: queue.service } }
secrets: { hook: { env: HOOK } }
senders: { alertmanager: { auth: { bearer: { secret: hook } } } }
alerts: { environment: production, resolve_after: 1s }
";

/// It measures for itself, and would change something when somebody agrees.
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

/// The rule, with the value where people and programs read it.
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

/// What `runbook` prints as JSON about this shop.
fn told(shop: &Path, words: &[&str]) -> Value {
    let mut command = Command::new(PROGRAM);
    command.arg("--dir").arg(shop).arg("--state").arg(shop.join("state")).args(["-o", "json"]).args(words);
    let output = output_detached(command.env("HOOK", "let-me-in")).unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn serve(shop: &Path, port: u16) -> Daemon {
    let words = ["HOOK=let-me-in", PROGRAM, "--dir", shop.to_str().unwrap(), "--state"];
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    words.push(shop.join("state").display().to_string());
    words.extend(["serve".to_owned(), "--listen".to_owned(), format!("127.0.0.1:{port}")]);
    let mut serve = Daemon::start(Path::new("/usr/bin/env"), &words, None, &shop.join("log"));
    serve.wait(|| get(port, "/health/ready").is_some_and(|(status, _)| status == 200));
    serve
}

#[test]
fn a_metric_that_rises_starts_the_run_and_one_that_falls_resolves_the_incident() {
    let page = Page::serve("queue_length 1\n");
    let directory = tempfile::tempdir().unwrap();
    let (shop, runbooks) = (directory.path(), directory.path().join("runbooks"));
    let drained = shop.join("drained");
    fs::create_dir(&runbooks).unwrap();
    fs::write(runbooks.join("estate.yaml"), ESTATE).unwrap();
    let runbook = RUNBOOK.replace("PAGE", &page.url()).replace("DRAINED", drained.to_str().unwrap());
    fs::write(runbooks.join("queue.yaml"), runbook).unwrap();
    let port = free_port();
    let _serve = serve(shop, port);
    let alertmanager = alertmanager(&routes(port));
    let _prometheus = prometheus(&scraping(&page, alertmanager.port()), &[("rules.yml", RULES)]);

    page.show("queue_length 9\n");
    eventually("the run waits for somebody to agree", || told(shop, &["incidents"])[0]["waiting"][0] == "drain");
    let timeline = told(shop, &["timeline", "last"]).to_string();
    assert!(timeline.contains("9 wait"), "the alert's own words: {timeline}");
    assert!(timeline.contains("\"length\":9"), "its value is the run's parameter: {timeline}");

    page.show("queue_length 2\n");
    eventually("the incident is over by itself", || told(shop, &["incidents"])[0]["status"] == "resolved");
    assert!(!drained.exists(), "what nobody agreed to was not done");
    assert_eq!(told(shop, &["incidents"]).as_array().unwrap().len(), 1, "one firing, one incident");
}
