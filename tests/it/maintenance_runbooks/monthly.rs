//! Backups, keys, certificates, images and artefacts.

use std::fs;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::house::{House, age};
use crate::alert_runbooks::site::Site;
use crate::real::nginx::Nginx;
use crate::tls::{Authority, self_signed};

fn ago(hours: i64) -> String {
    (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// GitHub's answer for the runs of a workflow, as its API has it, with what nobody reads left out.
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

/// The program `aws`, as far as it lists objects: what it prints after `--query` and `--output json`.
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

fn with_backups(conclusion: &'static str, run_hours: i64, (hours, bytes): (i64, u64)) -> (House, Site) {
    let github = Site::serve(move |asked| {
        let wanted = "/repos/pakashop/pakashop/actions/workflows/db-backup.yml/runs?status=completed&per_page=1";
        match (asked.path.as_str(), asked.authorization.as_str()) {
            (path, "Bearer github-4711") if path == wanted => (200, runs(conclusion, run_hours)),
            _ => (404, json!({"message": "Not Found", "status": "404"}).to_string()),
        }
    });
    let house = House::with(&[
        ("github: https://api.github.com", &format!("github: \"{}\"", github.url())),
        ("github_repository: \"\"", "github_repository: pakashop/pakashop"),
        ("backup_bucket: \"\"", "backup_bucket: pakashop-backups"),
    ]);
    house.program("aws", &aws(hours, bytes));
    (house, github)
}

#[test]
fn a_good_backup_needs_nobody() {
    let (house, _github) = with_backups("success", 7, (7, 73_400_320));
    house.start("monthly-backups", "staging");
    house.is_over();
    let verdict = &house.outcome("verdict")["output"];
    assert_eq!(
        (&verdict["problems"], &verdict["newest"]),
        (&json!([]), &json!("staging/backup-0.dump")),
        "{}",
        house.told()
    );
    assert!(house.slack.messages().is_empty());
}

#[test]
fn a_backup_that_failed_or_is_old_or_small_is_told_of() {
    let (house, _github) = with_backups("failure", 7, (31, 20));
    house.start("monthly-backups", "staging");
    let asked = house.asks("mend");
    for problem in [
        "the last run ended with failure",
        "the newest backup is 31.0",
        "the newest backup has 20 bytes",
        "actions/runs/30433642",
    ] {
        assert!(asked.contains(problem), "{problem}: {asked}");
    }
    assert!(house.slack.messages()[0].text.contains("Backups of staging"));
    house.answer("mend", "done");
    house.is_over();
}

#[test]
fn a_backup_that_cannot_be_looked_at_is_none() {
    let house = House::with(&[]);
    house.start("monthly-backups", "production");
    let asked = house.asks("mend");
    assert!(
        asked.contains("estate.yaml names no repository") && asked.contains("estate.yaml names no bucket"),
        "{asked}"
    );
}

#[test]
fn keys_that_are_due_are_rotated_by_a_person() {
    let today = Utc::now().date_naive();
    let fresh = format!("PawaPay,     rotated: \"{}\"", today - TimeDelta::days(10));
    let old = format!("Flutterwave, rotated: \"{}\"", today - TimeDelta::days(100));
    let house = House::with(&[("PawaPay,     rotated: \"\"", &fresh), ("Flutterwave, rotated: \"\"", &old)]);
    house.start("monthly-keys", "production");
    let verdict = &house.outcome("verdict")["output"];
    assert_eq!(verdict["due"], json!(["Flutterwave", "Cloudinary"]), "{}", house.told());
    let words = verdict["words"].as_str().unwrap();
    assert!(
        words.contains("PawaPay: 10 of 90 days") && words.contains("Cloudinary: nobody knows since when"),
        "{words}"
    );
    while house.waiting().first().is_some_and(|step| step.starts_with("rotate")) {
        house.answer(&house.waiting()[0], "done");
    }
    house.answer("record", "done");
    house.is_over();
}

#[test]
fn certificates_are_judged_by_a_handshake() {
    let authority = Authority::new("Test CA");
    let sites =
        [authority.site(&["127.0.0.1"], (-1, 90)), authority.site(&["127.0.0.1"], (-80, 10)), self_signed("127.0.0.1")];
    let nginx = Nginx::serve(&sites);
    let mut house =
        House::with(&[("domain: staging.pakashop.store", &format!("domain: \"127.0.0.1:{}\"", nginx.port(0)))]);
    fs::write(house.place("authority.pem"), authority.pem()).unwrap();
    house.variable(format!("SSL_CERT_FILE={}", house.shown("authority.pem")));
    house.start("monthly-tls", "staging");
    house.is_over();
    house.edit(
        "tls_hosts: []  ",
        &format!("tls_hosts: [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]  ", nginx.port(1), nginx.port(2)),
    );
    house.start("monthly-tls", "staging");
    let due = &house.outcome("verdict")["output"]["due"];
    assert_eq!(due.as_array().map(Vec::len), Some(2), "one runs out and one is nobody's: {}", house.told());
    house.answer("renew", "done");
    house.is_over();
    assert!(house.events("step_started").iter().any(|event| event["step"].as_str().unwrap().starts_with("again")));
}

#[test]
fn a_host_without_docker_is_passed_over_and_its_artefacts_are_cleaned() {
    let house = House::with(&[]);
    house.program("docker", "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1");
    for (name, days) in [("build-1", 40), ("build-2", 2)] {
        fs::create_dir_all(house.place(&format!("builds/{name}"))).unwrap();
        fs::write(house.place(&format!("builds/{name}/app.js")), "x").unwrap();
        age(&house.place(&format!("builds/{name}")), days);
    }
    house.edit("artefacts: /opt/pakashop/builds ", &format!("artefacts: {} ", house.shown("builds")));
    house.start("monthly-prune", "staging");
    let preview = house.outcome("preview")["output"]["docker"].as_str().unwrap().to_owned();
    assert!(
        preview.starts_with("passed over, there is no Docker here") && preview.contains("Cannot connect"),
        "{preview}"
    );
    assert_eq!(house.waiting(), ["delete_artefacts"], "{}", house.told());
    house.approve("delete_artefacts");
    house.is_over();
    assert!(!house.place("builds/build-1").exists() && house.place("builds/build-2").exists());
}

#[test]
fn images_are_pruned_when_somebody_has_seen_what_is_kept() {
    let house = House::with(&[]);
    house.program(
        "docker",
        &format!(
            "echo \"$*\" >> {}\ncase \"$1 $2\" in\n'system df') printf 'TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\\nImages          9         2         4.1GB     3.2GB (78%%)\\n';;\n*) echo 'Total reclaimed space: 3.2GB';;\nesac",
            house.shown("docker.log")
        ),
    );
    house.start("monthly-prune", "staging");
    assert!(house.asks("prune_images").contains("3.2GB (78%)"), "{}", house.told());
    house.approve("prune_images");
    house.approve("prune_builds");
    house.is_over();
    let asked = fs::read_to_string(house.place("docker.log")).unwrap();
    assert!(
        asked.contains("image prune --all --force --filter until=720h") && asked.contains("builder prune --force"),
        "{asked}"
    );
}
