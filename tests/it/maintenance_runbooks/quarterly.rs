//! The security audit, the trend of k6, and the versions of languages.

use std::fs;

use serde_json::json;

use super::project::{MaintenanceProject, age};
use crate::alert_runbooks::site::Site;
use crate::real::postgres::Postgres;

#[test]
fn accounts_and_their_rights_are_listed_for_review() {
    let postgres = Postgres::start();
    postgres.sql("create role shop login password 'word'");
    let project = MaintenanceProject::with(&[]);
    project.secret(&format!("DATABASE_URL={}", postgres.url()));
    project.start("quarterly-security", "staging");
    let asked = project.asks("review");
    assert!(asked.contains("Accounts that can log in: root"), "{asked}");
    assert!(asked.contains("Database: postgres, shop; superusers: postgres"), "{asked}");
    project.answer("review", "done");
    project.answer("findings", "the account of a trainee");
    project.assert_resolved();
    assert!(project.report().contains("the account of a trainee"));
}

/// A summary as `k6 run --summary-export` writes it.
fn exported(p95: f64) -> String {
    json!({"root_group": {"name": "", "path": "", "id": "d41d8cd98f00b204e9800998ecf8427e", "groups": {}, "checks": {}}, "metrics": {
        "http_reqs": {"count": 4210, "rate": 70.1},
        "http_req_duration": {"avg": 121.3, "min": 12.0, "med": 98.4, "max": 912.7, "p(90)": 210.0, "p(95)": p95},
        "http_req_failed": {"passes": 3, "fails": 4207, "value": 0.0007},
    }})
    .to_string()
}

/// A summary as k6 passes it to `handleSummary`.
fn handled(p95: f64) -> String {
    json!({"metrics": {
        "http_req_duration": {"type": "trend", "contains": "time", "values": {"avg": 121.3, "p(90)": 210.0, "p(95)": p95}},
        "http_req_failed": {"type": "rate", "contains": "default", "values": {"rate": 0.0007, "passes": 3, "fails": 4207}},
    }})
    .to_string()
}

fn with_runs(runs: &[(&str, String, u64)]) -> MaintenanceProject {
    let project = MaintenanceProject::with(&[]);
    fs::create_dir(project.path("k6")).unwrap();
    for (name, text, days) in runs {
        fs::write(project.path(&format!("k6/{name}")), text).unwrap();
        age(&project.path(&format!("k6/{name}")), *days);
    }
    project.edit("k6_results: /opt/pakashop/k6/results ", &format!("k6_results: {} ", project.path_text("k6")));
    project
}

#[test]
fn a_slower_load_test_is_investigated() {
    let project =
        with_runs(&[("a.json", exported(100.0), 90), ("b.json", exported(300.0), 40), ("c.json", handled(345.0), 1)]);
    project.start("quarterly-performance", "staging");
    let asked = project.asks("slower");
    assert!(asked.contains("p95 345.0 ms, before 300.0 ms: 15.0 % slower"), "{asked}");
    project.answer("slower", "done");
    project.assert_resolved();
}

#[test]
fn an_equally_fast_load_test_asks_nobody_and_a_missing_one_is_run() {
    let project = with_runs(&[("b.json", handled(300.0), 40), ("c.json", exported(290.0), 1)]);
    project.start("quarterly-performance", "staging");
    project.assert_resolved();
    let project = with_runs(&[("c.json", exported(290.0), 1)]);
    project.start("quarterly-performance", "staging");
    assert!(project.asks("run_it").contains("found 1"), "{}", project.timeline());
}

/// Releases as endoflife.date lists them, the newest cycle first.
fn releases(path: &str) -> (u16, String) {
    let cycle = |cycle: &str, latest: &str, eol: serde_json::Value| {
        json!({
            "cycle": cycle, "releaseDate": "2024-04-23", "latest": latest, "latestReleaseDate": "2025-11-01", "eol": eol, "lts": false,
        })
    };
    let all = match path {
        "/nodejs.json" => json!([
            cycle("99", "99.1.0", json!("2030-04-30")),
            cycle("20", "20.20.2", json!("2026-04-30")),
            cycle("18", "18.20.8", json!("2025-04-30"))
        ]),
        "/go.json" => json!([cycle("1.22", "1.22.12", json!(false))]),
        _ => return (503, "{}".to_owned()),
    };
    // `Site` derives the media type from the first character.
    (200, format!(" {all}").trim_start().to_owned())
}

#[test]
fn old_versions_are_planned_and_unavailable_ones_compared_by_hand() {
    let site = Site::serve(|asked| releases(&asked.path));
    let project =
        MaintenanceProject::with(&[("releases: https://endoflife.date/api", &format!("releases: \"{}\"", site.url()))]);
    project.program("go", "echo go version go1.22.2 linux/amd64");
    project.start("quarterly-dependencies", "staging");
    let asked = project.asks("plan");
    assert!(asked.contains("Node.js") && asked.contains("newest 99.1.0") && !asked.contains("Go 1.22"), "{asked}");
    project.answer("plan", "done");
    assert!(project.asks("by_hand").contains("Python 3."), "{}", project.timeline());
    project.answer("by_hand", "done");
    project.assert_resolved();
}
