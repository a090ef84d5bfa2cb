//! Messages: retried until they are delivered, the most severe incident first.

use runbook::domain::incident::command::Request;
use runbook::domain::incident::event::{Event, MessageEvent, Recorded, StepEvent};
use serde_json::json;

use super::fixture::{PeopleFixture, ask_step, notify_step, person};
use crate::real::slack::Fault;

#[tokio::test]
async fn a_message_is_retried_with_growing_pauses_until_it_is_delivered() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    fixture.slack.always(Fault::Status(500));
    let id = fixture.open(1, json!({"steps": [notify_step("stakeholders", &["incidents"], json!({}))]})).await;
    fixture.pass(75).await;
    let failed: Vec<i64> = fixture.story(&id, &["notify_failed"]).await.into_iter().map(|(_, at)| at).collect();
    let pauses: Vec<i64> = failed.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(failed[0], 0, "at once");
    for (pause, base) in pauses.iter().zip([2, 5, 15, 30]) {
        assert!((base..=base * 5 / 4 + 1).contains(pause), "{pauses:?}");
    }
    // The step's timeout has ended it and the run; the message is still pending.
    assert!(fixture.incident(&id).await.live_runs().next().is_none());
    fixture.slack.recover();
    fixture.pass(80).await;
    assert_eq!(fixture.slack.messages().len(), 1);
    assert_eq!(fixture.story(&id, &["notified"]).await.len(), 1);
}

#[tokio::test]
async fn a_retry_after_of_slack_is_respected() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    fixture.slack.next(Fault::TooMany(40));
    let id = fixture.open(1, json!({"steps": [notify_step("stakeholders", &["incidents"], json!({}))]})).await;
    fixture.pass(39).await;
    assert_eq!(fixture.slack.requests().len(), 1);
    fixture.pass(2).await;
    assert_eq!(fixture.story(&id, &["notified"]).await.len(), 1);
}

#[tokio::test]
async fn a_permanent_refusal_uses_the_fallback_at_once() {
    let fixture = PeopleFixture::new(&["oncall"], json!({})).await;
    fixture.slack.next(Fault::Error("is_archived"));
    let id = fixture
        .open(1, json!({"steps": [notify_step("stakeholders", &["incidents"], json!({})), ask_step("cause")]}))
        .await;
    fixture.pass(1).await;
    let story = fixture.story(&id, &["notify_failed", "notified"]).await;
    assert_eq!(story, [("notify_failed incidents".to_owned(), 0), ("notified oncall".to_owned(), 0)]);
    let incident = fixture.incident(&id).await;
    let state = incident.runs[0].state(&"stakeholders".parse().unwrap()).unwrap();
    assert_eq!(state.outcome.as_ref().unwrap().summary, "told incidents");
}

#[tokio::test]
async fn a_failing_channel_does_not_delay_the_others() {
    let fixture = PeopleFixture::new(
        &[],
        json!({"dead": {"slack_webhook": {"secret": "missing"}}, "deaf": {
            "webhook": {"url": "http://127.0.0.1:1/hook", "secret": {"secret": "key"}},
        }}),
    )
    .await;
    let id = fixture.open(1, json!({"steps": [notify_step("all", &["dead", "deaf", "incidents"], json!({}))]})).await;
    assert_eq!(fixture.story(&id, &["notified"]).await, [("notified incidents".to_owned(), 0)]);
}

#[tokio::test]
async fn skipping_a_step_withdraws_its_message() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    fixture.slack.always(Fault::Error("is_archived"));
    let id = fixture
        .open(1, json!({"steps": [notify_step("stakeholders", &["incidents"], json!({"on_failure": "ask"}))]}))
        .await;
    let skip = Request::Skip {
        target: crate::engine_fixture::target(&fixture.incident(&id).await, "stakeholders"),
        reason: "a false alarm".to_owned(),
    };
    fixture.ask(&id, person("ada"), skip).await.unwrap();
    fixture.slack.recover();
    fixture.pass(10).await;
    assert_eq!(fixture.slack.messages().len(), 0);
}

#[tokio::test]
async fn a_message_of_a_p1_is_sent_before_a_thousand_minor_ones() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    // Few messages are sent at the same time, and those get no answer.
    fixture.slack.hang_on("minor");
    for number in 0..1_000 {
        let id = runbook::domain::core::id::IncidentId::from_bits(100 + number);
        fixture.start(&id, json!({"severity": "p4", "steps": [notify_step("minor", &["incidents"], json!({}))]})).await;
    }
    fixture.clock.advance(chrono::TimeDelta::milliseconds(250));
    fixture.until("as many deliveries as allowed are in progress", async || fixture.slack.requests().len() >= 3).await;
    let worst = runbook::domain::core::id::IncidentId::from_bits(1);
    fixture.start(&worst, json!({"steps": [notify_step("platform", &["incidents"], json!({}))]})).await;
    fixture.clock.advance(chrono::TimeDelta::milliseconds(250));
    let story = async || fixture.story(&worst, &["notified"]).await;
    fixture
        .until("the message of the P1 is delivered", async || story().await == [("notified incidents".to_owned(), 0)])
        .await;
    let texts: Vec<String> = fixture.slack.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["platform: the shop is down"], "it is sent before all others");
    fixture.slack.recover();
    // The deliveries without an answer end after ten seconds.
    fixture.clock.advance(chrono::TimeDelta::seconds(11));
    fixture.until("the other messages are delivered", async || fixture.slack.messages().len() > 100).await;
}

#[tokio::test]
async fn a_message_is_given_up_after_a_day_and_that_is_recorded_once() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    fixture.slack.always(Fault::Status(500));
    let id = fixture.open(1, json!({"steps": [notify_step("stakeholders", &["incidents"], json!({}))]})).await;
    let is_start = |recorded: &&Recorded| matches!(recorded.event, Event::Step(StepEvent::Started { .. }));
    let pending_since = fixture.log(&id).await.iter().find(is_start).expect("the step has begun").at;
    let given_up = async || {
        let log = fixture.log(&id).await;
        let is_given_up = |recorded: &&Recorded| matches!(&recorded.event, Event::Message(MessageEvent::NotifyFailed { error, .. }) if error.starts_with("given up after 24h"));
        log.iter()
            .filter(is_given_up)
            .map(|recorded| (recorded.at - pending_since).num_milliseconds())
            .collect::<Vec<_>>()
    };
    let day = chrono::TimeDelta::days(1);
    fixture.clock.set(pending_since + day - chrono::TimeDelta::seconds(1));
    fixture.settle().await;
    assert_eq!(given_up().await, [0; 0]);
    fixture.pass(1).await;
    assert_eq!(given_up().await, [86_400_000]);
    let tries = fixture.slack.requests().len();
    fixture.clock.set(pending_since + day + day);
    fixture.settle().await;
    assert_eq!(
        (given_up().await, fixture.slack.requests().len()),
        (vec![86_400_000], tries),
        "no further attempt is made"
    );
}
