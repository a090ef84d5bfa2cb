//! Who may do what: the roles that people hold during an incident, and whether somebody may approve a change.
//!
//! **Invariant:** a permission depends on an identity that an interface has verified, and on the estate; never on a name.

use serde::{Deserialize, Serialize};

use super::Incident;
use super::event::{Actor, Identity};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who: the key in the estate's `people`, else the bare account or id.
    pub person: String,
    /// What proves who that is.
    pub id: Option<Identity>,
    /// Since when.
    pub since: Timestamp,
}

/// Why somebody may not agree to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCause {
    /// Nothing waits for agreement there: it was agreed to and used, denied, or never asked.
    NotWaiting,
    /// The digest is that of something else: the change has become another one, or it belongs to another incident.
    AnotherPlan,
    /// The time for agreeing is over.
    Expired,
    /// The person is none of those who may.
    WrongPerson,
    /// The person has asked for the change.
    Requester,
    /// The person has agreed already, and somebody else is wanted.
    Twice,
    /// Something else than agreement was wanted, by somebody who may not have it from this face.
    Stranger,
}

/// Somebody wanted to agree to a change or to refuse it, and may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRefusal {
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step, where one was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// The digest that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why not.
    pub cause: RefusalCause,
    /// The same in words.
    pub reason: String,
}

/// One person as one: the key in the estate's `people`; for somebody whom the estate does not know, the identity.
pub fn counted(estate: &Estate, actor: &Actor) -> String {
    match actor.identity() {
        Some(id) => estate.person(id).map_or_else(|| id.to_string(), str::to_owned),
        // A face that proves nothing: all such are told apart by name only, and are nobody whom the estate knows.
        None => format!("unproved:{}", actor.name()),
    }
}

/// Whether somebody is one of these roles or people; nobody listed means anybody.
///
/// A role for which the estate lists people is theirs. One for which it lists nobody is open to all until somebody has
/// it, and then it is that one's.
pub fn is_one_of(incident: &Incident, estate: &Estate, actor: &Actor, by: &[String]) -> bool {
    !is_unknown_user(estate, actor) && (by.is_empty() || by.iter().any(|one| is(incident, estate, actor, one)))
}

/// Whether it is somebody from a chat or by mail whom the estate does not know. A local account has been let in by the
/// host; a chat lets in guests.
pub fn is_unknown_user(estate: &Estate, actor: &Actor) -> bool {
    let id = actor.identity().filter(|id| !matches!(id, Identity::Account(_)));
    id.is_some_and(|id| estate.person(id).is_none())
}

fn is(incident: &Incident, estate: &Estate, actor: &Actor, one: &str) -> bool {
    let person = actor.identity().and_then(|id| estate.person(id));
    let Some(role) = estate.roles.get(one) else {
        return person == Some(one);
    };
    if !role.people.is_empty() {
        return person.is_some_and(|person| role.people.iter().any(|name| name == person));
    }
    incident.roles.get(one).is_none_or(|holder| is_holder(estate, actor, holder))
}

/// Whether somebody has the role that this holder has.
pub fn is_holder(estate: &Estate, actor: &Actor, holder: &Holder) -> bool {
    match (actor.identity(), &holder.id) {
        (Some(id), _) if estate.person(id).is_some() => estate.person(id) == Some(holder.person.as_str()),
        (Some(id), Some(held)) => id == held,
        _ => false,
    }
}

/// Those who may agree, for a hint: names of people, or the roles where nobody is listed.
pub fn named(estate: &Estate, by: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for one in by {
        match estate.roles.get(one) {
            Some(role) if !role.people.is_empty() => names.extend(role.people.iter().cloned()),
            Some(_) | None => names.push(one.clone()),
        }
    }
    names
}
