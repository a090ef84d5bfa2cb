//! Messages on their way to Slack: by the courier as the engine uses it, against a stand-in with Slack's shapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{TimeDelta, TimeZone, Utc};
use runbook::actions::{Courier, Delivery, Secrets};
use runbook::clock::SimClock;
use runbook::domain::event::{Actor, Event, Recorded};
use runbook::domain::id::{RunId, StepKey};
use runbook::domain::incident::{Incident, fold};
use runbook::domain::redact::Redactor;
use runbook::engine::courier::{DELIVERY_LIMIT, EngineCourier, Office};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::real::slack::{Fault, Slack, TOKEN};

/// A password that a message may not carry.
const PASSWORD: &str = "hunter2-and-more";

struct Post {
    slack: Slack,
    office: Arc<Office>,
    clock: SimClock,
    log: Vec<Recorded>,
}

impl Post {
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
        let office = Office::new(Arc::new(Secrets::new(secrets)), Arc::new(redactor), Arc::new(clock.clone()));
        let log = log(&slack);
        Self { slack, office: Arc::new(office), clock, log }
    }

    fn incident(&self) -> Incident {
        fold(&self.log).unwrap().unwrap()
    }

    fn courier(&self) -> EngineCourier {
        let incident = self.incident();
        EngineCourier::new(Arc::clone(&self.office), &incident, &incident.runs[0])
    }

    async fn send(&self, step: &str, channel: &str, message: &str) -> (Delivery, Vec<Event>) {
        let courier = self.courier();
        let delivery = courier.deliver(&place(step), channel, message).await;
        (delivery, courier.told())
    }

    /// Sends and moves the clock on until the delivery has an end.
    async fn send_in_time(&self, channel: &str) -> (Delivery, Vec<Event>) {
        let sent = self.send("a", channel, "down");
        tokio::pin!(sent);
        loop {
            tokio::select! {
                sent = &mut sent => return sent,
                () = asked(&self.slack) => self.clock.advance(TimeDelta::seconds(1)),
            }
        }
    }

    fn append(&mut self, events: Vec<Event>) {
        for event in events {
            let (seq, at) = (self.log.len() as u64 + 1, self.log.last().unwrap().at);
            self.log.push(Recorded { seq, at, by: Actor::Engine, event });
        }
    }
}

/// Completes a moment after the stand-in has been asked anything.
async fn asked(slack: &Slack) {
    while slack.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn place(step: &str) -> (RunId, StepKey) {
    (RunId(1), StepKey::main(step))
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

fn error(delivery: Delivery) -> String {
    match delivery {
        Delivery::Failed { error, .. } => error,
        other => panic!("it was not to arrive: {other:?}"),
    }
}

#[tokio::test]
async fn the_first_message_opens_a_thread_and_others_follow_in_it() {
    let mut post = Post::new();
    let (first, told) = post.send("a", "incidents", "down").await;
    assert!(
        matches!(&first, Delivery::Delivered { message: Some(_), place: Some(place) } if place == "C0INCIDENTS"),
        "{first:?}"
    );
    assert!(matches!(&told[..], [Event::Notified { channel, .. }] if channel == "incidents"), "{told:?}");
    // Before the fact is in the log, and after.
    post.send("b", "incidents", "more").await;
    post.append(told);
    post.send("c", "incidents", "and more").await;
    post.send("a", "oncall", "elsewhere").await;
    let messages = post.slack.messages();
    let threads: Vec<Option<&str>> = messages.iter().map(|message| message.thread.as_deref()).collect();
    let thread = Some(messages[0].ts.as_str());
    assert_eq!(threads, [None, thread, thread, None]);
}

#[tokio::test]
async fn two_first_messages_at_once_open_one_thread() {
    let post = Post::new();
    let (a, b) = (post.courier(), post.courier());
    let (at_a, at_b) = (place("a"), place("b"));
    tokio::join!(a.deliver(&at_a, "incidents", "one"), b.deliver(&at_b, "incidents", "two"));
    let messages = post.slack.messages();
    assert_eq!(messages.iter().filter(|message| message.thread.is_none()).count(), 1, "{messages:?}");
}

#[tokio::test]
async fn what_was_delivered_is_not_delivered_again() {
    let mut post = Post::new();
    let (_, told) = post.send("a", "incidents", "down").await;
    post.append(told);
    let (again, told) = post.send("a", "incidents", "down").await;
    assert_eq!((again, told, post.slack.messages().len()), (Delivery::Already, Vec::new(), 1));
}

#[tokio::test]
async fn a_message_means_nothing_to_slack_and_holds_no_secret() {
    let post = Post::new();
    let hostile =
        format!("<!channel> <@U1> <http://evil.example|bank> @here *b* \u{1b}[31m {PASSWORD} {}", "x".repeat(5_000));
    for channel in ["incidents", "hook"] {
        let (delivery, _) = post.send("a", channel, &hostile).await;
        assert!(matches!(delivery, Delivery::Delivered { .. }), "{delivery:?}");
    }
    for request in post.slack.requests() {
        let sent = &request.body;
        let text = sent["text"].as_str().unwrap();
        assert!(text.chars().count() <= 3_000 && text.ends_with("(cut)"), "{text}");
        assert!(!text.contains(['<', '>', '\u{1b}']) && !text.contains("@here") && !text.contains(PASSWORD), "{text}");
        assert_eq!(sent["blocks"][0]["text"], json!({"type": "plain_text", "text": text, "emoji": false}));
        assert_eq!([&sent["unfurl_links"], &sent["link_names"], &sent["mrkdwn"]], [&json!(false); 3]);
    }
    let key = |at: usize| post.slack.requests()[at].body["metadata"]["event_payload"]["key"].clone();
    assert!(key(0).is_string() && key(1).is_null(), "only the Web API takes metadata");
}

#[tokio::test]
async fn a_webhook_delivers_without_a_thread() {
    let mut post = Post::new();
    let (delivery, told) = post.send("a", "hook", "down").await;
    assert_eq!(delivery, Delivery::Delivered { message: None, place: None });
    post.append(told);
    post.send("b", "hook", "more").await;
    let threads: Vec<_> = post.slack.messages().into_iter().map(|message| message.thread).collect();
    assert_eq!(threads, [None, None]);
}

#[tokio::test]
async fn what_is_wrong_with_a_channel_is_said_with_what_to_do() {
    let post = Post::new();
    for (channel, expected) in [
        ("nowhere", "there is no `#nowhere` that the bot can see"),
        ("locked", "`invalid_auth`: Slack does not take the bot token; put a new one"),
        ("secretless", "channel `secretless` cannot be used: secret `unread`: the environment has no `SLACK_TOKEN`"),
        ("nameless", "secret `unheard_of` is not in the estate"),
        ("tokenless", "it has no `token`; name a secret there in estate.yaml"),
        ("wayless", "it has neither `slack` nor `slack_webhook`"),
        ("missing", "it is not in the estate"),
        ("gone", "`no_service`: the webhook is gone; make a new one"),
        ("deaf", "Slack cannot be reached: "),
    ] {
        let (delivery, told) = post.send("a", channel, "down").await;
        let error = error(delivery);
        assert!(error.contains(expected), "{channel}: {error}");
        assert!(!error.contains(TOKEN) && !error.contains("xoxb-wrong") && !error.contains("services/"), "{error}");
        assert!(matches!(&told[..], [Event::NotifyFailed { .. }]), "{told:?}");
    }
    post.slack.next(Fault::Error("not_in_channel"));
    let error = error(post.send("a", "incidents", "down").await.0);
    assert!(error.contains("/invite"), "{error}");
}

#[tokio::test]
async fn a_short_wait_that_slack_asks_for_is_waited() {
    for channel in ["incidents", "hook"] {
        let post = Post::new();
        post.slack.next(Fault::TooMany(2));
        let (delivery, told) = post.send_in_time(channel).await;
        assert!(matches!(delivery, Delivery::Delivered { .. }), "{channel}: {delivery:?}");
        assert_eq!((told.len(), post.slack.messages().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_long_wait_is_left_to_the_step() {
    let post = Post::new();
    post.slack.next(Fault::TooMany(60));
    let (delivery, _) = post.send("a", "incidents", "down").await;
    let wait = Some(std::time::Duration::from_secs(60));
    assert!(matches!(&delivery, Delivery::Failed { retry_after, .. } if *retry_after == wait), "{delivery:?}");
}

#[tokio::test]
async fn no_answer_is_an_answer_after_ten_seconds_of_the_clock() {
    for channel in ["incidents", "hook"] {
        let post = Post::new();
        let before = runbook::clock::Clock::now(&post.clock);
        post.slack.next(Fault::Lost);
        let (delivery, told) = post.send_in_time(channel).await;
        assert!(error(delivery).contains("may have arrived all the same"));
        assert!(matches!(&told[..], [Event::NotifyFailed { .. }]));
        let took = runbook::clock::Clock::now(&post.clock) - before;
        assert!(took >= TimeDelta::from_std(DELIVERY_LIMIT).unwrap(), "{took}");
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_word_of_slack() {
    let post = Post::new();
    for channel in ["incidents", "hook"] {
        post.slack.next(Fault::Status(503));
        let error = error(post.send("a", channel, "down").await.0);
        assert!(error.contains("503") && !error.contains('<'), "{channel}: {error}");
    }
}

#[tokio::test]
async fn a_thread_that_is_gone_does_not_hold_up_the_news() {
    let mut post = Post::new();
    let (_, told) = post.send("a", "incidents", "down").await;
    post.append(told);
    post.slack.next(Fault::Error("thread_not_found"));
    let (delivery, _) = post.send("b", "incidents", "more").await;
    assert!(matches!(delivery, Delivery::Delivered { .. }), "{delivery:?}");
    assert_eq!(post.slack.messages()[1].thread, None);
}
