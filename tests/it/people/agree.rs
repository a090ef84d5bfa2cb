//! Agreement: bound to exactly what will run, by the right people, once.

use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::command::{Command, Request};
use runbook::domain::incident::event::{Actor, ApprovalRefusalCause, Event, Gate, Identity, RoleEvent};
use serde_json::{Value, json};

use super::watch::{Watch, who};
use crate::world::{self, target};

/// A change that two have to agree to.
fn rollback(approve: Value) -> Value {
    json!({"id": "rollback", "name": "Roll back", "approve": approve,
        "body": {"action": {"kind": "command", "spec": {"argv": ["true"]}, "effect": "once"}}})
}

async fn digest(watch: &Watch, id: &IncidentId) -> String {
    let incident = watch.incident(id).await;
    match incident.waiting_for_person().first() {
        Some((_, _, Gate::Approve { digest, .. })) => digest.clone(),
        other => panic!("it was to wait for agreement: {other:?}"),
    }
}

/// Agreement to this digest.
async fn approve(watch: &Watch, id: &IncidentId, digest: &str) -> Request {
    Request::Approve { target: target(&watch.incident(id).await, "rollback"), digest: digest.to_owned() }
}

/// Agreement to what waits.
async fn approve_present(watch: &Watch, id: &IncidentId) -> Request {
    world::approve(&watch.incident(id).await)
}

/// Why the last one was refused, as the log has it, with who asked.
async fn refused(watch: &Watch, id: &IncidentId, by: Actor, request: Request) -> (ApprovalRefusalCause, String) {
    let before = watch.incident(id).await.refusals;
    assert!(watch.ask(id, by, request).await.is_err());
    assert_eq!(watch.incident(id).await.refusals, before + 1, "it is recorded");
    let log = watch.log(id).await;
    let last = log.iter().rev().find_map(|recorded| match &recorded.event {
        Event::Role(RoleEvent::ApprovalRefused(refusal)) => Some((refusal.cause, recorded.by.name().to_owned())),
        _ => None,
    });
    last.unwrap()
}

async fn begun(watch: &Watch, id: &IncidentId) -> usize {
    watch.story(id, &["step_started"]).await.len()
}

#[tokio::test]
async fn two_people_have_to_agree_and_one_of_them_twice_is_one() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"by": ["incident_commander", "operations"], "count": "2"});
    let id = watch.open(1, json!({"steps": [rollback(rule)]})).await;
    let seen = digest(&watch, &id).await;
    watch.ask(&id, who("ada"), approve(&watch, &id, &seen).await).await.unwrap();
    assert_eq!(begun(&watch, &id).await, 0);
    // The same person at another face is the same person.
    let at_slack =
        Actor::Person { name: "A.".to_owned(), via: "slack".to_owned(), id: Some(Identity::Slack("U0ADA".to_owned())) };
    assert_eq!(refused(&watch, &id, at_slack, approve(&watch, &id, &seen).await).await.0, ApprovalRefusalCause::Twice);
    watch.ask(&id, who("cleo"), approve(&watch, &id, &seen).await).await.unwrap();
    assert_eq!(begun(&watch, &id).await, 1);
}

#[tokio::test]
async fn the_wrong_person_the_requester_and_somebody_of_the_same_name_are_refused() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"by": ["incident_commander"], "not_requester": true});
    let id = watch.open(1, json!({"steps": [rollback(rule)]})).await;
    assert_eq!(
        refused(&watch, &id, who("cleo"), approve_present(&watch, &id).await).await,
        (ApprovalRefusalCause::WrongPerson, "cleo".to_owned())
    );
    assert_eq!(
        refused(&watch, &id, who("ada"), approve_present(&watch, &id).await).await.0,
        ApprovalRefusalCause::Requester
    );
    let spoofed = Actor::Person {
        name: "ben".to_owned(),
        via: "slack".to_owned(),
        id: Some(Identity::Slack("U0EVIL".to_owned())),
    };
    assert_eq!(
        refused(&watch, &id, spoofed, approve_present(&watch, &id).await).await.0,
        ApprovalRefusalCause::WrongPerson
    );
    assert_eq!(
        refused(&watch, &id, Actor::person("ben", "test"), approve_present(&watch, &id).await).await.0,
        ApprovalRefusalCause::WrongPerson
    );
    assert_eq!(begun(&watch, &id).await, 0);
    watch.ask(&id, who("ben"), approve_present(&watch, &id).await).await.unwrap();
    assert_eq!(begun(&watch, &id).await, 1);
}

#[tokio::test]
async fn an_agreement_is_good_once_and_for_nothing_else() {
    let watch = Watch::new(&[], json!({})).await;
    let mut step = rollback(json!({"by": []}));
    step["body"]["action"]["spec"]["argv"] = json!(["false"]);
    let (one, other) =
        (watch.open(1, json!({"steps": [step.clone()]})).await, watch.open(2, json!({"steps": [step]})).await);
    let (seen, of_another) = (digest(&watch, &one).await, digest(&watch, &other).await);
    assert_ne!(seen, of_another, "the same change of another incident is another");
    assert_eq!(
        refused(&watch, &one, who("ben"), approve(&watch, &one, &of_another).await).await.0,
        ApprovalRefusalCause::AnotherPlan
    );
    watch.ask(&one, who("ben"), approve(&watch, &one, &seen).await).await.unwrap();
    assert_eq!(begun(&watch, &one).await, 1);
    assert_eq!(
        refused(&watch, &one, who("ben"), approve(&watch, &one, &seen).await).await.0,
        ApprovalRefusalCause::NotWaiting
    );
    // It has failed: to try again is to ask again, and what was agreed to before is not agreed to now.
    watch
        .ask(&one, who("ben"), Request::Retry { target: target(&watch.incident(&one).await, "rollback") })
        .await
        .unwrap();
    assert_eq!(begun(&watch, &one).await, 1);
    assert_eq!(
        refused(&watch, &one, who("ben"), approve(&watch, &one, &seen).await).await.0,
        ApprovalRefusalCause::AnotherPlan
    );
}

#[tokio::test]
async fn a_question_lapses_and_the_step_has_failed() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"by": ["incident_commander"], "count": "2", "expires": "5m"});
    let id = watch.open(1, json!({"steps": [rollback(rule)]})).await;
    let seen = digest(&watch, &id).await;
    watch.ask(&id, who("ada"), approve(&watch, &id, &seen).await).await.unwrap();
    watch.pass(299).await;
    digest(&watch, &id).await;
    watch.pass(1).await;
    let incident = watch.incident(&id).await;
    let waiting = incident.waiting_for_person();
    assert!(
        matches!(&waiting[0].2, Gate::Failure { error } if error == "only 1 of 2 people have agreed in time"),
        "{waiting:?}"
    );
    assert_eq!(
        refused(&watch, &id, who("ben"), approve(&watch, &id, &seen).await).await.0,
        ApprovalRefusalCause::NotWaiting
    );
    assert_eq!(begun(&watch, &id).await, 0);
}

#[tokio::test]
async fn nobody_is_at_work_when_the_time_is_over_and_it_is_too_late_all_the_same() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"by": [], "expires": "5m"});
    let id = watch.open(1, json!({"steps": [rollback(rule)]})).await;
    // In one breath with the clock: the one on duty has had no time to notice.
    watch.clock.advance(chrono::TimeDelta::seconds(301));
    let request = approve_present(&watch, &id).await;
    let answer = watch.engine.submit(&id, Command { by: who("ben"), request });
    assert!(answer.await.is_err());
    watch.settle().await;
    let log = watch.log(&id).await;
    let causes = log.iter().filter_map(|recorded| match &recorded.event {
        Event::Role(RoleEvent::ApprovalRefused(refusal)) => Some(refusal.cause),
        _ => None,
    });
    let causes: Vec<ApprovalRefusalCause> = causes.collect();
    assert_eq!(causes, [ApprovalRefusalCause::Expired]);
    assert_eq!(begun(&watch, &id).await, 0);
}

#[tokio::test]
async fn how_many_must_agree_may_depend_on_the_environment() {
    let watch = Watch::new(&[], json!({})).await;
    let rule = json!({"by": [], "count": "{{ 2 if environment.name == 'production' else 1 }}"});
    let id = watch.open(1, json!({"steps": [rollback(rule)]})).await;
    watch.ask(&id, who("ada"), approve_present(&watch, &id).await).await.unwrap();
    assert_eq!(begun(&watch, &id).await, 0);
    watch.ask(&id, who("stranger"), approve_present(&watch, &id).await).await.unwrap();
    assert_eq!(begun(&watch, &id).await, 1);
}

#[tokio::test]
async fn a_stranger_who_goes_on_asking_fills_neither_the_log_nor_the_place_of_other_refusals() {
    let watch = Watch::new(&[], json!({})).await;
    let id = watch.open(1, json!({"steps": [rollback(json!({"by": ["incident_commander"]}))]})).await;
    let (name, via) = ("U0EVE".to_owned(), "slack".to_owned());
    let eve = Actor::Person { id: Some(Identity::Slack(name.clone())), name, via };
    for _ in 0..300 {
        let request = Request::RefuseUnknownUser { step: None, wanted: "use `/runbook note`".to_owned() };
        let command = Command { by: eve.clone(), request };
        watch.engine.submit(&id, command).await.unwrap();
    }
    assert_eq!(watch.incident(&id).await.refusals, 100);
    let seen = digest(&watch, &id).await;
    assert_eq!(
        refused(&watch, &id, who("cleo"), approve(&watch, &id, &seen).await).await.0,
        ApprovalRefusalCause::WrongPerson
    );
}
