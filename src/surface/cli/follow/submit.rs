//! Submits a request and continues the incident, as `answer`, `approve` and similar commands do.

use super::{undelivered, until_done};
use crate::domain::incident::Incident as Present;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::command::{Refused, Request};
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::domain::incident::decide::target_lookup;
use crate::surface::cli::context::args::{Going, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Submits a request, confirms it, and continues the run until a person is needed again.
pub fn then_go_on(session: &Session, target: &IncidentArg, going: &Going, said: &str, request: Request) -> Result {
    resolved_then_go_on(session, target, going, said, |_| Ok(request))
}

/// The same for the one step that `typed` stands for.
pub fn step_then_go_on(
    session: &Session,
    target: &IncidentArg,
    going: &Going,
    (verb, typed): (StepVerb, Option<&StepReference>),
    said: &str,
    request: impl FnOnce(StepTarget) -> Request,
) -> Result {
    let resolve = |incident: &Present| target_lookup::target(incident, verb, typed).map(request);
    resolved_then_go_on(session, target, going, said, resolve)
}

/// The same for a request that follows from how the incident stands.
pub fn resolved_then_go_on(
    session: &Session,
    target: &IncidentArg,
    going: &Going,
    said: &str,
    resolve: impl FnOnce(&Present) -> std::result::Result<Request, Refused>,
) -> Result {
    let mut open_engine = session.open_read_only()?;
    let id = open_engine.find(Some(&target.incident))?;
    let present = open_engine.prepare(&id)?;
    let before = present.seq;
    let incident = open_engine.submit_resolved(&id, resolve(&present))?;
    session.output.print_message(&format!("{}: {said}", incident.id));
    if going.detach {
        // Without a worker, pending messages are reported; the command to type is the same.
        undelivered::pending_deliveries(&open_engine, &incident)?;
        session.output.next(&[session.command(&format!("watch {id}"))]);
        return Ok(Exit::DONE);
    }
    until_done::plain(&open_engine, &id, before)
}

/// Submits a request and confirms it; another process continues the run.
pub fn only(session: &Session, target: &IncidentArg, said: &str, request: Request) -> Result {
    let mut open_engine = session.open_read_only()?;
    let id = open_engine.find(Some(&target.incident))?;
    open_engine.prepare(&id)?;
    let incident = open_engine.submit(&id, request)?;
    session.output.print_message(&format!("{}: {said}", incident.id));
    let owed = undelivered::pending_deliveries(&open_engine, &incident)?;
    let next: Vec<String> = owed.into_iter().chain([session.command(&format!("timeline {id}"))]).collect();
    session.output.next(&next);
    Ok(Exit::DONE)
}
