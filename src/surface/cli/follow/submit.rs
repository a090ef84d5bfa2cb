//! Submits a request and continues the incident, as `answer`, `approve` and similar commands do.

use super::{undelivered, until_done};
use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::{Going, Incident};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Submits a request, confirms it, and continues the run until a person is needed again.
pub fn then_go_on(station: &Session, target: &Incident, going: &Going, said: &str, request: Request) -> Result {
    let mut desk = station.look()?;
    let id = desk.find(Some(&target.incident))?;
    let before = desk.prepare(&id)?.seq;
    let incident = desk.submit(&id, request)?;
    station.output.say(&format!("{}: {said}", incident.id));
    if going.detach {
        // Without a worker, pending messages are reported; the command to type is the same.
        undelivered::pending_deliveries(&desk, &incident)?;
        station.output.next(&[station.command(&format!("watch {id}"))]);
        return Ok(Exit::DONE);
    }
    until_done::plain(&desk, &id, before)
}

/// Submits a request and confirms it; another process continues the run.
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
