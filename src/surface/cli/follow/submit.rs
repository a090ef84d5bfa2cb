//! Submits a request, then continues the incident: shared by `answer`, `approve` and similar commands.

use super::{undelivered, until_done};
use crate::domain::incident::Incident;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::command::{Refused, Request};
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::domain::incident::decide::target_lookup;
use crate::surface::cli::context::args::{DetachArg, IncidentArg};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Submits a request, prints `confirmation`, and continues the run until a person is needed again.
pub fn and_continue(
    session: &Session,
    target: &IncidentArg,
    detach: &DetachArg,
    confirmation: &str,
    request: Request,
) -> Result {
    resolved_and_continue(session, target, detach, confirmation, |_| Ok(request))
}

/// As [`and_continue`], for a request about the step that `typed` names, or about the only step that `verb` fits.
pub fn step_and_continue(
    session: &Session,
    target: &IncidentArg,
    detach: &DetachArg,
    (verb, typed): (StepVerb, Option<&StepReference>),
    confirmation: &str,
    request: impl FnOnce(StepTarget) -> Request,
) -> Result {
    let resolve = |incident: &Incident| target_lookup::target(incident, verb, typed).map(request);
    resolved_and_continue(session, target, detach, confirmation, resolve)
}

/// As [`and_continue`], for a request that `resolve` derives from the state of the incident.
pub fn resolved_and_continue(
    session: &Session,
    target: &IncidentArg,
    detach: &DetachArg,
    confirmation: &str,
    resolve: impl FnOnce(&Incident) -> std::result::Result<Request, Refused>,
) -> Result {
    let mut open_engine = session.open_read_only()?;
    let id = open_engine.find(Some(&target.incident))?;
    let before = open_engine.prepare(&id)?;
    let incident = open_engine.submit_resolved(&id, resolve(&before))?;
    session.output.print_message(&format!("{}: {confirmation}", incident.id));
    if detach.detach {
        // The command that delivers pending messages is `watch`, which is printed in any case.
        undelivered::warn_if_undelivered(&open_engine, &incident)?;
        session.output.next(&[session.command(&format!("watch {id}"))]);
        return Ok(Exit::DONE);
    }
    until_done::plain(&open_engine, &id, before.seq)
}

/// Submits a request and prints `confirmation`; it leaves the run to other processes.
pub fn only(session: &Session, target: &IncidentArg, confirmation: &str, request: Request) -> Result {
    let mut open_engine = session.open_read_only()?;
    let id = open_engine.find(Some(&target.incident))?;
    open_engine.prepare(&id)?;
    let incident = open_engine.submit(&id, request)?;
    session.output.print_message(&format!("{}: {confirmation}", incident.id));
    let deliver = undelivered::warn_if_undelivered(&open_engine, &incident)?;
    let next: Vec<String> = deliver.into_iter().chain([session.command(&format!("timeline {id}"))]).collect();
    session.output.next(&next);
    Ok(Exit::DONE)
}
