//! Messages: tried again until they arrive, the worst incident first.

use runbook::domain::incident::command::Request;
use runbook::domain::incident::event::{Event, MessageEvent, Recorded, StepEvent};
use serde_json::json;

use super::watch::{Watch, question, tell, who};
use crate::real::slack::Fault;

#[tokio::test]
async fn a_message_is_tried_again_with_growing_pauses_until_it_arrives() {
    let watch = Watch::new(&[], json!({})).await;
    watch.slack.always(Fault::Status(500));
    let id = watch.open(1, json!({"steps": [tell("stakeholders", &["incidents"], json!({}))]})).await;
    watch.pass(75).await;
    let failed: Vec<i64> = watch.story(&id, &["notify_failed"]).await.into_iter().map(|(_, at)| at).collect();
    let pauses: Vec<i64> = failed.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(failed[0], 0, "at once");
    for (pause, base) in pauses.iter().zip([2, 5, 15, 30]) {
        assert!((base..=base * 5 / 4 + 1).contains(pause), "{pauses:?}");
    }
    // The step's minute is over, and the run with it; the message is owed all the same.
    assert!(watch.incident(&id).await.live_runs().next().is_none());
    watch.slack.recover();
    watch.pass(80).await;
    assert_eq!(watch.slack.messages().len(), 1);
    assert_eq!(watch.story(&id, &["notified"]).await.len(), 1);
}

#[tokio::test]
async fn what_slack_asks_for_is_waited() {
    let watch = Watch::new(&[], json!({})).await;
    watch.slack.next(Fault::TooMany(40));
    let id = watch.open(1, json!({"steps": [tell("stakeholders", &["incidents"], json!({}))]})).await;
    watch.until_tried().await;
    watch.pass(39).await;
    assert_eq!(watch.slack.requests().len(), 1);
    watch.pass(2).await;
    assert_eq!(watch.story(&id, &["notified"]).await.len(), 1);
}

#[tokio::test]
async fn a_channel_that_refuses_for_good_gives_way_at_once() {
    let watch = Watch::new(&["oncall"], json!({})).await;
    watch.slack.next(Fault::Error("is_archived"));
    let id =
        watch.open(1, json!({"steps": [tell("stakeholders", &["incidents"], json!({})), question("cause")]})).await;
    watch.pass(1).await;
    let told = watch.story(&id, &["notify_failed", "notified"]).await;
    assert_eq!(told, [("notify_failed incidents".to_owned(), 0), ("notified oncall".to_owned(), 0)]);
    let incident = watch.incident(&id).await;
    let state = incident.runs[0].state(&"stakeholders".parse().unwrap()).unwrap();
    assert_eq!(state.outcome.as_ref().unwrap().summary, "told incidents");
}

#[tokio::test]
async fn a_dead_channel_holds_up_no_other() {
    let watch = Watch::new(
        &[],
        json!({"dead": {"slack_webhook": {"secret": "missing"}}, "deaf": {
            "webhook": {"url": "http://127.0.0.1:1/hook", "secret": {"secret": "key"}},
        }}),
    )
    .await;
    let id = watch.open(1, json!({"steps": [tell("all", &["dead", "deaf", "incidents"], json!({}))]})).await;
    assert_eq!(watch.story(&id, &["notified"]).await, [("notified incidents".to_owned(), 0)]);
}

#[tokio::test]
async fn a_person_who_goes_on_without_a_message_has_it_withdrawn() {
    let watch = Watch::new(&[], json!({})).await;
    watch.slack.always(Fault::Error("is_archived"));
    let id =
        watch.open(1, json!({"steps": [tell("stakeholders", &["incidents"], json!({"on_failure": "ask"}))]})).await;
    let skip = Request::Skip {
        target: crate::world::target(&watch.incident(&id).await, "stakeholders"),
        reason: "a false alarm".to_owned(),
    };
    watch.ask(&id, who("ada"), skip).await.unwrap();
    watch.slack.recover();
    watch.pass(10).await;
    assert_eq!(watch.slack.messages().len(), 0);
}

#[tokio::test]
async fn a_thousand_lesser_messages_wait_and_the_one_of_a_p1_goes_first() {
    let watch = Watch::new(&[], json!({})).await;
    // Few are sent at the same time, and those hang, however long the machine takes to begin all the others.
    watch.slack.deaf_to("minor");
    for number in 0..1_000 {
        let id = runbook::domain::core::id::IncidentId::from_bits(100 + number);
        watch.start(&id, json!({"severity": "p4", "steps": [tell("minor", &["incidents"], json!({}))]})).await;
    }
    watch.clock.advance(chrono::TimeDelta::milliseconds(250));
    watch.until("as many as may be are under way", async || watch.slack.requests().len() >= 3).await;
    let worst = runbook::domain::core::id::IncidentId::from_bits(1);
    watch.start(&worst, json!({"steps": [tell("platform", &["incidents"], json!({}))]})).await;
    watch.clock.advance(chrono::TimeDelta::milliseconds(250));
    let told = async || watch.story(&worst, &["notified"]).await;
    watch.until("the worst has arrived", async || told().await == [("notified incidents".to_owned(), 0)]).await;
    let texts: Vec<String> = watch.slack.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["platform: the shop is down"], "before all of them");
    watch.slack.recover();
    // Those that hang have ten seconds.
    watch.clock.advance(chrono::TimeDelta::seconds(11));
    watch.until("the others follow", async || watch.slack.messages().len() > 100).await;
}

#[tokio::test]
async fn a_message_that_is_given_up_after_a_day_is_said_to_be_at_that_second_and_once() {
    let watch = Watch::new(&[], json!({})).await;
    watch.slack.always(Fault::Status(500));
    let id = watch.open(1, json!({"steps": [tell("stakeholders", &["incidents"], json!({}))]})).await;
    let begun = |recorded: &&Recorded| matches!(recorded.event, Event::Step(StepEvent::Started { .. }));
    let owed = watch.log(&id).await.iter().find(begun).expect("the step has begun").at;
    let given_up = async || {
        let log = watch.log(&id).await;
        let is = |recorded: &&Recorded| matches!(&recorded.event, Event::Message(MessageEvent::NotifyFailed { error, .. }) if error.starts_with("given up after 24h"));
        log.iter().filter(is).map(|recorded| (recorded.at - owed).num_milliseconds()).collect::<Vec<_>>()
    };
    let day = chrono::TimeDelta::days(1);
    watch.clock.set(owed + day - chrono::TimeDelta::seconds(1));
    watch.settle().await;
    assert_eq!(given_up().await, [0; 0]);
    watch.pass(1).await;
    assert_eq!(given_up().await, [86_400_000]);
    let tries = watch.slack.requests().len();
    watch.clock.set(owed + day + day);
    watch.settle().await;
    assert_eq!((given_up().await, watch.slack.requests().len()), (vec![86_400_000], tries), "nothing more is tried");
}
