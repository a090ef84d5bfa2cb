//! Channels other than Slack: email, a signed webhook and a program, each with a real receiver.

use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use runbook::domain::incident::due::PendingDelivery;
use runbook::domain::incident::event::{Event, MessageEvent};
use runbook::domain::incident::message::MessageId;
use runbook::engine::delivery::DeliveryRequest;
use serde_json::{Value, json};

use super::fixture::{KEY, PeopleFixture, ask_step};
use crate::real::mail::Mail;

/// A receiver of webhooks; it stops with the value.
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, received) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&received);
        let take = async move |headers: HeaderMap, body: String| {
            into.lock().unwrap().push((headers, body));
        };
        let routes = axum::Router::new().route("/hook", axum::routing::post(take));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { port, received, task }
    }

    /// The channel of this receiver.
    pub fn channel(&self) -> Value {
        json!({"webhook": {"url": format!("http://127.0.0.1:{}/hook", self.port), "secret": {"secret": "key"}}})
    }

    pub fn received(&self) -> Vec<(HeaderMap, String)> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends one message by the channel `other`.
async fn send(fixture: &PeopleFixture, number: u32, text: &str) -> Event {
    let id = fixture.open(number, json!({"steps": [ask_step("cause")]})).await;
    let incident = fixture.incident(&id).await;
    let (target, channel, text) = ("other".to_owned(), "other".to_owned(), text.to_owned());
    let delivery =
        PendingDelivery { id: MessageId::Notice(1), target, channel, text, requested_at: incident.opened.at };
    fixture.engine.delivery().deliver(&DeliveryRequest::of(&incident, delivery).unwrap()).await
}

fn mail(port: u16, more: Value) -> Value {
    let mut email = json!({"to": ["ada@shop.example", "ops@shop.example"], "from": "runbook@shop.example",
        "server": "127.0.0.1", "port": port, "tls": "none"});
    email.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"other": {"email": email}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_of_an_email_is_its_first_line_and_it_has_no_secrets() {
    let server = Mail::plain();
    let fixture = PeopleFixture::new(&[], mail(server.port, json!({}))).await;
    let text = "P1: the shop is down\r\nBcc: everybody@example\n.\nopen-sesame \u{1b}[31m ü";
    let event = send(&fixture, 1, text).await;
    assert!(matches!(event, Event::Message(MessageEvent::Notified { .. })), "{event:?}");
    let messages = server.messages();
    let message = &messages[0];
    assert_eq!(message["Subject"], "P1: the shop is down");
    assert_eq!(message["to"], json!(["ada@shop.example", "ops@shop.example"]));
    let text = message["text"].as_str().unwrap();
    assert!(text.contains("Bcc: everybody@example") && text.contains("\r\n.\r\n") && text.contains('ü'), "{text:?}");
    assert!(!text.contains("open-sesame") && !text.contains('\u{1b}'), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_is_sent_encrypted_and_authenticated_when_declared() {
    let server = Mail::encrypted();
    let trust = server.certificate().to_string_lossy().into_owned();
    let tls_settings =
        json!({"tls": "starttls", "user": "runbook", "password": {"secret": "password"}, "trust": trust});
    let fixture = PeopleFixture::new(&[], mail(server.port, tls_settings)).await;
    let event = send(&fixture, 1, "down").await;
    assert!(matches!(event, Event::Message(MessageEvent::Notified { .. })), "{event:?} {}", server.log_end());
    assert_eq!(server.messages()[0]["secure"], true);
    // Without `trust`, the certificate is not trusted and nothing is sent.
    let untrusted = json!({"tls": "starttls", "user": "runbook", "password": {"secret": "password"}});
    let fixture = PeopleFixture::new(&[], mail(server.port, untrusted)).await;
    let event = send(&fixture, 1, "down").await;
    assert!(
        matches!(&event, Event::Message(MessageEvent::NotifyFailed { error, .. }) if !error.contains("open-sesame")),
        "{event:?}"
    );
    // A wrong password is a permanent error.
    let wrong = json!({"tls": "starttls", "user": "runbook", "password": {"secret": "token"}, "trust": trust});
    let fixture = PeopleFixture::new(&[], mail(server.port, wrong)).await;
    let event = send(&fixture, 1, "down").await;
    assert!(matches!(&event, Event::Message(MessageEvent::NotifyFailed { permanent: true, .. })), "{event:?}");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_gets_nothing_when_it_is_required() {
    let server = Mail::plain();
    let fixture = PeopleFixture::new(&[], mail(server.port, json!({"tls": "starttls"}))).await;
    let event = send(&fixture, 1, "down").await;
    assert!(matches!(event, Event::Message(MessageEvent::NotifyFailed { .. })), "{event:?}");
    assert_eq!(server.messages(), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_code_of_a_mail_server_decides_a_retry() {
    let server = Mail::plain();
    for (words, is_final) in [("refuse for now", false), ("refuse for good", true)] {
        let fixture = PeopleFixture::new(&[], mail(server.port, json!({}))).await;
        let event = send(&fixture, 1, words).await;
        assert!(
            matches!(&event, Event::Message(MessageEvent::NotifyFailed { permanent, .. }) if *permanent == is_final),
            "{event:?}"
        );
    }
}

#[tokio::test]
async fn a_webhook_is_signed_over_its_body() {
    let receiver = Receiver::start().await;
    let fixture = PeopleFixture::new(&[], json!({"other": receiver.channel()})).await;
    let event = send(&fixture, 1, "down\n\"quoted\"").await;
    assert!(matches!(event, Event::Message(MessageEvent::Notified { .. })), "{event:?}");
    let (headers, body) = receiver.received().remove(0);
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
async fn a_program_gets_the_message_on_stdin_and_only_declared_variables() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("told");
    let script = format!("{{ cat; env; }} >{}", file.display());
    let program = json!({"argv": ["sh", "-c", script], "env": {"GATEWAY": "sms", "KEY": {"secret": "key"}}});
    let fixture = PeopleFixture::new(&[], json!({"other": {"command": program}})).await;
    let event = send(&fixture, 1, "$(touch /tmp/owned) `id` '; down").await;
    assert!(matches!(event, Event::Message(MessageEvent::Notified { .. })), "{event:?}");
    let event = std::fs::read_to_string(&file).unwrap();
    assert!(event.starts_with("$(touch /tmp/owned) `id` '; down\n"), "{event}");
    let names: std::collections::BTreeSet<&str> =
        event.lines().skip(1).filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
    let expected = ["GATEWAY", "HOME", "KEY", "LANG", "PATH", "PWD", "RUNBOOK_MESSAGE"];
    assert!(names.iter().all(|name| expected.contains(name) || matches!(*name, "_" | "SHLVL" | "OLDPWD")), "{names:?}");
    assert!(event.contains("GATEWAY=sms") && event.contains(&format!("KEY={KEY}")), "{event}");
}

#[tokio::test]
async fn the_exit_code_of_a_program_decides_a_retry() {
    for (code, is_final) in [("75", false), ("1", false), ("64", true), ("78", true)] {
        let argv = json!(["sh", "-c", format!("echo no network >&2; exit {code}")]);
        let fixture = PeopleFixture::new(&[], json!({"other": {"command": {"argv": argv}}})).await;
        let event = send(&fixture, 1, "down").await;
        assert!(
            matches!(&event, Event::Message(MessageEvent::NotifyFailed { permanent, error, .. })
                if *permanent == is_final && error.contains("no network")),
            "{event:?}"
        );
    }
    let fixture = PeopleFixture::new(&[], json!({"other": {"command": {"argv": ["no-such-program"]}}})).await;
    let event = send(&fixture, 1, "down").await;
    assert!(matches!(&event, Event::Message(MessageEvent::NotifyFailed { permanent: true, .. })), "{event:?}");
}
