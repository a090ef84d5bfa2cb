//! Edited files are taken up by a real `runbook serve` at SIGHUP: all of them or none, while runs go on with their own.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::house::{ESTATE, House, KEY, NEXT, alert};
use crate::real::daemon::get;

/// A runbook that such an alert starts: a person is asked, then a word is set.
fn asking(id: &str, alert: &str, word: &str) -> String {
    format!(
        "runbook: {id}\ntitle: Mends {alert}\nseverity: p3\non: {{ alert: {alert}, start: auto }}\nsteps:\n  \
         - {{ id: sure, name: Go on?, ask: }}\n  - {{ id: said, set: {{ word: {word} }} }}\n"
    )
}

/// Posts an alert of this name; without a runbook, its incident has `firing-<number>-` as its title.
fn fire(house: &House, name: &str, number: usize) {
    assert_eq!(house.post("alertmanager", KEY, alert(name, number).to_string().as_bytes()), 200);
}

/// The incident with this title, once this word stands in it.
fn incident(house: &House, title: &str, word: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let all = house.incidents();
        let own = all.as_array().into_iter().flatten().find(|row| row["title"] == title);
        if let Some(own) = own.filter(|own| own.to_string().contains(word)) {
            return own.clone();
        }
        assert!(Instant::now() < until, "`{title}` has no `{word}`: {all:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn metric(house: &House) -> String {
    let (_, text) = get(house.port(), "/metrics").expect("it answers");
    text.lines().find(|line| line.starts_with("runbook_last_reload_successful ")).expect("it is there").to_owned()
}

#[test]
fn an_edited_runbook_is_taken_up_and_a_run_goes_on_with_its_own() {
    let mut house = House::closed();
    house.edit("mends", &asking("mends", "first", "before"));
    house.begin(Signal::TERM);
    fire(&house, "first", 1);
    let first = incident(&house, "Mends first", "mends: ");
    house.edit("mends", &asking("mends", "second", "after"));
    house.edit("other", &asking("other", "third", "other"));
    house.reload("reloaded: `mends` changed, `other` was added");
    fire(&house, "second", 2);
    fire(&house, "third", 3);
    incident(&house, "Mends second", "mends: ");
    incident(&house, "Mends third", "other: ");
    let id = first["id"].as_str().expect("an id");
    house.told(&["answer", id, "sure", "yes"]);
    incident(&house, "Mends first", "mends: succeeded");
    assert!(house.told(&["-o", "jsonl", "timeline", id]).contains(r#"{"word":"before"}"#), "the run has its own copy");
    house.remove("other");
    house.reload("reloaded: `other` was removed");
    house.reload("reloaded: no changes");
    assert_eq!(metric(&house), "runbook_last_reload_successful 1");
}

#[test]
fn with_a_problem_in_any_file_everything_stays_as_it_was() {
    let mut house = House::closed();
    house.edit("mends", &asking("mends", "first", "before"));
    house.begin(Signal::TERM);
    house.edit("mends", &asking("mends", "second", "after").replace("set:", "sett:"));
    house.edit("other", &asking("other", "third", "other"));
    house.reload("the edited files have 1 problem; the previous configuration stays active");
    assert_eq!(metric(&house), "runbook_last_reload_successful 0");
    assert!(house.is_well());
    fire(&house, "first", 1);
    fire(&house, "third", 3);
    incident(&house, "Mends first", "mends: ");
    // The sound file is not taken up alone.
    incident(&house, "firing-3-", "notice: ");
    house.edit("estate", "estate: [\n");
    house.reload("the previous configuration stays active");
    fire(&house, "first", 4);
    house.edit("estate", ESTATE);
    house.edit("mends", &asking("mends", "second", "after"));
    house.reload("reloaded: `mends` changed, `other` was added");
    assert_eq!(metric(&house), "runbook_last_reload_successful 1");
}

#[test]
fn senders_and_their_secrets_are_taken_up_and_old_values_stay_secret() {
    let mut house = House::closed();
    let file = house.state().join("token");
    let word = |value: &str| std::fs::write(&file, value).unwrap();
    let estate = |sender: &str| {
        let secret = format!("key: {{ file: {} }}, next", file.display());
        let own = ESTATE.replace("grafana: {", &format!("{sender}: {{ form: grafana,"));
        own.replace("key: { env: KEY }, next", &secret)
    };
    word("value-of-old-times");
    house.edit("estate", &estate("grafana"));
    house.begin(Signal::TERM);
    assert_eq!(house.post("alertmanager", "value-of-old-times", b"{}"), 200);
    word("value-of-new-times");
    house.edit("estate", &estate("second"));
    house.reload("reloaded: estate.yaml changed, secret `key` changed");
    assert_eq!(house.post("alertmanager", "value-of-old-times", b"{}"), 401);
    assert_eq!(house.post("alertmanager", NEXT, b"{}"), 200);
    assert_eq!(house.post("grafana", "value-of-new-times", b"{}"), 404);
    let told = alert("value-of-old-times and value-of-new-times", 1).to_string();
    assert_eq!(house.post("second", "value-of-new-times", told.as_bytes()), 200);
    let all = house.everything();
    assert!(all.contains("[redacted:key] and [redacted:key]"), "{all}");
    assert!(!all.contains("-times"), "{all}");
    std::fs::remove_file(&file).unwrap();
    house.reload("cannot be read any more, and stays in force");
    assert_eq!(house.post("alertmanager", "value-of-new-times", b"{}"), 200);
}

#[test]
fn a_route_that_would_be_open_to_others_is_not_taken_up() {
    let mut house = House::closed();
    // An address of loopback that is none for who only knows `127.0.0.1` and `::1`.
    house.begin_at(&["--listen", &format!("[::ffff:127.0.0.1]:{}", house.port()), "--token-secret", "next"]);
    house.edit(
        "estate",
        &ESTATE.replace("grafana: { auth: { bearer: { secret: key } } }", "grafana: { auth: { none: true } }"),
    );
    house.reload("these have none: /hooks/grafana");
    assert_eq!(house.post("grafana", "", b"{}"), 401, "what was in force stays in force");
    let page = "page: { url: \"https://runbook.shop.example\", secret: key }\n";
    house.edit("estate", &format!("{ESTATE}{page}"));
    house.reload("these have none: /incidents/<id> (secret `key` has less than 16 bytes)");
}

#[test]
fn an_estate_without_the_secret_that_the_server_was_given_is_not_taken_up() {
    let mut house = House::closed();
    house.begin_at(&["--listen", &format!("127.0.0.1:{}", house.port()), "--token-secret", "next"]);
    let without = ESTATE.replace(", next: { env: NEXT }", "").replace("[key, next]", "key");
    house.edit("estate", &without);
    house.reload("there is no secret `next` in the estate");
    let answer = |bearer: &str| house.get_as("/metrics", bearer);
    assert_eq!((answer(NEXT), answer("")), (200, 401));
}
