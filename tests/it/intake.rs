//! A real `runbook serve` and what may come to its port: every sample body, hostile ones, strangers, slow ones, a storm
//! that is cut off by SIGKILL, and a disk that is full.
//!
//! Deliberately absent: what bodies mean; that is tested beside the adapters, in `senders`.

mod durability;
mod house;
mod outside;
mod reload;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runbook::actions::transport::process::{output_detached, spawn_detached};
use rustix::process::Signal;
use serde_json::json;

use self::house::{ESTATE, House, KEY, NEXT, alert, status};

/// Every sample body, and who sends such.
const SAMPLES: [(&str, &str); 8] = [
    ("alertmanager", "alertmanager_v4_firing_single"),
    ("alertmanager", "alertmanager_v4_resolved_single"),
    ("grafana", "grafana_unified_firing_docs"),
    ("github", "github_workflow_run_completed"),
    ("github", "github_signature_vector"),
    ("middleware", "middleware_alert_model_UNVERIFIED"),
    ("sns", "sns_notification_cloudwatch_alarm_2015"),
    ("sns", "sns_subscription_confirmation"),
];

/// The senders of every form.
const SENDERS: [&str; 6] = ["alertmanager", "grafana", "github", "middleware", "sns", "pagerduty"];

/// The most that a server may use that was shown a gzip bomb, in KiB.
const MEMORY: u64 = 256 * 1024;

#[test]
fn every_sample_body_is_taken_in() {
    let house = House::open();
    for (sender, name) in SAMPLES {
        let file = format!("{}/tests/fixtures/payloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(file).unwrap();
        assert_eq!(house.post(sender, KEY, &body), 200, "{name}");
    }
    let all = house.everything();
    for said in ["high-memory-usage", "health_check_failed", "High memory usage"] {
        assert!(all.contains(said), "no incident has `{said}`: {all}");
    }
}

#[test]
fn no_body_is_answered_400_and_none_ends_the_server() {
    let house = House::open();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let firing = alert("plain", 1).to_string();
    let huge: serde_json::Map<String, serde_json::Value> =
        (0..500).map(|number| (format!("l{number}"), json!("x".repeat(4_000)))).collect();
    let mut labelled = alert("huge", 2);
    labelled["alerts"][0]["labels"].as_object_mut().unwrap().extend(huge);
    let marked = alert("<script>alert(1)</script><!here>\u{1b}[2J{{ 7*7 }}$(touch /tmp/x)", 3);
    let bodies = [
        firing.replacen("\"status\"", "\"status\":\"resolved\",\"status\"", 1),
        firing.replacen("\"version\":\"4\"", "\"version\":1e999", 1),
        firing.replacen("\"plain\"", "\"plain\\ud83d\"", 1),
        firing.replacen('}', "", 1),
        deep.clone(),
        firing.replacen("\"version\":\"4\"", &format!("\"version\":{deep}"), 1),
        labelled.to_string(),
        marked.to_string(),
        String::new(),
        "null".to_owned(),
        "\u{0}".to_owned(),
        "alerts=1&x=2".to_owned(),
    ];
    for sender in SENDERS {
        for body in &bodies {
            let answer = house.post(sender, KEY, body.as_bytes());
            assert_eq!(answer, 200, "{sender}: {}", body.chars().take(80).collect::<String>());
        }
        assert_eq!(house.post(sender, KEY, b"\xff\xfe\x00\x80"), 200, "{sender}: no text at all");
    }
    let all = house.everything();
    assert!(all.contains("<script>alert(1)") && !all.contains('\u{1b}'), "it is kept as text");
    assert!(house.is_well());
}

#[test]
fn a_gzip_bomb_and_a_length_that_lies_cost_nothing() {
    let house = House::open();
    let mut gzip = spawn_detached(Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
    let mut into = gzip.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        let zeros = vec![0_u8; 1 << 20];
        (0..512).for_each(|_| into.write_all(&zeros).unwrap());
    });
    let mut bomb = Vec::new();
    gzip.stdout.take().unwrap().read_to_end(&mut bomb).unwrap();
    feeding.join().unwrap();
    gzip.wait().unwrap();
    let answer = house.post_with("alertmanager", KEY, &["Content-Encoding: gzip"], &bomb);
    assert_ne!(answer, 400);
    assert!(house.memory() < MEMORY, "{} KiB", house.memory());

    // Longer than what comes: the server waits, and forgets it when the client goes. Shorter: the rest is no request.
    let mut short = house.connect();
    write!(short, "{}Content-Length: 1000\r\n\r\n{{}}", head("alertmanager")).unwrap();
    drop(short);
    let mut long = house.connect();
    let body = alert("cut", 9).to_string();
    write!(long, "{}Content-Length: 2\r\n\r\n{body}", head("alertmanager")).unwrap();
    assert_eq!(status(&mut long), 200, "two bytes are a body");
    assert!(house.is_well());
}

fn head(sender: &str) -> String {
    format!("POST /hooks/{sender} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n")
}

/// How long a connection lives that sends a piece and then a byte every now and then.
fn lives(mut stream: TcpStream, begin: &str) -> Duration {
    let begun = Instant::now();
    stream.write_all(begin.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 512];
    while begun.elapsed() < Duration::from_secs(60) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            _ if stream.write_all(b"a").is_err() => break,
            _ => {}
        }
    }
    begun.elapsed()
}

#[test]
fn who_sends_a_byte_at_a_time_is_cut_off() {
    let house = House::open();
    let slow_head = (house.connect(), "POST /hooks/alertmanager HTTP/1.1\r\nHost: x\r\nX-A: ".to_owned());
    let slow_body = (house.connect(), format!("{}Content-Length: 100000\r\n\r\n{{", head("alertmanager")));
    let silent = (house.connect(), "G".to_owned());
    let all = [slow_head, slow_body, silent].map(|(stream, begin)| std::thread::spawn(move || lives(stream, &begin)));
    for one in all {
        let lived = one.join().unwrap();
        assert!(lived < Duration::from_secs(30), "{lived:?}");
    }
    assert!(house.is_well());
}

#[test]
fn who_shuts_its_own_side_after_a_post_still_gets_its_answer() {
    let house = House::open();
    for number in 1..=50 {
        let (mut stream, body) = (house.connect(), alert("half", number).to_string());
        write!(stream, "{}Content-Length: {}\r\n\r\n{body}", head("alertmanager"), body.len()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(status(&mut stream), 200, "post {number}");
        stream.read_to_end(&mut Vec::new()).expect("the server closes its side too");
    }
    let cut = format!("{}Content-Length: 9\r\n\r\n{{", head("sns"));
    for (begun, answers) in [("", [0, 400]), ("POST /hooks/alert", [0, 400]), (&cut, [400, 408])] {
        let mut stream = house.connect();
        stream.write_all(begun.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let said = status(&mut stream);
        assert!(answers.contains(&said), "`{begun}` was answered {said}");
        stream.read_to_end(&mut Vec::new()).expect("what never comes is not waited for");
    }
    assert!(house.is_well());
}

#[test]
fn only_who_knows_one_of_the_two_secrets_is_heard() {
    let house = House::open();
    let body = alert("known", 1).to_string();
    for stranger in ["", "wrong", "key-one-", "KEY-ONE-51"] {
        assert_eq!(house.post("alertmanager", stranger, body.as_bytes()), 401, "`{stranger}`");
    }
    assert_eq!(house.incidents().as_array().map_or(0, Vec::len), 0, "a stranger's alert is not there");
    for secret in [KEY, NEXT] {
        assert_eq!(house.post("alertmanager", secret, body.as_bytes()), 200);
    }
    assert_eq!(house.post("nobody", KEY, body.as_bytes()), 404);
}

#[test]
fn the_journal_says_which_sender_cannot_be_checked_and_which_post_was_rejected() {
    let mut house = House::closed();
    let lost = "secrets: { lost: { env: LOST }, key: { env: KEY }";
    let estate = ESTATE.replace("secrets: { key: { env: KEY }", lost);
    house.edit(
        "estate",
        &estate.replace("  grafana: { auth: { bearer: { secret: key", "  grafana: { auth: { bearer: { secret: lost"),
    );
    house.begin(Signal::TERM);
    assert_eq!(house.post("grafana", KEY, b"{}"), 503, "it may be the sender");
    assert_eq!(house.post("alertmanager", "wrong", b"{}"), 401);
    let said = house.said();
    let unheard: Vec<&str> = said.lines().filter(|line| line.contains("cannot be checked, and is not taken")).collect();
    assert!(matches!(unheard[..], [line] if line.contains("`grafana`") && line.contains("`LOST`")), "{said}");
    assert!(
        said.lines().any(|line| line.contains("a request was rejected") && line.contains("alertmanager")),
        "{said}"
    );
}

#[test]
fn it_does_not_listen_beyond_this_machine_without_credentials() {
    let house = House::closed();
    let refused = output_detached(&mut house.serving(&["--listen", "0.0.0.0:0"])).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("/health") && said.contains("--token-secret"), "{said}");
}
