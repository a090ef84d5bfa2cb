//! Deadlines: met, warned of, escalated and missed at their exact times.

use runbook::domain::incident::command::Request;
use runbook::domain::incident::deadline::DeadlineStatus;
use runbook::domain::incident::event::{Event, MessageEvent};
use runbook::domain::incident::message::NoticeCause;
use serde_json::json;

use super::channels::Receiver;
use super::fixture::{PeopleFixture, ask_step, notify_rule, notify_step, person};
use crate::real::slack::Fault;

#[tokio::test]
async fn slack_is_dead_for_twenty_minutes_and_the_fallback_delivers_before_the_deadline() {
    let hook = Receiver::start().await;
    let mut fixture = PeopleFixture::new(&["hook"], json!({"hook": hook.channel()})).await;
    fixture.slack.always(Fault::Hang);
    let steps = json!([notify_step("stakeholders", &["incidents"], json!({"meets": "notify"})), ask_step("cause")]);
    let id = fixture.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    fixture.pass(7 * 60).await;
    fixture.restart().await;
    fixture.pass(13 * 60).await;
    let story = fixture.story(&id, &["notified", "deadline_met", "deadline_missed", "deadline_warned"]).await;
    let [(warned, at), (notified, by_hook), (met, _)] = story.as_slice() else { panic!("{story:?}") };
    assert_eq!((warned.as_str(), *at), ("deadline_warned notify", 600));
    assert_eq!((notified.as_str(), met.as_str()), ("notified hook", "deadline_met notify"));
    assert!((780..900).contains(by_hook), "after `fallback_at` and before the deadline: {by_hook}");
    assert_eq!(hook.received().len(), 1, "once");
    let failed = fixture.story(&id, &["notify_failed"]).await;
    assert!(failed.len() > 10, "every attempt is in the log: {failed:?}");
    let before = failed.iter().filter(|(_, at)| *at < 420).count();
    assert!(before > 5 && failed.len() > before, "before the restart and after it");
}

#[tokio::test]
async fn every_channel_is_dead_and_the_miss_is_recorded_to_the_second() {
    let fixture = PeopleFixture::new(
        &["hook"],
        json!({"hook": {
            "webhook": {"url": "http://127.0.0.1:1/hook", "secret": {"secret": "key"}},
        }}),
    )
    .await;
    fixture.slack.always(Fault::Status(500));
    // Summer time begins in Europe at 01:00 UTC, ten minutes after the start.
    let steps = json!([notify_step("stakeholders", &["incidents"], json!({"meets": "notify"})), ask_step("cause")]);
    let id = fixture.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    fixture.pass(901).await;
    let story = fixture.story(&id, &["notified", "deadline_met", "deadline_missed"]).await;
    assert_eq!(story, [("deadline_missed notify".to_owned(), 900)]);
    assert!(fixture.story(&id, &["notify_failed"]).await.iter().any(|(line, _)| line == "notify_failed hook"));
}

#[tokio::test]
async fn the_engine_sends_a_built_in_notice_when_nobody_notified_stakeholders() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let steps = json!([
        ask_step("cause"),
        notify_step(
            "stakeholders",
            &["incidents"],
            json!({"meets": "notify",
        "body": {"action": {"kind": "notify", "effect": "repeatable",
            "spec": {"to": ["incidents"], "message": "because of {{ steps.cause.answer }}"}}}})
        )
    ]);
    let id = fixture.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    fixture.pass(779).await;
    assert_eq!(fixture.story(&id, &["notice_owed"]).await, [], "never early");
    fixture.pass(2).await;
    let story = fixture.story(&id, &["notice_owed", "notified", "deadline_met"]).await;
    assert_eq!(
        story,
        [
            ("notice_owed incidents".to_owned(), 780),
            ("notified incidents".to_owned(), 780),
            ("deadline_met notify".to_owned(), 780),
        ]
    );
    let text = &fixture.slack.messages()[0].text;
    assert!(text.contains("No update has been sent yet") && text.contains("waits for a person at cause"), "{text}");
    assert!(!text.contains("None") && !text.contains("because of"), "{text}");
}

#[tokio::test]
async fn the_message_of_the_runbook_is_sent_when_it_can_be_rendered() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let steps = json!([ask_step("cause"), notify_step("stakeholders", &["incidents"], json!({"meets": "notify"}))]);
    let id = fixture.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    fixture.pass(781).await;
    assert_eq!(fixture.slack.messages()[0].text, "stakeholders: the shop is down");
    let log = fixture.log(&id).await;
    let cause = log.iter().find_map(|recorded| match &recorded.event {
        Event::Message(MessageEvent::NoticeOwed { cause, .. }) => Some(cause.clone()),
        _ => None,
    });
    assert_eq!(cause, Some(NoticeCause::Fallback { deadline: "notify".to_owned(), built_in: false }));
}

#[tokio::test]
async fn the_escalation_channel_gets_the_warning_and_the_miss() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"name": "commander", "within": "5m", "from": "opened", "warn_at": "3m",
        "role": "incident_commander", "escalate": ["oncall"]});
    let id = fixture.open(1, json!({"steps": [ask_step("cause")], "deadlines": [rule]})).await;
    fixture.pass(301).await;
    let story =
        fixture.story(&id, &["deadline_warned", "notice_owed", "notified", "deadline_missed", "deadline_met"]).await;
    let lines: Vec<(&str, i64)> = story.iter().map(|(line, at)| (line.as_str(), *at)).collect();
    assert_eq!(
        lines,
        [
            ("deadline_warned commander", 180),
            ("notice_owed oncall", 180),
            ("notified oncall", 180),
            ("deadline_missed commander", 300),
            ("notice_owed oncall", 300),
            ("notified oncall", 300),
        ]
    );
    assert!(fixture.slack.messages()[1].text.contains("nobody has taken the role incident_commander"));
    fixture.ask(&id, person("ben"), Request::TakeRole { role: "incident_commander".to_owned() }).await.unwrap();
    let status = fixture.incident(&id).await.deadlines[0].status.clone();
    assert!(matches!(status, DeadlineStatus::MetLate { .. }), "{status:?}");
}

#[tokio::test]
async fn taking_a_role_in_time_meets_its_deadline() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"name": "commander", "within": "5m", "from": "opened", "role": "incident_commander"});
    let id = fixture.open(1, json!({"steps": [ask_step("cause")], "deadlines": [rule]})).await;
    fixture.pass(60).await;
    fixture.ask(&id, person("ada"), Request::TakeRole { role: "incident_commander".to_owned() }).await.unwrap();
    assert_eq!(fixture.story(&id, &["deadline_met"]).await, [("deadline_met commander".to_owned(), 60)]);
}

#[tokio::test]
async fn an_update_is_due_every_half_hour_and_each_update_restarts_the_time() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"name": "update", "within": "30m", "from": "opened", "repeats": true, "to": ["incidents"]});
    let id = fixture.open(1, json!({"steps": [ask_step("cause")], "deadlines": [rule]})).await;
    fixture.clock.advance(chrono::TimeDelta::minutes(20));
    fixture.settle().await;
    fixture.ask(&id, person("ada"), Request::Update("we look at the database".to_owned())).await.unwrap();
    assert!(fixture.slack.messages()[0].text.contains("we look at the database"));
    // The clock jumps over the next deadline and more than one interval.
    fixture.clock.advance(chrono::TimeDelta::seconds(1_799));
    fixture.settle().await;
    fixture.pass(1).await;
    fixture.clock.advance(chrono::TimeDelta::minutes(95));
    fixture.settle().await;
    let story = fixture.story(&id, &["deadline_set", "deadline_met", "deadline_missed", "deadline_lifted"]).await;
    let lines: Vec<(&str, i64)> = story.iter().map(|(line, at)| (line.as_str(), *at)).collect();
    assert_eq!(
        lines,
        [
            ("deadline_set update", 0),
            ("deadline_met update", 1_200),
            ("deadline_set update", 1_200),
            ("deadline_missed update", 3_000),
            ("deadline_set update", 3_000),
            ("deadline_missed update", 8_700),
            ("deadline_set update", 8_700),
        ]
    );
    let due = fixture.incident(&id).await.deadlines[0].due;
    assert_eq!((due - fixture.log(&id).await[0].at).num_seconds(), 10_200, "the next multiple of half an hour");
    fixture.ask(&id, person("ada"), Request::Resolve { summary: None }).await.unwrap();
    assert_eq!(fixture.story(&id, &["deadline_lifted"]).await, [("deadline_lifted update".to_owned(), 8_700)]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_repeats_nothing() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let steps = json!([ask_step("cause"), notify_step("stakeholders", &["incidents"], json!({"meets": "notify"}))]);
    let id = fixture.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    fixture.pass(601).await;
    fixture.clock.advance(chrono::TimeDelta::seconds(-120));
    fixture.settle().await;
    fixture.pass(121).await;
    assert_eq!(fixture.story(&id, &["deadline_warned"]).await, [("deadline_warned notify".to_owned(), 600)]);
    // Set forward beyond `fallback_at`: the notice is sent at once, and the deadline is met.
    fixture.clock.advance(chrono::TimeDelta::seconds(240));
    fixture.settle().await;
    fixture.pass(1).await;
    assert_eq!(fixture.story(&id, &["deadline_met", "deadline_missed"]).await.len(), 1);
    assert_eq!(fixture.story(&id, &["deadline_missed"]).await, []);
}

#[tokio::test]
async fn a_retried_step_does_not_delay_a_deadline() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    fixture.slack.always(Fault::Error("is_archived"));
    let pause = json!({"id": "pause", "name": "Wait", "body": {"wait": "600s"}});
    let steps = json!([notify_step("stakeholders", &["incidents"], json!({"timeout": "3600s"})), pause]);
    let rule = json!({"name": "notify", "within": "903s", "from": "opened", "warn_at": "607s"});
    let id = fixture.open(1, json!({"steps": steps, "deadlines": [rule]})).await;
    fixture.slack.always(Fault::Status(500));
    let target = crate::engine_fixture::target(&fixture.incident(&id).await, "stakeholders");
    fixture.ask(&id, person("ada"), Request::Retry { target }).await.unwrap();
    fixture.pass(920).await;
    let story = fixture.story(&id, &["deadline_warned", "deadline_missed"]).await;
    assert_eq!(story, [("deadline_warned notify".to_owned(), 607), ("deadline_missed notify".to_owned(), 903)]);
}

#[tokio::test]
async fn a_draft_that_cannot_be_written_does_not_delay_a_deadline() {
    let mut fixture = PeopleFixture::new(&[], json!({})).await;
    fixture.block_drafts();
    let rule = json!({"name": "postmortem", "within": "107s", "from": "resolved"});
    let id = fixture.open(1, json!({"steps": [], "deadlines": [rule]})).await;
    fixture.ask(&id, person("ada"), Request::Resolve { summary: None }).await.unwrap();
    let from = fixture.story(&id, &["resolved"]).await[0].1;
    fixture.pass(120).await;
    let story = fixture.story(&id, &["postmortem_written", "deadline_missed"]).await;
    assert_eq!(story, [("deadline_missed postmortem".to_owned(), from + 107)]);
}
