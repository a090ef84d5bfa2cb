//! Roles: taken, handed over and released, with permissions.

use runbook::domain::incident::command::Request;
use runbook::domain::incident::event::{Actor, Identity};
use runbook::engine::EngineError;
use serde_json::json;

use super::fixture::{PeopleFixture, ask_step, person};

fn take(role: &str) -> Request {
    Request::TakeRole { role: role.to_owned() }
}

fn give(role: &str, to: &str) -> Request {
    Request::GiveRole { role: role.to_owned(), to: to.to_owned() }
}

fn refusal(answer: Result<runbook::domain::incident::Incident, EngineError>) -> String {
    match answer {
        Err(EngineError::Refused(refused)) => refused.message,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_role_is_taken_handed_over_and_released() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let id = fixture.open(1, json!({"steps": [ask_step("cause")]})).await;
    fixture.ask(&id, person("ada"), take("incident_commander")).await.unwrap();
    let incident = fixture.ask(&id, person("ada"), give("incident_commander", "ben")).await.unwrap();
    assert_eq!(incident.roles["incident_commander"].person, "ben");
    // The same person by another interface.
    let at_slack = Actor::Person {
        name: "Ben".to_owned(),
        via: "slack".to_owned(),
        id: Some(Identity::Slack("U0BEN".to_owned())),
    };
    let incident =
        fixture.ask(&id, at_slack, Request::ReleaseRole { role: "incident_commander".to_owned() }).await.unwrap();
    assert!(incident.roles.is_empty());
}

#[tokio::test]
async fn only_people_that_the_estate_lists_by_a_proven_identity_may_take_a_role() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let id = fixture.open(1, json!({"steps": [ask_step("cause")]})).await;
    assert_eq!(
        refusal(fixture.ask(&id, person("cleo"), take("incident_commander")).await),
        "`cleo` may not be incident_commander"
    );
    // Another user with the same display name.
    let spoofed = Actor::Person {
        name: "ada".to_owned(),
        via: "slack".to_owned(),
        id: Some(Identity::Slack("U0EVIL".to_owned())),
    };
    assert!(refusal(fixture.ask(&id, spoofed, take("incident_commander")).await).contains("may not be"));
    assert!(
        refusal(fixture.ask(&id, Actor::person("ada", "test"), take("incident_commander")).await)
            .contains("may not be")
    );
    fixture.ask(&id, person("ada"), take("incident_commander")).await.unwrap();
    assert!(refusal(fixture.ask(&id, person("ada"), give("incident_commander", "cleo")).await).contains("may not be"));
    assert!(
        refusal(fixture.ask(&id, person("cleo"), Request::ReleaseRole { role: "incident_commander".to_owned() }).await)
            .contains("may not")
    );
    assert_eq!(
        refusal(fixture.ask(&id, person("ada"), take("commander")).await),
        "there is no role `commander` in the estate"
    );
    assert_eq!(
        refusal(fixture.ask(&id, person("ada"), give("scribe", "bene")).await),
        "there is no person `bene` in the estate"
    );
    // Anybody may take a role without listed people.
    let incident = fixture.ask(&id, person("somebody"), take("scribe")).await.unwrap();
    assert_eq!(incident.roles["scribe"].person, "somebody");
}
