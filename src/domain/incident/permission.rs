//! Who may do what: the roles that people hold during an incident, and whether somebody may approve a change.
//!
//! **Invariant:** a permission depends on an identity that an interface has verified, and on the estate; never on a name.

use super::Incident;
use super::event::{Actor, Identity};
use crate::domain::config::estate::Estate;
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
