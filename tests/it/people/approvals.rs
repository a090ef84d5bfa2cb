//! Approvals: valid for one digest, from the right people, once.

use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::command::{Command, Request};
use runbook::domain::incident::event::ApprovalRefusalCause;
use runbook::domain::incident::event::{Actor, Event, Gate, Identity, RoleEvent};
use serde_json::{Value, json};

use super::fixture::{PeopleFixture, person};
use crate::engine_fixture::{self, target};

/// A change with this approval rule.
fn rollback(approve: Value) -> Value {
    json!({"id": "rollback", "name": "Roll back", "approve": approve,
        "body": {"action": {"kind": "command", "spec": {"argv": ["true"]}, "effect": "once"}}})
}

async fn digest(fixture: &PeopleFixture, id: &IncidentId) -> String {
    let incident = fixture.incident(id).await;
    match incident.waiting_for_person().first() {
        Some((_, _, Gate::Approve { digest, .. })) => digest.clone(),
        other => panic!("no change waits for approval: {other:?}"),
    }
}

/// The approval of this digest.
async fn approve(fixture: &PeopleFixture, id: &IncidentId, digest: &str) -> Request {
    Request::Approve { target: target(&fixture.incident(id).await, "rollback"), digest: digest.to_owned() }
}

/// The approval of the waiting change.
async fn approve_present(fixture: &PeopleFixture, id: &IncidentId) -> Request {
    engine_fixture::approve(&fixture.incident(id).await)
}

/// Submits a request that is refused; the recorded cause and person.
async fn refusal(
    fixture: &PeopleFixture,
    id: &IncidentId,
    by: Actor,
    request: Request,
) -> (ApprovalRefusalCause, String) {
    let before = fixture.incident(id).await.refusals;
    assert!(fixture.ask(id, by, request).await.is_err());
    assert_eq!(fixture.incident(id).await.refusals, before + 1, "it is recorded");
    let log = fixture.log(id).await;
    let last = log.iter().rev().find_map(|recorded| match &recorded.event {
        Event::Role(RoleEvent::ApprovalRefused(refusal)) => Some((refusal.cause, recorded.by.name().to_owned())),
        _ => None,
    });
    last.unwrap()
}

async fn started_steps(fixture: &PeopleFixture, id: &IncidentId) -> usize {
    fixture.story(id, &["step_started"]).await.len()
}

#[tokio::test]
async fn two_people_have_to_approve_and_one_person_counts_once() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"by": ["incident_commander", "operations"], "count": "2"});
    let id = fixture.open(1, json!({"steps": [rollback(rule)]})).await;
    let seen = digest(&fixture, &id).await;
    fixture.ask(&id, person("ada"), approve(&fixture, &id, &seen).await).await.unwrap();
    assert_eq!(started_steps(&fixture, &id).await, 0);
    // The same person by another interface.
    let at_slack =
        Actor::Person { name: "A.".to_owned(), via: "slack".to_owned(), id: Some(Identity::Slack("U0ADA".to_owned())) };
    assert_eq!(
        refusal(&fixture, &id, at_slack, approve(&fixture, &id, &seen).await).await.0,
        ApprovalRefusalCause::Twice
    );
    fixture.ask(&id, person("cleo"), approve(&fixture, &id, &seen).await).await.unwrap();
    assert_eq!(started_steps(&fixture, &id).await, 1);
}

#[tokio::test]
async fn approvals_by_the_wrong_person_the_requester_and_a_namesake_are_refused() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"by": ["incident_commander"], "not_requester": true});
    let id = fixture.open(1, json!({"steps": [rollback(rule)]})).await;
    assert_eq!(
        refusal(&fixture, &id, person("cleo"), approve_present(&fixture, &id).await).await,
        (ApprovalRefusalCause::WrongPerson, "cleo".to_owned())
    );
    assert_eq!(
        refusal(&fixture, &id, person("ada"), approve_present(&fixture, &id).await).await.0,
        ApprovalRefusalCause::Requester
    );
    let spoofed = Actor::Person {
        name: "ben".to_owned(),
        via: "slack".to_owned(),
        id: Some(Identity::Slack("U0EVIL".to_owned())),
    };
    assert_eq!(
        refusal(&fixture, &id, spoofed, approve_present(&fixture, &id).await).await.0,
        ApprovalRefusalCause::WrongPerson
    );
    assert_eq!(
        refusal(&fixture, &id, Actor::person("ben", "test"), approve_present(&fixture, &id).await).await.0,
        ApprovalRefusalCause::WrongPerson
    );
    assert_eq!(started_steps(&fixture, &id).await, 0);
    fixture.ask(&id, person("ben"), approve_present(&fixture, &id).await).await.unwrap();
    assert_eq!(started_steps(&fixture, &id).await, 1);
}

#[tokio::test]
async fn an_approval_is_valid_once_and_for_one_change() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let mut step = rollback(json!({"by": []}));
    step["body"]["action"]["spec"]["argv"] = json!(["false"]);
    let (one, other) =
        (fixture.open(1, json!({"steps": [step.clone()]})).await, fixture.open(2, json!({"steps": [step]})).await);
    let (seen, of_another) = (digest(&fixture, &one).await, digest(&fixture, &other).await);
    assert_ne!(seen, of_another, "the same change of another incident has another digest");
    assert_eq!(
        refusal(&fixture, &one, person("ben"), approve(&fixture, &one, &of_another).await).await.0,
        ApprovalRefusalCause::AnotherPlan
    );
    fixture.ask(&one, person("ben"), approve(&fixture, &one, &seen).await).await.unwrap();
    assert_eq!(started_steps(&fixture, &one).await, 1);
    assert_eq!(
        refusal(&fixture, &one, person("ben"), approve(&fixture, &one, &seen).await).await.0,
        ApprovalRefusalCause::NotWaiting
    );
    // The step has failed: a retry asks again, and the earlier approval does not count.
    fixture
        .ask(&one, person("ben"), Request::Retry { target: target(&fixture.incident(&one).await, "rollback") })
        .await
        .unwrap();
    assert_eq!(started_steps(&fixture, &one).await, 1);
    assert_eq!(
        refusal(&fixture, &one, person("ben"), approve(&fixture, &one, &seen).await).await.0,
        ApprovalRefusalCause::AnotherPlan
    );
}

#[tokio::test]
async fn an_expired_approval_fails_the_step() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"by": ["incident_commander"], "count": "2", "expires": "5m"});
    let id = fixture.open(1, json!({"steps": [rollback(rule)]})).await;
    let seen = digest(&fixture, &id).await;
    fixture.ask(&id, person("ada"), approve(&fixture, &id, &seen).await).await.unwrap();
    fixture.pass(299).await;
    digest(&fixture, &id).await;
    fixture.pass(1).await;
    let incident = fixture.incident(&id).await;
    let waiting = incident.waiting_for_person();
    assert!(
        matches!(&waiting[0].2, Gate::Failure { error } if error == "only 1 of 2 people have agreed in time"),
        "{waiting:?}"
    );
    assert_eq!(
        refusal(&fixture, &id, person("ben"), approve(&fixture, &id, &seen).await).await.0,
        ApprovalRefusalCause::NotWaiting
    );
    assert_eq!(started_steps(&fixture, &id).await, 0);
}

#[tokio::test]
async fn an_approval_after_the_expiry_is_refused_before_the_dispatcher_notices() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"by": [], "expires": "5m"});
    let id = fixture.open(1, json!({"steps": [rollback(rule)]})).await;
    // Without an await after the clock, so that the dispatcher cannot notice the expiry first.
    fixture.clock.advance(chrono::TimeDelta::seconds(301));
    let request = approve_present(&fixture, &id).await;
    let answer = fixture.engine.submit(&id, Command { by: person("ben"), request });
    assert!(answer.await.is_err());
    fixture.settle().await;
    let log = fixture.log(&id).await;
    let causes = log.iter().filter_map(|recorded| match &recorded.event {
        Event::Role(RoleEvent::ApprovalRefused(refusal)) => Some(refusal.cause),
        _ => None,
    });
    let causes: Vec<ApprovalRefusalCause> = causes.collect();
    assert_eq!(causes, [ApprovalRefusalCause::Expired]);
    assert_eq!(started_steps(&fixture, &id).await, 0);
}

#[tokio::test]
async fn the_number_of_approvals_may_depend_on_the_environment() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let rule = json!({"by": [], "count": "{{ 2 if environment.name == 'production' else 1 }}"});
    let id = fixture.open(1, json!({"steps": [rollback(rule)]})).await;
    fixture.ask(&id, person("ada"), approve_present(&fixture, &id).await).await.unwrap();
    assert_eq!(started_steps(&fixture, &id).await, 0);
    fixture.ask(&id, person("somebody"), approve_present(&fixture, &id).await).await.unwrap();
    assert_eq!(started_steps(&fixture, &id).await, 1);
}

#[tokio::test]
async fn recorded_refusals_of_one_unknown_user_are_limited() {
    let fixture = PeopleFixture::new(&[], json!({})).await;
    let id = fixture.open(1, json!({"steps": [rollback(json!({"by": ["incident_commander"]}))]})).await;
    let (name, via) = ("U0EVE".to_owned(), "slack".to_owned());
    let eve = Actor::Person { id: Some(Identity::Slack(name.clone())), name, via };
    for _ in 0..300 {
        let request = Request::RefuseUnknownUser { step: None, wanted: "use `/runbook note`".to_owned() };
        let command = Command { by: eve.clone(), request };
        fixture.engine.submit(&id, command).await.unwrap();
    }
    assert_eq!(fixture.incident(&id).await.refusals, 100);
    let seen = digest(&fixture, &id).await;
    assert_eq!(
        refusal(&fixture, &id, person("cleo"), approve(&fixture, &id, &seen).await).await.0,
        ApprovalRefusalCause::WrongPerson
    );
}
