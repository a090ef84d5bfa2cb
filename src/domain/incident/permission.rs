//! Permissions: the roles that people hold during an incident, and who may approve a change.
//!
//! **Invariant:** a permission depends on an identity that an interface has verified, and on the estate; never on a name.

use super::Incident;
use crate::domain::config::estate::Estate;
use crate::domain::core::actor::{Actor, Identity};
use crate::domain::core::time::Timestamp;

/// The holder of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The key in the estate's `people`; for an unknown person, the account or id.
    pub person: String,
    /// The verified identity; none for a person who was named and has no identity in the estate.
    pub id: Option<Identity>,
    pub since: Timestamp,
}

/// Identifies a person, so that two approvals of one person count as one. It is the key in the estate's `people`; for an unknown
/// person, the identity.
pub fn person_key(estate: &Estate, actor: &Actor) -> String {
    match actor.identity() {
        Some(id) => estate.person(id).map_or_else(|| id.to_string(), str::to_owned),
        // Without a verified identity, only the name tells such people apart. None of them is in the estate.
        None => format!("unproved:{}", actor.name()),
    }
}

/// Whether a person has one of these roles, or is one of these people. An empty list permits every known user. Unknown
/// users are never permitted.
///
/// If the estate lists people for a role, only they have it. Otherwise everybody has the role until somebody takes it; then
/// only the holder has it.
pub fn is_one_of(incident: &Incident, estate: &Estate, actor: &Actor, by: &[String]) -> bool {
    !is_unknown_user(estate, actor) && (by.is_empty() || by.iter().any(|one| is(incident, estate, actor, one)))
}

/// Whether a person comes from a chat or by mail and is not in the estate. Local accounts are never unknown users: the host
/// admitted them, whereas a chat admits guests.
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

/// Whether the actor is this holder of a role.
pub fn is_holder(estate: &Estate, actor: &Actor, holder: &Holder) -> bool {
    match (actor.identity(), &holder.id) {
        (Some(id), _) if estate.person(id).is_some() => estate.person(id) == Some(holder.person.as_str()),
        (Some(id), Some(held)) => id == held,
        _ => false,
    }
}

/// The people who may approve, for a hint: the people of each role, or the role itself if the estate lists nobody.
pub fn approvers(estate: &Estate, by: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for one in by {
        match estate.roles.get(one) {
            Some(role) if !role.people.is_empty() => names.extend(role.people.iter().cloned()),
            Some(_) | None => names.push(one.clone()),
        }
    }
    names
}
