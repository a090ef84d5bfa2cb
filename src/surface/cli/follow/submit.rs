//! Asking something of an incident, then going on with it: what `answer`, `approve` and their like have in common.

use super::{undelivered, until_done};
use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{Going, Incident};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Asks, says so, and goes on until a person is needed again.
pub fn then_go_on(station: &Session, target: &Incident, going: &Going, said: &str, request: Request) -> Result {
    let mut desk = station.look()?;
    let id = desk.find(Some(&target.incident))?;
    let before = desk.prepare(&id)?.seq;
    let incident = desk.submit(&id, request)?;
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
