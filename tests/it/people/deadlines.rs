//! Deadlines: met, warned of, escalated and missed at their exact times, whatever else goes on.

use runbook::domain::incident::command::Request;
use runbook::domain::incident::deadline::DeadlineStatus;
use runbook::domain::incident::event::{Event, MessageEvent};
use runbook::domain::incident::message::NoticeCause;
use serde_json::json;

use super::watch::{Watch, notify_rule, question, tell, who};
use super::ways::Receiver;
use crate::real::slack::Fault;

#[tokio::test]
async fn slack_is_dead_for_twenty_minutes_and_the_fallback_delivers_before_the_deadline() {
    let hook = Receiver::start().await;
    let mut watch = Watch::new(&["hook"], json!({"hook": hook.channel()})).await;
    watch.slack.always(Fault::Hang);
    let steps = json!([tell("stakeholders", &["incidents"], json!({"meets": "notify"})), question("cause")]);
    let id = watch.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    watch.pass(7 * 60).await;
    watch.restart().await;
    watch.pass(13 * 60).await;
    let told = watch.story(&id, &["notified", "deadline_met", "deadline_missed", "deadline_warned"]).await;
    let [(warned, at), (notified, by_hook), (met, _)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((warned.as_str(), *at), ("deadline_warned notify", 600));
    assert_eq!((notified.as_str(), met.as_str()), ("notified hook", "deadline_met notify"));
    assert!((780..900).contains(by_hook), "after the fallback's time, and before the deadline: {by_hook}");
    assert_eq!(hook.taken().len(), 1, "once");
    let failed = watch.story(&id, &["notify_failed"]).await;
    assert!(failed.len() > 10, "every try is in the log: {failed:?}");
    let before = failed.iter().filter(|(_, at)| *at < 420).count();
    assert!(before > 5 && failed.len() > before, "before the restart and after it");
}

#[tokio::test]
async fn every_channel_is_dead_and_the_miss_is_recorded_to_the_second() {
    let watch = Watch::new(
        &["hook"],
        json!({"hook": {
            "webhook": {"url": "http://127.0.0.1:1/hook", "secret": {"secret": "key"}},
        }}),
    )
    .await;
    watch.slack.always(Fault::Status(500));
    // The clocks of Europe are put forward meanwhile, at 01:00 UTC.
    let steps = json!([tell("stakeholders", &["incidents"], json!({"meets": "notify"})), question("cause")]);
    let id = watch.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    watch.pass(901).await;
    let told = watch.story(&id, &["notified", "deadline_met", "deadline_missed"]).await;
    assert_eq!(told, [("deadline_missed notify".to_owned(), 900)]);
    assert!(watch.story(&id, &["notify_failed"]).await.iter().any(|(line, _)| line == "notify_failed hook"));
}

#[tokio::test]
async fn nobody_has_told_stakeholders_and_the_engine_does_it_in_its_own_words() {
    let watch = Watch::new(&[], json!({})).await;
    let steps = json!([
        question("cause"),
        tell(
            "stakeholders",
            &["incidents"],
            json!({"meets": "notify",
        "body": {"action": {"kind": "notify", "effect": "repeatable",
            "spec": {"to": ["incidents"], "message": "because of {{ steps.cause.answer }}"}}}})
        )
    ]);
    let id = watch.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    watch.pass(779).await;
    assert_eq!(watch.story(&id, &["notice_owed"]).await, [], "never early");
    watch.pass(2).await;
    let told = watch.story(&id, &["notice_owed", "notified", "deadline_met"]).await;
    assert_eq!(
        told,
        [
            ("notice_owed incidents".to_owned(), 780),
            ("notified incidents".to_owned(), 780),
            ("deadline_met notify".to_owned(), 780),
        ]
    );
    let text = &watch.slack.messages()[0].text;
    assert!(
        text.contains("Nobody has told stakeholders yet") && text.contains("waits for a person at cause"),
        "{text}"
    );
    assert!(!text.contains("None") && !text.contains("because of"), "{text}");
}

#[tokio::test]
async fn the_runbooks_own_words_are_used_where_all_of_them_is_known() {
    let watch = Watch::new(&[], json!({})).await;
    let steps = json!([question("cause"), tell("stakeholders", &["incidents"], json!({"meets": "notify"}))]);
    let id = watch.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    watch.pass(781).await;
    assert_eq!(watch.slack.messages()[0].text, "stakeholders: the shop is down");
    let log = watch.log(&id).await;
    let cause = log.iter().find_map(|recorded| match &recorded.event {
        Event::Message(MessageEvent::NoticeOwed { cause, .. }) => Some(cause.clone()),
        _ => None,
    });
    assert_eq!(cause, Some(NoticeCause::Fallback { deadline: "notify".to_owned(), built_in: false }));
}

#[tokio::test]
async fn who_is_named_for_a_deadline_hears_of_the_warning_and_of_the_miss() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"name": "commander", "within": "5m", "from": "opened", "warn_at": "3m",
        "role": "incident_commander", "escalate": ["oncall"]});
    let id = watch.open(1, json!({"steps": [question("cause")], "deadlines": [rule]})).await;
    watch.pass(301).await;
    let told =
        watch.story(&id, &["deadline_warned", "notice_owed", "notified", "deadline_missed", "deadline_met"]).await;
    let lines: Vec<(&str, i64)> = told.iter().map(|(line, at)| (line.as_str(), *at)).collect();
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
    assert!(watch.slack.messages()[1].text.contains("nobody has taken the role incident_commander"));
    watch.ask(&id, who("ben"), Request::TakeRole { role: "incident_commander".to_owned() }).await.unwrap();
    let status = watch.incident(&id).await.deadlines[0].status.clone();
    assert!(matches!(status, DeadlineStatus::MetLate { .. }), "{status:?}");
}

#[tokio::test]
async fn a_role_that_is_taken_in_time_meets_its_deadline() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"name": "commander", "within": "5m", "from": "opened", "role": "incident_commander"});
    let id = watch.open(1, json!({"steps": [question("cause")], "deadlines": [rule]})).await;
    watch.pass(60).await;
    watch.ask(&id, who("ada"), Request::TakeRole { role: "incident_commander".to_owned() }).await.unwrap();
    assert_eq!(watch.story(&id, &["deadline_met"]).await, [("deadline_met commander".to_owned(), 60)]);
}

#[tokio::test]
async fn an_update_is_owed_every_half_hour_and_each_word_begins_the_time_anew() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"name": "update", "within": "30m", "from": "opened", "repeats": true, "to": ["incidents"]});
    let id = watch.open(1, json!({"steps": [question("cause")], "deadlines": [rule]})).await;
    watch.clock.advance(chrono::TimeDelta::minutes(20));
    watch.settle().await;
    watch.ask(&id, who("ada"), Request::Update("we look at the database".to_owned())).await.unwrap();
    assert!(watch.slack.messages()[0].text.contains("we look at the database"));
    // The process is away when the next is missed, and for more than one further time.
    watch.clock.advance(chrono::TimeDelta::seconds(1_799));
    watch.settle().await;
    watch.pass(1).await;
    watch.clock.advance(chrono::TimeDelta::minutes(95));
    watch.settle().await;
    let told = watch.story(&id, &["deadline_set", "deadline_met", "deadline_missed", "deadline_lifted"]).await;
    let lines: Vec<(&str, i64)> = told.iter().map(|(line, at)| (line.as_str(), *at)).collect();
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
    let due = watch.incident(&id).await.deadlines[0].due;
    assert_eq!((due - watch.log(&id).await[0].at).num_seconds(), 10_200, "the next of the same half hours");
    watch.ask(&id, who("ada"), Request::Resolve { summary: None }).await.unwrap();
    assert_eq!(watch.story(&id, &["deadline_lifted"]).await, [("deadline_lifted update".to_owned(), 8_700)]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_happen_twice() {
    let watch = Watch::new(&[], json!({})).await;
    let steps = json!([question("cause"), tell("stakeholders", &["incidents"], json!({"meets": "notify"}))]);
    let id = watch.open(1, json!({"steps": steps, "deadlines": [notify_rule()]})).await;
    watch.pass(601).await;
    watch.clock.advance(chrono::TimeDelta::seconds(-120));
    watch.settle().await;
    watch.pass(121).await;
    assert_eq!(watch.story(&id, &["deadline_warned"]).await, [("deadline_warned notify".to_owned(), 600)]);
    // Set forward over the fallback's time: that is done at once, and the deadline is kept.
    watch.clock.advance(chrono::TimeDelta::seconds(240));
    watch.settle().await;
    watch.pass(1).await;
    assert_eq!(watch.story(&id, &["deadline_met", "deadline_missed"]).await.len(), 1);
    assert_eq!(watch.story(&id, &["deadline_missed"]).await, []);
}

#[tokio::test]
async fn a_time_that_has_passed_behind_a_step_that_is_tried_again_delays_no_deadline() {
    let watch = Watch::new(&[], json!({})).await;
    watch.slack.always(Fault::Error("is_archived"));
    let pause = json!({"id": "pause", "name": "Wait", "body": {"wait": "600s"}});
    let steps = json!([tell("stakeholders", &["incidents"], json!({"timeout": "3600s"})), pause]);
    let rule = json!({"name": "notify", "within": "903s", "from": "opened", "warn_at": "607s"});
    let id = watch.open(1, json!({"steps": steps, "deadlines": [rule]})).await;
    watch.slack.always(Fault::Status(500));
    let target = crate::world::target(&watch.incident(&id).await, "stakeholders");
    watch.ask(&id, who("ada"), Request::Retry { target }).await.unwrap();
    watch.pass(920).await;
    let told = watch.story(&id, &["deadline_warned", "deadline_missed"]).await;
    assert_eq!(told, [("deadline_warned notify".to_owned(), 607), ("deadline_missed notify".to_owned(), 903)]);
}

#[tokio::test]
async fn a_draft_that_cannot_be_written_delays_no_deadline() {
    let watch = Watch::new(&[], json!({})).await;
    watch.spoil_drafts();
    let rule = json!({"name": "postmortem", "within": "107s", "from": "resolved"});
    let id = watch.open(1, json!({"steps": [], "deadlines": [rule]})).await;
    watch.ask(&id, who("ada"), Request::Resolve { summary: None }).await.unwrap();
    let from = watch.story(&id, &["resolved"]).await[0].1;
    watch.pass(120).await;
    let told = watch.story(&id, &["postmortem_written", "deadline_missed"]).await;
    assert_eq!(told, [("deadline_missed postmortem".to_owned(), from + 107)]);
}
