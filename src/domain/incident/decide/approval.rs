//! Whether a person may approve or deny a change.
//!
//! **Invariant:** a refusal because of the person, the plan or the time is recorded with who asked; no other refusal is.

use super::required_text;
use super::step::{run, unchanged};
use super::step_verb::StepVerb;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::command::{Refused, WORDS_LIMIT};
use crate::domain::incident::event::{Actor, ApprovalRefusal, Event, Gate, RefusalCause, RoleEvent, StepEvent};
use crate::domain::incident::permission::{counted, is_one_of, named};
use crate::domain::incident::run::Run;

/// The fewest characters of a digest that name it: what git takes for unmistakable in a small repository is seven.
const DIGEST_SHORTEST: usize = 8;
/// The most refusals that one incident records: who goes on asking fills no log.
const REFUSALS_LIMIT: u32 = 200;
/// How many of them are recorded at most when a stranger is turned away: the others are kept for agreement.
const STRANGERS_LIMIT: u32 = 100;

/// What was asked, for the record of a refusal.
pub(super) struct ApprovalRequest<'a> {
    /// The run, where it is known.
    pub run: Option<RunId>,
    /// The step, where one was named.
    pub step: Option<&'a StepKey>,
    /// The digest that was given.
    pub digest: Option<&'a str>,
}

impl<'a> ApprovalRequest<'a> {
    fn of(target: &'a StepTarget, digest: Option<&'a str>) -> Self {
        Self { run: Some(target.run), step: Some(&target.step), digest }
    }

    /// A refusal with its record, as long as the incident has room for it.
    pub(super) fn record(&self, incident: &Incident, cause: RefusalCause, refused: Refused) -> Refused {
        if incident.refusals >= REFUSALS_LIMIT {
            return refused;
        }
        let event = Event::Role(RoleEvent::ApprovalRefused(ApprovalRefusal {
            run: self.run,
            step: self.step.cloned(),
            digest: self.digest.map(|digest| one_line(digest, 64)),
            cause,
            reason: one_line(&refused.message, WORDS_LIMIT),
        }));
        refused.recorded(event)
    }
}

pub(super) fn approve(
    incident: &Incident,
    by: &Actor,
    target: &StepTarget,
    seen: &str,
    now: Timestamp,
) -> Result<Vec<Event>, Refused> {
    let asked = ApprovalRequest::of(target, Some(seen));
    let (run, gate) = waiting(incident, target, &asked, StepVerb::Approve)?;
    let Gate::Approve { by: roles, digest, not_requester, expires_at, given, .. } = gate else {
        return Err(Refused::usage("no change waits for agreement"));
    };
    let step = &target.step;
    let no = |cause, refused| Err(asked.record(incident, cause, refused));
    if expires_at.is_some_and(|at| now >= at) {
        let refused = Refused::usage(format!("the time to agree to `{step}` is over"));
        let again = format!("Ask again: `runbook retry {} {}`.", incident.id, incident.reference(run.id, step));
        return no(RefusalCause::Expired, refused.hint(again));
    }
    if !names_digest(seen, digest) {
        let refused = Refused::usage(format!("what `{step}` would do has changed since, or that was another question"));
        return no(RefusalCause::AnotherPlan, refused.hint(format!("Look again: `runbook watch {}`.", incident.id)));
    }
    if let Err(refused) = unchanged(incident, target) {
        return no(RefusalCause::AnotherPlan, refused);
    }
    if let Err(refused) = may(incident, run, by, roles) {
        return no(RefusalCause::WrongPerson, refused);
    }
    let person = counted(&run.estate, by);
    if *not_requester && person == counted(&run.estate, &run.by) {
        let refused = Refused::not_allowed(format!("`{}` has started this, and somebody else must agree", by.name()));
        return no(RefusalCause::Requester, refused.hint(who(run, roles)));
    }
    if given.contains(&person) {
        let refused = Refused::not_allowed(format!("`{}` has agreed already, and somebody else is wanted", by.name()));
        return no(RefusalCause::Twice, refused.hint(who(run, roles)));
    }
    Ok(vec![Event::Step(StepEvent::Approved {
        run: run.id,
        step: step.clone(),
        digest: digest.clone(),
        person: Some(person),
    })])
}

pub(super) fn deny(incident: &Incident, by: &Actor, target: &StepTarget, reason: &str) -> Result<Vec<Event>, Refused> {
    let asked = ApprovalRequest::of(target, None);
    let (run, gate) = waiting(incident, target, &asked, StepVerb::Deny)?;
    unchanged(incident, target).map_err(|refused| asked.record(incident, RefusalCause::AnotherPlan, refused))?;
    if let Gate::Approve { by: roles, .. } = gate {
        may(incident, run, by, roles).map_err(|refused| asked.record(incident, RefusalCause::WrongPerson, refused))?;
    }
    let reason = required_text("reason", reason)?;
    Ok(vec![Event::Step(StepEvent::Denied { run: run.id, step: target.step.clone(), reason })])
}

/// The run of a target and the gate at which its change waits.
fn waiting<'a>(
    incident: &'a Incident,
    target: &StepTarget,
    asked: &ApprovalRequest<'_>,
    verb: StepVerb,
) -> Result<(&'a Run, &'a Gate), Refused> {
    let run = run(incident, target)?;
    let checked = verb.check(incident, run, &target.step);
    checked.map_err(|refused| asked.record(incident, RefusalCause::NotWaiting, refused))?;
    let gate = run.state(&target.step).and_then(|state| state.gate());
    gate.map(|gate| (run, gate)).ok_or_else(|| Refused::usage("no change waits for agreement"))
}

/// Whether what somebody typed is a digest, or enough of its beginning.
pub(super) fn names_digest(typed: &str, digest: &str) -> bool {
    typed.len() >= DIGEST_SHORTEST && digest.starts_with(typed)
}

/// That somebody was turned away by a face, as long as there is room for it.
pub(super) fn refuse_unknown_user(
    incident: &Incident,
    by: &Actor,
    step: Option<&StepReference>,
    wanted: &str,
) -> Vec<Event> {
    if incident.refusals >= STRANGERS_LIMIT {
        return Vec::new();
    }
    let refused = Refused::not_allowed(format!("`{}` may not {wanted}", by.name()));
    let (run, step) = (step.and_then(|step| step.run), step.map(|step| &step.step));
    let recorded = ApprovalRequest { run, step, digest: None }.record(incident, RefusalCause::Stranger, refused).record;
    recorded.into_iter().map(|event| *event).collect()
}

fn may(incident: &Incident, run: &Run, by: &Actor, roles: &[String]) -> Result<(), Refused> {
    if is_one_of(incident, &run.estate, by, roles) {
        return Ok(());
    }
    let wanted = if roles.is_empty() { "one of the estate's `people`".to_owned() } else { roles.join(" or ") };
    let refused = Refused::not_allowed(format!("`{}` is not {wanted}", by.name()));
    Err(refused.hint(who(run, roles)))
}

/// A sentence that says whom to ask.
fn who(run: &Run, roles: &[String]) -> String {
    let names = named(&run.estate, roles);
    if names.is_empty() { "Ask anybody else.".to_owned() } else { format!("Ask one of: {}.", names.join(", ")) }
}
