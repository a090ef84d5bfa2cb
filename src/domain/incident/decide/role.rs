//! Taking, assigning and releasing a role.
//!
//! **Invariant:** if the estate lists people for a role, only they get it.

use super::suggest;
use crate::domain::config::estate::Estate;
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::event::{Actor, Event, Identity, RoleEvent};
use crate::domain::incident::permission::{Holder, is_holder};

pub(super) fn take(incident: &Incident, by: &Actor, role: &str) -> Result<Vec<Event>, Refused> {
    let estate = estate(incident, role)?;
    let person = by.identity().and_then(|id| estate.person(id));
    may_have(estate, role, person, by.name())?;
    if incident.roles.get(role).is_some_and(|holder| is_holder(estate, by, holder)) {
        return Err(Refused::usage(format!("`{}` has the role `{role}` already", by.name())));
    }
    let person = person.unwrap_or_else(|| by.name()).to_owned();
    Ok(vec![Event::Role(RoleEvent::Taken { role: role.to_owned(), person, id: by.identity().cloned() })])
}

pub(super) fn give(incident: &Incident, by: &Actor, role: &str, to: &str) -> Result<Vec<Event>, Refused> {
    let estate = estate(incident, role)?;
    let identity: Option<Identity> = to.parse().ok();
    let person = identity.as_ref().map_or_else(|| estate.people.contains_key(to).then_some(to), |id| estate.person(id));
    if person.is_none() && identity.is_none() {
        let known: Vec<&str> = estate.people.keys().map(String::as_str).collect();
        let refused = Refused::usage(format!("there is no person `{}` in the estate", to.escape_debug()));
        return Err(refused.hint(suggest(to, &known, "")));
    }
    may_have(estate, role, person, to)?;
    may_pass_on(incident, estate, by, role)?;
    let name = person.unwrap_or_else(|| identity.as_ref().map_or(to, Identity::value)).to_owned();
    let id = identity.or_else(|| estate.identity(&name));
    if incident.roles.get(role).is_some_and(|holder| holder.person == name && holder.id == id) {
        return Err(Refused::usage(format!("`{name}` has the role `{role}` already")));
    }
    Ok(vec![Event::Role(RoleEvent::Taken { role: role.to_owned(), person: name, id })])
}

pub(super) fn release(incident: &Incident, by: &Actor, role: &str) -> Result<Vec<Event>, Refused> {
    let estate = estate(incident, role)?;
    if !incident.roles.contains_key(role) {
        return Err(Refused::usage(format!("nobody has the role `{role}`")));
    }
    may_pass_on(incident, estate, by, role)?;
    Ok(vec![Event::Role(RoleEvent::Released { role: role.to_owned() })])
}

/// The estate of the latest run, which must have the role.
fn estate<'a>(incident: &'a Incident, role: &str) -> Result<&'a Estate, Refused> {
    let estate = incident.runs.last().map(|run| &*run.estate).ok_or_else(|| {
        Refused::usage("the incident has no run, and so no estate that names roles")
            .hint(format!("Start one: `runbook start <runbook> --incident {}`.", incident.id))
    })?;
    if estate.roles.contains_key(role) {
        return Ok(estate);
    }
    let known: Vec<&str> = estate.roles.keys().map(String::as_str).collect();
    let refused = Refused::usage(format!("there is no role `{}` in the estate", role.escape_debug()));
    Err(refused.hint(suggest(role, &known, "")))
}

/// Refuses a person who may not have the role. `name` is the person's name in the refusal.
fn may_have(estate: &Estate, role: &str, person: Option<&str>, name: &str) -> Result<(), Refused> {
    let people = estate.roles.get(role).map(|role| role.people.as_slice()).unwrap_or_default();
    if people.is_empty() || person.is_some_and(|person| people.iter().any(|listed| listed == person)) {
        return Ok(());
    }
    Err(Refused::not_allowed(format!("`{}` may not be {role}", name.escape_debug()))
        .hint(format!("Those who may: {}.", people.join(", "))))
}

/// Refuses an actor who neither holds the role nor may take it.
fn may_pass_on(incident: &Incident, estate: &Estate, by: &Actor, role: &str) -> Result<(), Refused> {
    let holds = |holder: &Holder| is_holder(estate, by, holder);
    if incident.roles.get(role).is_some_and(holds) {
        return Ok(());
    }
    may_have(estate, role, by.identity().and_then(|id| estate.person(id)), by.name())
}
