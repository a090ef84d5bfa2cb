//! npm audit, the review of thresholds, disks and logs.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::house::{House, age, aged};
use crate::real::daemon::{Daemon, free_port};
use crate::real::journal::{Entry, Journal};

/// npm's registry, as far as an audit asks it: which versions of a package are vulnerable, and which there are.
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

fn project(house: &House, registry: u16) {
    let files = [("package.json", PACKAGE), ("package-lock.json", LOCK)];
    files.iter().for_each(|(name, text)| fs::write(house.place(&format!("work/{name}")), text).unwrap());
    fs::write(house.place("work/.npmrc"), format!("registry=http://127.0.0.1:{registry}/\nfetch-retries=0\n")).unwrap();
}

#[test]
fn what_npm_knows_of_our_dependencies_is_put_before_a_person() {
    let house = House::with(&[]);
    let port = free_port();
    fs::write(house.place("registry.js"), REGISTRY).unwrap();
    let words = [house.shown("registry.js"), port.to_string()];
    let registry = Daemon::start(Path::new("/usr/bin/node"), &words, None, &house.place("registry.log"));
    registry.wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    project(&house, port);
    house.start("weekly-audit", "staging");
    let verdict = &house.outcome("verdict")["output"];
    assert_eq!(
        (&verdict["critical"], &verdict["high"], &verdict["serious"]),
        (&json!(1), &json!(0), &json!("lodash")),
        "{}",
        house.told()
    );
    assert_eq!(house.waiting(), ["plan"], "findings are no failure: {}", house.told());
    assert!(house.slack.messages()[0].text.contains("1 critical and 0 high vulnerabilities on main"));
    house.answer("plan", "done");
    house.is_over();
    let report = house.report();
    assert!(report.contains("# npm audit, staging") && report.contains("lodash"), "{report}");
}

#[test]
fn an_audit_that_could_not_be_made_is_no_clean_one() {
    let house = House::with(&[]);
    project(&house, free_port());
    house.start("weekly-audit", "staging");
    assert_eq!(house.outcome("verdict")["output"]["unread"], 1, "{}", house.told());
    assert_eq!(house.waiting(), ["by_hand"]);
}

#[test]
fn our_thresholds_are_listed_for_the_review() {
    let house = House::with(&[]);
    house.start("weekly-thresholds", "production");
    let asked = house.asks("review");
    for rule in [
        "payment_error_rate starts payment-error-rate, too much from 5 on",
        "redis_memory starts redis-memory, too much from 80 on",
    ] {
        assert!(asked.contains(rule), "{rule}: {asked}");
    }
    house.answer("review", "done");
    house.answer("changes", "api_p95_latency lasts ten minutes now");
    house.is_over();
    assert!(house.report().contains("lasts ten minutes now"));
}

/// A journal whose only archived file ended long ago, named as journald names it.
fn old_journal(house: &House) -> std::path::PathBuf {
    let written = Journal::of([Entry::text("pakashop-gateway.service", "an old line")]);
    let directory = house.place("journal");
    fs::create_dir(&directory).unwrap();
    let archived = directory.join(format!("system@{:032x}-{:016x}-{:016x}.journal", 1, 1, 1_600_000_000_000_000_u64));
    fs::copy(written.directory().join("part-1.journal"), &archived).unwrap();
    age(&archived, 40);
    archived
}

#[test]
fn old_logs_and_the_old_journal_go_when_somebody_agrees() {
    let house = House::with(&[]);
    let archived = old_journal(&house);
    let logs = house.place("logs");
    aged(&logs.join("shop.log.1.gz"), "old", 30);
    aged(&logs.join("deep/app.log.3"), "old", 30);
    aged(&logs.join("shop.log.2.gz"), "new", 3);
    aged(&logs.join("shop.log"), "written to", 30);
    house.edit("systemd: system", &format!("systemd: system\n    journal: {}", house.shown("journal")));
    house.edit("logs: /var/log ", &format!("logs: {} ", logs.display()));
    house.edit("disk_limit: 85", "disk_limit: 100");
    house.start("weekly-disk", "staging");
    assert!(house.outcome("journal")["summary"].as_str().unwrap().contains("journals take up"), "{}", house.told());
    let preview = &house.outcome("preview")["output"];
    assert_eq!((&preview["journals"], &preview["logs"]), (&json!(1), &json!(2)), "{}", house.told());
    assert!(archived.exists() && logs.join("shop.log.1.gz").exists(), "nobody has agreed yet");
    house.approve("vacuum");
    assert!(!archived.exists(), "{}", house.told());
    house.approve("delete_logs");
    house.is_over();
    let left = ["shop.log.1.gz", "deep/app.log.3", "shop.log.2.gz", "shop.log"].map(|name| logs.join(name).exists());
    assert_eq!(left, [false, false, true, true], "{}", house.told());
    assert!(house.slack.messages().is_empty(), "nothing is too full");
}
