//! The HTTP intake of a running `serve`: sample bodies, hostile bodies, slow clients, credentials, SIGKILL and a full disk.
//!
//! Not here: the meaning of bodies, see `senders`.

mod durability;
mod outside;
mod reload;
mod server;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runbook::actions::transport::process::{output_detached, spawn_detached};
use rustix::process::Signal;
use serde_json::json;

use self::server::{ESTATE, IntakeServer, KEY, NEXT, alert, status};

/// Every sample body with its sender.
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

/// A sender of every format.
const SENDERS: [&str; 6] = ["alertmanager", "grafana", "github", "middleware", "sns", "pagerduty"];

/// The limit for the memory of a server that received a gzip bomb, in KiB.
const MEMORY: u64 = 256 * 1024;

#[test]
fn every_sample_body_is_accepted() {
    let server = IntakeServer::started();
    for (sender, name) in SAMPLES {
        let file = format!("{}/tests/fixtures/payloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(file).unwrap();
        assert_eq!(server.post(sender, KEY, &body), 200, "{name}");
    }
    let all = server.timelines();
    for text in ["high-memory-usage", "health_check_failed", "High memory usage"] {
        assert!(all.contains(text), "no incident has `{text}`: {all}");
    }
}

#[test]
fn malformed_bodies_are_accepted_and_do_not_end_the_server() {
    let server = IntakeServer::started();
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
            let answer = server.post(sender, KEY, body.as_bytes());
            assert_eq!(answer, 200, "{sender}: {}", body.chars().take(80).collect::<String>());
        }
        assert_eq!(server.post(sender, KEY, b"\xff\xfe\x00\x80"), 200, "{sender}: bytes that are not text");
    }
    let all = server.timelines();
    assert!(all.contains("<script>alert(1)") && !all.contains('\u{1b}'), "it is stored as text");
    assert!(server.is_ready());
}

#[test]
fn a_gzip_bomb_and_a_wrong_length_cost_no_memory() {
    let server = IntakeServer::started();
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
    let answer = server.post_with("alertmanager", KEY, &[("Content-Encoding", "gzip")], &bomb);
    assert_ne!(answer, 400);
    assert!(server.memory() < MEMORY, "{} KiB", server.memory());

    // A length beyond the body: the server waits until the client closes. A shorter one: the rest is not a request.
    let mut short = server.connect();
    write!(short, "{}Content-Length: 1000\r\n\r\n{{}}", head("alertmanager")).unwrap();
    drop(short);
    let mut long = server.connect();
    let body = alert("cut", 9).to_string();
    write!(long, "{}Content-Length: 2\r\n\r\n{body}", head("alertmanager")).unwrap();
    assert_eq!(status(&mut long), 200, "the first two bytes are the body");
    assert!(server.is_ready());
}

fn head(sender: &str) -> String {
    format!("POST /hooks/{sender} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n")
}

/// The lifetime of a connection that sends `begin` and then a byte every half second.
fn lifetime(mut stream: TcpStream, begin: &str) -> Duration {
    let start = Instant::now();
    stream.write_all(begin.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 512];
    while start.elapsed() < Duration::from_secs(60) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            _ if stream.write_all(b"a").is_err() => break,
            _ => {}
        }
    }
    start.elapsed()
}

#[test]
fn a_client_that_sends_a_byte_at_a_time_is_disconnected() {
    let server = IntakeServer::started();
    let slow_head = (server.connect(), "POST /hooks/alertmanager HTTP/1.1\r\nHost: x\r\nX-A: ".to_owned());
    let slow_body = (server.connect(), format!("{}Content-Length: 100000\r\n\r\n{{", head("alertmanager")));
    let silent = (server.connect(), "G".to_owned());
    let all =
        [slow_head, slow_body, silent].map(|(stream, begin)| std::thread::spawn(move || lifetime(stream, &begin)));
    for one in all {
        let lived = one.join().unwrap();
        assert!(lived < Duration::from_secs(30), "{lived:?}");
    }
    assert!(server.is_ready());
}

#[test]
fn a_client_that_closes_its_sending_side_after_a_post_gets_the_answer() {
    let server = IntakeServer::started();
    for number in 1..=50 {
        let (mut stream, body) = (server.connect(), alert("half", number).to_string());
        write!(stream, "{}Content-Length: {}\r\n\r\n{body}", head("alertmanager"), body.len()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(status(&mut stream), 200, "post {number}");
        stream.read_to_end(&mut Vec::new()).expect("the server closes its side too");
    }
    let cut = format!("{}Content-Length: 9\r\n\r\n{{", head("sns"));
    for (start, answers) in [("", [0, 400]), ("POST /hooks/alert", [0, 400]), (&cut, [400, 408])] {
        let mut stream = server.connect();
        stream.write_all(start.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = status(&mut stream);
        assert!(answers.contains(&answer), "`{start}` was answered {answer}");
        stream.read_to_end(&mut Vec::new()).expect("the server closes the connection");
    }
    assert!(server.is_ready());
}

#[test]
fn only_posts_with_one_of_the_two_secrets_are_accepted() {
    let server = IntakeServer::started();
    let body = alert("known", 1).to_string();
    for secret in ["", "wrong", "key-one-", "KEY-ONE-51"] {
        assert_eq!(server.post("alertmanager", secret, body.as_bytes()), 401, "`{secret}`");
    }
    assert_eq!(server.incidents().as_array().map_or(0, Vec::len), 0, "rejected alerts are not recorded");
    for secret in [KEY, NEXT] {
        assert_eq!(server.post("alertmanager", secret, body.as_bytes()), 200);
    }
    assert_eq!(server.post("nobody", KEY, body.as_bytes()), 404);
}

#[test]
fn senders_without_a_readable_secret_and_rejected_posts_are_logged() {
    let mut server = IntakeServer::stopped();
    let lost = "secrets: { lost: { env: LOST }, key: { env: KEY }";
    let estate = ESTATE.replace("secrets: { key: { env: KEY }", lost);
    server.edit(
        "estate",
        &estate.replace("  grafana: { auth: { bearer: { secret: key", "  grafana: { auth: { bearer: { secret: lost"),
    );
    server.start(Signal::TERM);
    assert_eq!(server.post("grafana", KEY, b"{}"), 503, "the credentials cannot be checked");
    assert_eq!(server.post("alertmanager", "wrong", b"{}"), 401);
    let log = server.log_end();
    let unheard: Vec<&str> =
        log.lines().filter(|line| line.contains("cannot be authenticated and are refused")).collect();
    assert!(matches!(unheard[..], [line] if line.contains("`grafana`") && line.contains("`LOST`")), "{log}");
    assert!(log.lines().any(|line| line.contains("a request was rejected") && line.contains("alertmanager")), "{log}");
}

#[test]
fn without_credentials_it_listens_on_loopback_only() {
    let server = IntakeServer::stopped();
    let refused = output_detached(&mut server.command(&["serve", "--listen", "0.0.0.0:0"])).unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("/health") && stderr.contains("--token-secret"), "{stderr}");
}
