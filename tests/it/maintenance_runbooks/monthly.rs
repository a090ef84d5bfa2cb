//! Backups, keys, certificates, images and artefacts.

use std::fs;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::project::{MaintenanceProject, age};
use crate::alert_runbooks::site::Site;
use crate::real::nginx::Nginx;
use crate::tls::{Authority, self_signed};

fn ago(hours: i64) -> String {
    (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// The answer of GitHub's API for the runs of a workflow, without fields that no runbook reads.
fn runs(conclusion: &str, hours: i64) -> String {
    let at = ago(hours);
    json!({"total_count": 87, "workflow_runs": [{
        "id": 30433642, "name": "Backup", "node_id": "MDEyOldvcmtmbG93IFJ1bjI2OTI4OQ==", "head_branch": "production", "head_sha": "acb5820ced9479c074f688cc328bf03f341a511d",
        "path": ".github/workflows/db-backup.yml", "run_number": 87, "event": "schedule", "status": "completed", "conclusion": conclusion,
        "workflow_id": 159038, "url": "https://api.github.com/repos/pakashop/pakashop/actions/runs/30433642",
        "html_url": "https://github.com/pakashop/pakashop/actions/runs/30433642", "created_at": at, "updated_at": at, "run_attempt": 1, "run_started_at": at,
    }]})
    .to_string()
}

/// A script `aws` that lists objects as `aws s3api list-objects-v2 --query --output json` does.
fn aws(hours: i64, bytes: u64) -> String {
    let object = |day: i64, bytes: u64| {
        json!({
            "Key": format!("staging/backup-{day}.dump"), "LastModified": ago(hours + 24 * day).replace('Z', "+00:00"),
            "ETag": "\"70ee1738b6b21e2c8a43f3a5ab0eee71\"", "Size": bytes, "StorageClass": "STANDARD_IA",
        })
    };
    let listed = json!([object(2, bytes), object(1, bytes), object(0, bytes)]);
    format!(
        "case \"$*\" in\n's3api list-objects-v2 --bucket pakashop-backups --prefix staging/ --query '*' --output json') cat <<'END'\n{listed:#}\nEND\n;;\n*) echo \"Unknown options: $*\" >&2; exit 252;;\nesac"
    )
}

fn with_backups(conclusion: &'static str, run_hours: i64, (hours, bytes): (i64, u64)) -> (MaintenanceProject, Site) {
    let github = Site::serve(move |asked| {
        let wanted = "/repos/pakashop/pakashop/actions/workflows/db-backup.yml/runs?status=completed&per_page=1";
        match (asked.path.as_str(), asked.authorization.as_str()) {
            (path, "Bearer github-4711") if path == wanted => (200, runs(conclusion, run_hours)),
            _ => (404, json!({"message": "Not Found", "status": "404"}).to_string()),
        }
    });
    let project = MaintenanceProject::with(&[
        ("github: https://api.github.com", &format!("github: \"{}\"", github.url())),
        ("github_repository: \"\"", "github_repository: pakashop/pakashop"),
        ("backup_bucket: \"\"", "backup_bucket: pakashop-backups"),
    ]);
    project.program("aws", &aws(hours, bytes));
    (project, github)
}

#[test]
fn a_good_backup_asks_nobody() {
    let (project, _github) = with_backups("success", 7, (7, 73_400_320));
    project.start("monthly-backups", "staging");
    project.assert_resolved();
    let verdict = &project.outcome("verdict")["output"];
    assert_eq!(
        (&verdict["problems"], &verdict["newest"]),
        (&json!([]), &json!("staging/backup-0.dump")),
        "{}",
        project.timeline()
    );
    assert!(project.slack.messages().is_empty());
}

#[test]
fn a_failed_old_or_small_backup_is_reported() {
    let (project, _github) = with_backups("failure", 7, (31, 20));
    project.start("monthly-backups", "staging");
    let asked = project.asks("mend");
    for problem in [
        "the last run ended with failure",
        "the newest backup is 31.0",
        "the newest backup has 20 bytes",
        "actions/runs/30433642",
    ] {
        assert!(asked.contains(problem), "{problem}: {asked}");
    }
    assert!(project.slack.messages()[0].text.contains("Backups of staging"));
    project.answer("mend", "done");
    project.assert_resolved();
}

#[test]
fn a_backup_that_cannot_be_checked_counts_as_missing() {
    let project = MaintenanceProject::with(&[]);
    project.start("monthly-backups", "production");
    let asked = project.asks("mend");
    assert!(
        asked.contains("estate.yaml names no repository") && asked.contains("estate.yaml names no bucket"),
        "{asked}"
    );
}

#[test]
fn due_keys_are_rotated_by_a_person() {
    let today = Utc::now().date_naive();
    let fresh = format!("PawaPay,     rotated: \"{}\"", today - TimeDelta::days(10));
    let old = format!("Flutterwave, rotated: \"{}\"", today - TimeDelta::days(100));
    let project =
        MaintenanceProject::with(&[("PawaPay,     rotated: \"\"", &fresh), ("Flutterwave, rotated: \"\"", &old)]);
    project.start("monthly-keys", "production");
    let verdict = &project.outcome("verdict")["output"];
    assert_eq!(verdict["due"], json!(["Flutterwave", "Cloudinary"]), "{}", project.timeline());
    let words = verdict["words"].as_str().unwrap();
    assert!(
        words.contains("PawaPay: 10 of 90 days") && words.contains("Cloudinary: nobody knows since when"),
        "{words}"
    );
    while project.waiting().first().is_some_and(|step| step.starts_with("rotate")) {
        project.answer(&project.waiting()[0], "done");
    }
    project.answer("record", "done");
    project.assert_resolved();
}

#[test]
fn certificates_are_checked_by_a_handshake() {
    let authority = Authority::new("Test CA");
    let sites =
        [authority.site(&["127.0.0.1"], (-1, 90)), authority.site(&["127.0.0.1"], (-80, 10)), self_signed("127.0.0.1")];
    let nginx = Nginx::serve(&sites);
    let mut project = MaintenanceProject::with(&[(
        "domain: staging.pakashop.store",
        &format!("domain: \"127.0.0.1:{}\"", nginx.port(0)),
    )]);
    fs::write(project.path("authority.pem"), authority.pem()).unwrap();
    project.set("SSL_CERT_FILE", &project.path_text("authority.pem"));
    project.start("monthly-tls", "staging");
    project.assert_resolved();
    project.edit(
        "tls_hosts: []  ",
        &format!("tls_hosts: [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]  ", nginx.port(1), nginx.port(2)),
    );
    project.start("monthly-tls", "staging");
    let due = &project.outcome("verdict")["output"]["due"];
    assert_eq!(due.as_array().map(Vec::len), Some(2), "one expires and one is self-signed: {}", project.timeline());
    project.answer("renew", "done");
    project.assert_resolved();
    assert!(project.events("step_started").iter().any(|event| event["step"].as_str().unwrap().starts_with("again")));
}

#[test]
fn a_host_without_docker_is_skipped_and_its_artefacts_are_deleted() {
    let project = MaintenanceProject::with(&[]);
    project.program("docker", "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1");
    for (name, days) in [("build-1", 40), ("build-2", 2)] {
        fs::create_dir_all(project.path(&format!("builds/{name}"))).unwrap();
        fs::write(project.path(&format!("builds/{name}/app.js")), "x").unwrap();
        age(&project.path(&format!("builds/{name}")), days);
    }
    project.edit("artefacts: /opt/pakashop/builds ", &format!("artefacts: {} ", project.path_text("builds")));
    project.start("monthly-prune", "staging");
    let preview = project.outcome("preview")["output"]["docker"].as_str().unwrap().to_owned();
    assert!(
        preview.starts_with("passed over, there is no Docker here") && preview.contains("Cannot connect"),
        "{preview}"
    );
    assert_eq!(project.waiting(), ["delete_artefacts"], "{}", project.timeline());
    project.approve("delete_artefacts");
    project.assert_resolved();
    assert!(!project.path("builds/build-1").exists() && project.path("builds/build-2").exists());
}

#[test]
fn images_are_pruned_after_approval() {
    let project = MaintenanceProject::with(&[]);
    project.program(
        "docker",
        &format!(
            "echo \"$*\" >> {}\ncase \"$1 $2\" in\n'system df') printf 'TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\\nImages          9         2         4.1GB     3.2GB (78%%)\\n';;\n*) echo 'Total reclaimed space: 3.2GB';;\nesac",
            project.path_text("docker.log")
        ),
    );
    project.start("monthly-prune", "staging");
    assert!(project.asks("prune_images").contains("3.2GB (78%)"), "{}", project.timeline());
    project.approve("prune_images");
    project.approve("prune_builds");
    project.assert_resolved();
    let asked = fs::read_to_string(project.path("docker.log")).unwrap();
    assert!(
        asked.contains("image prune --all --force --filter until=720h") && asked.contains("builder prune --force"),
        "{asked}"
    );
}
