//! Roles: taken, handed over, given back, and only by those who may.

use runbook::domain::incident::command::Request;
use runbook::domain::incident::event::{Actor, Identity};
use runbook::engine::EngineError;
use serde_json::json;

use super::watch::{Watch, question, who};

fn take(role: &str) -> Request {
    Request::TakeRole { role: role.to_owned() }
}

fn give(role: &str, to: &str) -> Request {
    Request::GiveRole { role: role.to_owned(), to: to.to_owned() }
}

fn no(answer: Result<runbook::domain::incident::Incident, EngineError>) -> String {
    match answer {
        Err(EngineError::Refused(refused)) => refused.message,
        other => panic!("it was to be refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_role_is_taken_handed_over_and_given_back() {
    let watch = Watch::new(&[], json!({})).await;
    let id = watch.open(1, json!({"steps": [question("cause")]})).await;
    watch.ask(&id, who("ada"), take("incident_commander")).await.unwrap();
    let incident = watch.ask(&id, who("ada"), give("incident_commander", "ben")).await.unwrap();
    assert_eq!(incident.roles["incident_commander"].person, "ben");
    // By another face, and the same person.
    let at_slack = Actor::Person {
        name: "Ben".to_owned(),
        via: "slack".to_owned(),
        id: Some(Identity::Slack("U0BEN".to_owned())),
    };
    let incident =
        watch.ask(&id, at_slack, Request::ReleaseRole { role: "incident_commander".to_owned() }).await.unwrap();
    assert!(incident.roles.is_empty());
}

#[tokio::test]
async fn a_role_is_kept_for_those_whom_the_estate_lists_by_what_they_prove() {
    let watch = Watch::new(&[], json!({})).await;
    let id = watch.open(1, json!({"steps": [question("cause")]})).await;
    assert_eq!(
        no(watch.ask(&id, who("cleo"), take("incident_commander")).await),
        "`cleo` may not be incident_commander"
    );
    // Somebody who only calls himself so.
    let spoofed = Actor::Person {
        name: "ada".to_owned(),
        via: "slack".to_owned(),
        id: Some(Identity::Slack("U0EVIL".to_owned())),
    };
    assert!(no(watch.ask(&id, spoofed, take("incident_commander")).await).contains("may not be"));
    assert!(no(watch.ask(&id, Actor::person("ada", "test"), take("incident_commander")).await).contains("may not be"));
    watch.ask(&id, who("ada"), take("incident_commander")).await.unwrap();
    assert!(no(watch.ask(&id, who("ada"), give("incident_commander", "cleo")).await).contains("may not be"));
    assert!(
        no(watch.ask(&id, who("cleo"), Request::ReleaseRole { role: "incident_commander".to_owned() }).await)
            .contains("may not")
    );
    assert_eq!(no(watch.ask(&id, who("ada"), take("commander")).await), "there is no role `commander` in the estate");
    assert_eq!(no(watch.ask(&id, who("ada"), give("scribe", "bene")).await), "there is no person `bene` in the estate");
    // A role with nobody listed is anybody's.
    let incident = watch.ask(&id, who("stranger"), take("scribe")).await.unwrap();
    assert_eq!(incident.roles["scribe"].person, "stranger");
}
