//! Ways out other than Slack: e-mail, a signed webhook, a program; each against a real counterpart.

use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use runbook::domain::incident::due::PendingDelivery;
use runbook::domain::incident::event::{Event, MessageEvent};
use runbook::domain::incident::message::MessageId;
use runbook::engine::delivery::DeliveryRequest;
use serde_json::{Value, json};

use super::watch::{KEY, Watch, question};
use crate::real::mail::Mail;

/// A receiver of webhooks, gone when it is dropped.
pub struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, taken) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&taken);
        let take = async move |headers: HeaderMap, body: String| {
            into.lock().unwrap().push((headers, body));
        };
        let routes = axum::Router::new().route("/hook", axum::routing::post(take));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { port, taken, task }
    }

    /// The channel that leads here.
    pub fn channel(&self) -> Value {
        json!({"webhook": {"url": format!("http://127.0.0.1:{}/hook", self.port), "secret": {"secret": "key"}}})
    }

    pub fn taken(&self) -> Vec<(HeaderMap, String)> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends one message by a channel with this declaration.
async fn send(watch: &Watch, number: u32, text: &str) -> Event {
    let id = watch.open(number, json!({"steps": [question("cause")]})).await;
    let incident = watch.incident(&id).await;
    let (target, channel, text) = ("way".to_owned(), "way".to_owned(), text.to_owned());
    let parcel = PendingDelivery { id: MessageId::Notice(1), target, channel, text, requested_at: incident.opened.at };
    watch.engine.delivery().deliver(&DeliveryRequest::of(&incident, parcel).unwrap()).await
}

fn mail(port: u16, more: Value) -> Value {
    let mut email = json!({"to": ["ada@shop.example", "ops@shop.example"], "from": "runbook@shop.example",
        "server": "127.0.0.1", "port": port, "tls": "none"});
    email.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"way": {"email": email}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_arrives_with_its_first_line_as_its_subject_and_without_secrets() {
    let server = Mail::plain();
    let watch = Watch::new(&[], mail(server.port, json!({}))).await;
    let text = "P1: the shop is down\r\nBcc: everybody@example\n.\nopen-sesame \u{1b}[31m ü";
    let told = send(&watch, 1, text).await;
    assert!(matches!(told, Event::Message(MessageEvent::Notified { .. })), "{told:?}");
    let letters = server.letters();
    let letter = &letters[0];
    assert_eq!(letter["Subject"], "P1: the shop is down");
    assert_eq!(letter["to"], json!(["ada@shop.example", "ops@shop.example"]));
    let text = letter["text"].as_str().unwrap();
    assert!(text.contains("Bcc: everybody@example") && text.contains("\r\n.\r\n") && text.contains('ü'), "{text:?}");
    assert!(!text.contains("open-sesame") && !text.contains('\u{1b}'), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_goes_encrypted_and_from_an_account_where_that_is_declared() {
    let server = Mail::secret();
    let trust = server.certificate().to_string_lossy().into_owned();
    let secret = json!({"tls": "starttls", "user": "runbook", "password": {"secret": "password"}, "trust": trust});
    let watch = Watch::new(&[], mail(server.port, secret)).await;
    let told = send(&watch, 1, "down").await;
    assert!(matches!(told, Event::Message(MessageEvent::Notified { .. })), "{told:?} {}", server.said());
    assert_eq!(server.letters()[0]["secure"], true);
    // The system trusts no such certificate, and nothing is sent.
    let untrusted = json!({"tls": "starttls", "user": "runbook", "password": {"secret": "password"}});
    let watch = Watch::new(&[], mail(server.port, untrusted)).await;
    let told = send(&watch, 1, "down").await;
    assert!(
        matches!(&told, Event::Message(MessageEvent::NotifyFailed { error, .. }) if !error.contains("open-sesame")),
        "{told:?}"
    );
    // A wrong password is wrong for good.
    let wrong = json!({"tls": "starttls", "user": "runbook", "password": {"secret": "token"}, "trust": trust});
    let watch = Watch::new(&[], mail(server.port, wrong)).await;
    let told = send(&watch, 1, "down").await;
    assert!(matches!(&told, Event::Message(MessageEvent::NotifyFailed { permanent: true, .. })), "{told:?}");
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_is_sent_nothing_by_who_asked_for_it() {
    let server = Mail::plain();
    let watch = Watch::new(&[], mail(server.port, json!({"tls": "starttls"}))).await;
    let told = send(&watch, 1, "down").await;
    assert!(matches!(told, Event::Message(MessageEvent::NotifyFailed { .. })), "{told:?}");
    assert_eq!(server.letters(), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_whether_to_come_again() {
    let server = Mail::plain();
    for (words, is_final) in [("refuse for now", false), ("refuse for good", true)] {
        let watch = Watch::new(&[], mail(server.port, json!({}))).await;
        let told = send(&watch, 1, words).await;
        assert!(
            matches!(&told, Event::Message(MessageEvent::NotifyFailed { permanent, .. }) if *permanent == is_final),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn a_webhook_is_signed_over_what_is_sent() {
    let receiver = Receiver::start().await;
    let watch = Watch::new(&[], json!({"way": receiver.channel()})).await;
    let told = send(&watch, 1, "down\n\"quoted\"").await;
    assert!(matches!(told, Event::Message(MessageEvent::Notified { .. })), "{told:?}");
    let (headers, body) = receiver.taken().remove(0);
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &KEY["whsec_".len()..]).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let given = header("webhook-signature");
    let given = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &given["v1,".len()..]).unwrap();
    assert!(ring::hmac::verify(&key, signed.as_bytes(), &given).is_ok());
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["type"], &body["data"]["text"]), (&json!("runbook.message"), &json!("down\n\"quoted\"")));
}

#[tokio::test]
async fn a_program_gets_the_message_on_its_input_and_nothing_else_of_this_process() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("told");
    let script = format!("{{ cat; env; }} >{}", file.display());
    let program = json!({"argv": ["sh", "-c", script], "env": {"GATEWAY": "sms", "KEY": {"secret": "key"}}});
    let watch = Watch::new(&[], json!({"way": {"command": program}})).await;
    let told = send(&watch, 1, "$(touch /tmp/owned) `id` '; down").await;
    assert!(matches!(told, Event::Message(MessageEvent::Notified { .. })), "{told:?}");
    let told = std::fs::read_to_string(&file).unwrap();
    assert!(told.starts_with("$(touch /tmp/owned) `id` '; down\n"), "{told}");
    let names: std::collections::BTreeSet<&str> =
        told.lines().skip(1).filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
    let expected = ["GATEWAY", "HOME", "KEY", "LANG", "PATH", "PWD", "RUNBOOK_MESSAGE"];
    assert!(names.iter().all(|name| expected.contains(name) || matches!(*name, "_" | "SHLVL" | "OLDPWD")), "{names:?}");
    assert!(told.contains("GATEWAY=sms") && told.contains(&format!("KEY={KEY}")), "{told}");
}

#[tokio::test]
async fn a_program_says_by_its_exit_code_whether_to_try_again() {
    for (code, is_final) in [("75", false), ("1", false), ("64", true), ("78", true)] {
        let argv = json!(["sh", "-c", format!("echo no network >&2; exit {code}")]);
        let watch = Watch::new(&[], json!({"way": {"command": {"argv": argv}}})).await;
        let told = send(&watch, 1, "down").await;
        assert!(
            matches!(&told, Event::Message(MessageEvent::NotifyFailed { permanent, error, .. })
                if *permanent == is_final && error.contains("no network")),
            "{told:?}"
        );
    }
    let watch = Watch::new(&[], json!({"way": {"command": {"argv": ["no-such-program"]}}})).await;
    let told = send(&watch, 1, "down").await;
    assert!(matches!(&told, Event::Message(MessageEvent::NotifyFailed { permanent: true, .. })), "{told:?}");
}
