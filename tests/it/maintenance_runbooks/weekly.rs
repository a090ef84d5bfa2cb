//! npm audit, the review of thresholds, disks and logs.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::project::{MaintenanceProject, age, aged};
use crate::real::daemon::{Daemon, free_port};
use crate::real::journal::{Entry, Journal};

/// npm's registry for an audit: the vulnerable versions of a package, and its versions.
const REGISTRY: &str = r#"
const http = require('http');
const advisory = { id: 1065, url: 'https://github.com/advisories/GHSA-jf85-cpcp-j695', title: 'Prototype Pollution in lodash',
  severity: 'critical', vulnerable_versions: '<4.17.12', cwe: ['CWE-1321'], cvss: { score: 9.1, vectorString: null } };
const version = (v) => ({ name: 'lodash', version: v, dist: { tarball: `http://x/lodash-${v}.tgz`, shasum: '0'.repeat(40) } });
const packument = { name: 'lodash', 'dist-tags': { latest: '4.17.21' }, versions: { '4.17.4': version('4.17.4'), '4.17.21': version('4.17.21') } };
http.createServer((request, response) => {
  request.resume().on('end', () => {
    const body = request.method === 'POST' ? { lodash: [advisory] } : packument;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(body));
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
"#;

const PACKAGE: &str = r#"{"name":"shop","version":"1.0.0","dependencies":{"lodash":"4.17.4"}}"#;
const LOCK: &str = r#"{"name":"shop","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{
  "":{"name":"shop","version":"1.0.0","dependencies":{"lodash":"4.17.4"}},
  "node_modules/lodash":{"version":"4.17.4","resolved":"http://x/lodash-4.17.4.tgz","license":"MIT"}}}"#;

fn write_npm_project(project: &MaintenanceProject, registry: u16) {
    let files = [("package.json", PACKAGE), ("package-lock.json", LOCK)];
    files.iter().for_each(|(name, text)| fs::write(project.path(&format!("work/{name}")), text).unwrap());
    fs::write(project.path("work/.npmrc"), format!("registry=http://127.0.0.1:{registry}/\nfetch-retries=0\n"))
        .unwrap();
}

#[test]
fn findings_of_npm_audit_are_shown_to_a_person() {
    let project = MaintenanceProject::with(&[]);
    let port = free_port();
    fs::write(project.path("registry.js"), REGISTRY).unwrap();
    let words = [project.path_text("registry.js"), port.to_string()];
    let registry = Daemon::start(Path::new("/usr/bin/node"), &words, None, &project.path("registry.log"));
    registry.wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    write_npm_project(&project, port);
    project.start("weekly-audit", "staging");
    let verdict = &project.outcome("verdict")["output"];
    assert_eq!(
        (&verdict["critical"], &verdict["high"], &verdict["serious"]),
        (&json!(1), &json!(0), &json!("lodash")),
        "{}",
        project.timeline()
    );
    assert_eq!(project.waiting(), ["plan"], "findings are not a failure: {}", project.timeline());
    assert!(project.slack.messages()[0].text.contains("1 critical and 0 high vulnerabilities on main"));
    project.answer("plan", "done");
    project.assert_resolved();
    let report = project.report();
    assert!(report.contains("# npm audit, staging") && report.contains("lodash"), "{report}");
}

#[test]
fn a_failed_audit_is_not_a_clean_audit() {
    let project = MaintenanceProject::with(&[]);
    write_npm_project(&project, free_port());
    project.start("weekly-audit", "staging");
    assert_eq!(project.outcome("verdict")["output"]["unread"], 1, "{}", project.timeline());
    assert_eq!(project.waiting(), ["by_hand"]);
}

#[test]
fn thresholds_are_listed_for_review() {
    let project = MaintenanceProject::with(&[]);
    project.start("weekly-thresholds", "production");
    let asked = project.asks("review");
    for rule in [
        "payment_error_rate starts payment-error-rate, too much from 5 on",
        "redis_memory starts redis-memory, too much from 80 on",
    ] {
        assert!(asked.contains(rule), "{rule}: {asked}");
    }
    project.answer("review", "done");
    project.answer("changes", "api_p95_latency lasts ten minutes now");
    project.assert_resolved();
    assert!(project.report().contains("lasts ten minutes now"));
}

/// A journal with one archived file, which is old and has a name of journald.
fn old_journal(project: &MaintenanceProject) -> std::path::PathBuf {
    let written = Journal::of([Entry::text("pakashop-gateway.service", "an old line")]);
    let directory = project.path("journal");
    fs::create_dir(&directory).unwrap();
    let archived = directory.join(format!("system@{:032x}-{:016x}-{:016x}.journal", 1, 1, 1_600_000_000_000_000_u64));
    fs::copy(written.directory().join("part-1.journal"), &archived).unwrap();
    age(&archived, 40);
    archived
}

#[test]
fn old_logs_and_journals_are_deleted_after_approval() {
    let project = MaintenanceProject::with(&[]);
    let archived = old_journal(&project);
    let logs = project.path("logs");
    aged(&logs.join("shop.log.1.gz"), "old", 30);
    aged(&logs.join("deep/app.log.3"), "old", 30);
    aged(&logs.join("shop.log.2.gz"), "new", 3);
    aged(&logs.join("shop.log"), "written to", 30);
    project.edit("systemd: system", &format!("systemd: system\n    journal: {}", project.path_text("journal")));
    project.edit("logs: /var/log ", &format!("logs: {} ", logs.display()));
    project.edit("disk_limit: 85", "disk_limit: 100");
    project.start("weekly-disk", "staging");
    assert!(
        project.outcome("journal")["summary"].as_str().unwrap().contains("journals take up"),
        "{}",
        project.timeline()
    );
    let preview = &project.outcome("preview")["output"];
    assert_eq!((&preview["journals"], &preview["logs"]), (&json!(1), &json!(2)), "{}", project.timeline());
    assert!(archived.exists() && logs.join("shop.log.1.gz").exists(), "nobody has approved yet");
    project.approve("vacuum");
    assert!(!archived.exists(), "{}", project.timeline());
    project.approve("delete_logs");
    project.assert_resolved();
    let left = ["shop.log.1.gz", "deep/app.log.3", "shop.log.2.gz", "shop.log"].map(|name| logs.join(name).exists());
    assert_eq!(left, [false, false, true, true], "{}", project.timeline());
    assert!(project.slack.messages().is_empty(), "nothing is too full");
}
