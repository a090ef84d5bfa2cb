//! Asking something of an incident, then going on with it: what `answer`, `approve` and their like have in common.

use super::until_done;
use crate::domain::incident::Incident as Present;
use crate::domain::incident::command::{Refused, Request};
use crate::domain::incident::resolve;
use crate::domain::incident::step_verb::StepVerb;
use crate::domain::incident::target::{StepReference, StepTarget};
use crate::surface::cli::context::args::{Going, Incident};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::undelivered;
use crate::surface::exit::Exit;

/// Asks, says so, and goes on until a person is needed again.
pub fn then_go_on(station: &Session, target: &Incident, going: &Going, said: &str, request: Request) -> Result {
    resolved_then_go_on(station, target, going, said, |_| Ok(request))
}

/// The same for the one step that `typed` stands for.
pub fn step_then_go_on(
    station: &Session,
    target: &Incident,
    going: &Going,
    (verb, typed): (StepVerb, Option<&StepReference>),
    said: &str,
    request: impl FnOnce(StepTarget) -> Request,
) -> Result {
    let resolve = |incident: &Present| resolve::target(incident, verb, typed).map(request);
    resolved_then_go_on(station, target, going, said, resolve)
}

/// The same for a request that follows from how the incident stands.
pub fn resolved_then_go_on(
    station: &Session,
    target: &Incident,
    going: &Going,
    said: &str,
    resolve: impl FnOnce(&Present) -> std::result::Result<Request, Refused>,
) -> Result {
    let mut desk = station.look()?;
    let id = desk.find(Some(&target.incident))?;
    let present = desk.prepare(&id)?;
    let before = present.seq;
    let incident = desk.submit_resolved(&id, resolve(&present))?;
    station.output.say(&format!("{}: {said}", incident.id));
    if going.detach {
        // With nobody at work it is said what is owed; what to type is the same.
        undelivered::pending_deliveries(&desk, &incident)?;
        station.output.next(&[station.command(&format!("watch {id}"))]);
        return Ok(Exit::DONE);
    }
    until_done::plain(&desk, &id, before)
}

/// Asks, says so, and leaves the rest to whoever works on it.
pub fn only(station: &Session, target: &Incident, said: &str, request: Request) -> Result {
    let mut desk = station.look()?;
    let id = desk.find(Some(&target.incident))?;
    desk.prepare(&id)?;
    let incident = desk.submit(&id, request)?;
    station.output.say(&format!("{}: {said}", incident.id));
    let owed = undelivered::pending_deliveries(&desk, &incident)?;
    let next: Vec<String> = owed.into_iter().chain([station.command(&format!("timeline {id}"))]).collect();
    station.output.next(&next);
    Ok(Exit::DONE)
}
