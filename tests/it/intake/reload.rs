//! Reload at SIGHUP: a running `serve` loads all edited files or none, and runs continue with their own copies.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::server::{ESTATE, IntakeServer, KEY, NEXT, alert};
use crate::real::daemon::get;

/// A runbook for an alert: it asks a person, then sets a value.
fn asking(id: &str, alert: &str, word: &str) -> String {
    format!(
        "runbook: {id}\ntitle: Mends {alert}\nseverity: p3\non: {{ alert: {alert}, start: auto }}\nsteps:\n  \
         - {{ id: sure, name: Go on?, ask: }}\n  - {{ id: said, set: {{ word: {word} }} }}\n"
    )
}

/// Posts an alert of this name; without a runbook, its incident has `firing-<number>-` as its title.
fn fire(server: &IntakeServer, name: &str, number: usize) {
    assert_eq!(server.post("alertmanager", KEY, alert(name, number).to_string().as_bytes()), 200);
}

/// Waits for the incident with this title and text.
fn incident(server: &IntakeServer, title: &str, word: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let all = server.incidents();
        let own = all.as_array().into_iter().flatten().find(|row| row["title"] == title);
        if let Some(own) = own.filter(|own| own.to_string().contains(word)) {
            return own.clone();
        }
        assert!(Instant::now() < until, "`{title}` has no `{word}`: {all:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn metric(server: &IntakeServer) -> String {
    let (_, text) = get(server.port(), "/metrics").expect("it answers");
    text.lines().find(|line| line.starts_with("runbook_last_reload_successful ")).expect("it is there").to_owned()
}

#[test]
fn an_edited_runbook_is_loaded_and_a_run_continues_with_its_own_copy() {
    let mut server = IntakeServer::stopped();
    server.edit("mends", &asking("mends", "first", "before"));
    server.start(Signal::TERM);
    fire(&server, "first", 1);
    let first = incident(&server, "Mends first", "mends: ");
    server.edit("mends", &asking("mends", "second", "after"));
    server.edit("other", &asking("other", "third", "other"));
    server.reload("reloaded: `mends` changed, `other` was added");
    fire(&server, "second", 2);
    fire(&server, "third", 3);
    incident(&server, "Mends second", "mends: ");
    incident(&server, "Mends third", "other: ");
    let id = first["id"].as_str().expect("an id");
    server.stdout(&["answer", id, "sure", "yes"]);
    incident(&server, "Mends first", "mends: succeeded");
    assert!(
        server.stdout(&["-o", "jsonl", "timeline", id]).contains(r#"{"word":"before"}"#),
        "the run has its own copy"
    );
    server.remove("other");
    server.reload("reloaded: `other` was removed");
    server.reload("reloaded: no changes");
    assert_eq!(metric(&server), "runbook_last_reload_successful 1");
}

#[test]
fn a_problem_in_one_file_keeps_every_file_as_it_was() {
    let mut server = IntakeServer::stopped();
    server.edit("mends", &asking("mends", "first", "before"));
    server.start(Signal::TERM);
    server.edit("mends", &asking("mends", "second", "after").replace("set:", "sett:"));
    server.edit("other", &asking("other", "third", "other"));
    server.reload("the edited files have 1 problem; the previous configuration stays active");
    assert_eq!(metric(&server), "runbook_last_reload_successful 0");
    assert!(server.is_ready());
    fire(&server, "first", 1);
    fire(&server, "third", 3);
    incident(&server, "Mends first", "mends: ");
    // The valid file is not loaded alone.
    incident(&server, "firing-3-", "notice: ");
    server.edit("estate", "estate: [\n");
    server.reload("the previous configuration stays active");
    fire(&server, "first", 4);
    server.edit("estate", ESTATE);
    server.edit("mends", &asking("mends", "second", "after"));
    server.reload("reloaded: `mends` changed, `other` was added");
    assert_eq!(metric(&server), "runbook_last_reload_successful 1");
}

#[test]
fn senders_and_secrets_are_reloaded_and_old_values_stay_redacted() {
    let mut server = IntakeServer::stopped();
    let file = server.state().join("token");
    let word = |value: &str| std::fs::write(&file, value).unwrap();
    let estate = |sender: &str| {
        let secret = format!("key: {{ file: {} }}, next", file.display());
        let own = ESTATE.replace("grafana: {", &format!("{sender}: {{ form: grafana,"));
        own.replace("key: { env: KEY }, next", &secret)
    };
    word("value-of-old-times");
    server.edit("estate", &estate("grafana"));
    server.start(Signal::TERM);
    assert_eq!(server.post("alertmanager", "value-of-old-times", b"{}"), 200);
    word("value-of-new-times");
    server.edit("estate", &estate("second"));
    server.reload("reloaded: estate.yaml changed, secret `key` changed");
    assert_eq!(server.post("alertmanager", "value-of-old-times", b"{}"), 401);
    assert_eq!(server.post("alertmanager", NEXT, b"{}"), 200);
    assert_eq!(server.post("grafana", "value-of-new-times", b"{}"), 404);
    let body = alert("value-of-old-times and value-of-new-times", 1).to_string();
    assert_eq!(server.post("second", "value-of-new-times", body.as_bytes()), 200);
    let all = server.timelines();
    assert!(all.contains("[redacted:key] and [redacted:key]"), "{all}");
    assert!(!all.contains("-times"), "{all}");
    std::fs::remove_file(&file).unwrap();
    server.reload("a secret cannot be read any more; the previous configuration stays active");
    assert_eq!(server.post("alertmanager", "value-of-new-times", b"{}"), 200);
}

#[test]
fn a_reload_that_would_open_a_route_without_credentials_is_refused() {
    let mut server = IntakeServer::stopped();
    // A loopback address other than `127.0.0.1` and `::1`.
    server.start_with(&["--listen", &format!("[::ffff:127.0.0.1]:{}", server.port()), "--token-secret", "next"]);
    server.edit(
        "estate",
        &ESTATE.replace("grafana: { auth: { bearer: { secret: key } } }", "grafana: { auth: { none: true } }"),
    );
    server.reload("these do not: /hooks/grafana");
    assert_eq!(server.post("grafana", "", b"{}"), 401, "the loaded estate stays active");
    let page = "page: { url: \"https://runbook.shop.example\", secret: key }\n";
    server.edit("estate", &format!("{ESTATE}{page}"));
    server.reload("these do not: /incidents/<id> (secret `key` has less than 16 bytes)");
}

#[test]
fn an_estate_without_the_secret_of_the_server_is_not_loaded() {
    let mut server = IntakeServer::stopped();
    server.start_with(&["--listen", &format!("127.0.0.1:{}", server.port()), "--token-secret", "next"]);
    let without = ESTATE.replace(", next: { env: NEXT }", "").replace("[key, next]", "key");
    server.edit("estate", &without);
    server.reload("there is no secret `next` in the estate");
    let answer = |bearer: &str| server.get_as("/metrics", bearer);
    assert_eq!((answer(NEXT), answer("")), (200, 401));
}
