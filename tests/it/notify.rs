//! Delivery of messages to Slack, with the stand-in for Slack.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::actions::Secrets;
use runbook::clock::SimClock;
use runbook::domain::core::id::{RunId, StepKey};
use runbook::domain::incident::due::PendingDelivery;
use runbook::domain::incident::event::{Actor, Event, MessageEvent, Recorded};
use runbook::domain::incident::message::MessageId;
use runbook::domain::incident::{Incident, fold};
use runbook::domain::redact::Redactor;
use runbook::engine::delivery::{DELIVERY_LIMIT, DeliveryRequest, DeliveryService};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::real::slack::{Fault, Slack, TOKEN};

/// A password that must not be in a message.
const PASSWORD: &str = "hunter2-and-more";

/// The delivery service, with an incident and a clock that the test moves.
struct DeliveryFixture {
    slack: Slack,
    service: Arc<DeliveryService>,
    clock: SimClock,
    log: Vec<Recorded>,
}

impl DeliveryFixture {
    fn new() -> Self {
        let slack = Slack::start();
        let clock = SimClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap());
        let secrets = [
            ("token", TOKEN.to_owned()),
            ("wrong", "xoxb-wrong".to_owned()),
            ("hook", slack.webhook_url()),
            ("gone", slack.webhook_url().replace("hZ2k9QyW", "gone")),
        ];
        let mut secrets: BTreeMap<String, Result<SecretString, String>> =
            secrets.into_iter().map(|(name, value)| (name.to_owned(), Ok(SecretString::from(value)))).collect();
        secrets.insert("unread".to_owned(), Err("the environment has no `SLACK_TOKEN`".to_owned()));
        let redactor = Redactor::new([("password", PASSWORD)]).unwrap();
        let service = DeliveryService::new(
            Arc::new(Secrets::new(secrets)),
            Arc::new(redactor),
            Arc::new(clock.clone()),
            Arc::default(),
            std::env::temp_dir(),
        );
        let log = log(&slack);
        Self { slack, service: Arc::new(service), clock, log }
    }

    fn incident(&self) -> Incident {
        fold(&self.log).unwrap().unwrap()
    }

    fn sending(&self, step: &str, channel: &str, message: &str) -> DeliveryRequest {
        let incident = self.incident();
        let (target, channel) = (channel.to_owned(), channel.to_owned());
        let id = MessageId::Step(RunId(1), StepKey::main(step));
        let delivery =
            PendingDelivery { id, target, channel, text: message.to_owned(), requested_at: incident.opened.at };
        DeliveryRequest::of(&incident, delivery).unwrap()
    }

    async fn send(&self, step: &str, channel: &str, message: &str) -> Event {
        self.service.deliver(&self.sending(step, channel, message)).await
    }

    /// Sends a message, and moves the clock until the delivery ends.
    async fn send_in_time(&self, channel: &str) -> Event {
        let sent = self.send("a", channel, "down");
        tokio::pin!(sent);
        loop {
            tokio::select! {
                sent = &mut sent => return sent,
                () = any_request(&self.slack) => self.clock.advance(TimeDelta::seconds(1)),
            }
        }
    }

    fn append(&mut self, event: Event) {
        let (seq, at) = (self.log.len() as u64 + 1, self.log.last().unwrap().at);
        self.log.push(Recorded { seq, at, by: Actor::Engine, event });
    }
}

/// Waits until Slack has got a request and the delivery waits for its answer.
async fn any_request(slack: &Slack) {
    while slack.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn log(slack: &Slack) -> Vec<Recorded> {
    let api =
        |channel: &str, token: &str| json!({"slack": channel, "token": {"secret": token}, "api": slack.api_url()});
    let estate = json!({"estate": "shop", "environments": {"production": {}}, "channels": {
        "incidents": api("#incidents", "token"),
        "oncall": api("#oncall", "token"),
        "nowhere": api("#nowhere", "token"),
        "locked": api("#incidents", "wrong"),
        "secretless": api("#incidents", "unread"),
        "nameless": api("#incidents", "unheard_of"),
        "tokenless": {"slack": "#incidents"},
        "wayless": {},
        "hook": {"slack_webhook": {"secret": "hook"}},
        "gone": {"slack_webhook": {"secret": "gone"}},
        "deaf": {"slack": "#incidents", "token": {"secret": "token"}, "api": "http://127.0.0.1:1/api"},
    }});
    let step = |id: &str| json!({"id": id, "name": id, "body": {"action": {"kind": "notify", "spec": {}, "effect": "repeatable"}}});
    let runbook =
        json!({"id": "drill", "title": "Drill", "severity": "p1", "steps": [step("a"), step("b"), step("c")]});
    let events: [Value; 2] = [
        json!({"type": "incident_opened", "id": "lusab-fidok", "title": "Drill", "severity": "p1", "environment": "production"}),
        json!({"type": "run_started", "run": 1, "runbook": runbook, "digest": "00", "estate": estate, "params": {}, "mode": "auto"}),
    ];
    let at = Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap();
    (1..)
        .zip(events)
        .map(|(seq, event)| Recorded {
            seq,
            at,
            by: Actor::person("ada", "test"),
            event: serde_json::from_value(event).unwrap(),
        })
        .collect()
}

fn error(event: Event) -> String {
    match event {
        Event::Message(MessageEvent::NotifyFailed { error, .. }) => error,
        other => panic!("it was delivered: {other:?}"),
    }
}

fn is_delivered(event: &Event) -> bool {
    matches!(event, Event::Message(MessageEvent::Notified { .. }))
}

#[tokio::test]
async fn the_first_message_opens_a_thread_and_others_follow_in_it() {
    let mut fixture = DeliveryFixture::new();
    let event = fixture.send("a", "incidents", "down").await;
    assert!(
        matches!(&event, Event::Message(MessageEvent::Notified { delivery, message: Some(_), place: Some(place) })
            if delivery.channel == "incidents" && place == "C0INCIDENTS"),
        "{event:?}"
    );
    // Before the first delivery is in the log, and after.
    fixture.send("b", "incidents", "more").await;
    fixture.append(event);
    fixture.send("c", "incidents", "and more").await;
    fixture.send("a", "oncall", "elsewhere").await;
    let messages = fixture.slack.messages();
    let threads: Vec<Option<&str>> = messages.iter().map(|message| message.thread.as_deref()).collect();
    let thread = Some(messages[0].ts.as_str());
    assert_eq!(threads, [None, thread, thread, None]);
    let broadcast: Vec<bool> =
        fixture.slack.requests().iter().map(|sent| sent.body["reply_broadcast"] == true).collect();
    assert_eq!(broadcast, [false, true, true, false], "replies in a thread are shown in the channel too");
}

#[tokio::test]
async fn two_first_messages_at_once_open_one_thread() {
    let fixture = DeliveryFixture::new();
    tokio::join!(fixture.send("a", "incidents", "one"), fixture.send("b", "incidents", "two"));
    let messages = fixture.slack.messages();
    assert_eq!(messages.iter().filter(|message| message.thread.is_none()).count(), 1, "{messages:?}");
}

#[tokio::test]
async fn a_message_has_no_slack_markup_and_no_secret() {
    let fixture = DeliveryFixture::new();
    let hostile =
        format!("<!channel> <@U1> <http://evil.example|bank> @here *b* \u{1b}[31m {PASSWORD} {}", "x".repeat(5_000));
    for channel in ["incidents", "hook"] {
        let event = fixture.send("a", channel, &hostile).await;
        assert!(is_delivered(&event), "{event:?}");
    }
    for request in fixture.slack.requests() {
        let sent = &request.body;
        let text = sent["text"].as_str().unwrap();
        assert!(text.chars().count() <= 3_000 && text.ends_with("(cut)"), "{text}");
        assert!(!text.contains(['<', '>', '\u{1b}']) && !text.contains("@here") && !text.contains(PASSWORD), "{text}");
        assert_eq!(sent["blocks"][0]["text"], json!({"type": "plain_text", "text": text, "emoji": false}));
        assert_eq!([&sent["unfurl_links"], &sent["link_names"], &sent["mrkdwn"]], [&json!(false); 3]);
    }
    let key = |at: usize| fixture.slack.requests()[at].body["metadata"]["event_payload"]["key"].clone();
    assert!(key(0).is_string() && key(1).is_null(), "only the Web API takes metadata");
}

#[tokio::test]
async fn a_webhook_delivers_without_a_thread() {
    let mut fixture = DeliveryFixture::new();
    let event = fixture.send("a", "hook", "down").await;
    assert!(matches!(&event, Event::Message(MessageEvent::Notified { message: None, place: None, .. })), "{event:?}");
    fixture.append(event);
    fixture.send("b", "hook", "more").await;
    let threads: Vec<_> = fixture.slack.messages().into_iter().map(|message| message.thread).collect();
    assert_eq!(threads, [None, None]);
}

#[tokio::test]
async fn errors_of_a_channel_name_the_remedy() {
    let fixture = DeliveryFixture::new();
    for (channel, expected) in [
        ("nowhere", "there is no `#nowhere` that the bot can see"),
        ("locked", "`invalid_auth`: Slack does not take the bot token; put a new one"),
        ("secretless", "channel `secretless` cannot be used: secret `unread`: the environment has no `SLACK_TOKEN`"),
        ("nameless", "secret `unheard_of` is not in the estate"),
        ("tokenless", "it has no `token`; name a secret there in estate.yaml"),
        ("wayless", "it has no route in estate.yaml"),
        ("missing", "it is not in the estate"),
        ("gone", "`no_service`: the webhook is gone; make a new one"),
        ("deaf", "Slack cannot be reached: "),
    ] {
        let event = fixture.send("a", channel, "down").await;
        let is_final = matches!(&event, Event::Message(MessageEvent::NotifyFailed { permanent: true, .. }));
        assert_eq!(is_final, channel != "deaf", "{event:?}");
        let error = error(event);
        assert!(error.contains(expected), "{channel}: {error}");
        assert!(!error.contains(TOKEN) && !error.contains("xoxb-wrong") && !error.contains("services/"), "{error}");
    }
    fixture.slack.next(Fault::Error("not_in_channel"));
    let error = error(fixture.send("a", "incidents", "down").await);
    assert!(error.contains("/invite"), "{error}");
}

#[tokio::test]
async fn a_retry_after_of_a_channel_holds_for_every_message() {
    for channel in ["incidents", "hook"] {
        let fixture = DeliveryFixture::new();
        fixture.slack.next(Fault::TooMany(2));
        let event = fixture.send("a", channel, "down").await;
        let requested = Some(runbook::domain::core::time::Span::seconds(2));
        assert!(
            matches!(&event, Event::Message(MessageEvent::NotifyFailed { retry_after, .. }) if *retry_after == requested),
            "{event:?}"
        );
        let before = runbook::clock::Clock::now(&fixture.clock);
        let event = fixture.send_in_time(channel).await;
        assert!(is_delivered(&event), "{channel}: {event:?}");
        assert!(
            runbook::clock::Clock::now(&fixture.clock) - before >= TimeDelta::seconds(2),
            "another message waits as well"
        );
    }
}

#[tokio::test]
async fn a_long_retry_after_is_left_to_the_log() {
    let fixture = DeliveryFixture::new();
    fixture.slack.next(Fault::TooMany(60));
    fixture.send("a", "incidents", "down").await;
    let requested = Some(runbook::domain::core::time::Span::seconds(60));
    let event = fixture.send("b", "incidents", "more").await;
    assert!(
        matches!(&event, Event::Message(MessageEvent::NotifyFailed { retry_after, .. }) if *retry_after == requested),
        "{event:?}"
    );
    assert_eq!(fixture.slack.requests().len(), 1, "Slack got no second request");
}

#[tokio::test]
async fn a_delivery_without_an_answer_fails_after_ten_seconds() {
    for channel in ["incidents", "hook"] {
        let fixture = DeliveryFixture::new();
        let before = runbook::clock::Clock::now(&fixture.clock);
        fixture.slack.next(Fault::Lost);
        let event = fixture.send_in_time(channel).await;
        assert!(error(event).contains("may have arrived all the same"));
        let took = runbook::clock::Clock::now(&fixture.clock) - before;
        assert!(took >= TimeDelta::from_std(DELIVERY_LIMIT).unwrap(), "{took}");
    }
}

#[tokio::test]
async fn an_error_page_of_a_proxy_is_not_an_answer_of_slack() {
    let fixture = DeliveryFixture::new();
    for channel in ["incidents", "hook"] {
        fixture.slack.next(Fault::Status(503));
        let error = error(fixture.send("a", channel, "down").await);
        assert!(error.contains("503") && !error.contains('<'), "{channel}: {error}");
    }
}

#[tokio::test]
async fn a_missing_thread_does_not_block_a_message() {
    let mut fixture = DeliveryFixture::new();
    let event = fixture.send("a", "incidents", "down").await;
    fixture.append(event);
    fixture.slack.next(Fault::Error("thread_not_found"));
    let event = fixture.send("b", "incidents", "more").await;
    assert!(is_delivered(&event), "{event:?}");
    assert_eq!(fixture.slack.messages()[1].thread, None);
}
